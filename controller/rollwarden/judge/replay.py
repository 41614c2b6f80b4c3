"""What the judge would have said: a recording of raw counters replayed through the same code as a live change.

Stable's rows before the first canary row are history: they give phi and pod variation and are the baseline. Recorded
weights are gates, each proving what the next one exposes; without weights there is one gate that proves all of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollwarden.judge import reasons
from rollwarden.judge.counters import Tick
from rollwarden.judge.gates import Gate, GateKind
from rollwarden.judge.parameters import (
    COST,
    Criticality,
    IndicatorKind,
    IndicatorSpec,
    JudgeParameters,
    freeze,
    tighten,
)
from rollwarden.judge.phi import COLD_PHI, estimate, history
from rollwarden.judge.replay_input import GridTick, Recording, ReplayInputError, ReplayRow, to_grid
from rollwarden.judge.rules import Facts
from rollwarden.judge.state import JudgeState, begin, enter_gate, observe
from rollwarden.judge.verdict import Verdict, decide

ORIGINS = ("ai", "human", "unknown", "automation")
DEFAULT_PLANNED_SECONDS = 3600.0
DEFAULT_WARM_UP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to judge: as for a change of this origin and criticality. `slo_percent` holds for every indicator that
    `objectives` does not name; `planned_seconds` None means an hour, and the whole recording is judged. An indicator
    is of kind Latency where `kinds` says so or its name has "latency" in it, else Errors."""

    origin: str = "unknown"
    criticality: str = "medium"
    slo_percent: float = 99.0
    planned_seconds: float | None = None
    cold_phi: float = COLD_PHI
    warm_up_seconds: float = DEFAULT_WARM_UP_SECONDS
    kinds: Mapping[str, IndicatorKind] = field(default_factory=dict)
    objectives: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Step:
    """The verdict at one grid tick."""

    time: float
    gate: Gate | None
    verdict: Verdict


def replay(rows: Sequence[ReplayRow], options: ReplayOptions) -> dict[str, Any]:
    """The verdict as JSON values. Rollback at the first tick that asks for it; promote once the planned time is over
    (or at the recording's end) and safety is shown; else hold. Raises ReplayInputError for options that make no sense.

    `decided_at` is in the recording's own time: of a promotion, where safety was shown and stayed so, or the end of the
    planned time if that is later.
    """
    if not rows:
        raise ReplayInputError("there are no rows; give one JSON object a line, as the replay how-to shows")
    recording = to_grid(rows)
    parameters = _parameters(recording, options)
    first = next((index for index, tick in enumerate(recording.ticks) if tick.canary_pods), None)
    if first is None:
        return _no_canary(parameters)
    ends_at = None if options.planned_seconds is None else recording.ticks[first].time + options.planned_seconds
    shown_at: float | None = None
    last: _Step | None = None
    for step in _steps(recording, parameters, first):
        last = step
        if step.verdict.result == "Rollback":
            return _result("rollback", step.time, step.verdict, parameters)
        if not _promotes(step):
            shown_at = None
        elif shown_at is None:
            shown_at = step.time
        if shown_at is not None and ends_at is not None and step.time >= ends_at:
            return _result("promote", step.time, step.verdict, parameters)
    if last is None:
        return _no_canary(parameters)
    return _result("hold" if shown_at is None else "promote", shown_at, last.verdict, parameters)


def _steps(recording: Recording, parameters: JudgeParameters, first: int) -> Iterator[_Step]:
    """Every tick from the canary's first on, with its verdict."""
    gates = _gates(recording, parameters, first)
    state = begin(parameters)
    proven = not parameters.proof
    passing = False
    for index, tick in enumerate(recording.ticks):
        gate = gates.get(index)
        if gate is not None:
            proven = proven or passing
            state = _enter(state, gate, proven)
        state = observe(state, tick.ticks, parameters)
        if index < first:
            continue
        verdict = decide(state, parameters, Facts())
        passing = verdict.result == "Promote"
        yield _Step(tick.time, state.gate, verdict)


def _enter(state: JudgeState, gate: Gate, proven: bool) -> JudgeState:
    if gate.kind == "Bake" and not proven:  # full weight was reached without proof: nothing can show it any more
        gate = _gate(gate.index, "Proof", 1.0, 1.0, gate.started_tick, gate.started_at)
    return enter_gate(state, gate)


def _promotes(step: _Step) -> bool:
    """Whether this tick would complete the change: a passed gate whose next exposure is everything."""
    return step.verdict.result == "Promote" and step.gate is not None and step.gate.next_weight == 1.0


def _gates(recording: Recording, parameters: JudgeParameters, first: int) -> dict[int, Gate]:
    """By the index of the tick that a gate begins with. What a gate proves is known from the recorded schedule."""
    changes: list[tuple[int, float]] = []
    for index, tick in enumerate(recording.ticks[first:], start=first):
        if tick.weight and (not changes or tick.weight != changes[-1][1]):
            changes.append((index, tick.weight))
    share = _observed_share(recording)
    recorded = bool(changes)
    changes = changes or [(first, share)]
    nexts = [weight for _, weight in changes[1:]] + [1.0]
    gates: dict[int, Gate] = {}
    for number, ((index, weight), next_weight) in enumerate(zip(changes, nexts, strict=True)):
        # The tick that first shows a new weight ends with it; of the first gate it is the canary's first tick.
        last = recording.ticks[index if number or not index else index - 1]
        kind: GateKind = "Proof" if parameters.proof else "Watch"
        if recorded and weight == 1.0:
            kind = "Bake"
        gates[index] = _gate(number, kind, weight, max(weight, next_weight), last.number, last.time)
    return gates


def _gate(index: int, kind: GateKind, weight: float, next_weight: float, started_tick: int, started_at: float) -> Gate:
    # How the traffic was split is not recorded, so a canary without requests is no proof of a fault.
    return Gate(index, kind, weight, next_weight, started_tick, started_at, router_weighted=False)


def _observed_share(recording: Recording) -> float:
    """The canary's part of the requests of the first indicator, between its first and last samples."""
    spans: dict[str, dict[str, tuple[float, float]]] = {"canary": {}, "stable": {}}
    for tick in _ticks_of(recording, recording.indicators[0]):
        for arm, pods in (("canary", tick.canary), ("stable", tick.stable)):
            for pod in pods:
                begun, _ = spans[arm].get(pod.pod, (pod.total, pod.total))
                spans[arm][pod.pod] = (begun, pod.total)
    canary, stable = (sum(max(0.0, end - begun) for begun, end in spans[arm].values()) for arm in ("canary", "stable"))
    return min(1.0, max(0.01, canary / (canary + stable))) if canary + stable > 0.0 else 1.0


def _ticks_of(recording: Recording, indicator: str) -> Iterator[Tick]:
    return (tick.ticks[indicator] for tick in recording.ticks)


def _parameters(recording: Recording, options: ReplayOptions) -> JudgeParameters:
    if options.origin.lower() not in ORIGINS:
        raise ReplayInputError(f"origin {options.origin!r} is unknown; use one of {', '.join(ORIGINS)}")
    criticalities: dict[str, Criticality] = {name.lower(): name for name in COST}
    criticality = criticalities.get(options.criticality.lower())
    if criticality is None:
        raise ReplayInputError(f"criticality {options.criticality!r} is unknown; use one of {', '.join(criticalities)}")
    first = next((index for index, tick in enumerate(recording.ticks) if tick.canary_pods), len(recording.ticks))
    past = recording.ticks[:first]
    specs = [_spec(name, past, options) for name in recording.indicators]
    pods = max((tick.canary_pods for tick in recording.ticks[first : first + 2]), default=1)
    try:
        return freeze(
            tighten(options.origin.lower() == "ai", criticality),
            specs,
            planned_seconds=DEFAULT_PLANNED_SECONDS if options.planned_seconds is None else options.planned_seconds,
            tick_seconds=recording.tick_seconds,
            canary_pods=pods,
        )
    except ValueError as error:
        raise ReplayInputError(str(error)) from error


def _spec(name: str, past: Sequence[GridTick], options: ReplayOptions) -> IndicatorSpec:
    kind: IndicatorKind = options.kinds.get(name, "Latency" if "latency" in name.lower() else "Errors")
    warm_up = options.warm_up_seconds if kind == "Latency" else 0.0
    known = estimate(history((tick.ticks[name] for tick in past), warm_up_seconds=warm_up), prior=options.cold_phi)
    objective = options.objectives.get(name, options.slo_percent)
    return IndicatorSpec(name, kind, objective, dispersion=known, warm_up_seconds=warm_up)


def _no_canary(parameters: JudgeParameters) -> dict[str, Any]:
    detail = "the recording has no canary rows"
    return {
        "verdict": "hold",
        "decided_at": None,
        "reason": reasons.NO_CANARY_REQUESTS,
        "detail": detail,
        "evidence": 1.0,
        "harm": 0,
        "indicators": {},
        "parameters": _parameters_result(parameters),
    }


def _result(verdict: str, decided_at: float | None, last: Verdict, parameters: JudgeParameters) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "decided_at": decided_at,
        "reason": last.reason,
        "detail": last.detail,
        "evidence": last.evidence,
        "harm": round(last.harmed),
        "indicators": {
            shown.name: {
                "canary": {"requests": shown.counts.canary_total, "bad": shown.counts.canary_bad},
                "stable": {"requests": shown.counts.stable_total, "bad": shown.counts.stable_bad},
                "canary_rate": shown.counts.canary_rate,
                "stable_rate": shown.counts.stable_rate,
                "log_evidence": round(shown.log_evidence, 6),
                "log_safety": round(shown.log_safety, 6),
                "passed": shown.passed,
                "needed": shown.needed,
                "eta_seconds": shown.eta_seconds,
            }
            for shown in last.indicators
        },
        "parameters": _parameters_result(parameters),
    }


def _parameters_result(parameters: JudgeParameters) -> dict[str, Any]:
    return {
        "alpha": parameters.alpha,
        "safety_threshold": parameters.safety_threshold,
        "tick_seconds": parameters.tick_seconds,
        "planned_ticks": parameters.planned_ticks,
        "indicators": {
            own.name: {"kind": own.kind, "d": own.d, "r": own.r, "phi": own.phi} for own in parameters.indicators
        },
    }
