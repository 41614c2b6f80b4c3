"""The state survives JSON exactly, at any tick, and a restart from it loses nothing."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollwarden.judge import (
    Facts,
    JudgeState,
    Tick,
    begin,
    decide,
    enter_gate,
    observe,
    state_from_dict,
    state_to_dict,
)
from tests.judge.builders import gate, parameters, tick
from tests.judge.simulator import Fleet, constant

MEDIUM = parameters()


def stored(state: JudgeState) -> JudgeState:
    """The state after a trip through JSON."""
    return state_from_dict(json.loads(json.dumps(state_to_dict(state), allow_nan=False)))


def changes(seed: int, length: int) -> list[Tick]:
    """A simulated change, with an unanswered tick, a faulty one and a partial one."""
    fleet = Fleet(random.Random(seed), 40.0, 15.0, constant(0.02), constant(0.01), 3)
    fleet.shift(0.5, 2)
    ticks = [fleet.scrape(), *(fleet.tick() for _ in range(length))]
    ticks[2] = Tick.unanswered(2, ticks[2].time)
    ticks[4] = tick(4, {"canary-0": (1, 2)}, {})
    ticks[5] = Tick(5, ticks[5].time, ticks[5].canary, ticks[5].stable, partial=True)
    return ticks


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(6, 30), st.data())
def test_a_restart_from_a_checkpoint_gives_the_same_state_and_verdict(
    seed: int, length: int, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, length))
    unbroken = restarted = begin(MEDIUM)
    for index, seen in enumerate(changes(seed, length)):
        if index == cut:
            restarted = stored(restarted)
        unbroken, restarted = (observe(state, {"errors": seen}, MEDIUM) for state in (unbroken, restarted))
        if index == 1:
            unbroken, restarted = (enter_gate(state, gate(started_tick=1)) for state in (unbroken, restarted))
    assert stored(restarted) == unbroken
    assert decide(restarted, MEDIUM, Facts()) == decide(unbroken, MEDIUM, Facts())


def test_a_state_before_its_first_tick_survives() -> None:
    assert stored(begin(MEDIUM, losses=2)) == begin(MEDIUM, losses=2)


def test_ticks_during_a_restart_are_merged_not_lost() -> None:
    ticks = changes(1, 20)
    state = begin(MEDIUM)
    for seen in (*ticks[:8], *ticks[15:]):
        state = observe(stored(state), {"errors": seen}, MEDIUM)
    last = ticks[-1]
    served = sum(pod.total for pod in last.canary) - sum(pod.total for pod in ticks[0].canary)
    assert decide(state, MEDIUM, Facts()).canary_requests == served


def test_a_checkpoint_of_an_hour_is_small() -> None:
    state = enter_gate(begin(MEDIUM), gate(soak_seconds=1800))
    fleet = Fleet(random.Random(1), 500.0, 15.0, constant(0.01), constant(0.01), 10)
    fleet.shift(0.5, 10)
    for _ in range(240):
        state = observe(state, {"errors": fleet.tick()}, MEDIUM)
    assert len(json.dumps(state_to_dict(state))) < 8000


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"indicators": None}, id="no indicators"),
        pytest.param({"indicators": [{}]}, id="an empty indicator"),
        pytest.param({"gate": {"kind": "Fast"}}, id="an unknown gate"),
        pytest.param({"time": "soon"}, id="a time that is no number"),
        pytest.param({"lastTick": "x"}, id="a tick that is no number"),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_a_sentence(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="checkpoint cannot be read"):
        state_from_dict(state_to_dict(begin(MEDIUM)) | damage)
