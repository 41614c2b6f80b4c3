"""One indicator's state and how a tick moves it: counters, lag, rollback process, gate proof, recent blocks, bake test.

What is not here: what the state means for the change (verdict.py).
"""

import math
from dataclasses import dataclass, replace

from rollwarden.judge import eprocess, onearm, recent
from rollwarden.judge.counters import CounterState, DataFault, Increment, Tick, read
from rollwarden.judge.eprocess import SAFETY_RATIOS, Exposure, Mixture, log_increments
from rollwarden.judge.gates import LEAST_RECENT_SECONDS, Gate
from rollwarden.judge.lag import LagState, TickEvidence, push
from rollwarden.judge.parameters import IndicatorParameters, JudgeParameters


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and bad requests per arm; stable's only from ticks in which the canary served too."""

    canary_total: float = 0.0
    canary_bad: float = 0.0
    stable_total: float = 0.0
    stable_bad: float = 0.0

    @property
    def canary_rate(self) -> float | None:
        """The canary's share of bad requests; None without requests."""
        return self.canary_bad / self.canary_total if self.canary_total > 0.0 else None

    @property
    def stable_rate(self) -> float | None:
        """Stable's share of bad requests; None without requests."""
        return self.stable_bad / self.stable_total if self.stable_total > 0.0 else None

    @property
    def harmed(self) -> float:
        """Bad canary requests beyond what stable's rate would have given (0 where stable has no rate)."""
        return max(0.0, self.canary_bad - self.canary_total * (self.stable_rate or 0.0))


@dataclass(frozen=True, slots=True)
class IndicatorState:
    """Everything a restart needs. `fault` is the last tick's; `gate_counts` are of the gate's judged ticks;
    `canary_seen` says whether the last answer had a canary pod in it."""

    counters: CounterState
    lag: LagState
    rollback: Mixture
    safety: tuple[float, ...]
    bake: Mixture
    counts: Counts
    gate_counts: Counts
    blocks: recent.Blocks
    partial: bool
    canary_seen: bool
    fault: DataFault | None


def new_indicator() -> IndicatorState:
    """An indicator before its first tick."""
    return IndicatorState(
        counters=CounterState(),
        lag=LagState(),
        rollback=eprocess.new_mixture(),
        safety=(0.0,) * len(SAFETY_RATIOS),
        bake=eprocess.new_mixture(),
        counts=Counts(),
        gate_counts=Counts(),
        blocks=(),
        partial=False,
        canary_seen=False,
        fault=None,
    )


def enter(state: IndicatorState) -> IndicatorState:
    """Begin a gate: its proof and its bake test start anew, the rollback process goes on."""
    return replace(state, safety=(0.0,) * len(SAFETY_RATIOS), bake=eprocess.new_mixture(), gate_counts=Counts())


def observe(
    state: IndicatorState, tick: Tick, gate: Gate | None, indicator: IndicatorParameters, parameters: JudgeParameters
) -> IndicatorState:
    """Consume one tick; what is judged is the tick before it."""
    reading = read(state.counters, tick, warm_up_seconds=indicator.warm_up_seconds)
    seen = bool(tick.canary) if tick.answered else state.canary_seen
    state = replace(state, counters=reading.state, fault=reading.fault, partial=tick.partial, canary_seen=seen)
    if reading.increment is None:
        return state
    lag, evidence = push(state.lag, reading.increment, indicator.phi)
    state = replace(state, lag=lag, counts=_count(state.counts, reading.increment))
    if evidence is None:
        return state
    state = _judge(state, evidence, indicator, parameters)
    if gate is not None and evidence.number > gate.started_tick:
        state = _prove(state, evidence, gate, indicator, parameters)
    keep = gate.recent_seconds if gate is not None else LEAST_RECENT_SECONDS
    started_at = gate.started_at if gate is not None else -math.inf
    return replace(state, blocks=recent.push(state.blocks, evidence, keep_seconds=keep, new_block_at=started_at))


def log_rollback(state: IndicatorState, parameters: JudgeParameters) -> float:
    """log E of the rollback process."""
    return eprocess.log_evidence(state.rollback, parameters.planned_ticks)


def log_safety(state: IndicatorState) -> float:
    """log E_safe of the current gate."""
    return eprocess.log_uniform_mixture(state.safety)


def log_bake(state: IndicatorState, parameters: JudgeParameters) -> float:
    """log E of the one-arm test of the current bake."""
    return eprocess.log_evidence(state.bake, parameters.planned_ticks)


def recent_is_contrary(state: IndicatorState, gate: Gate, indicator: IndicatorParameters) -> bool:
    """Whether the gate's recent stretch alone speaks more for a regression than against one."""
    block = recent.last_seconds(state.blocks, gate.recent_seconds, since=gate.started_at)
    steps = log_increments(eprocess.ROLLBACK_RATIOS, recent.exposure(block), indicator.margin)
    return eprocess.log_uniform_mixture(steps) > 0.0


def stable_burns(state: IndicatorState, indicator: IndicatorParameters) -> bool:
    """Whether stable alone burned more than twice its budget over the last five minutes."""
    block = recent.last_seconds(state.blocks, LEAST_RECENT_SECONDS)
    allowed = onearm.TOLERATED_BURN * (1.0 - indicator.objective)
    return block.stable_bad >= onearm.FAST_BURN_ERRORS and block.stable_bad > allowed * block.stable_total


def canary_burns_fast(state: IndicatorState, indicator: IndicatorParameters) -> bool:
    """Whether the canary burned its budget at 14.4 times the rate over five minutes and over one, with 10 bad."""
    limit = onearm.fast_burn_rate(indicator.objective)
    long = recent.last_seconds(state.blocks, 300.0)
    short = recent.last_seconds(state.blocks, 60.0)
    return short.canary_bad >= onearm.FAST_BURN_ERRORS and all(
        block.seconds >= 60.0 and block.canary_bad >= limit * block.canary_total for block in (long, short)
    )


def _count(counts: Counts, increment: Increment) -> Counts:
    if increment.canary_total <= 0.0:
        return counts
    return Counts(
        counts.canary_total + increment.canary_total,
        counts.canary_bad + increment.canary_bad,
        counts.stable_total + increment.stable_total,
        counts.stable_bad + increment.stable_bad,
    )


def _judge(
    state: IndicatorState, tick: TickEvidence, indicator: IndicatorParameters, parameters: JudgeParameters
) -> IndicatorState:
    seen = Exposure(tick.canary_total, tick.canary_bad, tick.stable_total, tick.stable_high)
    if not seen.informative:
        return state
    steps = log_increments(eprocess.ROLLBACK_RATIOS, seen, indicator.margin)
    return replace(state, rollback=eprocess.advance(state.rollback, steps, parameters.planned_ticks))


def _prove(
    state: IndicatorState,
    tick: TickEvidence,
    gate: Gate,
    indicator: IndicatorParameters,
    parameters: JudgeParameters,
) -> IndicatorState:
    seen = Exposure(tick.canary_total, tick.canary_bad, tick.stable_total, tick.stable_low)
    steps = log_increments(SAFETY_RATIOS, seen, indicator.gate_margin(gate.next_weight))
    if tick.partial:  # a partial answer is no data for a promotion; what speaks against one still counts
        steps = tuple(min(0.0, step) for step in steps)
    counts = state.gate_counts
    state = replace(
        state,
        safety=tuple(value + step for value, step in zip(state.safety, steps, strict=True)),
        gate_counts=Counts(
            counts.canary_total + tick.canary_total,
            counts.canary_bad + tick.canary_bad,
            counts.stable_total + tick.stable_total,
            counts.stable_bad + tick.stable_bad,
        ),
    )
    if gate.kind != "Bake" or tick.canary_total <= 0.0:
        return state
    p0 = onearm.tolerated_rate(indicator.objective, indicator.high_rate)
    one_arm = onearm.log_increments(tick.canary_total, tick.canary_bad, p0, indicator.phi)
    return replace(state, bake=eprocess.advance(state.bake, one_arm, parameters.planned_ticks))
