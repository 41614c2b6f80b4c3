"""What follows from the evidence: an ordered list of small rules, the first that speaks decides."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rollwarden.judge import indicator as single
from rollwarden.judge import onearm, reasons, recent
from rollwarden.judge.evidence import IndicatorVerdict
from rollwarden.judge.gates import CONTRARY_EVIDENCE
from rollwarden.judge.indicator import IndicatorState
from rollwarden.judge.numbers import natural
from rollwarden.judge.parameters import IndicatorParameters, JudgeParameters
from rollwarden.judge.state import JudgeState

Result = Literal["Rollback", "Promote", "Hold"]

BLIND_TICKS = 3
STARVED_SECONDS = 120.0
STARVED_SHARE = 0.2
STARVED_LEAST_EXPECTED = 30.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the cluster says beside the counters, at this tick."""

    never_ready: bool = False
    crash_looping: bool = False
    stable_ready: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule concluded."""

    result: Result
    reason: str
    detail: str
    hard: bool = False
    page: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything the rules look at, computed once per decision."""

    state: JudgeState
    parameters: JudgeParameters
    facts: Facts
    log_evidence: float
    indicators: tuple[IndicatorVerdict, ...]

    @property
    def pairs(self) -> tuple[tuple[IndicatorParameters, IndicatorState], ...]:
        """Each indicator's parameters with its state."""
        return tuple(zip(self.parameters.indicators, self.state.indicators, strict=True))

    @property
    def gate_age(self) -> float:
        """Seconds since the current gate began (0 between gates)."""
        return self.state.time - self.state.gate.started_at if self.state.gate is not None else 0.0


def _crash_looping(seen: Seen) -> Finding | None:
    if not seen.facts.crash_looping:
        return None
    return Finding("Rollback", reasons.CRASH_LOOP, "a canary pod is in CrashLoopBackOff", hard=True)


def _never_ready(seen: Seen) -> Finding | None:
    if not seen.facts.never_ready:
        return None
    return Finding("Rollback", reasons.NEVER_READY, "the canary was not ready by its progress deadline", hard=True)


def _regression(seen: Seen) -> Finding | None:
    if seen.log_evidence < -math.log(seen.parameters.alpha):
        return None
    worst = max(seen.indicators, key=lambda verdict: verdict.log_evidence)
    detail = (
        f"{worst.name}: {worst.counts.canary_bad:.0f} of {worst.counts.canary_total:.0f} canary requests were bad "
        f"({_percent(worst.counts.canary_rate)}) against {_percent(worst.counts.stable_rate)} on stable"
    )
    return Finding("Rollback", reasons.REGRESSION, detail)


def _objective_burned(seen: Seen) -> Finding | None:
    if seen.state.gate is None or seen.state.gate.kind != "Bake":
        return None
    for own, state in seen.pairs:
        if single.canary_burns_fast(state, own):
            limit = _percent(onearm.fast_burn_rate(own.objective))
            detail = f"{own.name}: above {limit} bad over five minutes and over one, at full weight"
            return Finding("Rollback", reasons.OBJECTIVE_BURNED, detail, page=True)
    return None


def _starved(seen: Seen) -> Finding | None:
    gate = seen.state.gate
    if gate is None or gate.kind == "Bake" or not seen.facts.stable_ready or not seen.indicators:
        return None
    state = seen.state.indicators[lead_index(seen.parameters)]
    window = recent.last_seconds(state.blocks, STARVED_SECONDS, since=gate.started_at)
    expected = gate.weight * (window.canary_total + window.stable_total)
    share = window.canary_total / expected if expected > 0.0 else 1.0
    if window.seconds < STARVED_SECONDS or share >= STARVED_SHARE:
        return None
    detail = f"the canary got {window.canary_total:.0f} of about {expected:.0f} requests routed to it in two minutes"
    if not state.counters.canary:  # never scraped is missing data, and missing data never rolls back
        return Finding("Hold", reasons.CANARY_STARVED, "no canary pod has shown up in the answers", page=True)
    clear = state.counters.unanswered == 0 and not state.partial and state.fault is None
    if gate.router_weighted and clear and expected >= STARVED_LEAST_EXPECTED:
        return Finding("Rollback", reasons.NOT_SERVING, detail, hard=True)
    return Finding("Hold", reasons.CANARY_STARVED, detail + "; kept-alive connections may explain it")


def _no_indicators(seen: Seen) -> Finding | None:
    if seen.indicators or (seen.state.gate is not None and seen.state.gate.kind == "Watch"):
        return None
    return Finding("Hold", reasons.NO_INDICATORS, "no indicator is configured, so nothing can show safety")


def _faulty(seen: Seen) -> Finding | None:
    for verdict in seen.indicators:
        if verdict.fault is not None:
            return Finding("Hold", verdict.fault.reason, f"{verdict.name}: {verdict.fault.detail}")
    return None


def _blind(seen: Seen) -> Finding | None:
    for own, state in seen.pairs:
        missed = state.counters.unanswered
        if missed >= BLIND_TICKS:
            detail = f"{own.name}: {missed} ticks in a row without an answer; no data is neither pass nor fail"
            return Finding("Hold", reasons.BLIND, detail, page=True)
        if missed:
            return Finding("Hold", reasons.NO_DATA, f"{own.name}: this tick has no answer")
        if state.partial:
            return Finding("Hold", reasons.PARTIAL_ANSWER, f"{own.name}: a partial answer is no data for a promotion")
    return None


def _empty(seen: Seen) -> Finding | None:
    """A gate that only watches goes on without data: that is the owner's own pace."""
    if seen.state.gate is not None and seen.state.gate.kind == "Watch":
        return None
    for own, state in seen.pairs:
        if state.counters.number is None:
            return Finding("Hold", reasons.NO_DATA, f"{own.name}: no answer with a pod in it yet")
        if seen.state.gate is not None and not state.canary_seen:
            return Finding("Hold", reasons.NO_CANARY_REQUESTS, f"{own.name}: the last answer has no canary pod in it")
    return None


def _stable_is_broken(seen: Seen) -> Finding | None:
    gate = seen.state.gate
    if seen.parameters.recovery or (gate is not None and gate.kind == "Bake"):
        return None
    if not seen.facts.stable_ready:
        return Finding("Hold", reasons.STABLE_BURNING, "stable is not ready, so it is no yardstick", page=True)
    for verdict in seen.indicators:
        if verdict.stable_burning:
            detail = f"{verdict.name}: stable burns more than twice its own budget, so it is no yardstick"
            return Finding("Hold", reasons.STABLE_BURNING, detail, page=True)
    return None


def _between_gates(seen: Seen) -> Finding | None:
    if seen.state.gate is not None:
        return None
    return Finding("Hold", reasons.BETWEEN_GATES, "the next weight is not reached yet, or its pods are not ready")


def _evidence_against(seen: Seen) -> Finding | None:
    limit = math.log(CONTRARY_EVIDENCE)
    worst = max(seen.indicators, key=lambda verdict: verdict.log_evidence, default=None)
    if worst is None or (worst.log_evidence < limit and seen.log_evidence < limit):
        return None
    detail = f"{worst.name}: evidence of a regression is {natural(worst.log_evidence):.3g}; no gate passes from 10 on"
    return Finding("Hold", reasons.EVIDENCE_AGAINST, detail)


def _service_burns(seen: Seen) -> Finding | None:
    if seen.state.gate is None or seen.state.gate.kind != "Bake":
        return None
    limit = -math.log(onearm.ALPHA_SHARE * seen.parameters.alpha)
    for own, state in seen.pairs:
        if single.log_bake(state, seen.parameters) >= limit:
            rate = _percent(state.gate_counts.canary_rate)
            detail = f"{own.name}: {rate} bad at full weight, beyond twice the budget; it may not be the change's fault"
            return Finding("Hold", reasons.SERVICE_BURNING, detail, page=True)
    return None


def _no_requests(seen: Seen) -> Finding | None:
    gate = seen.state.gate
    if gate is None or gate.kind == "Watch":
        return None
    for verdict, (own, state) in zip(seen.indicators, seen.pairs, strict=True):
        if own not in seen.parameters.must_prove or verdict.passed:
            continue
        if state.gate_counts.canary_total <= 0.0:
            return Finding("Hold", reasons.NO_CANARY_REQUESTS, f"{own.name}: the canary has served no request here yet")
        if gate.kind == "Proof" and state.gate_counts.stable_total <= 0.0:
            return Finding("Hold", reasons.NO_STABLE_REQUESTS, f"{own.name}: stable has served no request to compare")
    return None


def _recent_evidence_against(seen: Seen) -> Finding | None:
    gate = seen.state.gate
    if gate is None or gate.kind == "Bake":
        return None
    for own, state in seen.pairs:
        if single.recent_is_contrary(state, gate, own):
            detail = f"{own.name}: the last {min(gate.recent_seconds, seen.gate_age):.0f} s alone point to a regression"
            return Finding("Hold", reasons.RECENT_EVIDENCE_AGAINST, detail)
    return None


def _not_proven(seen: Seen) -> Finding | None:
    if seen.state.gate is None or seen.state.gate.kind != "Proof":
        return None
    for verdict, own in zip(seen.indicators, seen.parameters.indicators, strict=True):
        if own in seen.parameters.must_prove and not verdict.passed:
            needed = "more than can be foreseen" if verdict.needed is None else f"about {verdict.needed:,.0f}"
            detail = f"{verdict.name}: {verdict.gate_requests:,.0f} of {needed} canary requests that show safety here"
            return Finding("Hold", reasons.NOT_PROVEN, detail)
    return None


def _soaking(seen: Seen) -> Finding | None:
    gate = seen.state.gate
    if gate is None or seen.gate_age >= gate.soak_seconds:
        return None
    detail = f"{seen.gate_age:.0f} of {gate.soak_seconds:.0f} s at {gate.weight:.0%}"
    return Finding("Hold", reasons.SOAKING, detail)


def _passed(seen: Seen) -> Finding:
    kind = seen.state.gate.kind if seen.state.gate is not None else "Watch"
    found = {
        "Proof": (reasons.SAFETY_SHOWN, "safe for the next exposure"),
        "Watch": (reasons.SOAK_PASSED, "no sign of harm in the time it took"),
        "Bake": (reasons.BAKE_PASSED, "within the objective at full weight"),
    }
    return Finding("Promote", *found[kind])


RULES: tuple[Callable[[Seen], Finding | None], ...] = (
    _crash_looping,
    _never_ready,
    _regression,
    _objective_burned,
    _starved,
    _no_indicators,
    _faulty,
    _blind,
    _empty,
    _stable_is_broken,
    _between_gates,
    _evidence_against,
    _service_burns,
    _no_requests,
    _recent_evidence_against,
    _not_proven,
    _soaking,
    _passed,
)


def lead_index(parameters: JudgeParameters) -> int:
    """The indicator whose requests a verdict names: the first Errors one, else the first."""
    kinds = [indicator.kind for indicator in parameters.indicators]
    return kinds.index("Errors") if "Errors" in kinds else 0


def _percent(rate: float | None) -> str:
    return "no requests" if rate is None else f"{rate:.1%}"
