"""The sentences people read: one line each, facts first, in the forms that people know them by."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rollwarden.api.change import (
    BreakGlass,
    BreakGlassReview,
    ChangeStatus,
    Classification,
    CountedApproval,
    Denial,
    Plan,
    Verdict,
)
from rollwarden.api.enums import ApprovalSource, Autonomy, Criticality, Origin, Tier, VerdictResult
from rollwarden.core import messages
from rollwarden.core.mesh import RoutedWeight
from rollwarden.core.seen import Seen
from rollwarden.core.times import timestamp
from tests.builders import (
    NOW,
    argo_status,
    assessment,
    change,
    classification,
    decision,
    new_set,
    quarantined,
    rollout,
    seen,
    slots,
)

from .outcomes import PLAN, elsewhere, flaw, released

S, P, PEER = Tier.SENIOR, Tier.PRINCIPAL, Tier.PEER
EXPLAIN = "kubectl rollwarden explain checkout -n pay"
NOTE = "This is a deliberate hold, not a failure: do not retry, delete or recreate; report it to your human."


def by(**fields: Any) -> Seen:
    """A held change of this classification; stable is r1."""
    return seen(assessment=assessment(classification=classification(**fields)))


def first() -> Seen:
    """Nothing serves yet."""
    of = rollout(hold="held-0", status=argo_status(stable_rs=""))
    return seen(of=of, sets=(new_set(hold="held-0"),))


COPILOT = by(tools=("Copilot",), criticality=Criticality.CRITICAL)
AGENT = by(agent_submitter=True, autonomy=Autonomy.AGENT)
VERDICT = Verdict(
    result=VerdictResult.ROLLBACK, reason="Regression", message="18 of 612 requests failed (2.9 %)", harmed=17
)
DENIED = decision(
    denials=(Denial(rule="ledger-by-hand", message='area "ledger posting" is off-limits to AI'),)
).requirements
GUIDED = decision(denials=(Denial(rule="r", message="off-limits", guideline="https://g/x"),)).requirements
EARLIER = quarantined()
APPROVED = CountedApproval(tier=S, user="ada@corp", source=ApprovalSource.OBJECT)


GLASS = BreakGlass(user="sam@corp", reason="INC-812", time=timestamp(NOW), review_due=timestamp(NOW + 3 * 86400))
REVIEW = BreakGlassReview(closed_by="pia@corp", time=timestamp(NOW), note="pool was too small")


def superseded(**status: Any) -> str:
    return messages.superseded(change(status=ChangeStatus(**status)))


SENTENCES = {
    "held": (
        messages.held(COPILOT, slots(S), decision(), None, "@pay-seniors"),
        'rollout "checkout" is held at 0 new pods: AI-assisted change (Copilot) to a critical service needs 1 senior '
        '(rule "ai-on-critical"); r1 keeps serving and scaling. Ask @pay-seniors; ' + EXPLAIN,
    ),
    "held by two rules, for several people, with gates to follow": (
        messages.held(by(), slots(PEER, PEER, P), decision(rules=("a", "b")), PLAN),
        'rollout "checkout" is held at 0 new pods: AI-assisted change to a medium service needs 1 principal and '
        '2 peers (rules "a", "b"); r1 keeps serving and scaling. Then 25 % → 50 % → 100 %; how long is said once '
        f"traffic is measured. {EXPLAIN}",
    ),
    "held by no rule that was there at sight": (
        messages.held(by(), slots(S), decision(rules=()), None),
        'rollout "checkout" is held at 0 new pods: AI-assisted change to a medium service needs 1 senior; r1 keeps '
        f"serving and scaling. {EXPLAIN}",
    ),
    "held, with more to say to an agent": (
        messages.held(AGENT, slots(S), decision(), None, more="Nobody holds it."),
        'rollout "checkout" is held at 0 new pods: agent-written change to a medium service needs 1 senior '
        f'(rule "ai-on-critical"); r1 keeps serving and scaling. {EXPLAIN}. Nobody holds it. {NOTE}',
    ),
    "held, told to an agent": (
        messages.held(AGENT, slots(S), decision(), None),
        'rollout "checkout" is held at 0 new pods: agent-written change to a medium service needs 1 senior '
        f'(rule "ai-on-critical"); r1 keeps serving and scaling. {EXPLAIN}. {NOTE}',
    ),
    "held before a first revision": (
        messages.held(first(), slots(S), decision(), None),
        'rollout "checkout" is held at 0 new pods: AI-assisted change to a medium service needs 1 senior '
        f'(rule "ai-on-critical"); nothing serves yet (first revision). {EXPLAIN}',
    ),
    "evidence": (
        messages.waiting_for_evidence(by(), "passing tests"),
        'rollout "checkout" is held at 0 new pods: AI-assisted change to a medium service needs passing tests; r1 '
        f"keeps serving and scaling. {EXPLAIN}",
    ),
    "evidence, told to an agent": (
        messages.waiting_for_evidence(AGENT, "a named human"),
        'rollout "checkout" is held at 0 new pods: agent-written change to a medium service needs a named human; r1 '
        f"keeps serving and scaling. {EXPLAIN}. {NOTE}",
    ),
    "denied": (
        messages.denied(by(), DENIED),
        'rollout "checkout" is denied its new revision: area "ledger posting" is off-limits to AI (rule '
        '"ledger-by-hand"); approvals cannot lift this. r1 keeps serving and scaling; take the AI-written part out, '
        "or ask a principal.",
    ),
    "denied with a guideline, told to an agent": (
        messages.denied(AGENT, GUIDED),
        'rollout "checkout" is denied its new revision: off-limits (rule "r"); approvals cannot lift this. r1 keeps '
        "serving and scaling; take the AI-written part out, or ask a principal. See https://g/x. " + NOTE,
    ),
    "denied at a gate": (
        messages.denied_at_gate(by(), DENIED.denials[0], 25),
        '"checkout" stays at 25 %: area "ledger posting" is off-limits to AI (rule "ledger-by-hand", in force since '
        "its release); it goes on when the rule no longer applies, or return to stable: kubectl rollwarden abort "
        "checkout -n pay",
    ),
    "rejected": (
        messages.rejected(by(), "ada@corp", "breaks refunds"),
        'rollout "checkout": ada@corp rejected this revision: "breaks refunds". r1 keeps serving and scaling; bring a '
        "new template, or talk to them.",
    ),
    "quarantined": (
        messages.quarantined(by(), EARLIER, "a senior"),
        '"checkout" was given a template that was rolled back on 2027-01-15 07:45 (Regression: errors); it stays at 0 '
        "pods whoever applies it. Revert it in Git, or a senior may approve it knowingly (--quarantined -m "
        '"why").',
    ),
    "quarantined, told to an agent": (
        messages.quarantined(AGENT, EARLIER, "the owner"),
        '"checkout" was given a template that was rolled back on 2027-01-15 07:45 (Regression: errors); it stays at 0 '
        "pods whoever applies it. Revert it in Git, or the owner may approve it knowingly (--quarantined -m "
        f'"why"). {NOTE}',
    ),
    "released onto a plan": (
        messages.released(by(), PLAN),
        'released "checkout": 25 % → 50 % → 100 %; how long is said once traffic is measured',
    ),
    "released without gates": (
        messages.released(by(), Plan()),
        'released "checkout" with its owner\'s own steps; it is watched for regression',
    ),
    "released, blueGreen": (
        messages.released(seen(of=rollout(blue_green=True)), Plan()),
        'released "checkout": blueGreen switches all traffic at once, so it is held and approved, but not judged',
    ),
    "rolled back": (
        messages.rolled_back(released(), 2, VERDICT, " at 5 %", 41.2),
        'rolled back "checkout" r2 to r1 after 41 s at 5 %: 18 of 612 requests failed (2.9 %); about 17 requests '
        f"harmed. r2 is quarantined; revert it in Git or fix forward. {EXPLAIN}",
    ),
    "rolled back, and nothing to return to": (
        messages.rolled_back(first(), 1, VERDICT, "", None),
        'rolled back "checkout" r1: 18 of 612 requests failed (2.9 %); about 17 requests harmed. r1 is quarantined; '
        f"revert it in Git or fix forward. {EXPLAIN}",
    ),
    "unproven": (
        messages.unproven(released(), 9, 1240, 48900, 50, 7200, "a senior"),
        '"checkout" r9 shows no sign of harm but is not proven safe: 1,240 of about 48,900 requests needed after 2 h. '
        "It stays at 50 %; a senior may accept it: kubectl rollwarden approve checkout-r9 -n pay --accept-unproven",
    ),
    "unproven, and nobody can say how many it takes": (
        messages.unproven(released(), 9, 1240, 0, 50, 600, "a principal"),
        '"checkout" r9 shows no sign of harm but is not proven safe: 1,240 requests seen after 10 min. It stays at '
        "50 %; a principal may accept it: kubectl rollwarden approve checkout-r9 -n pay --accept-unproven",
    ),
    "superseded": (
        superseded(revision=42),
        '"checkout" r42 was superseded by a newer template; traffic stays on or returns to stable.',
    ),
    "superseded before Argo knew it, with approvals": (
        superseded(approvals=(APPROVED,)),
        '"checkout" was superseded by a newer template; traffic stays on or returns to stable. The approval of '
        "ada@corp does not cover the new template.",
    ),
    "another template": (
        messages.strayed(by()),
        'rollout "checkout" is held at 0 new pods: its template was changed while its namespace was not enforced, so '
        "nobody has approved what stands there now. r1 keeps serving and scaling; write the template again, with any "
        "new annotation in it, to have it judged.",
    ),
    "break-glass": (
        messages.break_glass("checkout", "sam@corp", "INC-812", timestamp(NOW), timestamp(NOW + 3 * 86400)),
        'BREAK-GLASS: sam@corp released "checkout" without approval at 08:00: "INC-812". The judge still watches and '
        "will act on regression. A principal owes a review by 2027-01-18.",
    ),
    "too late": (
        messages.too_late(released(), VERDICT),
        'Argo had fully promoted "checkout" before the rollback could stop it: 18 of 612 requests failed (2.9 %). It '
        "is quarantined, and still serves; write the last good template back (kubectl rollwarden undo checkout -n pay)",
    ),
    "a route of the mesh that sends another share": (
        messages.misrouted(released(), RoutedWeight("checkout-vs", "primary", 40), 25),
        '"checkout" holds at 25 %: VirtualService "checkout-vs" (route "primary") sends 40 % to the canary instead. '
        "Argo Rollouts owns that weight; see who else writes it (a GitOps tool has to ignore it)",
    ),
    "a template that lives elsewhere": (
        messages.workload_ref(seen(of=elsewhere())),
        'rollout "checkout" takes its pod template from Deployment "checkout" (workloadRef), which is not supported: '
        "its new revisions are held at 0 new pods and cannot be approved; r1 keeps serving and scaling. Put the "
        "template into the Rollout (spec.template) to have it judged.",
    ),
    "a review": (
        messages.reviewed("checkout", GLASS, REVIEW),
        'pia@corp reviewed the break-glass of "checkout" by sam@corp on 2027-01-15 ("INC-812"): pool was too small',
    ),
    "a review that is overdue": (
        messages.review_overdue(change(), GLASS),
        'the review of the break-glass of "checkout" by sam@corp on 2027-01-15 was due by 2027-01-18 and is still '
        'open. A principal closes it: kubectl rollwarden review checkout-1f2e3d4c-5 -n pay -m "what was found"',
    ),
    "completed": (
        messages.completed(released(), False),
        '"checkout" is fully promoted (done); the owner\'s steps are back',
    ),
    "completed unproven": (
        messages.completed(released(), True),
        '"checkout" is fully promoted (unproven, watched only); the owner\'s steps are back',
    ),
}


@pytest.mark.parametrize(("sentence", "expected"), SENTENCES.values(), ids=SENTENCES)
def test_sentence(sentence: str, expected: str) -> None:
    assert sentence == expected


@pytest.mark.parametrize("sentence", [pair[0] for pair in SENTENCES.values()], ids=SENTENCES)
def test_form(sentence: str) -> None:
    assert flaw(sentence) == ""
    assert not re.search(r"\binvalid\b|sha256:", sentence), "people, versions and reasons; no blame, no hashes"
    fact = sentence[:100]
    assert '"checkout"' in fact, "what it is about comes first"
    ends = re.search(
        r'(\.|\)|"|-n pay|--accept-unproven|regression|measured|judged|back|too small|GitOps tool has to ignore it\))$',
        sentence,
    )
    assert ends, "a full sentence, or the command to type next"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "AI-assisted change"),
        ({"autonomy": Autonomy.ASSISTED}, "AI-assisted change"),
        ({"autonomy": Autonomy.AGENT}, "agent-written change"),
        ({"autonomy": Autonomy.SUGGESTION}, "change with AI suggestions"),
        ({"tools": ("Copilot", "Cursor")}, "AI-assisted change (Copilot, Cursor)"),
        ({"origin": Origin.HUMAN}, "human change"),
        ({"origin": Origin.AUTOMATION, "tools": ("renovate",)}, "automated change (renovate)"),
        ({"origin": Origin.UNKNOWN}, "change of unknown origin"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_spoken_origin(fields: dict[str, Any], words: str) -> None:
    found: Classification = classification(**fields)
    assert messages.spoken_origin(found) == words


def test_only_agents_are_told_not_to_retry() -> None:
    told = [name for name, (sentence, _) in SENTENCES.items() if NOTE in sentence]
    assert told and all("agent" in name for name in told)
