"""Commits as people write them, and one decision on one commit across Rollouts."""

from __future__ import annotations

import msgspec
import pytest

from rollwarden.api.change import Change, ChangeSpec
from rollwarden.api.enums import Criticality, Decision, Phase, Tier
from rollwarden.cli.bycommit import plan
from rollwarden.cli.commits import carrying, grouped, read_sha
from rollwarden.cli.deciding import Wish
from rollwarden.cli.errors import CommandError, InputError
from tests.cli.builders import change

FULL = "3f2c1abd99e0" + "0" * 28
SENIOR, PRINCIPAL = Tier.SENIOR, Tier.PRINCIPAL
APPROVE, REJECT = Wish(Decision.APPROVE, commit=FULL), Wish(Decision.REJECT, "no", FULL)


def carrier(*commits: str, rollout: str = "shop", age: int = 0, of: Change | None = None) -> Change:
    """A waiting Change that carries these commits; the older, the larger ``age``, in minutes."""
    made = of or change(SENIOR)
    c = msgspec.structs.replace(made.spec.classification, commits=commits)
    about = msgspec.structs.replace(made.spec.rollout, name=rollout)
    spec: ChangeSpec = msgspec.structs.replace(made.spec, classification=c, rollout=about)
    created = f"2025-01-01T00:{59 - age:02d}:00Z"
    meta = msgspec.structs.replace(made.metadata, name=f"{rollout}-1f2e3d4c-7", creation_timestamp=created)
    return msgspec.structs.replace(made, spec=spec, metadata=meta)


@pytest.mark.parametrize("text", ["3f2c1a", "", "3f2c1xyz", "HEAD", "3f2c1ab..4", "f" * 65, "-", "\N{SNOWMAN}" * 8])
def test_what_is_no_commit_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(InputError, match="7 or more hex digits"):
        read_sha(text)


def test_a_commit_is_read_in_any_case_and_length() -> None:
    assert read_sha(" 3F2C1AB ") == "3f2c1ab"
    assert read_sha(FULL) == FULL


@pytest.mark.parametrize(
    ("claimed", "asked", "found"),
    [
        (FULL, "3f2c1ab", True),
        (FULL.upper(), "3f2c1ab", True),
        ("3f2c1ab", FULL, True),
        ("3f2c1ab", "3f2c1ae0", False),
        ("77aa00b", "3f2c1ab", False),
        ("3", FULL, False),
        ("", FULL, False),
        ("3f2c1a", FULL, False),
    ],
)
def test_which_claims_carry_a_commit(claimed: str, asked: str, found: bool) -> None:
    """Whoever claims a commit of one digit must not come under everybody's approval."""
    one = carrier("0000000", claimed)
    assert carrying([one], asked) == ([one] if found else [])


def test_a_short_form_of_two_commits_is_refused_by_both_their_names() -> None:
    one, other = carrier("3f2c1abd", rollout="checkout"), carrier("3f2c1abe", rollout="ledger")
    with pytest.raises(CommandError) as refused:
        carrying([one, other], "3f2c1ab")
    said = str(refused.value)
    assert "3f2c1ab is short for 2 commits" in said
    assert "3f2c1abd (market/checkout-r7)" in said
    assert "3f2c1abe (market/ledger-r7)" in said
    assert carrying([one, other], "3f2c1abd") == [one]


def test_claims_that_shorten_the_same_commit_are_one() -> None:
    one, other = carrier("3f2c1ab", rollout="checkout"), carrier(FULL, rollout="ledger")
    assert carrying([one, other], "3f2c1ab") == [one, other]


def test_changes_are_grouped_by_the_commit_that_most_share() -> None:
    a = carrier("aaaaaaa", "bbbbbbb", rollout="a", age=3)
    b = carrier("bbbbbbb", rollout="b", age=9)
    alone = carrier("ccccccc", rollout="c", age=20)
    none = carrier(rollout="d", age=30)
    short = carrier("ccc", rollout="e", age=1)
    groups = grouped([a, b, alone, none, short])
    assert {g.commit: [c.spec.rollout.name for c in g.changes] for g in groups} == {
        "": ["d", "e"],
        "ccccccc": ["c"],
        "bbbbbbb": ["b", "a"],
    }


def test_a_shortened_commit_is_grouped_with_its_long_form_unless_there_are_two() -> None:
    short, full = carrier("3f2c1ab", rollout="a"), carrier(FULL, rollout="b")
    (group,) = grouped([short, full])
    assert (group.commit, len(group.changes)) == (FULL, 2)
    assert len(grouped([short, full, carrier("3f2c1abe", rollout="c")])) == 3


def test_the_most_critical_group_comes_first_then_the_oldest() -> None:
    old = carrier("aaaaaaa", rollout="a", age=50)
    critical = carrier("bbbbbbb", rollout="b", age=1, of=change(SENIOR, criticality=Criticality.CRITICAL))
    assert [g.commit for g in grouped([old, critical])] == ["bbbbbbb", "aaaaaaa"]


PLANS: dict[str, tuple[Change, tuple[Tier, ...], Wish, Tier | None, str]] = {
    "an open slot of mine": (change(SENIOR), (SENIOR,), APPROVE, SENIOR, ""),
    "a higher tier fills a lower slot": (change(SENIOR), (PRINCIPAL,), APPROVE, PRINCIPAL, ""),
    "above my tier": (
        change(PRINCIPAL),
        (SENIOR,),
        APPROVE,
        None,
        "needs 1 principal; your highest tier there is senior",
    ),
    "no tier there": (change(SENIOR), (), APPROVE, None, "you hold no tier in namespace market"),
    "my own": (change(SENIOR, submitter="ada"), (SENIOR,), APPROVE, None, "you wrote or submitted it"),
    "rolled back before": (change(SENIOR, reason="Quarantined"), (SENIOR,), APPROVE, None, "--quarantined -m"),
    "knowingly": (
        change(SENIOR, reason="Quarantined"),
        (SENIOR,),
        Wish(Decision.APPROVE, "db is back", FULL, quarantined=True),
        SENIOR,
        "",
    ),
    "not proven": (
        change(SENIOR, phase=Phase.CANARY, reason="Unproven"),
        (SENIOR,),
        APPROVE,
        None,
        "--accept-unproven",
    ),
    "its author's turn": (
        change(SENIOR, reason="EvidenceMissing", waiting_for="passed tests"),
        (SENIOR,),
        APPROVE,
        None,
        "its author has to bring passed tests",
    ),
    "a rejection takes whatever tier": (change(PRINCIPAL), (SENIOR,), REJECT, SENIOR, ""),
}


@pytest.mark.parametrize("name", PLANS)
def test_what_one_decision_on_a_commit_does_to_each_change(name: str) -> None:
    one, held, wish, tier, why = PLANS[name]
    planned = plan(one, "ada", held, wish)
    assert planned.tier is tier
    assert why in planned.left
    assert bool(planned.left) is (tier is None)


def test_what_i_have_approved_already_is_no_failure() -> None:
    planned = plan(change(SENIOR, PRINCIPAL, approved=(("ada", SENIOR),)), "ada", (SENIOR,), APPROVE)
    assert (planned.tier, planned.done) == (None, True)
    assert "1 principal besides" in planned.left
