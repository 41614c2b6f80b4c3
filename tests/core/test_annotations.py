"""Approvals by annotation: which count as votes, from when on, and together with Approval objects."""

from __future__ import annotations

from typing import Any

import pytest

from rollwarden.api.change import AnnotationApproval, Change, ChangeStatus
from rollwarden.api.enums import ApprovalSource, Mode, Tier
from rollwarden.core.annotations import MOST_DATED, MOST_USER, annotation_votes, undated
from rollwarden.core.approvals import Vote, answer, counted, open_slots
from rollwarden.core.decide import decide
from rollwarden.core.seen import Seen
from rollwarden.core.times import timestamp
from rollwarden.core.writes import WriteChangeStatus
from tests.builders import NOW, change, decision, requirements, rollout, seen, slots, vote

SENIOR_KEY = "approval.rollwarden.dev/senior"
DAY = 86400
DIGEST = change().spec.template_digest


def annotated(
    value: str, about: Change | None = None, *, tier: str = "senior", mode: Mode = Mode.ENFORCE
) -> tuple[Vote, ...]:
    """The votes of a Rollout with this annotation."""
    annotations = {f"approval.rollwarden.dev/{tier}": value}
    mine = about or change()
    return tuple(annotation_votes(seen(of=rollout(annotations=annotations), changes=(mine,), mode=mode), mine, ()))


def first_seen_at(at: float, user: str = "ada@corp", tier: Tier = Tier.SENIOR) -> ChangeStatus:
    return ChangeStatus(annotation_approvals=(AnnotationApproval(tier=tier, user=user, first_seen=timestamp(at)),))


@pytest.mark.parametrize(
    ("value", "user", "names_it"),
    [
        pytest.param(f"ada@corp {DIGEST}", "ada@corp", True, id="the digest in full"),
        pytest.param(f"ada@corp {DIGEST[7:39]}", "ada@corp", True, id="its first 32 digits"),
        pytest.param(f"ada@corp {DIGEST[7:38]}", "ada@corp", False, id="fewer digits name nothing"),
        pytest.param(f"Ada of Payments {DIGEST}", "Ada of Payments", True, id="a user name with spaces"),
        pytest.param(f"ada@corp sha256:{'0' * 64}", "ada@corp", False, id="another template"),
    ],
)
def test_an_annotation_names_its_author_and_a_template(value: str, user: str, names_it: bool) -> None:
    (found,) = annotated(value)
    assert (found.user, found.tier, found.source, found.ref) == (
        user,
        Tier.SENIOR,
        ApprovalSource.ANNOTATION,
        SENIOR_KEY,
    )
    reason = answer(found, change(), requirements(), NOW).reason
    assert reason == ("Counted" if names_it else "OtherDigest")


@pytest.mark.parametrize(
    "value", ["", "ada@corp", f" {DIGEST}", f"{'a' * (MOST_USER + 1)} {DIGEST}", "\N{SNOWMAN}" * 9]
)
def test_what_has_another_form_is_no_vote(value: str) -> None:
    assert annotated(value) == ()


def test_outside_of_enforced_namespaces_anybody_may_write_it_so_it_is_no_vote() -> None:
    assert annotated(f"ada@corp {DIGEST}", mode=Mode.OBSERVE) == ()


def test_it_dates_from_its_first_sight() -> None:
    (new,) = annotated(f"ada@corp {DIGEST}")
    assert new.at == NOW
    (known,) = annotated(f"ada@corp {DIGEST}", change(status=first_seen_at(NOW - DAY)))
    assert known.at == NOW - DAY


@pytest.mark.parametrize(
    ("status", "new"),
    [
        pytest.param(first_seen_at(NOW - DAY), False, id="seen before"),
        pytest.param(first_seen_at(NOW - DAY, user="sam@corp"), True, id="another person's was"),
        pytest.param(first_seen_at(NOW - DAY, tier=Tier.PEER), True, id="the same person's at another tier was"),
    ],
)
def test_what_is_seen_for_the_first_time(status: ChangeStatus, new: bool) -> None:
    mine = change(status=status)
    votes = annotated(f"ada@corp {DIGEST}", mine)
    assert bool(undated(votes, mine)) is new


def test_the_list_of_dates_is_bounded() -> None:
    known = [AnnotationApproval(tier=Tier.SENIOR, user=f"u{i}", first_seen=timestamp(NOW)) for i in range(MOST_DATED)]
    full = change(status=ChangeStatus(annotation_approvals=tuple(known)))
    assert annotated(f"ada@corp {DIGEST}", full) == ()
    assert [one.user for one in annotated(f"u7 {DIGEST}", full)] == ["u7"]


def judged(of: Change, **annotations: str) -> Seen:
    """The decision's view of it, with the votes as they are gathered."""
    keys = {f"approval.rollwarden.dev/{tier}": value for tier, value in annotations.items()}
    view = seen(of=rollout(annotations=keys), changes=(of,))
    votes = tuple(annotation_votes(view, of, ()))
    return seen(of=rollout(annotations=keys), changes=(of,), votes=votes)


def test_it_is_dated_before_it_counts_and_no_re_apply_makes_it_new() -> None:
    needs = decision(Tier.SENIOR, approval_ttl=DAY)
    value = f"ada@corp {DIGEST}"
    first = decide(judged(change(decision=needs), senior=value))
    (write,) = first.writes
    assert first.rule == "annotation-seen"
    assert isinstance(write, WriteChangeStatus)
    dated = write.status.annotation_approvals
    assert decide(judged(change(decision=needs, status=write.status), senior=value)).rule == "released"
    old = tuple(AnnotationApproval(tier=a.tier, user=a.user, first_seen=timestamp(NOW - DAY - 1)) for a in dated)
    expired = decide(judged(change(decision=needs, status=ChangeStatus(annotation_approvals=old)), senior=value))
    assert expired.rule == "approvals-missing"
    assert "it is older than 24 h" in expired.sentence
    assert "waits now: kubectl rollwarden approve checkout-1f2e3d4c-5 -n pay" in expired.sentence


SLOTS: dict[str, tuple[tuple[Tier, ...], dict[str, Any], tuple[Tier, ...]]] = {
    "a senior by annotation and a principal by object fill both": (
        (Tier.SENIOR, Tier.PRINCIPAL),
        {"object": ("pia@corp", Tier.PRINCIPAL), "annotation": ("ada@corp", "senior")},
        (),
    ),
    "a principal by annotation fills the lower slot that is left": (
        (Tier.PEER, Tier.SENIOR),
        {"object": ("ada@corp", Tier.SENIOR), "annotation": ("pia@corp", "principal")},
        (),
    ),
    "one person by both is one person": (
        (Tier.SENIOR, Tier.PRINCIPAL),
        {"object": ("pia@corp", Tier.PRINCIPAL), "annotation": ("pia@corp", "senior")},
        (Tier.SENIOR,),
    ),
    "one person by both counts at the higher tier": (
        (Tier.PRINCIPAL,),
        {"object": ("pia@corp", Tier.SENIOR), "annotation": ("pia@corp", "principal")},
        (),
    ),
}


@pytest.mark.parametrize("name", SLOTS)
def test_objects_and_annotations_fill_slots_together(name: str) -> None:
    asked, given, left = SLOTS[name]
    user, tier = given["object"]
    by, key = given["annotation"]
    votes = (vote(user, tier), *annotated(f"{by} {DIGEST}", tier=key))
    found = counted(answer(one, change(), requirements(*asked), NOW) for one in votes)
    assert len(found) == len({user, by})
    assert open_slots(slots(*asked), found) == slots(*left)
