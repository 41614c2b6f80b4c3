"""The state of judging one change: begun at its release, moved by ticks and gates, saved as a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rollwarden.judge import indicator as single
from rollwarden.judge.counters import Tick
from rollwarden.judge.gates import Gate
from rollwarden.judge.indicator import IndicatorState
from rollwarden.judge.parameters import JudgeParameters


@dataclass(frozen=True, slots=True)
class JudgeState:
    """One change's state; `losses` is how often the state of this change was lost before this one began."""

    indicators: tuple[IndicatorState, ...]
    gate: Gate | None
    last_tick: int | None
    time: float
    losses: int


def begin(parameters: JudgeParameters, *, losses: int = 0) -> JudgeState:
    """A change's state before its first tick. A lost state had spent part of alpha: each loss halves the weight."""
    return JudgeState(tuple(single.new_indicator() for _ in parameters.indicators), None, None, 0.0, losses)


def enter_gate(state: JudgeState, gate: Gate) -> JudgeState:
    """Begin a gate: proof starts anew. Raises ValueError where its weights are no shares."""
    if not (0.0 < gate.weight <= 1.0 and 0.0 < gate.next_weight <= 1.0):
        raise ValueError(f"gate {gate.index} goes from weight {gate.weight:g} to {gate.next_weight:g}; both are shares")
    return replace(state, gate=gate, indicators=tuple(single.enter(indicator) for indicator in state.indicators))


def observe(state: JudgeState, ticks: Mapping[str, Tick], parameters: JudgeParameters) -> JudgeState:
    """Consume one grid tick of every indicator; one that is missing counts as unanswered, an old number as nothing.

    Raises ValueError where the ticks are no single grid tick or the parameters are another change's.
    """
    if len(parameters.indicators) != len(state.indicators):
        raise ValueError("the state and the parameters have different indicators; they belong to different changes")
    unknown = set(ticks) - {indicator.name for indicator in parameters.indicators}
    if unknown:
        raise ValueError(f"no such indicator: {', '.join(sorted(unknown))}")
    numbers = {(tick.number, tick.time) for tick in ticks.values()}
    if len(numbers) != 1:
        raise ValueError(f"one call is one grid tick, not {len(numbers)}")
    ((number, time),) = numbers
    if state.last_tick is not None and number <= state.last_tick:
        return state
    moved = tuple(
        single.observe(
            before, ticks.get(indicator.name, Tick.unanswered(number, time)), state.gate, indicator, parameters
        )
        for indicator, before in zip(parameters.indicators, state.indicators, strict=True)
    )
    return replace(state, indicators=moved, last_tick=number, time=time)
