"""Benchmark of the judge by simulation: `python -m tests.perf.judge_simulation [--runs N] [--seed N] [--json]`.

Seeded and reproducible; it states figures and times nothing. A false rollback is one of a canary as good as stable.
"""

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rollwarden.judge import (
    Criticality,
    Dispersion,
    IndicatorSpec,
    JudgeParameters,
    estimate,
    estimate_gate,
    freeze,
    history,
    tighten,
)
from tests.judge.simulator import Fleet, Outcome, Rate, Stage, constant, median, run, shares, step_at


def parameters_for(
    *,
    ai: bool,
    criticality: Criticality,
    objective: float,
    dispersion: Dispersion,
    tick_seconds: float,
    canary_pods: int,
    planned_seconds: float = 3600.0,
    recovery: bool = False,
) -> JudgeParameters:
    """Parameters with the one indicator `errors`."""
    return freeze(
        tighten(ai, criticality),
        [IndicatorSpec("errors", "Errors", objective, dispersion=dispersion)],
        planned_seconds=planned_seconds,
        tick_seconds=tick_seconds,
        canary_pods=canary_pods,
        recovery=recovery,
    )


@dataclass(frozen=True)
class Watched:
    """A canary at one weight for an hour, 15 s ticks, medium criticality, SLO 99.9 unless said."""

    name: str
    canary: Rate
    stable: Rate
    rps: float = 100.0
    weight: float = 0.05
    cluster: float = 1.0
    cv: float = 0.0
    history_seconds: float = 0.0
    phi: float | None = 1.0
    canary_pods: int = 2
    stable_pods: int = 10
    seconds: float = 3600.0
    fault_at: float = 0.0


def watch(case: Watched, seed: int) -> Outcome:
    """One run of one case, with phi given or measured on history of stable alone."""
    rng = random.Random(f"{case.name} {seed}")
    fleet = Fleet(rng, case.rps, 15.0, case.canary, case.stable, case.stable_pods, cluster=case.cluster, cv=case.cv)
    dispersion = Dispersion(6.0 if case.phi is None else case.phi)
    if case.history_seconds:
        past = [fleet.scrape()]
        fleet.canary_rate, fleet.stable_rate = constant(0.0), constant(case.stable(0.0))
        past += [fleet.tick() for _ in range(int(case.history_seconds / 15.0))]
        dispersion = estimate(history(past))
        begun = fleet.time
        fleet.canary_rate = lambda time: case.canary(time - begun)
        fleet.stable_rate = lambda time: case.stable(time - begun)
    parameters = parameters_for(
        ai=False,
        criticality="Medium",
        objective=99.9,
        dispersion=dispersion,
        tick_seconds=15.0,
        canary_pods=case.canary_pods,
        planned_seconds=case.seconds,
    )
    stage = Stage(case.weight, 1.0, case.canary_pods)
    return run(fleet, parameters, [stage], limit_seconds=case.seconds, stay=True)


GOOD = (
    Watched("A/A, independent errors 0.5 %, phi 1", constant(0.005), constant(0.005)),
    Watched("A/A, independent errors 0.5 %, half the traffic, phi 1", constant(0.005), constant(0.005), weight=0.5),
    Watched("A/A at the margin's edge (r p + d), phi 1", constant(0.00675), constant(0.005), weight=0.5),
    Watched("A/A, clusters of mean 5, phi from 6 h of history", constant(0.005), constant(0.005), cluster=5.0,
            history_seconds=21600.0, phi=None),
    Watched("A/A, clusters of mean 5, no history (cold phi 6)", constant(0.005), constant(0.005), cluster=5.0,
            phi=None),
    Watched("A/A, pods differ (cv 0.8), phi and cv from 6 h of history", constant(0.005), constant(0.005), cv=0.8,
            history_seconds=21600.0, phi=None),
    Watched("A/A, incident common to both arms (5 % for 5 min), 1000 rps, 25 %", step_at(1202.0, 0.001, 0.05, 1500.0),
            step_at(1202.0, 0.001, 0.05, 1500.0), rps=1000.0, weight=0.25),
)  # fmt: skip

BAD = (
    Watched("2 % against 0.5 %", constant(0.02), constant(0.005)),
    Watched("5 % against 0.1 %", constant(0.05), constant(0.001)),
    Watched("2 rps at 10 %, 5 % against 0.1 %", constant(0.05), constant(0.001), rps=2.0, weight=0.1),
    Watched("5 % against 0.1 % from minute 40 on", step_at(2400.0, 0.001, 0.05), constant(0.001), fault_at=2400.0),
    Watched("clusters of mean 5: 2 % against 0.5 %, phi from 6 h of history", constant(0.02), constant(0.005),
            cluster=5.0, history_seconds=21600.0, phi=None),
)  # fmt: skip


def watched_figures(case: Watched, runs: int, seed: int) -> dict[str, Any]:
    """Share rolled back within the hour; of those the median delay since the fault and median harmed requests."""
    outcomes = [watch(case, seed + index) for index in range(runs)]
    found = [outcome for outcome in outcomes if outcome.verdict.result == "Rollback"]
    figures: dict[str, Any] = {"case": case.name, "runs": runs, "rolledBack": shares(outcomes)["Rollback"]}
    if found:
        figures["medianDelaySeconds"] = median([outcome.seconds - case.fault_at for outcome in found])
        figures["medianHarmed"] = round(median([outcome.verdict.harmed for outcome in found]), 1)
    return figures


def proof_figures(rps: float, stable: float, runs: int, seed: int) -> dict[str, Any]:
    """An AI change to a critical service, objective 98, cold phi 3, 6 pods, 5 s ticks: 33 %, 50 %, then all."""
    parameters = parameters_for(
        ai=True, criticality="Critical", objective=98.0, dispersion=Dispersion(3.0), tick_seconds=5.0, canary_pods=2
    )
    stages = [Stage(0.33, 0.5, 2), Stage(0.5, 1.0, 3)]
    outcomes = []
    for index in range(runs):
        fleet = Fleet(random.Random(f"proof {rps} {stable} {seed + index}"), rps, 5.0, constant(stable),
                      constant(stable), 4)  # fmt: skip
        outcomes.append(run(fleet, parameters, stages, limit_seconds=7200.0))
    promoted = [outcome for outcome in outcomes if outcome.verdict.result == "Promote"]
    estimates = [
        estimate_gate(parameters, weight=stage.weight, next_weight=stage.next_weight, rps=rps,
                      stable_rates={"errors": stable})
        for stage in stages
    ]  # fmt: skip
    return {
        "case": f"two gates, AI on critical, objective 98, {rps:g} rps, both arms fail {stable:.1%}",
        "runs": runs,
        "promoted": shares(outcomes)["Promote"],
        "rolledBack": shares(outcomes)["Rollback"],
        "medianGateSeconds": [median([outcome.gate_seconds[index] for outcome in promoted]) for index in (0, 1)],
        "medianSeconds": median([outcome.seconds for outcome in promoted]),
        "estimatedGateSeconds": [None if found is None else found.seconds for found in estimates],
    }


def regression_figures(weight: float, canary_pods: int, phi: float, runs: int, seed: int) -> dict[str, Any]:
    """An agent's change to a medium service, objective 99, 4 pods, 80 rps, failing 3 %, 5 s ticks."""
    parameters = parameters_for(
        ai=True, criticality="Medium", objective=99.0, dispersion=Dispersion(phi), tick_seconds=5.0,
        canary_pods=canary_pods,
    )  # fmt: skip
    outcomes = []
    for index in range(runs):
        rng = random.Random(f"regression {weight} {phi} {seed + index}")
        fleet = Fleet(rng, 80.0, 5.0, constant(0.03), constant(0.0), 4 - canary_pods)
        outcomes.append(run(fleet, parameters, [Stage(weight, 1.0, canary_pods)], limit_seconds=1800.0))
    found = sorted(outcome.seconds for outcome in outcomes if outcome.verdict.result == "Rollback")
    return {
        "case": f"agent on medium, objective 99, 80 rps, {weight:.0%} failing 3 %, cold phi {phi:g}",
        "runs": runs,
        "rolledBack": shares(outcomes)["Rollback"],
        "promoted": shares(outcomes)["Promote"],
        "medianSeconds": median(found),
        "p90Seconds": found[int(0.9 * len(found))],
        "medianHarmed": round(median([outcome.verdict.harmed for outcome in outcomes]), 1),
    }


def unsafe_figures(runs: int, seed: int) -> dict[str, Any]:
    """A canary just beyond the bound (1.25 p + d exceeded by a tenth of d) must not be proved safe more than beta."""
    parameters = parameters_for(
        ai=False, criticality="Medium", objective=98.0, dispersion=Dispersion(1.0), tick_seconds=15.0, canary_pods=4
    )
    own = parameters.indicators[0]
    canary = own.r * 0.01 + 1.1 * own.d
    outcomes = []
    for index in range(runs):
        fleet = Fleet(random.Random(f"unsafe {seed + index}"), 100.0, 15.0, constant(canary), constant(0.01), 4)
        outcomes.append(run(fleet, parameters, [Stage(0.5, 1.0, 4)], limit_seconds=3600.0))
    return {"case": "canary beyond the bound", "runs": runs, "provedSafe": shares(outcomes)["Promote"],
            "rolledBack": shares(outcomes)["Rollback"]}  # fmt: skip


def recovery_figures(runs: int, seed: int) -> dict[str, Any]:
    """Stable fails 30 % and the hotfix is clean: canary requests until it is shown no worse."""
    parameters = parameters_for(
        ai=True, criticality="Critical", objective=99.0, dispersion=Dispersion(3.0), tick_seconds=5.0, canary_pods=1,
        recovery=True,
    )  # fmt: skip
    outcomes = []
    for index in range(runs):
        fleet = Fleet(random.Random(f"recovery {seed + index}"), 20.0, 5.0, constant(0.0), constant(0.3), 3)
        outcomes.append(run(fleet, parameters, [Stage(0.25, 0.5, 1)], limit_seconds=1800.0))
    return {"case": "recovery, stable fails 30 %, 20 rps at 25 %", "runs": runs,
            "promoted": shares(outcomes)["Promote"],
            "medianSeconds": median([outcome.seconds for outcome in outcomes]),
            "medianCanaryRequests": median([outcome.verdict.canary_requests for outcome in outcomes])}  # fmt: skip


def figures(runs: int, seed: int) -> Iterator[dict[str, Any]]:
    """Every case in order."""
    few = min(runs, 100)
    for rps, stable in ((240.0, 0.0), (160.0, 0.0), (240.0, 0.001)):
        yield proof_figures(rps, stable, few, seed)
    for weight, pods, phi in ((0.25, 1, 3.0), (0.5, 2, 3.0), (0.25, 1, 6.0), (0.5, 2, 6.0)):
        yield regression_figures(weight, pods, phi, runs, seed)
    yield unsafe_figures(runs, seed)
    yield recovery_figures(few, seed)
    for case in (*BAD, *GOOD):
        yield watched_figures(case, runs, seed)


def main() -> None:
    """Print one line (or JSON object) per case as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    for found in figures(chosen.runs, chosen.seed):
        if chosen.json:
            print(json.dumps(found), flush=True)
        else:
            rest = ", ".join(f"{key} {value}" for key, value in found.items() if key != "case")
            print(f"{found['case']}: {rest}", flush=True)


if __name__ == "__main__":
    main()
