"""Templates that are known: what was rolled back stays at 0 pods, what is known good needs nobody."""

from __future__ import annotations

from typing import Any

import msgspec

from rollwarden.api.change import Denial
from rollwarden.api.enums import Phase, Tier
from rollwarden.core.decide import decide
from rollwarden.core.seen import Seen
from rollwarden.core.times import timestamp
from tests.builders import (
    NOW,
    OWNER_STEPS,
    assessment,
    change,
    decision,
    new_set,
    quarantined,
    rollout,
    seen,
    stable_set,
    template,
    vote,
)

from .outcomes import MISSING, OFF_LIMITS, RELEASED, Row, asks, check, each, no, status_in, table, waits

S, PEER = Tier.SENIOR, Tier.PEER
DAY = 86400


def rolled_back_before(
    *votes: Any, tiers: tuple[Tier, ...] = (), of: Any = None, earlier: Any = None, **fields: Any
) -> Seen:
    """The template of attempt 5 was rolled back in attempt 3."""
    wanted = asks(*tiers)
    mine = (change(decision=decision(*tiers), pod_template=of),)
    return seen(
        of=rollout(pod_template=of), **(wanted | {"changes": (earlier or quarantined(), *mine)}), votes=votes, **fields
    )


def knowing(**fields: Any) -> Any:
    return vote(acknowledges_quarantine=True, **fields)


QUARANTINED = waits("Quarantined")
LIFTED = (*RELEASED, "Change 3: RolledBack ")
STAMPED = template(annotations={"ci/at": "10:14"})
QUARANTINE = table(
    Row(
        "a template that was rolled back stays at 0 pods",
        rolled_back_before(),
        "quarantined",
        QUARANTINED,
        (
            "rolled back on 2027-01-15 07:45 (Regression: errors)",
            "whoever applies it",
            "the owner may approve it knowingly",
        ),
    ),
    Row("another annotation in it frees nothing", rolled_back_before(of=STAMPED), "quarantined", QUARANTINED),
    Row("another image does", rolled_back_before(of=template("shop:3")), "released", RELEASED),
    Row(
        "a lifted quarantine holds nothing", rolled_back_before(earlier=quarantined(active=False)), "released", RELEASED
    ),
    Row(
        "approved, but not knowingly",
        rolled_back_before(vote(), tiers=(S,)),
        "quarantined",
        QUARANTINED,
        ("a senior may approve it knowingly", "a senior who knows that it was rolled back"),
    ),
    Row("approved knowingly: released, and the quarantine ends", rolled_back_before(knowing()), "released", LIFTED),
    Row("knowingly by a senior where one is asked", rolled_back_before(knowing(), tiers=(S,)), "released", LIFTED),
    Row(
        "knowingly, but by a peer where a senior is asked, beside a senior who does not know",
        rolled_back_before(knowing(user="pat@corp", tier=PEER), vote(), tiers=(S,)),
        "quarantined",
        QUARANTINED,
    ),
    Row(
        "knowingly by one of two that are asked: the other is still missing",
        rolled_back_before(knowing(), tiers=(S, S)),
        "approvals-missing",
        MISSING,
    ),
    Row("knowingly by its own author", rolled_back_before(knowing(user="jo@corp")), "quarantined", QUARANTINED),
    Row(
        "knowingly, but of another attempt",
        rolled_back_before(knowing(change_uid="change-3")),
        "quarantined",
        QUARANTINED,
    ),
    Row(
        "a rejection comes before the quarantine",
        rolled_back_before(knowing(), no(user="pia@corp")),
        "rejected",
        waits("Rejected", "Rejected", "Warning"),
    ),
)

STABLE = template("shop:1")
OLD = template("shop:0")


def back_to(
    body: dict[str, Any], *votes: Any, denials: tuple[Denial, ...] = (), old: Any = None, **fields: Any
) -> Seen:
    """Someone writes a template that ran before; revision 0 was marked an hour ago unless ``old`` says otherwise."""
    asked = decision(S, denials=denials)
    digest = change(pod_template=OLD).spec.template_digest
    marked = {"name": "checkout-ooo", "pod_hash": "ooo", "revision": 0, "digest": digest, "replicas": 0, "ready": 0}
    again = new_set(digest=change(pod_template=body).spec.template_digest)
    return seen(
        of=rollout(pod_template=body),
        **(
            {
                "changes": (change(pod_template=body, decision=asked),),
                "assessment": assessment(decision=asked),
                "sets": (stable_set(), stable_set(**(marked | (old or {}))), again),
            }
            | fields
        ),
        votes=votes,
    )


ROLLED_BACK_OLD = quarantined(OLD)
GOOD = table(
    Row("a return to stable needs nobody", back_to(STABLE), "known-good", RELEASED, ("a known good revision",)),
    Row("so does one to an earlier good revision", back_to(OLD), "known-good", RELEASED, ("owner's own steps",)),
    Row(
        "a denial does not hold a way back",
        back_to(STABLE, denials=(OFF_LIMITS,)),
        "known-good",
        RELEASED,
    ),
    Row(
        "it lifts no quarantine for a lower tier than the change needs",
        back_to(
            STABLE,
            vote(tier=PEER, on=change(pod_template=STABLE), acknowledges_quarantine=True),
            changes=(quarantined(STABLE), change(pod_template=STABLE, decision=decision(S))),
        ),
        "known-good",
        RELEASED,
    ),
    Row("nor does a rejection", back_to(STABLE, no(on=change(pod_template=STABLE))), "known-good", RELEASED),
    Row(
        "a mark of more than 30 days is none",
        back_to(OLD, old={"known_good": timestamp(NOW - 31 * DAY)}),
        "approvals-missing",
        MISSING,
    ),
    Row(
        "a set that was never marked is none",
        back_to(OLD, old={"known_good": None, "hold": ""}),
        "approvals-missing",
        MISSING,
    ),
    Row("a mark that is no time is none", back_to(OLD, old={"known_good": "yes"}), "approvals-missing", MISSING),
    Row(
        "a good revision that was rolled back later is none",
        back_to(OLD, changes=(ROLLED_BACK_OLD, change(pod_template=OLD, decision=decision(S)))),
        "quarantined",
        QUARANTINED,
    ),
    Row(
        "the same image with another annotation is another template",
        back_to(template("shop:0", annotations={"a": "b"})),
        "approvals-missing",
        MISSING,
    ),
)


@each(QUARANTINE)
def test_quarantine(row: Row) -> None:
    check(row)


@each(GOOD)
def test_known_good(row: Row) -> None:
    check(row)


def test_the_latest_rollback_is_the_one_that_is_told() -> None:
    older, later = quarantined(attempt="2", uid="change-2"), quarantined(attempt="4", uid="change-4")
    told = msgspec.structs.replace(
        later.status.quarantine, reason="CrashLoop: its pods crash", since=timestamp(NOW - 90)
    )
    later = msgspec.structs.replace(later, status=msgspec.structs.replace(later.status, quarantine=told))
    for order in ((older, later), (later, older)):
        outcome = decide(seen(changes=(*order, change())))
        assert "(CrashLoop: its pods crash)" in outcome.sentence


def test_every_quarantine_of_the_template_is_lifted_by_name() -> None:
    both = (quarantined(attempt="2", uid="change-2"), quarantined())
    outcome = decide(seen(changes=(*both, change()), votes=(knowing(),)))
    for attempt in ("2", "3"):
        lifted = status_in(outcome, attempt)
        assert (lifted.quarantine.active, lifted.quarantine.lifted_by) == (False, "ada@corp")
        assert (lifted.quarantine.reason, lifted.phase) == ("Regression: errors", Phase.ROLLED_BACK)


def test_a_known_good_revision_is_released_without_gates() -> None:
    made = status_in(decide(back_to(OLD))).release
    assert made is not None
    assert (made.plan.steps, made.plan.gates) == (OWNER_STEPS, ())
