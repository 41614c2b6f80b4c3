"""Who does what next: the last lines of an explanation, and ``next`` in its JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NextStep:
    who: str
    action: str


AGENT_STEP = NextStep("the agent", "do not retry, delete or recreate: it is held on purpose; report it to your human")
"""What comes first while a change of an identity that is listed as an AI agent waits."""


def next_data(steps: Iterable[NextStep]) -> list[dict[str, str]]:
    return [{"who": step.who, "action": step.action} for step in steps]
