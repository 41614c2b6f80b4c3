"""What one indicator shows at this moment, and how much more it needs."""

import math
from dataclasses import dataclass

from rollwarden.judge import indicator as single
from rollwarden.judge.counters import DataFault
from rollwarden.judge.gates import Gate, requests_to_reach, safety_steps
from rollwarden.judge.indicator import Counts, IndicatorState
from rollwarden.judge.parameters import IndicatorParameters, JudgeParameters


@dataclass(frozen=True, slots=True)
class IndicatorVerdict:
    """One indicator's evidence. Rates are None without requests; `needed` and `eta_seconds` None where unknown."""

    name: str
    passed: bool
    log_evidence: float
    log_safety: float
    counts: Counts
    gate_requests: float
    needed: float | None
    eta_seconds: float | None
    stable_burning: bool
    fault: DataFault | None


def indicator_verdict(
    gate: Gate | None,
    time: float,
    own: IndicatorParameters,
    indicator: IndicatorState,
    log_evidence: float,
    parameters: JudgeParameters,
) -> IndicatorVerdict:
    """The indicator's figures at grid time `time`, and its outlook at the current gate."""
    log_safety = single.log_safety(indicator)
    needed, eta = (None, None) if gate is None else _outlook(gate, own, indicator, parameters, time)
    return IndicatorVerdict(
        name=own.name,
        passed=log_safety >= math.log(parameters.safety_threshold),
        log_evidence=log_evidence,
        log_safety=log_safety,
        counts=indicator.counts,
        gate_requests=indicator.gate_counts.canary_total,
        needed=needed,
        eta_seconds=eta,
        stable_burning=single.stable_burns(indicator, own),
        fault=indicator.fault,
    )


def _outlook(
    gate: Gate, own: IndicatorParameters, indicator: IndicatorState, parameters: JudgeParameters, now: float
) -> tuple[float | None, float | None]:
    """Canary requests this gate needs in all, and seconds until it can pass, from the rates measured so far."""
    soak_left = max(0.0, gate.soak_seconds - (now - gate.started_at))
    if gate.kind != "Proof":
        return 0.0, soak_left
    counts = indicator.gate_counts
    elapsed = now - gate.started_at - parameters.tick_seconds  # judging lags by one tick
    if counts.canary_total <= 0.0 or counts.stable_total <= 0.0 or elapsed <= 0.0:
        return None, None
    both = counts.canary_total + counts.stable_total
    stable_rate = indicator.counts.stable_rate or 0.0
    steps = safety_steps(own, counts.canary_total / both, gate.next_weight, stable_rate, stable_rate)
    further = requests_to_reach(math.log(parameters.safety_threshold), indicator.safety, steps)
    if further is None:
        return None, None
    return counts.canary_total + further, max(soak_left, further / counts.canary_total * elapsed)
