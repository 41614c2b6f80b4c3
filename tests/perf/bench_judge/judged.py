"""The judge on the same rows: the calls the operator makes (`freeze`, `begin`, `enter_gate`, `observe`, `decide`)."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rollwarden.judge import (
    COLD_PHI,
    Criticality,
    Dispersion,
    Facts,
    Gate,
    IndicatorSpec,
    JudgeParameters,
    begin,
    decide,
    enter_gate,
    estimate,
    freeze,
    history,
    observe,
    tighten,
)
from tests.judge.simulator import constant
from tests.perf.bench_judge.peers import Decision, has_latency
from tests.perf.bench_judge.world import (
    STABLE_PODS,
    TICK_SECONDS,
    WATCHED_SECONDS,
    Row,
    Scenario,
    Step,
    World,
    factor,
)

HISTORY_SECONDS = 7200.0
LATENCY_OBJECTIVE = 99.0


@dataclass(frozen=True)
class Service:
    """A service that changes run on: its stable pods' factors, and what two hours of its history say."""

    factors: tuple[float, ...]
    dispersion: dict[str, Dispersion]


def service_of(scenario: Scenario, rng: random.Random) -> Service:
    """Draw a service and measure it before any change, at the usual load and rate and with the scenario's scrapes."""
    factors = tuple(factor(rng, scenario.cv) for _ in range(STABLE_PODS))
    usual = scenario.stable(0.0) if scenario.stable(0.0) == scenario.stable(600.0) else 0.005
    quiet = replace(scenario, stable=constant(usual), load=constant(1.0), steps=(Step(0.0, 0.0, 0),), excess=None)
    world = World(quiet, rng, factors)
    rows = [world.row() for _ in range(int(HISTORY_SECONDS / TICK_SECONDS))]
    return Service(factors, {name: estimate(history(row.ticks[name] for row in rows)) for name in rows[0].ticks})


@dataclass
class Cost:
    """Processor seconds and ticks spent in the judge."""

    seconds: float = 0.0
    ticks: int = 0


@dataclass(frozen=True)
class Rollwarden:
    """The judge for changes of this origin and criticality; `cold` without any history."""

    name: str
    ai: bool
    criticality: Criticality
    cold: bool = False

    def parameters(self, scenario: Scenario, service: Service) -> JudgeParameters:
        """Frozen at release, as the operator freezes them."""
        known = {name: Dispersion(COLD_PHI) for name in service.dispersion} if self.cold else service.dispersion
        specs = [IndicatorSpec("errors", "Errors", scenario.objective, dispersion=known["errors"])]
        if has_latency(scenario):
            specs.append(IndicatorSpec("latency", "Latency", LATENCY_OBJECTIVE, dispersion=known["latency"]))
        return freeze(
            tighten(self.ai, self.criticality),
            specs,
            planned_seconds=WATCHED_SECONDS,
            tick_seconds=TICK_SECONDS,
            canary_pods=scenario.steps[0].pods,
        )

    def judge(self, scenario: Scenario, service: Service, rows: Sequence[Row], cost: Cost) -> Decision:
        """Watch the whole hour; a proof of safety for full weight is noted and does not end it."""
        parameters = self.parameters(scenario, service)
        gates = _gates(scenario)
        began = time.process_time()
        state = begin(parameters)
        promoted: float | None = None
        rolled_back: float | None = None
        for row in rows:
            if row.number and gates and gates[0].started_at < row.time:
                state = enter_gate(state, gates.pop(0))
            state = observe(state, row.ticks, parameters)
            verdict = decide(state, parameters, Facts())
            cost.ticks += 1
            if verdict.result == "Rollback":
                rolled_back = row.time
                break
            full = state.gate is not None and state.gate.next_weight == 1.0
            late = row.time >= scenario.fault_at + 60.0 or scenario.good
            if verdict.result == "Promote" and full and late and promoted is None:
                promoted = row.time
        cost.seconds += time.process_time() - began
        return Decision(rolled_back, promoted)


def _gates(scenario: Scenario) -> list[Gate]:
    nexts = [step.weight for step in scenario.steps[1:]] + [1.0]
    return [
        Gate(index, "Proof", step.weight, following, round(step.start / TICK_SECONDS), step.start)
        for index, (step, following) in enumerate(zip(scenario.steps, nexts, strict=True))
    ]


RELAXED = Rollwarden("Rollwarden, human on medium", False, "Medium")
STRICT = Rollwarden("Rollwarden, AI on critical", True, "Critical")
COLD = Rollwarden("Rollwarden, human on medium, no history", False, "Medium", cold=True)


def judges_of(scenario: Scenario) -> tuple[Rollwarden, ...]:
    """The judge's settings that this scenario is run with."""
    return (RELAXED, STRICT, COLD) if scenario.cold else (RELAXED, STRICT)
