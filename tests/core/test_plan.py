"""The plan: the owner's steps with gates between them, never looser than what the owner wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.api.change import Base, Pace, Plan, Requirements
from rollwarden.api.enums import GateKind
from rollwarden.core.plan import Ground, make_plan, without_endless_pauses

ROUTED = Ground(replicas=10, routed=True)
Steps = tuple[dict[str, Any], ...]


def weight(value: int) -> dict[str, Any]:
    return {"setWeight": value}


def pause(duration: str | None = None) -> dict[str, Any]:
    return {"pause": {} if duration is None else {"duration": duration}}


def planned(steps: Steps | None, ground: Ground = ROUTED, analysis: dict[str, Any] | None = None, **pace: Any) -> Plan:
    needs = Requirements(gated=True, pace=Pace(profiles=("p",), **pace))
    return make_plan(Base(steps=steps, analysis=analysis), needs, ground)


def short(plan: Plan) -> list[str]:
    """Steps as words; gates by kind."""
    gates = {gate.index: gate.kind for gate in plan.gates}
    words = []
    for index, step in enumerate(plan.steps or ()):
        if index in gates:
            words.append("bake" if gates[index] is GateKind.BAKE else "gate")
        else:
            words.append(" ".join(f"{key} {value}" for key, value in step.items()))
    return words


@pytest.mark.parametrize(
    ("steps", "pace", "expected"),
    [
        pytest.param(
            (weight(50), pause("5m")),
            {"weights": (33,)},
            ["setWeight 33", "gate", "setWeight 50", "pause {'duration': '5m'}", "gate"],
            id="a ladder weight comes before the owner's, each weight has its gate, pauses stay",
        ),
        pytest.param(
            None,
            {"weights": (5, 25)},
            ["setWeight 5", "gate", "setWeight 25", "gate"],
            id="without steps the ladder alone",
        ),
        pytest.param(
            (weight(20),), {"bake": 60}, ["setWeight 20", "gate", "setWeight 100", "bake"], id="a bake ends the plan"
        ),
        pytest.param((weight(100),), {"bake": 60}, ["setWeight 100", "bake"], id="the owner's own 100 is not repeated"),
        pytest.param(
            (weight(20), weight(10), weight(40)),
            {},
            ["setWeight 20", "setWeight 10", "gate", "setWeight 40", "gate"],
            id="a lower weight never waits for proof",
        ),
        pytest.param(
            ({"setCanaryScale": {"replicas": 1}}, {"plugin": {"name": "x"}}, weight(20)),
            {},
            ["setCanaryScale {'replicas': 1}", "plugin {'name': 'x'}", "setWeight 20", "gate"],
            id="foreign steps keep their order and place",
        ),
    ],
)
def test_steps(steps: Steps | None, pace: dict[str, Any], expected: list[str]) -> None:
    assert short(planned(steps, **pace)) == expected


def test_without_gates_the_owners_steps_are_untouched() -> None:
    steps = (weight(20), pause(), weight(50))
    plan = make_plan(Base(steps=steps), Requirements(), ROUTED)
    assert (plan.steps, plan.gates, plan.owner_pauses) == (steps, (), (1,))


def test_the_owners_endless_pauses_are_theirs_to_end() -> None:
    plan = planned((weight(20), pause(), weight(50)))
    assert plan.steps is not None
    assert [plan.steps[index] for index in plan.owner_pauses] == [pause()]
    assert not set(plan.owner_pauses) & {gate.index for gate in plan.gates}


def test_background_analysis_starts_at_the_owners_own_step() -> None:
    plan = planned((weight(20), weight(50)), analysis={"startingStep": 1}, weights=(5, 30))
    assert plan.steps is not None
    assert plan.starting_step is not None
    assert plan.steps[plan.starting_step] == weight(50)


def test_weights_that_pods_cannot_tell_apart_are_merged_and_said() -> None:
    plan = planned(None, Ground(replicas=5, routed=False), weights=(1, 5, 25))
    assert short(plan) == ["setWeight 25", "gate"]
    assert "cannot be told apart with 5 pods" in plan.notes[0]


def test_the_gate_before_full_weight_asks_for_the_strictest_proof() -> None:
    gates = planned((weight(20), weight(50))).gates
    assert [(gate.weight, gate.next_weight) for gate in gates] == [(20, 50), (50, 100)]


def is_subsequence(owner: Sequence[dict[str, Any]], plan: Sequence[dict[str, Any]]) -> bool:
    rest = iter(plan)
    return all(any(step == candidate for candidate in rest) for step in owner)


STEPS = st.lists(
    st.one_of(
        st.integers(0, 100).map(weight),
        st.sampled_from([pause(), pause("1m"), {"analysis": {"templates": []}}, {"setCanaryScale": {"weight": 5}}]),
    ),
    max_size=8,
).map(tuple)
LADDER = st.sets(st.integers(1, 99), max_size=5).map(lambda found: tuple(sorted(found)))


@given(STEPS, LADDER, st.integers(0, 60), st.booleans(), st.integers(1, 20))
def test_every_plan_is_never_looser_than_the_owners_steps(
    steps: Steps, ladder: tuple[int, ...], bake: int, routed: bool, replicas: int
) -> None:
    """The owner's steps stand in order, and before each of them no weight was higher than the owner's own so far."""
    plan = planned(steps, Ground(replicas=replicas, routed=routed), weights=ladder, bake=bake).steps or ()
    assert is_subsequence(steps, plan)
    position, reached, ahead = 0, 0, [s["setWeight"] for s in steps if "setWeight" in s]
    for step in plan:
        if position < len(steps) and step == steps[position]:
            position += 1
            reached = max(reached, step.get("setWeight", 0))
            ahead = [s["setWeight"] for s in steps[position:] if "setWeight" in s]
        elif "setWeight" in step:
            assert step["setWeight"] <= max([reached, *ahead] if position < len(steps) else [100])


@given(STEPS)
def test_break_glass_leaves_nothing_that_only_a_person_ends(steps: Steps) -> None:
    assert pause() not in without_endless_pauses(steps)
