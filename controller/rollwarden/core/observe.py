"""Rules in observe mode: the same classification and verdicts, nothing mutated, refused, aborted or promoted."""

from __future__ import annotations

from ..api.change import Base, Change, Plan, Release
from ..api.enums import Phase, VerdictResult
from .approvals import spoken_slots
from .attempt import make_change, supersede
from .freeze import frozen, spoken_freeze
from .messages import spoken_origin
from .plan import MOST_STEPS
from .released import judged
from .seen import Seen
from .status import write_status
from .times import timestamp
from .writes import CreateChange, Emit, Outcome, Write


def observed_change(seen: Seen) -> Change | None:
    """The latest Change that observed this template; there is no hold value to settle by, so the digest does."""
    same = [c for c in seen.changes if _observes(c, seen) and c.spec.template_digest == seen.digest]
    return max(same, key=lambda c: int(c.spec.rollout.attempt[1:]), default=None)


def _observes(change: Change, seen: Seen) -> bool:
    return change.spec.rollout.uid == seen.rollout.metadata.uid and change.spec.rollout.attempt.startswith("o")


def _latest_is(seen: Seen, change: Change) -> bool:
    attempts = [int(c.spec.rollout.attempt[1:]) for c in seen.changes if _observes(c, seen)]
    return int(change.spec.rollout.attempt[1:]) == max(attempts)


def new_template(seen: Seen) -> Outcome | None:
    """A template that is neither stable's nor under observation: say what enforcing would have done."""
    change, stable = observed_change(seen), seen.stable_set
    if (change and _latest_is(seen, change)) or stable is None or stable.digest == seen.digest:
        return None
    made = make_change(seen, f"o{seen.rollout.metadata.generation}")
    message = would_have(seen)
    writes: list[Write] = [*supersede(seen, made.spec.rollout.attempt), CreateChange(made)]
    writes += [Emit("Warning", "MalformedClaim", p.sentence) for p in seen.assessment.problems]
    writes.append(Emit("Normal", "Observed", message))
    return Outcome("observed", message, tuple(writes), requeue=0)


def returned(seen: Seen) -> Outcome | None:
    """The template is stable's again: what was observed in between has ended."""
    change, stable = observed_change(seen), seen.stable_set
    if stable is None or stable.digest != seen.digest or (change and _latest_is(seen, change)):
        return None
    writes = supersede(seen, f"o{seen.rollout.metadata.generation}")
    return Outcome("observed-return", "the template is stable's again", writes, requeue=0) if writes else None


def would_have(seen: Seen) -> str:
    needs = seen.assessment.decision.requirements
    c = seen.assessment.classification
    if needs.denials:
        effect = f"would be denied: {needs.denials[0].message}"
    elif needs.approvals:
        effect = f"would wait for {spoken_slots(needs.approvals)}"
    elif ice := frozen(needs.freezes, seen.now):
        effect = f"would wait for {spoken_freeze(ice)}"
    else:
        effect = "would be released at once"
    what = f"{spoken_origin(c)} to a {c.criticality.lower} service"
    return f'"{seen.rollout.metadata.name}" is observed only: in enforce mode this {what} {effect}'


def first_sight(seen: Seen) -> Outcome | None:
    change = observed_change(seen)
    if change is None or change.status.release is not None or change.status.phase.final:
        return None
    canary = seen.rollout.spec.strategy.canary
    steps = canary.steps[:MOST_STEPS] if canary and canary.steps else None
    release = Release(
        time=timestamp(seen.now),
        base=Base(steps=steps),
        plan=Plan(steps=steps),
        judge=seen.ground.judge if seen.ground else None,
        replicas=seen.replicas,
    )
    writes = write_status(
        change, seen.now, phase=Phase.CANARY, reason="Observed", release=release, message=would_have(seen)
    )
    return Outcome("watching", would_have(seen), writes)


def verdict(seen: Seen) -> Outcome | None:
    """A proven regression is recorded and said; nothing is aborted."""
    change, found = observed_change(seen), judged(seen)
    if change is None or change.status.phase.final or found is None or change.status.verdict is not None:
        return None
    message = f'"{seen.rollout.metadata.name}" would have been rolled back: {found.message}'
    writes = write_status(change, seen.now, reason="WouldRollBack", verdict=found, message=message)
    return Outcome("would-roll-back", message, (*writes, Emit("Warning", "WouldRollBack", message)))


def ended(seen: Seen) -> Outcome | None:
    change, status = observed_change(seen), seen.rollout.status
    if change is None or change.status.phase.final:
        return None
    if status.abort:
        message = f'"{seen.rollout.metadata.name}" was aborted in Argo: {status.message or "no reason given"}'
        writes = write_status(change, seen.now, phase=Phase.ROLLED_BACK, reason="AbortedInArgo", message=message)
        return Outcome("observed-abort", message, writes)
    stable = seen.stable_set
    if stable and stable.digest == seen.digest and status.phase == "Healthy":
        proof = change.status.verdict is None or change.status.verdict.result is not VerdictResult.ROLLBACK
        message = f'"{seen.rollout.metadata.name}" was promoted by Argo' + ("" if proof else " against the verdict")
        writes = write_status(change, seen.now, phase=Phase.COMPLETED, reason="Promoted", message=message)
        return Outcome("observed-promotion", message, writes)
    return Outcome("observing", change.status.message, requeue=30.0)


OBSERVE_RULES = (new_template, returned, first_sight, verdict, ended)
