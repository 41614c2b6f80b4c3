"""Who holds a tier by RBAC, and whether a requirement can be met at all."""

from __future__ import annotations

import pytest

from rollwarden.api.change import Change
from rollwarden.api.enums import Phase, Tier
from rollwarden.core.approvals import answer
from rollwarden.core.held import approvals_missing
from rollwarden.core.holders import (
    Binding,
    Holding,
    Role,
    Rule,
    Subject,
    eligible,
    evidence_of,
    holdings,
    spoken_subjects,
    too_few,
    unfillable,
)
from rollwarden.core.writes import WriteChangeStatus
from tests.builders import NOW, assessment, author, change, classification, decision, requirements, seen, slots, vote

P, S, T = Tier.PEER, Tier.SENIOR, Tier.PRINCIPAL
APPROVE, OURS, TIERS = ("approve",), ("rollwarden.dev",), ("tiers",)


@pytest.mark.parametrize(
    "rule, tiers",
    [
        pytest.param(Rule(APPROVE, OURS, TIERS, ("senior",)), {S}, id="a tier by name"),
        pytest.param(
            Rule(APPROVE, OURS, TIERS, ("peer", "senior", "other")), {P, S}, id="several names, one of no tier"
        ),
        pytest.param(Rule(APPROVE, OURS, TIERS), {P, S, T}, id="no names are all names"),
        pytest.param(
            Rule(("get", "approve"), ("", *OURS), ("changes", "tiers"), ("peer",)), {P}, id="among other things"
        ),
        pytest.param(Rule(("*",), OURS, TIERS), set(), id="every verb is no tier"),
        pytest.param(Rule(APPROVE, ("*",), TIERS), set(), id="every group is no tier"),
        pytest.param(Rule(APPROVE, OURS, ("*",)), set(), id="every resource is no tier"),
        pytest.param(Rule((*APPROVE, "*"), OURS, TIERS), set(), id="a wildcard beside the verb is no tier"),
        pytest.param(Rule(("create",), OURS, ("approvals",)), set(), id="to create approvals is no tier"),
        pytest.param(Rule(APPROVE, ("certificates.k8s.io",), TIERS), set(), id="another group's verb is no tier"),
        pytest.param(Rule(), set(), id="nothing"),
    ],
)
def test_what_gives_a_tier(rule: Rule, tiers: set[Tier]) -> None:
    assert rule.tiers == tiers


ADA, SAM = Subject("User", "ada@corp"), Subject("User", "sam@corp")
SENIORS, CHIEFS = Subject("Group", "seniors"), Subject("Group", "chiefs")
ROBOT = Subject("User", "system:serviceaccount:ci:robot")
SENIOR_ROLE = Role("", "rollwarden-senior", frozenset({P, S}))
CHIEF_ROLE = Role("", "rollwarden-principal", frozenset({P, S, T}))
LOCAL_ROLE = Role("pay", "local", frozenset({S}))
LOCAL_ELSEWHERE = Role("shop", "local", frozenset({T}))
EMPTY = Role("", "view")
ROLES = (SENIOR_ROLE, CHIEF_ROLE, LOCAL_ROLE, LOCAL_ELSEWHERE, EMPTY)


@pytest.mark.parametrize(
    "binding, evidence",
    [
        pytest.param(
            Binding("pay", "payments", "ClusterRole", "rollwarden-senior", (SENIORS,)),
            ["RoleBinding payments → ClusterRole rollwarden-senior (group seniors)"],
            id="a cluster role bound here",
        ),
        pytest.param(
            Binding("", "all", "ClusterRole", "rollwarden-senior", (ADA, SENIORS)),
            [
                "ClusterRoleBinding all → ClusterRole rollwarden-senior (user ada@corp)",
                "ClusterRoleBinding all → ClusterRole rollwarden-senior (group seniors)",
            ],
            id="bound in the whole cluster, to two",
        ),
        pytest.param(
            Binding("pay", "mine", "Role", "local", (ADA,)),
            ["RoleBinding mine → Role local (user ada@corp)"],
            id="a role of this namespace",
        ),
        pytest.param(Binding("shop", "x", "ClusterRole", "rollwarden-senior", (ADA,)), [], id="bound elsewhere"),
        pytest.param(Binding("pay", "x", "ClusterRole", "local", (ADA,)), [], id="no cluster role of that name"),
        pytest.param(Binding("", "x", "Role", "local", (ADA,)), [], id="a role bound in the whole cluster"),
        pytest.param(Binding("pay", "x", "ClusterRole", "view", (ADA,)), [], id="a role that gives no tier"),
        pytest.param(Binding("pay", "x", "ClusterRole", "gone", (ADA,)), [], id="a role that is gone"),
        pytest.param(Binding("pay", "x", "ClusterRole", "rollwarden-senior"), [], id="bound to nobody"),
    ],
)
def test_who_holds_a_tier(binding: Binding, evidence: list[str]) -> None:
    assert [one.evidence for one in holdings([binding], ROLES, "pay")] == evidence


def hold(subject: Subject, *tiers: Tier) -> Holding:
    return Holding(subject, frozenset(tiers), f"binding of {subject.name}")


def test_the_evidence_is_a_binding_to_the_person_before_one_to_a_group() -> None:
    held = (hold(SENIORS, P, S), hold(ADA, P, S), hold(SAM, P))
    assert evidence_of(held, "ada@corp", ["seniors"], S) == "binding of ada@corp"
    assert evidence_of(held, "mia@corp", ["seniors"], S) == "binding of seniors"
    assert evidence_of(held, "sam@corp", [], S) == ""
    assert evidence_of(held, "seniors", [], S) == ""  # a user of a group's name is not the group


def test_eligible_are_people_who_hold_the_tier_or_a_higher_one() -> None:
    held = (hold(ADA, P), hold(SAM, T), hold(ROBOT, P, S), hold(SENIORS, S))
    assert eligible(held, S) == (SENIORS, SAM)
    assert eligible(held, S, lambda user: user == "sam@corp") == (SENIORS,)
    assert eligible(held, P) == (SENIORS, ADA, SAM)


@pytest.mark.parametrize(
    "held, needed, lacking",
    [
        pytest.param((), (S,), S, id="nobody holds anything"),
        pytest.param((hold(SENIORS, S),), (S,), None, id="a group is somebody"),
        pytest.param((hold(SENIORS, S),), (S, S), None, id="and maybe two"),
        pytest.param((hold(ADA, S),), (S,), None, id="one person for one slot"),
        pytest.param((hold(ADA, S),), (S, S), S, id="one person for two slots"),
        pytest.param((hold(ADA, S), hold(ADA, P, S)), (S, S), S, id="one person bound twice is one"),
        pytest.param((hold(ADA, S), hold(SAM, T)), (S, S), None, id="a higher tier fills a lower slot"),
        pytest.param((hold(SAM, P, S, T),), (T, S), S, id="one person fills one slot"),
        pytest.param((hold(SENIORS, P, S),), (T, S), T, id="a lower tier fills no higher slot"),
        pytest.param((hold(ROBOT, S),), (S,), S, id="a service account is nobody"),
        pytest.param((), (), None, id="nothing is needed"),
    ],
)
def test_whether_a_requirement_can_be_met(held: tuple[Holding, ...], needed: tuple[Tier, ...], lacking: Tier) -> None:
    assert unfillable(held, slots(*needed)) == lacking


BIND = (
    ": bind ClusterRole rollwarden-senior to the people who should approve "
    "(kubectl create rolebinding seniors --clusterrole rollwarden-senior --group GROUP -n pay)"
)


@pytest.mark.parametrize(
    "held, barred, who",
    [
        pytest.param((hold(ADA, P),), (), "nobody in namespace pay holds tier senior", id="nobody at all"),
        pytest.param(
            (hold(ADA, S),),
            ("ada@corp",),
            "nobody but its authors, its submitter or who has approved already holds tier senior in namespace pay",
            id="nobody who may",
        ),
        pytest.param(
            (hold(ADA, S), hold(SAM, T)),
            ("ada@corp",),
            "only sam@corp holds tier senior in namespace pay, and more are needed",
            id="one, and two are needed",
        ),
    ],
)
def test_what_to_do_is_said_with_the_command(held: tuple[Holding, ...], barred: tuple[str, ...], who: str) -> None:
    assert too_few("pay", S, held, lambda user: user in barred) == who + BIND


def test_many_are_named_up_to_three() -> None:
    assert spoken_subjects([SENIORS, CHIEFS, ADA, SAM]) == "seniors or chiefs or ada@corp or 1 more"
    assert spoken_subjects([]) == ""


def waiting(held: tuple[Holding, ...] | None, contact: str = "") -> Change:
    """The Change of a revision that needs a senior, as that rule writes it."""
    needed = decision(S)
    about = change(decision=needed, classification=classification(authors=(author("Jo <jo@corp>"),)), contact=contact)
    outcome = approvals_missing(seen(changes=(about,), assessment=assessment(decision=needed), holdings=held))
    assert outcome is not None
    (status,) = [write.status for write in outcome.writes if isinstance(write, WriteChangeStatus)]
    assert status.phase is Phase.AWAITING_APPROVAL
    return change(status=status)


@pytest.mark.parametrize(
    "held, reason, text",
    [
        pytest.param((), "NobodyHoldsTier", "Nobody in namespace pay holds tier senior: bind", id="nobody"),
        pytest.param(
            (hold(Subject("User", "jo@corp"), S),), "NobodyHoldsTier", "Nobody but its authors", id="only its author"
        ),
        pytest.param((hold(SENIORS, S),), "ApprovalsMissing", "Ask seniors; kubectl rollwarden", id="somebody"),
        pytest.param(None, "ApprovalsMissing", "scaling. kubectl rollwarden", id="not looked up"),
    ],
)
def test_what_a_held_change_says_of_who_can_approve(held: tuple[Holding, ...] | None, reason: str, text: str) -> None:
    status = waiting(held).status
    assert status.reason == reason and text in status.message
    assert status.conditions[0].reason == reason


def test_the_contact_is_asked_before_who_merely_holds_the_tier() -> None:
    status = waiting((hold(SENIORS, S),), "#pay").status
    assert "Ask #pay;" in status.message and status.waiting_for == "1 senior of #pay"


def test_who_lost_the_tier_does_not_count_but_may_have_rejected() -> None:
    found = answer(vote("ada@corp", S, lost_tier=True), change(), requirements(), NOW)
    assert (found.counts, found.reason) == (False, "TierLost")
    assert "ada@corp does not hold tier senior in namespace pay any more" in found.message
