"""Builders for the judge's tests: ticks from plain numbers, parameters with defaults, changes that are judged."""

from collections.abc import Mapping, Sequence

from rollwarden.judge import (
    Criticality,
    Dispersion,
    Facts,
    Gate,
    GateKind,
    IndicatorKind,
    IndicatorSpec,
    JudgeParameters,
    JudgeState,
    PodCounter,
    Tick,
    Verdict,
    begin,
    decide,
    enter_gate,
    freeze,
    observe,
    tighten,
)

Counts = Mapping[str, tuple[float, float | None]]

TICK_SECONDS = 15.0


def pods(counts: Counts) -> tuple[PodCounter, ...]:
    """Pods from {name: (total, bad)}."""
    return tuple(PodCounter(name, total, bad) for name, (total, bad) in counts.items())


def tick(number: int, canary: Counts, stable: Counts, *, partial: bool = False) -> Tick:
    """A tick on the 15 s grid."""
    return Tick(number, number * TICK_SECONDS, pods(canary), pods(stable), partial=partial)


def flow(steps: Sequence[tuple[float, float, float, float]], *, start: int = 0) -> tuple[Tick, ...]:
    """Ticks of one canary and one stable pod from increments (n_c, e_c, n_s, e_s), after a baseline at 0."""
    totals = [0.0, 0.0, 0.0, 0.0]
    ticks = [tick(start, {"c": (0.0, 0.0)}, {"s": (0.0, 0.0)})]
    for number, step in enumerate(steps, start=start + 1):
        totals = [total + value for total, value in zip(totals, step, strict=True)]
        ticks.append(tick(number, {"c": (totals[0], totals[1])}, {"s": (totals[2], totals[3])}))
    return tuple(ticks)


def parameters(
    *,
    ai: bool = False,
    criticality: Criticality = "Medium",
    objective: float = 99.0,
    phi: float = 1.0,
    kinds: Sequence[IndicatorKind] = ("Errors",),
    recovery: bool = False,
    planned_seconds: float = 3600.0,
    warm_up_seconds: float = 0.0,
) -> JudgeParameters:
    """Frozen parameters with one indicator per kind, named as its kind in lower case."""
    specs = [
        IndicatorSpec(kind.lower(), kind, objective, dispersion=Dispersion(phi), warm_up_seconds=warm_up_seconds)
        for kind in kinds
    ]
    return freeze(
        tighten(ai, criticality),
        specs,
        planned_seconds=planned_seconds,
        tick_seconds=TICK_SECONDS,
        canary_pods=2,
        recovery=recovery,
    )


def gate(
    *,
    kind: GateKind = "Proof",
    weight: float = 0.5,
    next_weight: float = 1.0,
    soak_seconds: float = 0.0,
    router_weighted: bool = True,
    started_tick: int = 0,
) -> Gate:
    """A gate that began at this tick of the 15 s grid."""
    started_at = started_tick * TICK_SECONDS
    return Gate(0, kind, weight, next_weight, started_tick, started_at, soak_seconds, router_weighted)


def watch(
    ticks: Sequence[Tick], chosen: JudgeParameters, at: Gate | None, name: str = "errors", facts: Facts | None = None
) -> tuple[JudgeState, Verdict]:
    """State and verdict after these ticks of one indicator; the gate is entered after the first."""
    state = begin(chosen)
    for index, seen in enumerate(ticks):
        state = observe(state, {name: seen}, chosen)
        if index == 0 and at is not None:
            state = enter_gate(state, at)
    return state, decide(state, chosen, facts or Facts())
