"""Who holds a tier: a requirement nobody can meet is named at once, evidence is kept, a lost tier does not count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.identities import PLATFORM
from e2e.processes import ManagedProcess
from e2e.shop import Shop, ai, lenient_profile
from e2e.stage import JUNIOR, OTHER_SENIOR, RBAC, SENIOR

pytestmark = pytest.mark.e2e

SENIORS = {"kind": "Group", "name": "payments-seniors"}


def without_contact() -> JsonObject:
    profile = lenient_profile()
    del profile["spec"]["contact"]
    return profile


@pytest.fixture(scope="module")
def shop(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[Shop]:
    shop = Shop(control_plane, "tiers", profile=without_contact())
    yield shop
    shop.close()


def unbind(shop: Shop, name: str) -> None:
    shop.client().delete(f"{RBAC}/namespaces/{shop.namespace}/rolebindings/{name}")


def bind(shop: Shop, role: str, subject: JsonObject, name: str = "") -> None:
    shop.bind(name or role, "ClusterRole", role, subject)


def held(shop: Shop, name: str, reason: str = "ApprovalsMissing") -> JsonObject:
    shop.apply(shop.manifest(name, "v2", ai("v2")), JUNIOR)
    return shop.waits(name, reason)


def counted(shop: Shop, change: JsonObject) -> list[JsonObject]:
    return list(shop.again(change)["status"].get("approvals", ()))


def test_a_requirement_that_nobody_can_meet_is_named_at_once(shop: Shop) -> None:
    shop.deploy("nobody")
    unbind(shop, "rollwarden-senior")
    unbind(shop, "rollwarden-principal")
    try:
        # who runs the platform holds every tier, and submits this one
        shop.apply(shop.manifest("nobody", "v2", ai("v2")), PLATFORM)
        message = shop.waits("nobody", "NobodyHoldsTier")["status"]["message"]
        assert "Nobody but its authors, its submitter or who has approved already holds tier senior in" in message
        assert f"--clusterrole rollwarden-senior --group GROUP -n {shop.namespace})" in message
        bind(shop, "rollwarden-senior", {"kind": "User", "name": JUNIOR}, "jun")  # its author
    finally:
        bind(shop, "rollwarden-senior", SENIORS)
        bind(shop, "rollwarden-principal", {"kind": "Group", "name": "principals"})
    change = shop.waits("nobody")
    shop.wait("all to be named", lambda: "Ask payments-seniors or principals; kubectl" in said(shop, "nobody"))
    refused = shop.answered(shop.decide(change, user=JUNIOR), "ApproverIsAuthor")
    assert refused["message"].endswith("Eligible: payments-seniors or principals.")
    unbind(shop, "jun")
    shop.decide(change)
    shop.reach(change, "Canary", "Baking", "Completed")
    (approval,) = counted(shop, change)
    assert approval["evidence"] == (
        "RoleBinding rollwarden-senior → ClusterRole rollwarden-senior (group payments-seniors)"
    )


def said(shop: Shop, name: str) -> str:
    return str(shop.change(name).get("status", {}).get("message", ""))


def test_who_lost_the_tier_before_the_release_does_not_count_any_more(shop: Shop) -> None:
    policy = f"/apis/rollwarden.dev/v1alpha1/guardrailpolicies/{shop.namespace}"
    rules = shop.client().get(policy)["spec"]["rules"]
    two = {"name": "two", "when": {"origins": ["AI"]}, "require": {"approvals": [{"tier": "Senior", "count": 2}]}}
    shop.client(PLATFORM).patch(policy, {"spec": {"rules": [*rules, two]}})
    shop.deploy("lost")
    change = held(shop, "lost")
    first = shop.decide(change)
    shop.wait("one of two", lambda: len(counted(shop, change)) == 1)
    unbind(shop, "rollwarden-senior")
    bind(shop, "rollwarden-senior", {"kind": "User", "name": OTHER_SENIOR}, "sam")
    lost = shop.answered(first, "TierLost")["message"]
    assert f"{SENIOR} does not hold tier senior in namespace {shop.namespace} any more" in lost
    shop.wait("nobody to count", lambda: counted(shop, change) == [])
    assert f"{first}: approve by {SENIOR} does not count" in shop.again(change)["status"]["message"]
    shop.decide(change, user=OTHER_SENIOR)
    shop.wait("the other one to count", lambda: [a["user"] for a in counted(shop, change)] == [OTHER_SENIOR])
    assert shop.again(change)["status"]["phase"] == "AwaitingApproval"
    bind(shop, "rollwarden-senior", SENIORS)
    shop.reach(change, "Canary", "Baking", "Completed")
    evidence = {a["user"]: a["evidence"] for a in counted(shop, change)}
    assert evidence[OTHER_SENIOR] == f"RoleBinding sam → ClusterRole rollwarden-senior (user {OTHER_SENIOR})"
    assert evidence[SENIOR].endswith("(group payments-seniors)")
    shop.client(PLATFORM).patch(policy, {"spec": {"rules": rules}})
    unbind(shop, "sam")


def test_an_approval_by_annotation_says_that_admission_vouched_for_it(shop: Shop) -> None:
    shop.deploy("noted")
    change = held(shop, "noted")
    digest = change["spec"]["templateDigest"].removeprefix("sha256:")
    key = "approval.rollwarden.dev/senior"
    shop.merge("noted", {"metadata": {"annotations": {key: f"{SENIOR} {digest}"}}}, SENIOR)
    shop.reach(change, "Canary", "Baking", "Completed")
    (approval,) = counted(shop, change)
    assert approval["source"] == "Annotation"
    assert approval["evidence"] == "admission, when it was written (an annotation carries no groups)"
