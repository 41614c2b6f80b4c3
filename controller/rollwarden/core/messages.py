"""The sentences people read: what, why, what still works, who or what next. One line each, facts first, no blame."""

from __future__ import annotations

from datetime import UTC, datetime

from ..api.change import (
    BreakGlass,
    BreakGlassReview,
    Change,
    Classification,
    Denial,
    Plan,
    PolicyDecision,
    Requirements,
    Verdict,
)
from ..api.enums import Autonomy, Origin
from ..api.policy import ApprovalSlot
from .approvals import spoken_slots
from .freeze import Frozen, spoken_freeze
from .mesh import RoutedWeight
from .plan import MOST_STEPS, spoken_plan
from .seen import Seen
from .times import spoken, unix_or_never

NOT_JUDGED = "blueGreen switches all traffic at once, so it is held and approved, but not judged"
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


def held(
    seen: Seen,
    missing: tuple[ApprovalSlot, ...],
    decision: PolicyDecision,
    plan: Plan | None,
    contact: str = "",
    more: str = "",
) -> str:
    """``more``: whole sentences, on who may approve and on approvals that were given and do not count."""
    c = seen.assessment.classification
    name, rules = seen.rollout.metadata.name, decision.rules
    cited = f" (rule{'s' if len(rules) > 1 else ''} {_rules(decision)})" if rules else ""
    then = f" Then {spoken_plan(plan)}." if plan and plan.gates else ""
    return (
        f'rollout "{name}" is held at 0 new pods: {spoken_origin(c)} to a {c.criticality.lower} service needs '
        f"{spoken_slots(missing)}{cited}; {stays(seen)}.{then} {_ask(contact or seen.assessment.contact, seen)}"
        f"{f'. {more}' if more else ''}{_agent(c, '' if more else '.')}"
    )


def workload_ref(seen: Seen) -> str:
    meta, ref = seen.rollout.metadata, seen.rollout.spec.workload_ref or {}
    return (
        f'rollout "{meta.name}" takes its pod template from {ref.get("kind") or "a workload"} '
        f'"{ref.get("name") or "without a name"}" (workloadRef), which is not supported: its new revisions are held at '
        f"0 new pods and cannot be approved; {stays(seen)}. Put the template into the Rollout (spec.template) to have "
        f"it judged."
    )


def waiting_for_evidence(seen: Seen, what: str) -> str:
    c = seen.assessment.classification
    return (
        f'rollout "{seen.rollout.metadata.name}" is held at 0 new pods: {spoken_origin(c)} to a {c.criticality.lower} '
        f"service needs {what}; {stays(seen)}. {_ask(seen.assessment.contact, seen)}{_agent(c, '.')}"
    )


def frozen(seen: Seen, ice: Frozen) -> str:
    meta = seen.rollout.metadata
    return (
        f'rollout "{meta.name}" waits for {spoken_freeze(ice)}; no action needed. It is held at 0 new pods '
        f"({_of_rules(ice)}) and released by itself then; {stays(seen)}. "
        f"kubectl rollwarden explain {meta.name} -n {meta.namespace}{_agent(seen.assessment.classification, '.')}"
    )


def frozen_at_gate(seen: Seen, ice: Frozen, weight: int) -> str:
    meta = seen.rollout.metadata
    return (
        f'"{meta.name}" stays at {weight} %: it waits for {spoken_freeze(ice)} ({_of_rules(ice)}); it goes on by '
        f"itself then, or return to stable: kubectl rollwarden abort {meta.name} -n {meta.namespace}"
    )


def _of_rules(ice: Frozen) -> str:
    rules = dict.fromkeys(f'"{freeze.rule}"' for freeze in ice.freezes)
    return f"rule{'s' if len(rules) > 1 else ''} {', '.join(rules)}"


def setter(denial: Denial) -> str:
    """``, set by dana on 3 Nov``: who to ask; empty where nobody knows any more."""
    if not denial.set_by or not denial.set_at:
        return ""
    at = datetime.fromtimestamp(unix_or_never(denial.set_at), UTC)
    return f", set by {denial.set_by} on {at.day} {at:%b}"


def denied(seen: Seen, requirements: Requirements) -> str:
    first = requirements.denials[0]
    guide = f" See {first.guideline}." if first.guideline else ""
    return (
        f'rollout "{seen.rollout.metadata.name}" is denied its new revision: {first.message} (rule "{first.rule}"'
        f"{setter(first)}); approvals cannot lift this. {stays(seen)}; take the AI-written part out, or ask "
        f"{first.set_by or 'a principal'}.{guide}"
        f"{_agent(seen.assessment.classification)}"
    )


def denied_at_gate(seen: Seen, denial: Denial, weight: int) -> str:
    return (
        f'"{seen.rollout.metadata.name}" stays at {weight} %: {denial.message} (rule "{denial.rule}"'
        f"{setter(denial)}, in force since its release); it goes on when the rule no longer applies, or return to "
        f"stable: kubectl rollwarden abort {seen.rollout.metadata.name} -n {seen.rollout.metadata.namespace}"
    )


def misrouted(seen: Seen, found: RoutedWeight, weight: int) -> str:
    route = f' (route "{found.route}")' if found.route else ""
    return (
        f'"{seen.rollout.metadata.name}" holds at {weight} %: VirtualService "{found.router}"{route} sends '
        f"{found.weight} % to the canary instead. Argo Rollouts owns that weight; see who else writes it "
        "(a GitOps tool has to ignore it)"
    )


def promoted_outside(seen: Seen, weight: int) -> str:
    return (
        f'"{seen.rollout.metadata.name}" left its gate at {weight} % without proof: it was promoted outside of '
        "Rollwarden. It is watched for regression and will end unproven"
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
    if seen.is_blue_green:
        return f'released "{name}": {NOT_JUDGED}'
    if not plan.gates:
        return f'released "{name}" with its owner\'s own steps; it is watched for regression'
    return f'released "{name}": {spoken_plan(plan)}'


def rolled_back(seen: Seen, revision: int, verdict: Verdict, weight: str, took: float | None) -> str:
    name = seen.rollout.metadata.name
    stable = seen.stable_set
    back = f" to r{stable.revision}" if stable else ""
    after = f" after {spoken(took)}" if took is not None else ""
    harmed = f"; about {verdict.harmed} requests harmed" if verdict.canary_requests or verdict.harmed else ""
    which, it = (f" r{revision}", f"r{revision}") if revision else ("", "It")
    return (
        f'rolled back "{name}"{which}{back}{after}{weight}: {verdict.message}{harmed}. '
        f"{it} is quarantined; revert it in Git or fix forward. "
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


def too_many_steps(seen: Seen, count: int) -> str:
    return (
        f'rollout "{seen.rollout.metadata.name}" is held at 0 new pods: its canary has {count} steps, and at most '
        f"{MOST_STEPS} can be kept and planned with. {stays(seen)}; write fewer steps together with a new template."
    )


def unguarded_template(seen: Seen) -> str:
    return (
        f'rollout "{seen.rollout.metadata.name}" runs a template that nobody has decided on: it was written past '
        "admission. It is not known good; write the template again, with any new annotation in it, to have it judged."
    )


def break_glass(name: str, user: str, reason: str, at: str, due: str) -> str:
    return (
        f'BREAK-GLASS: {user} released "{name}" without approval at {at[11:16]}: "{reason}". '
        f"The judge still watches and will act on regression. A principal owes a review by {due[:10]}."
    )


def reviewed(name: str, glass: BreakGlass, review: BreakGlassReview) -> str:
    return (
        f'{review.closed_by} reviewed the break-glass of "{name}" by {glass.user} on {glass.time[:10]} '
        f'("{glass.reason[:200]}"): {review.note}'
    )


def review_overdue(change: Change, glass: BreakGlass) -> str:
    meta = change.metadata
    return (
        f'the review of the break-glass of "{change.spec.rollout.name}" by {glass.user} on {glass.time[:10]} was due '
        f"by {glass.review_due[:10]} and is still open. A principal closes it: kubectl rollwarden review {meta.name} "
        f'-n {meta.namespace} -m "what was found"'
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
