"""The sentences people read: what, why, what still works, who or what next. One line each, facts first, no blame."""

from __future__ import annotations

from ..api.change import Change, Classification, Denial, Plan, PolicyDecision, Requirements, Verdict
from ..api.enums import Autonomy, Origin
from ..api.policy import ApprovalSlot
from .approvals import spoken_slots
from .plan import spoken_plan
from .seen import Seen
from .times import spoken

AGENT_NOTE = " This is a deliberate hold, not a failure: do not retry, delete or recreate; report it to your human."


def spoken_origin(c: Classification) -> str:
    """``AI-assisted change (Copilot)``."""
    match c.origin:
        case Origin.AI:
            kind = {Autonomy.AGENT: "agent-written change", Autonomy.SUGGESTION: "change with AI suggestions"}
            text = kind.get(c.autonomy or Autonomy.ASSISTED, "AI-assisted change")
        case Origin.HUMAN:
            text = "human change"
        case Origin.AUTOMATION:
            text = "automated change"
        case _:
            text = "change of unknown origin"
    return f"{text} ({', '.join(c.tools)})" if c.tools else text


def stays(seen: Seen) -> str:
    """What goes on working while a revision waits."""
    stable = seen.stable_set
    return f"r{stable.revision} keeps serving and scaling" if stable else "nothing serves yet (first revision)"


def _rules(decision: PolicyDecision) -> str:
    return ", ".join(f'"{rule}"' for rule in decision.rules) or "none"


def _ask(contact: str, seen: Seen) -> str:
    meta = seen.rollout.metadata
    return f"{f'Ask {contact}; ' if contact else ''}kubectl rollwarden explain {meta.name} -n {meta.namespace}"


def _agent(c: Classification, stop: str = "") -> str:
    """What agents are told besides; ``stop`` ends the sentence before it where nothing did."""
    return stop + AGENT_NOTE if c.agent_submitter else ""


def held(seen: Seen, missing: tuple[ApprovalSlot, ...], decision: PolicyDecision, plan: Plan | None) -> str:
    c = seen.assessment.classification
    name, rules = seen.rollout.metadata.name, decision.rules
    cited = f" (rule{'s' if len(rules) > 1 else ''} {_rules(decision)})" if rules else ""
    then = f" Then {spoken_plan(plan)}." if plan and plan.gates else ""
    return (
        f'rollout "{name}" is held at 0 new pods: {spoken_origin(c)} to a {c.criticality.lower} service needs '
        f"{spoken_slots(missing)}{cited}; {stays(seen)}.{then} {_ask(seen.assessment.contact, seen)}{_agent(c, '.')}"
    )


def waiting_for_evidence(seen: Seen, what: str) -> str:
    c = seen.assessment.classification
    return (
        f'rollout "{seen.rollout.metadata.name}" is held at 0 new pods: {spoken_origin(c)} to a {c.criticality.lower} '
        f"service needs {what}; {stays(seen)}. {_ask(seen.assessment.contact, seen)}{_agent(c, '.')}"
    )


def denied(seen: Seen, requirements: Requirements) -> str:
    first = requirements.denials[0]
    guide = f" See {first.guideline}." if first.guideline else ""
    return (
        f'rollout "{seen.rollout.metadata.name}" is denied its new revision: {first.message} (rule "{first.rule}"); '
        f"approvals cannot lift this. {stays(seen)}; take the AI-written part out, or ask a principal.{guide}"
        f"{_agent(seen.assessment.classification)}"
    )


def denied_at_gate(seen: Seen, denial: Denial, weight: int) -> str:
    return (
        f'"{seen.rollout.metadata.name}" stays at {weight} %: {denial.message} (rule "{denial.rule}", in force '
        "since its release); it goes on when the rule no longer applies, or return to stable: "
        f"kubectl rollwarden abort {seen.rollout.metadata.name} -n {seen.rollout.metadata.namespace}"
    )


def rejected(seen: Seen, user: str, reason: str) -> str:
    return (
        f'rollout "{seen.rollout.metadata.name}": {user} rejected this revision: "{reason}". {stays(seen)}; '
        "bring a new template, or talk to them."
    )


def quarantined(seen: Seen, earlier: Change, missing: str) -> str:
    status = earlier.status
    when = (status.quarantine.since or "")[:16].replace("T", " ")
    return (
        f'"{seen.rollout.metadata.name}" was given a template that was rolled back on {when} '
        f"({status.quarantine.reason}); it stays at 0 pods whoever applies it. Revert it in Git, or {missing} may "
        f'approve it knowingly (--quarantined -m "why").{_agent(seen.assessment.classification)}'
    )


def released(seen: Seen, plan: Plan) -> str:
    name = seen.rollout.metadata.name
    if not plan.gates:
        return f'released "{name}" with its owner\'s own steps; it is watched for regression'
    return f'released "{name}": {spoken_plan(plan)}'


def rolled_back(seen: Seen, revision: int, verdict: Verdict, weight: str, took: float | None) -> str:
    name = seen.rollout.metadata.name
    stable = seen.stable_set
    back = f" to r{stable.revision}" if stable else ""
    after = f" after {spoken(took)}" if took is not None else ""
    return (
        f'rolled back "{name}" r{revision}{back}{after}{weight}: {verdict.message}; about {verdict.harmed} requests '
        f"harmed. r{revision} is quarantined; revert it in Git or fix forward. "
        f"kubectl rollwarden explain {name} -n {seen.rollout.metadata.namespace}"
    )


def unproven(seen: Seen, revision: int, requests: int, needed: int, weight: int, after: float, who: str) -> str:
    of = f"{requests:,} of about {needed:,} requests needed" if needed else f"{requests:,} requests seen"
    return (
        f'"{seen.rollout.metadata.name}" r{revision} shows no sign of harm but is not proven safe: {of} after '
        f"{spoken(after)}. It stays at {weight} %; {who} may accept it: kubectl rollwarden approve "
        f"{seen.rollout.metadata.name}-r{revision} -n {seen.rollout.metadata.namespace} --accept-unproven"
    )


def superseded(change: Change) -> str:
    approvers = ", ".join(a.user for a in change.status.approvals)
    lost = f" The approval of {approvers} does not cover the new template." if approvers else ""
    revision = f" r{change.status.revision}" if change.status.revision else ""
    name = change.spec.rollout.name
    return f'"{name}"{revision} was superseded by a newer template; traffic stays on or returns to stable.{lost}'


def strayed(seen: Seen) -> str:
    return (
        f'rollout "{seen.rollout.metadata.name}" is held at 0 new pods: its template was changed while its namespace '
        f"was not enforced, so nobody has approved what stands there now. {stays(seen)}; write the template again, "
        "with any new annotation in it, to have it judged."
    )


def break_glass(name: str, user: str, reason: str, at: str, due: str) -> str:
    return (
        f'BREAK-GLASS: {user} released "{name}" without approval at {at[11:16]}: "{reason}". '
        f"The judge still watches and will act on regression. A principal owes a review by {due[:10]}."
    )


def too_late(seen: Seen, verdict: Verdict) -> str:
    name = seen.rollout.metadata.name
    return (
        f'Argo had fully promoted "{name}" before the rollback could stop it: {verdict.message}. It is quarantined, '
        f"and still serves; write the last good template back (kubectl rollwarden undo {name} "
        f"-n {seen.rollout.metadata.namespace})"
    )


def completed(seen: Seen, unproven_: bool) -> str:
    proof = "unproven, watched only" if unproven_ else "done"
    return f'"{seen.rollout.metadata.name}" is fully promoted ({proof}); the owner\'s steps are back'
