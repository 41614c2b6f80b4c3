"""Argo's canary steps: what the engine would refuse, named by field, and how a step is said."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rollwarden.cli.errors import InputError
from rollwarden.core.plan import spoken_weights

EXCLUSIVE = ("setWeight", "pause", "experiment", "analysis")
"""Argo Rollouts takes at most one of these in a step; routes, scales and plugins may stand beside it."""
LARGEST_WEIGHT = 100
_DURATION = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")


def check_steps(steps: Sequence[Mapping[str, Any]], where: str, *, largest_weight: int = LARGEST_WEIGHT) -> None:
    """Raises InputError for the first step that Argo Rollouts would not run. Kinds unknown here are left to Argo."""
    for index, step in enumerate(steps):
        at = f"{where}[{index}]"
        if all(value is None for value in step.values()):
            kinds = f"{', '.join(EXCLUSIVE)}, or a route, scale or plugin step"
            raise InputError(at, f"is {shown(step)}; a step is one of {kinds}")
        several = [kind for kind in EXCLUSIVE if step.get(kind) is not None]
        if len(several) > 1:
            raise InputError(at, f"has {' and '.join(several)}; make a step of each")
        if step.get("setWeight") is not None:
            _check_weight(step["setWeight"], f"{at}.setWeight", largest_weight)
        if step.get("pause") is not None:
            _check_pause(step["pause"], f"{at}.pause")


def _check_weight(weight: Any, where: str, largest: int) -> None:
    if isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= largest:
        raise InputError(where, f"is {shown(weight)}; it must be a whole number from 0 to {largest}")


def _check_pause(pause: Any, where: str) -> None:
    if not isinstance(pause, Mapping):
        raise InputError(where, f"is {shown(pause)}; write {{}} to wait for a promotion, or a duration such as 10m")
    duration = pause.get("duration")
    if duration is None:
        return
    number = isinstance(duration, int) and not isinstance(duration, bool) and duration >= 0
    if not number and not (isinstance(duration, str) and _is_duration(duration)):
        raise InputError(f"{where}.duration", f"is {shown(duration)}; write seconds, or 30s, 10m, 1h30m")


def _is_duration(text: str) -> bool:
    return text.isdigit() or (bool(text) and not _DURATION.sub("", text))


def shown(value: Any) -> str:
    """A wrong value as it stands in the file, cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def spoken_step(step: Mapping[str, Any]) -> str:
    """``setWeight 20``, ``pause 10m``, ``setHeaderRoute debug and pause until promoted``."""
    return " and ".join(_spoken_part(kind, value) for kind, value in step.items() if value is not None) or "nothing"


def _spoken_part(kind: str, value: Any) -> str:
    if kind == "setWeight":
        return f"setWeight {value}"
    if kind == "pause":
        duration = value.get("duration") if isinstance(value, Mapping) else None
        if duration is None:
            return "pause until promoted"
        return f"pause {duration}s" if isinstance(duration, int) or str(duration).isdigit() else f"pause {duration}"
    named = _names_in(value)
    return f"{kind} {', '.join(named)}" if named else kind


def _names_in(value: Any) -> list[str]:
    if not isinstance(value, Mapping):
        return []
    if isinstance(value.get("name"), str):
        return [str(value["name"])]
    templates = value.get("templates")
    listed = templates if isinstance(templates, list) else []
    found = [t.get("templateName") or t.get("name") for t in listed if isinstance(t, Mapping)]
    return [str(name) for name in found if name]


def spoken_path(steps: Sequence[Mapping[str, Any]] | None) -> str:
    """The weights in order, up to the end: ``20 % → 50 % → 100 %``."""
    return spoken_weights([step["setWeight"] for step in steps or () if isinstance(step.get("setWeight"), int)])


def owned_positions(planned: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]) -> frozenset[int] | None:
    """Where in the plan the owner's steps stand, in their order; None if one of them is missing or moved.

    Matched from the end: what a plan adds stands before the step that it prepares.
    """
    positions: list[int] = []
    left = list(own)
    for index in range(len(planned) - 1, -1, -1):
        if left and planned[index] == left[-1]:
            left.pop()
            positions.append(index)
    return None if left else frozenset(positions)
