"""An attempt begins: its Change, what it supersedes, which ReplicaSets are locked again, and which are known good."""

from __future__ import annotations

from typing import Any

import pytest

from rollwarden.api import names
from rollwarden.api.change import Author, ChangeStatus, CountedApproval, Quarantine
from rollwarden.api.enums import ApprovalSource, Mode, Phase, Tier
from rollwarden.core import writes
from rollwarden.core.attempt import good_sets, is_known_good, make_change, revision_of, unmark_current
from rollwarden.core.claims import Problem
from rollwarden.core.decide import decide
from rollwarden.core.digest import template_digest
from rollwarden.core.seen import Seen, SeenSet
from rollwarden.core.times import timestamp
from rollwarden.core.writes import CreateChange, PatchReplicaSet, annotation
from tests.builders import (
    NOW,
    UID,
    argo_status,
    assessment,
    change,
    classification,
    decision,
    new_set,
    quarantined,
    rollout,
    seen,
    stable_set,
    template,
)

from .outcomes import CHANGE_NAME, RELEASED, Row, check, each, released, status_in, table

DAY = 86400
KNOWN_GOOD, HOLD = annotation(names.KNOWN_GOOD), annotation(names.HOLD)


def earlier(attempt: str = "4", phase: Phase = Phase.CANARY, **status: Any) -> Any:
    return change(attempt=attempt, uid=f"change-{attempt}", status=ChangeStatus(phase=phase, **status))


def left(number: int = 4, **fields: Any) -> SeenSet:
    """A ReplicaSet that an earlier attempt released and left behind."""
    named = {"name": "checkout-ccc", "pod_hash": "ccc", "revision": 0, "hold": f"released-{number}"}
    return new_set(**(named | {"digest": template_digest(template("shop:c"))} | fields))


def with_sets(*more: SeenSet, of: Any = None, **stable: Any) -> Seen:
    return seen(of=of, sets=(stable_set(**stable), *more, new_set()))


LOCKED = ("checkout-ccc: add hold aborted-4",)
MARKED = ("checkout-aaa: add known-good",)
APPROVED = CountedApproval(tier=Tier.SENIOR, user="ada@corp", source=ApprovalSource.OBJECT)
PROBLEMS = (Problem(names.SHARE, f'annotation "{names.SHARE}" is "many"; it is ignored'),)

BEGINNING = table(
    Row("a template was written: a Change for it", seen(changes=()), "new-template", ("create Change 5",)),
    Row(
        "a claim that cannot be read is said once, with its Change",
        seen(changes=(), assessment=assessment(problems=PROBLEMS)),
        "new-template",
        ("create Change 5", "Warning MalformedClaim"),
        (f'annotation "{names.SHARE}" is "many"; it is ignored',),
    ),
    Row("it is there: nothing is created", seen(), "released", RELEASED),
    Row(
        "break-glass while the operator was down: a Change too",
        seen(of=rollout(hold="released-5"), changes=()),
        "new-template",
        ("create Change 5",),
    ),
    Row("a locked attempt begins nothing", seen(of=rollout(hold="aborted-5"), changes=()), "nothing-to-do"),
    Row(
        "an earlier attempt that lives is superseded",
        seen(changes=(earlier(revision=3), change())),
        "older-attempts-end",
        ("Change 4: Superseded NewTemplate",),
        ('"checkout" r3 was superseded by a newer template',),
    ),
    Row(
        "and who approved it is told that it was for that one",
        seen(changes=(earlier(approvals=(APPROVED,)), change())),
        "older-attempts-end",
        ("Change 4: Superseded NewTemplate",),
        ("The approval of ada@corp does not cover the new template.",),
    ),
    Row("one that is over is not", seen(changes=(earlier(phase=Phase.COMPLETED), change())), "released", RELEASED),
    Row("nor one of later than this cache knows", seen(changes=(earlier("7"), change())), "released", RELEASED),
    Row(
        "an observed one is, once the namespace is enforced",
        seen(changes=(earlier("o4"), change())),
        "older-attempts-end",
        ("Change o4: Superseded NewTemplate",),
    ),
    Row("a set that an earlier attempt left is locked", with_sets(left()), "older-attempts-end", LOCKED),
    Row("one that is known good is not", with_sets(left(known_good=timestamp(NOW - 9))), "released", RELEASED),
    Row("nor one of this attempt", with_sets(left(5)), "released", RELEASED),
    Row(
        "nor one that is held or locked",
        with_sets(left(hold="held-4"), left(hold="aborted-3", name="x")),
        "released",
        RELEASED,
    ),
    Row("nor one with a value of no known form", with_sets(left(hold="released-x")), "released", RELEASED),
    Row(
        "nor the one that Argo has not left yet",
        with_sets(left(), of=rollout(status=argo_status(current_pod_hash="ccc"))),
        "released",
        RELEASED,
    ),
    Row("what serves beside a held revision is marked", with_sets(known_good=None), "older-attempts-end", MARKED),
    Row("what has no ready pod does not serve", with_sets(known_good=None, ready=0), "released", RELEASED),
    Row(
        "what serves beside a released one is marked too",
        released(sets=(stable_set(known_good=None), new_set(hold="released-5", replicas=1, ready=1))),
        "older-attempts-end",
        MARKED,
    ),
)


@each(BEGINNING)
def test_beginning(row: Row) -> None:
    check(row)


def test_a_revoked_stable_is_not_marked() -> None:
    late = quarantined(template("shop:1"))
    outcome = decide(seen(changes=(late, change()), sets=(stable_set(known_good=None), new_set())))
    assert outcome.rule == "released"


def test_the_change_holds_what_was_true_at_sight() -> None:
    about = seen(
        changes=(),
        assessment=assessment(
            classification=classification(authors=(Author(name="jo@corp"),)),
            decision=decision(Tier.SENIOR),
            contact="@pay",
        ),
    )
    (created,) = decide(about).writes
    assert isinstance(created, CreateChange)
    made = created.change
    assert made.metadata.name == CHANGE_NAME, "made twice it is the same"
    assert made.metadata.labels == {names.ROLLOUT_UID_LABEL: UID, names.ROLLOUT_LABEL: "checkout"}
    assert (made.spec.rollout.attempt, made.spec.mode, made.spec.contact) == ("5", Mode.ENFORCE, "@pay")
    assert (made.spec.template_digest, made.spec.match_digest) == (about.digest, about.match_digest)
    assert made.spec.stable_digest == template_digest(template("shop:1"))
    assert made.spec.submitter.user == "jo@corp" and made.spec.images == ("shop:2",)
    assert made.spec.decision.requirements.approvals[0].tier is Tier.SENIOR
    assert not made.spec.known_good


def test_a_change_in_observe_mode_says_so() -> None:
    assert make_change(seen(), "o6").spec.mode is Mode.OBSERVE


def test_a_lock_rests_on_the_value_that_was_read() -> None:
    (patch,) = decide(with_sets(left())).writes
    assert patch == PatchReplicaSet("checkout-ccc", (writes.test(HOLD, "released-4"), writes.add(HOLD, "aborted-4")))


def test_superseding_ends_a_change() -> None:
    status = status_in(decide(seen(changes=(earlier(waiting_for="1 senior"), change()))), "4")
    assert (status.finished_at, status.waiting_for) == (timestamp(NOW), "")


# Known good


def ungoverned(*sets: SeenSet, changes: tuple[Any, ...] = (), **argo: Any) -> Seen:
    return seen(of=rollout(hold="", status=argo_status(**argo)), sets=sets, changes=changes)


def old(revision: int, **fields: Any) -> SeenSet:
    """A ReplicaSet from before the namespace was enforced."""
    name = f"checkout-{revision}"
    body = {"hold": "", "known_good": None, "replicas": 0, "ready": 0, "digest": f"sha256:{revision}"}
    return stable_set(**({"name": name, "pod_hash": str(revision), "revision": revision} | body | fields))


def marked(revision: int, ago: float, **fields: Any) -> SeenSet:
    return old(revision, known_good=timestamp(NOW - ago), **fields)


SERVES = stable_set(revision=9, known_good=None, hold="")
REVOKED = quarantined(template("shop:1"))
SEEDING = table(
    Row(
        "in a newly enforced namespace stable and the two before it are marked, the latest first",
        ungoverned(old(7), old(8), SERVES, old(6)),
        "mark-known-good",
        ("checkout-aaa: add known-good", "checkout-8: add known-good", "checkout-7: add known-good"),
        ("r9 is known good",),
    ),
    Row("later than stable nothing is", ungoverned(old(10), SERVES), "mark-known-good", MARKED),
    Row("nor what an attempt of ours made", ungoverned(old(8, hold="aborted-3"), SERVES), "mark-known-good", MARKED),
    Row(
        "where marks stand already stable alone is",
        ungoverned(old(8), marked(7, 60), SERVES),
        "mark-known-good",
        MARKED,
    ),
    Row(
        "three are kept: the oldest mark goes",
        ungoverned(marked(8, 60), marked(7, 600), marked(6, 6000), SERVES),
        "mark-known-good",
        (*MARKED, "checkout-6: remove known-good"),
    ),
    Row(
        "and every mark of more than 30 days",
        ungoverned(marked(8, 31 * DAY), SERVES),
        "mark-known-good",
        (*MARKED, "checkout-8: remove known-good"),
    ),
    Row("marked is marked", ungoverned(stable_set(), old(0)), "no-new-template"),
    Row("not while an abort stands", ungoverned(SERVES, abort=True), "no-new-template"),
    Row("not while another revision is current", ungoverned(SERVES, current_pod_hash="bbb"), "no-new-template"),
    Row("not while it is not healthy", ungoverned(SERVES, phase="Degraded"), "no-new-template"),
    Row("not what was rolled back", ungoverned(SERVES, changes=(REVOKED,)), "no-new-template"),
    Row("not where nothing is stable", ungoverned(SERVES, stable_rs=""), "no-new-template"),
)


@each(SEEDING)
def test_seeding(row: Row) -> None:
    check(row)


def test_a_mark_is_put_on_a_set_of_argos_only() -> None:
    (patch,) = decide(ungoverned(SERVES)).writes
    made_by_argo = writes.test(annotation(names.ARGO_REVISION), "9")
    assert patch == PatchReplicaSet("checkout-aaa", (made_by_argo, writes.add(KNOWN_GOOD, timestamp(NOW))))


def test_the_latest_three_marks_count() -> None:
    sets = (marked(4, 400), marked(1, 100), marked(3, 300), marked(2, 200), marked(5, 31 * DAY), old(6))
    assert [s.revision for s in good_sets(seen(sets=sets))] == [1, 2, 3]


def test_a_mark_of_30_days_to_the_second_counts() -> None:
    assert good_sets(seen(sets=(marked(1, 30 * DAY),)))
    assert not good_sets(seen(sets=(marked(1, 30 * DAY + 1),)))


GOOD_DIGEST = template_digest(template())


@pytest.mark.parametrize(
    ("sets", "changes", "good"),
    [
        pytest.param((stable_set(digest=GOOD_DIGEST),), (), True, id="stable's own template"),
        pytest.param((stable_set(), marked(3, 60, digest=GOOD_DIGEST)), (), True, id="a marked one's"),
        pytest.param((stable_set(), old(3, digest=GOOD_DIGEST)), (), False, id="an unmarked one's"),
        pytest.param((stable_set(), marked(3, 60)), (), False, id="nobody's"),
        pytest.param(
            (marked(3, 60, digest=GOOD_DIGEST),), (quarantined(),), False, id="one that was rolled back since"
        ),
        pytest.param(
            (marked(3, 60, digest=GOOD_DIGEST),),
            (quarantined(active=False),),
            True,
            id="one whose quarantine someone lifted",
        ),
        pytest.param(
            (stable_set(digest=GOOD_DIGEST, hold="held-2", known_good=None, ready=0),),
            (),
            False,
            id="what Argo calls stable and never ran",
        ),
    ],
)
def test_what_is_known_good(sets: tuple[SeenSet, ...], changes: tuple[Any, ...], good: bool) -> None:
    assert is_known_good(seen(sets=sets, changes=(*changes, change()))) is good


def test_a_rolled_back_revision_loses_its_mark_as_it_was_read() -> None:
    at = timestamp(NOW - 60)
    (patch,) = unmark_current(released(new={"known_good": at}))
    assert patch == PatchReplicaSet("checkout-bbb", (writes.test(KNOWN_GOOD, at), writes.remove(KNOWN_GOOD)))
    assert unmark_current(released()) == ()


def test_the_revision_is_argos_own_number_once_it_is_this_attempts() -> None:
    assert revision_of(released()) == 2
    assert revision_of(released(new={"hold": "released-4"})) == 0
    assert revision_of(released(argo={"current_pod_hash": "zzz"})) == 0


def test_a_quarantine_of_another_template_revokes_nothing() -> None:
    other = Quarantine(active=True, match_digest=change().spec.match_digest, since=timestamp(NOW))
    elsewhere = change(attempt="3", uid="c3", pod_template=template("shop:7"), status=ChangeStatus(quarantine=other))
    assert is_known_good(seen(sets=(marked(3, 60, digest=GOOD_DIGEST),), changes=(elsewhere, change())))
