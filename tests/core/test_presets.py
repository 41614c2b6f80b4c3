"""What the shipped policies ask for, as a table of sentences."""

from __future__ import annotations

import pytest

from rollwarden.api.change import Author, Classification, PolicyRef
from rollwarden.api.enums import Autonomy, Criticality, Level, Origin
from rollwarden.core.policy import Place, Policy, decide_policy, in_force
from rollwarden.core.presets import PRESETS

NOWHERE = Place(labels={}, namespace_labels={})


def classified(
    origin: Origin, criticality: Criticality, level: Level = Level.JUNIOR, autonomy: Autonomy | None = Autonomy.ASSISTED
) -> Classification:
    return Classification(
        origin=origin,
        autonomy=autonomy if origin is Origin.AI else None,
        authors=(Author(name="jo@example.com", level=level),),
        criticality=criticality,
    )


def asked(preset: str, c: Classification) -> list[str]:
    decision = decide_policy(c, [Policy(PolicyRef(name=preset), PRESETS[preset])], NOWHERE)
    return [f"{slot.count} {slot.tier.lower}" for slot in decision.requirements.approvals]


MEMO = [
    pytest.param(classified(Origin.AI, Criticality.LOW), [], id="low is free, whoever wrote it"),
    pytest.param(classified(Origin.AI, Criticality.MEDIUM), ["1 senior"], id="a junior's AI on medium needs a senior"),
    pytest.param(
        classified(Origin.AI, Criticality.MEDIUM, Level.MID), ["1 senior"], id="so does a mid-level engineer's"
    ),
    pytest.param(classified(Origin.AI, Criticality.MEDIUM, Level.SENIOR), [], id="a senior's AI on medium is free"),
    pytest.param(
        classified(Origin.AI, Criticality.HIGH, Level.SENIOR), ["1 senior"], id="on high it needs another senior"
    ),
    pytest.param(
        classified(Origin.AI, Criticality.CRITICAL, Level.PRINCIPAL),
        ["1 senior"],
        id="on critical a principal's AI needs a senior too",
    ),
    pytest.param(
        classified(Origin.AI, Criticality.HIGH, Level.SENIOR, Autonomy.AGENT),
        ["1 senior"],
        id="an agent's on high needs a senior",
    ),
    pytest.param(
        classified(Origin.AI, Criticality.CRITICAL, Level.SENIOR, Autonomy.AGENT),
        ["1 senior", "1 principal"],
        id="an agent's on critical needs a senior and a principal",
    ),
    pytest.param(classified(Origin.HUMAN, Criticality.CRITICAL), [], id="a human change needs nobody"),
    pytest.param(classified(Origin.UNKNOWN, Criticality.CRITICAL), [], id="unknown is its own origin, not AI"),
    pytest.param(classified(Origin.AUTOMATION, Criticality.CRITICAL), [], id="automation is neither AI nor human"),
]


@pytest.mark.parametrize(("c", "expected"), MEMO)
def test_memo(c: Classification, expected: list[str]) -> None:
    assert asked("Memo", c) == expected


def test_proportional_asks_a_peer_on_medium_and_is_the_memo_above() -> None:
    assert asked("Proportional", classified(Origin.AI, Criticality.MEDIUM)) == ["1 peer"]
    assert "1 senior" in asked("Proportional", classified(Origin.AI, Criticality.HIGH))


@pytest.mark.parametrize("criticality", [Criticality.HIGH, Criticality.CRITICAL])
def test_agent_written_changes_on_high_and_critical_need_a_human_who_adopts_them(criticality: Criticality) -> None:
    c = classified(Origin.AI, criticality, Level.SENIOR, Autonomy.AGENT)
    (policy,) = in_force([], NOWHERE)
    assert policy.ref.name == "preset:memo"
    assert decide_policy(c, [policy], NOWHERE).requirements.human_adopter


@pytest.mark.parametrize(
    ("c", "gated"),
    [
        pytest.param(classified(Origin.HUMAN, Criticality.LOW), False, id="low without AI has no gate"),
        pytest.param(classified(Origin.UNKNOWN, Criticality.LOW), False, id="nor has low of unknown origin"),
        pytest.param(classified(Origin.AI, Criticality.LOW), True, id="low with AI has gates"),
        pytest.param(classified(Origin.HUMAN, Criticality.MEDIUM), True, id="everything above low has gates"),
    ],
)
def test_gates_follow_from_origin_and_criticality_alone(c: Classification, gated: bool) -> None:
    assert decide_policy(c, in_force([], NOWHERE), NOWHERE).requirements.gated is gated
