"""The verdict on one change: its state, read by the rules.

The combined evidence sum(v_i E_i) is valid under any dependence between the indicators. No data is neither pass nor
fail; a fault in the counters is a hold with its name; only evidence or a hard rule rolls back.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rollwarden.judge import indicator as single
from rollwarden.judge.evidence import IndicatorVerdict, indicator_verdict
from rollwarden.judge.indicator import Counts
from rollwarden.judge.numbers import log_sum, natural
from rollwarden.judge.parameters import JudgeParameters
from rollwarden.judge.rules import RULES, Facts, Finding, Result, Seen, lead_index
from rollwarden.judge.state import JudgeState


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do now, and why. `hard` verdicts are not held back by the common-cause guard.

    `evidence` is sum(v_i E_i), capped; `harmed` is the largest excess of bad canary requests of any indicator; requests
    and rates are the first Errors indicator's, else the first one's. `page` asks for a person's attention at once.
    """

    result: Result
    reason: str
    detail: str
    hard: bool
    page: bool
    evidence: float
    indicators: tuple[IndicatorVerdict, ...]
    canary_requests: float
    canary_failed: float
    canary_rate: float | None
    stable_rate: float | None
    harmed: float
    needed: float | None
    eta_seconds: float | None
    stable_burning: bool


def decide(state: JudgeState, parameters: JudgeParameters, facts: Facts) -> Verdict:
    """The first rule that speaks. Pure: the same state gives the same verdict."""
    weights = [math.log(indicator.weight) for indicator in parameters.indicators]
    logs = [single.log_rollback(indicator, parameters) for indicator in state.indicators]
    combined = log_sum(weight + value for weight, value in zip(weights, logs, strict=True))
    combined -= state.losses * math.log(2.0)
    indicators = tuple(
        indicator_verdict(state.gate, state.time, own, before, log, parameters)
        for own, before, log in zip(parameters.indicators, state.indicators, logs, strict=True)
    )
    seen = Seen(state, parameters, facts, combined, indicators)
    finding = next(found for found in (rule(seen) for rule in RULES) if found is not None)
    return _verdict(seen, finding)


def _verdict(seen: Seen, finding: Finding) -> Verdict:
    counts = seen.indicators[lead_index(seen.parameters)].counts if seen.indicators else Counts()
    required = {indicator.name for indicator in seen.parameters.must_prove}
    waited_for = [verdict for verdict in seen.indicators if verdict.name in required]
    burning = not seen.facts.stable_ready or any(verdict.stable_burning for verdict in seen.indicators)
    return Verdict(
        result=finding.result,
        reason=finding.reason,
        detail=finding.detail,
        hard=finding.hard,
        page=finding.page,
        evidence=natural(seen.log_evidence) if seen.indicators else 1.0,
        indicators=seen.indicators,
        canary_requests=counts.canary_total,
        canary_failed=counts.canary_bad,
        canary_rate=counts.canary_rate,
        stable_rate=counts.stable_rate,
        harmed=max((verdict.counts.harmed for verdict in seen.indicators), default=0.0),
        needed=_largest(verdict.needed for verdict in waited_for),
        eta_seconds=_largest(verdict.eta_seconds for verdict in waited_for),
        stable_burning=burning,
    )


def _largest(values: Iterable[float | None]) -> float | None:
    """The largest; None where there is none or one of them is unknown."""
    known: list[float] = []
    for value in values:
        if value is None:
            return None
        known.append(value)
    return max(known, default=None)
