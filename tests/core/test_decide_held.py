"""What happens to a revision that is held at 0 pods, as tables of sentences."""

from __future__ import annotations

from rollwarden.api import enums, names
from rollwarden.api.change import AnnotationApproval, ChangeStatus
from rollwarden.api.enums import ApprovalSource, EvidenceLevel, Phase, Tier
from rollwarden.core.seen import Seen
from rollwarden.core.times import timestamp
from tests.builders import (
    NOW,
    argo_status,
    assessment,
    author,
    change,
    classification,
    decision,
    ground,
    new_set,
    rollout,
    seen,
    stable_set,
    template,
    vote,
)

from .outcomes import MISSING, OFF_LIMITS, OTHER_DIGEST, RELEASED, Row, asks, check, each, needs, no, table, waits

S, P, PEER = Tier.SENIOR, Tier.PRINCIPAL, Tier.PEER
DAY = 86400

ANNOTATED = vote(source=ApprovalSource.ANNOTATION, ref="approval.rollwarden.dev/senior")


def dated(at: float) -> Seen:
    """The same approval, first seen at that time."""
    known = AnnotationApproval(tier=S, user="ada@corp", first_seen=timestamp(at))
    mine = change(decision=decision(S), status=ChangeStatus(annotation_approvals=(known,)))
    return seen(changes=(mine,), votes=(ANNOTATED,))


APPROVALS = table(
    Row("nothing is asked: it is released", seen(), "released", RELEASED, ("every requirement is met",)),
    Row(
        "nobody has approved yet: it waits and says for whom",
        needs(S),
        "approvals-missing",
        MISSING,
        ("held at 0 new pods", "needs 1 senior", '(rule "ai-on-critical")', "r1 keeps serving and scaling"),
    ),
    Row("a senior approves: released", needs(S, votes=(vote(),)), "released", RELEASED),
    Row("a principal fills a senior's slot", needs(S, votes=(vote(tier=P),)), "released", RELEASED),
    Row("a peer does not", needs(S, votes=(vote(tier=PEER),)), "approvals-missing", MISSING),
    Row(
        "of two that are asked one has come: only the other is named",
        needs(S, P, votes=(vote(),)),
        "approvals-missing",
        MISSING,
        ("needs 1 principal (",),
    ),
    Row(
        "one person is not two",
        needs(S, S, votes=(vote(), vote(tier=P, ref="second"))),
        "approvals-missing",
        MISSING,
        ("needs 1 senior",),
    ),
    Row(
        "an approval of another attempt releases nothing",
        needs(S, votes=(vote(change_uid="change-4"),)),
        "approvals-missing",
        MISSING,
    ),
    Row(
        "an approval of another template releases nothing",
        needs(S, votes=(vote(digest=OTHER_DIGEST),)),
        "approvals-missing",
        MISSING,
    ),
    Row("the author's own does not count", needs(S, votes=(vote("jo@corp"),)), "approvals-missing", MISSING),
    Row("a listed agent's does not count", needs(S, votes=(vote(agent=True),)), "approvals-missing", MISSING),
    Row(
        "who adopted the change meanwhile cannot approve it",
        needs(S, votes=(vote(),), now={"classification": classification(authors=(author("ada@corp"),))}),
        "approvals-missing",
        MISSING,
    ),
    Row(
        "an approval grows old",
        needs(S, approval_ttl=DAY, votes=(vote(at=NOW - DAY - 1),)),
        "approvals-missing",
        MISSING,
    ),
    Row("and counts to its last second", needs(S, approval_ttl=DAY, votes=(vote(at=NOW - DAY),)), "released", RELEASED),
    Row(
        "an approval by annotation is dated at its first sight, before it counts",
        needs(S, votes=(ANNOTATED,)),
        "annotation-seen",
        ("Change 5: Held ",),
    ),
    Row("dated, it counts", dated(NOW - DAY), "released", RELEASED),
    Row(
        "a policy that was loosened since sight frees nothing",
        seen(changes=(change(decision=decision(S)),)),
        "approvals-missing",
        MISSING,
    ),
    Row(
        "a policy that was tightened since sight counts",
        seen(assessment=assessment(decision=decision(S))),
        "approvals-missing",
        MISSING,
    ),
    Row(
        "the contact is named twice: in the sentence and in what it waits for",
        needs(S, now={"contact": "@pay-seniors"}),
        "approvals-missing",
        MISSING,
        ("Ask @pay-seniors; kubectl rollwarden explain checkout -n pay", "1 senior of @pay-seniors"),
    ),
    Row(
        "an agent is told not to retry",
        needs(S, now={"classification": classification(agent_submitter=True)}),
        "approvals-missing",
        MISSING,
        ("-n pay. This is a deliberate hold, not a failure: do not retry",),
    ),
    Row(
        "where gates will follow, it says so before anybody approves",
        seen(**asks(S, gated=True), ground=ground(10)),
        "approvals-missing",
        MISSING,
        (" Then 50 % → 100 %",),
    ),
)

DENIED = waits("OffLimits", "Denied", "Warning")
REJECTED = waits("Rejected", "Rejected", "Warning")
REFUSALS = table(
    Row(
        "denied at sight: no approval lifts it",
        needs(S, denials=(OFF_LIMITS,), votes=(vote(tier=P), vote("pia@corp", P))),
        "denied",
        DENIED,
        ("off-limits to AI", '(rule "ledger-by-hand")', "approvals cannot lift this", "See https://g/ledger."),
    ),
    Row("denied by a rule added since", needs(now={"decision": decision(denials=(OFF_LIMITS,))}), "denied", DENIED),
    Row(
        "denied by a rule removed since: it was seen under it",
        seen(changes=(change(decision=decision(denials=(OFF_LIMITS,))),)),
        "denied",
        DENIED,
    ),
    Row(
        "a rejection wins over any number of approvals",
        needs(S, votes=(vote(tier=P), vote("pia@corp", P), no(user="ann@corp"))),
        "rejected",
        REJECTED,
        ('ann@corp rejected this revision: "breaks refunds"', "bring a new template"),
    ),
    Row("a rejection counts where no approval is asked", needs(votes=(no(),)), "rejected", REJECTED),
    Row("its author may reject it", needs(votes=(no(user="jo@corp"),)), "rejected", REJECTED),
    Row("a rejection comes before a denial", needs(denials=(OFF_LIMITS,), votes=(no(),)), "rejected", REJECTED),
    Row(
        "a rejection of another attempt is not of this one",
        needs(votes=(no(change_uid="change-4"),)),
        "released",
        RELEASED,
    ),
    Row("nor is one of another template", needs(votes=(no(digest=OTHER_DIGEST),)), "released", RELEASED),
    Row("a listed agent cannot reject", needs(votes=(no(agent=True),)), "released", RELEASED),
)


UNTESTED = waits("EvidenceMissing")
EVIDENCE = table(
    Row(
        "an agent's change waits for a human who adopts it",
        needs(human_adopter=True),
        "evidence-missing",
        UNTESTED,
        ("a named human who adopts",),
    ),
    Row(
        "adopted since it was seen: released",
        needs(human_adopter=True, now={"classification": classification(human_adopter="ada@corp")}),
        "released",
        RELEASED,
    ),
    Row("tests must have passed", needs(tests=enums.Tests.PASSED), "evidence-missing", UNTESTED, ("passing tests",)),
    Row(
        "and did",
        needs(tests=enums.Tests.PASSED, now={"classification": classification(tests_passed=True)}),
        "released",
        RELEASED,
    ),
    Row(
        "no approval replaces evidence",
        needs(S, min_evidence_level=EvidenceLevel.E2, votes=(vote(tier=P),)),
        "evidence-missing",
        UNTESTED,
        ("evidence level E2 (this has E0)",),
    ),
    Row(
        "evidence comes before people: nobody is asked about a change that cannot go anyway",
        needs(S, tests=enums.Tests.PASSED),
        "evidence-missing",
        UNTESTED,
    ),
)


def ended(phase: Phase, message: str = "because", said: str = "") -> Seen:
    marks = {names.MESSAGE: said} if said else {}
    status = ChangeStatus(phase=phase, message=message, finished_at=timestamp(NOW - 5))
    return seen(of=rollout(annotations=marks), changes=(change(status=status),))


SAY = ("rollout: say why it waits",)
ABORTED = {"abort": True, "current_pod_hash": "bbb", "message": "RolloutAborted: by kim"}
REST = table(
    Row("a denied change stays where it is", ended(Phase.DENIED), "final", SAY, ("because",)),
    Row("so does a rejected one", ended(Phase.REJECTED), "final", SAY),
    Row("and one that was rolled back at 0 pods", ended(Phase.ROLLED_BACK), "final", SAY),
    Row("what was said is not said again", ended(Phase.DENIED, said="because"), "final"),
    Row("nothing is said where nothing is known", ended(Phase.DENIED, message=""), "final"),
    Row("a superseded one is finished", ended(Phase.SUPERSEDED), "finished", says=("because",)),
    Row(
        "another template stands there than the Change is about",
        seen(of=rollout(generation=8, pod_template=template("shop:9")), votes=(vote(),)),
        "other-template",
        waits("OtherTemplate", "Superseded", "Warning"),
        ("nobody has approved what stands there now",),
    ),
    Row(
        "a digest that only an earlier version made otherwise is no other template",
        seen(of=rollout(pod_template=template("shop:9"))),
        "released",
        RELEASED,
    ),
    Row("what serves is not in the cache yet", seen(sets=(new_set(),)), "sets-not-seen"),
    Row(
        "a full promotion asked for while held is forgotten first",
        seen(of=rollout(status=argo_status(promote_full=True))),
        "released",
        ("rollout/status: forget a full promotion asked for while held",),
    ),
    Row(
        "aborted while held: nothing ran, and it stays so",
        seen(of=rollout(status=argo_status(**ABORTED))),
        "rolled-back",
        ("Change 5: RolledBack AbortedInArgo", "Warning RolledBack"),
        ("by kim", "r2 is quarantined"),
    ),
    Row(
        "the abort is of the revision before",
        seen(
            of=rollout(status=argo_status(**ABORTED)), sets=(stable_set(), new_set(hold="held-4", digest=OTHER_DIGEST))
        ),
        "released",
        RELEASED,
    ),
    Row(
        "the abort is of the same template under an earlier attempt",
        seen(of=rollout(status=argo_status(**ABORTED)), sets=(stable_set(), new_set(hold="held-4"))),
        "rolled-back",
        ("Change 5: RolledBack AbortedInArgo", "Warning RolledBack"),
    ),
    Row(
        "an abort that stands while stable is current is of nothing",
        seen(of=rollout(status=argo_status(abort=True))),
        "released",
        RELEASED,
    ),
)


@each(APPROVALS)
def test_approvals(row: Row) -> None:
    check(row)


@each(REFUSALS)
def test_refusals(row: Row) -> None:
    check(row)


@each(EVIDENCE)
def test_evidence(row: Row) -> None:
    check(row)


@each(REST)
def test_the_rest(row: Row) -> None:
    check(row)
