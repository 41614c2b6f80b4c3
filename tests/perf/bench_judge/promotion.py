"""How long good changes take, gate by gate, over traffic from 0.2 to 50,000 requests a second.

The owner's steps are 5, 25 and 50 %. Peers promote at the owner's own pace, whatever the traffic has shown.
"""

import random
from dataclasses import dataclass
from typing import Any

from rollwarden.judge import (
    Criticality,
    Dispersion,
    GateKind,
    IndicatorSpec,
    JudgeParameters,
    estimate_gate,
    first_weight_percent,
    freeze,
    tighten,
)
from tests.judge.simulator import Fleet, Stage, constant, run
from tests.perf.bench_judge.summary import quantile, share_of

TRAFFIC = (0.2, 2.0, 20.0, 100.0, 1000.0, 5000.0, 50000.0)
OWNERS_STEPS = (0.05, 0.25, 0.5)
OWNERS_PAUSE_SECONDS = 300.0
LIMIT_SECONDS = 7200.0
TICK_SECONDS = 15.0
USUAL_RATE = 0.0002
OBJECTIVE = 99.9
STABLE_PODS = 6


@dataclass(frozen=True)
class Origin:
    """Whose change it is and what it goes to; low criticality without AI only waits for the owner's pauses."""

    name: str
    ai: bool
    criticality: Criticality


ORIGINS = (
    Origin("human on low", False, "Low"),
    Origin("human on medium", False, "Medium"),
    Origin("AI on medium", True, "Medium"),
    Origin("AI on critical", True, "Critical"),
)


def parameters_of(origin: Origin) -> JudgeParameters:
    """With a history of independent errors."""
    return freeze(
        tighten(origin.ai, origin.criticality),
        [IndicatorSpec("errors", "Errors", OBJECTIVE, dispersion=Dispersion(1.0))],
        planned_seconds=3600.0,
        tick_seconds=TICK_SECONDS,
        canary_pods=2,
    )


def stages_of(origin: Origin, rps: float) -> list[Stage]:
    """The owner's steps, begun at the first weight that origin, criticality and traffic allow."""
    tightening = tighten(origin.ai, origin.criticality)
    first = min(OWNERS_STEPS[0], first_weight_percent(rps, tightening) / 100.0)
    weights = sorted({first, *OWNERS_STEPS}) if tightening.proof else list(OWNERS_STEPS)
    kind: GateKind = "Proof" if tightening.proof else "Watch"
    soak = 0.0 if tightening.proof else OWNERS_PAUSE_SECONDS
    return [
        Stage(weight, following, 2 if weight < 0.25 else 3, kind, soak)
        for weight, following in zip(weights, [*weights[1:], 1.0], strict=True)
    ]


def published_seconds(origin: Origin, rps: float) -> float | None:
    """The sum of the gates' times as the planner publishes them before release."""
    parameters = parameters_of(origin)
    stages = stages_of(origin, rps)
    total = 0.0
    for stage in stages:
        found = estimate_gate(
            parameters,
            weight=stage.weight,
            next_weight=stage.next_weight,
            rps=rps,
            stable_rates={"errors": USUAL_RATE},
        )
        if found is None:
            return None
        total += max(found.seconds, stage.soak_seconds)
    return total


def promotion(origin: Origin, rps: float, runs: int, seed: int) -> dict[str, Any]:
    """Good changes of one origin at one traffic: share promoted within two hours, median time, false rollbacks."""
    parameters, stages = parameters_of(origin), stages_of(origin, rps)
    seconds: list[float] = []
    rolled_back = 0
    for index in range(runs):
        rng = random.Random(f"promotion {origin.name} {rps} {seed + index}")
        rate = constant(USUAL_RATE)
        outcome = run(Fleet(rng, rps, TICK_SECONDS, rate, rate, STABLE_PODS), parameters, stages,
                      limit_seconds=LIMIT_SECONDS)  # fmt: skip
        rolled_back += outcome.verdict.result == "Rollback"
        if len(outcome.gate_seconds) == len(stages):
            seconds.append(outcome.seconds)
    published = published_seconds(origin, rps)
    half = 2 * len(seconds) >= runs
    return {
        "origin": origin.name,
        "rps": rps,
        "runs": runs,
        "weights": [stage.weight for stage in stages],
        "promoted": share_of(len(seconds), runs),
        "rolledBack": share_of(rolled_back, runs),
        "medianSeconds": quantile([*seconds, *[LIMIT_SECONDS] * (runs - len(seconds))], 0.5) if half else None,
        "publishedSeconds": None if published is None else round(published),
    }
