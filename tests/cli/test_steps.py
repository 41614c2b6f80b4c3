"""Argo's steps in words, and the owner's steps found again in a plan."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.api.change import Base, Pace, Requirements
from rollwarden.cli.steps import owned_positions, spoken_path, spoken_step
from rollwarden.core.plan import Ground, make_plan

SPOKEN: list[tuple[dict[str, Any], str]] = [
    ({"setWeight": 20}, "setWeight 20"),
    ({"pause": {}}, "pause until promoted"),
    ({"pause": {"duration": "10m"}}, "pause 10m"),
    ({"pause": {"duration": 30}}, "pause 30s"),
    ({"pause": {"duration": "30"}}, "pause 30s"),
    ({"analysis": {"templates": [{"templateName": "success"}, {"templateName": "slow"}]}}, "analysis success, slow"),
    ({"plugin": {"name": "org/step"}}, "plugin org/step"),
    ({"setHeaderRoute": {"name": "debug"}, "pause": {}}, "setHeaderRoute debug and pause until promoted"),
    ({"experiment": {"templates": [{"name": "canary"}]}}, "experiment canary"),
    ({"setCanaryScale": {"replicas": 1}}, "setCanaryScale"),
    ({"analysis": {"templates": "none"}}, "analysis"),
]


@pytest.mark.parametrize(("step", "words"), SPOKEN)
def test_steps_are_said_by_what_they_do(step: dict[str, Any], words: str) -> None:
    assert spoken_step(step) == words


def test_a_path_ends_at_100_and_is_shortened_in_its_middle() -> None:
    assert spoken_path(None) == "100 %"
    assert spoken_path([{"setWeight": 20}, {"pause": {}}]) == "20 % → 100 %"
    assert spoken_path([{"setWeight": 100}]) == "100 %"
    many = [{"setWeight": n} for n in range(1, 51)]
    assert spoken_path(many) == "1 % → 2 % → 3 % → 4 % → … → 49 % → 50 % → 100 %"


def test_a_missing_or_moved_step_of_the_owner_is_noticed() -> None:
    own: list[dict[str, Any]] = [{"setWeight": 20}, {"pause": {}}]
    assert owned_positions([{"setWeight": 10}, {"pause": {}}, *own], own) == frozenset({2, 3})
    assert owned_positions([{"setWeight": 20}], own) is None
    assert owned_positions([{"pause": {}}, {"setWeight": 20}], own) is None


STEPS = st.one_of(
    st.builds(lambda w: {"setWeight": w}, st.integers(0, 100)),
    st.sampled_from([{"pause": {}}, {"pause": {"duration": "1m"}}, {"analysis": {"templates": []}}]),
)


@given(st.lists(STEPS, max_size=8), st.lists(st.integers(1, 99), max_size=4), st.integers(0, 20), st.booleans())
def test_the_owners_steps_are_always_found_in_their_plan(
    own: list[dict[str, Any]], weights: list[int], replicas: int, routed: bool
) -> None:
    pace = Pace(weights=tuple(sorted(set(weights))), bake=60)
    plan = make_plan(Base(steps=tuple(own)), Requirements(gated=True, pace=pace), Ground(replicas, routed))
    found = owned_positions(plan.steps or (), own)
    assert found is not None
    assert [(plan.steps or ())[index] for index in sorted(found)] == own
