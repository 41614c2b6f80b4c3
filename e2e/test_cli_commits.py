"""One decision on one commit across Rollouts and namespaces, and what people type wrong, on the real parts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.desk import HALF, Desk, approvals_of, numbered
from e2e.identities import PLATFORM
from e2e.processes import ManagedProcess
from e2e.shop import POLICIES, Scene, Shop, ai, condition, phase_of, played, quick_policy, refused
from e2e.stage import JUNIOR, OTHER_SENIOR, PRINCIPAL, SENIOR, hold_of

pytestmark = pytest.mark.e2e

SHARED = "3f2c1abd99e0c0ffee" + "0" * 22
LIKE_IT = "3f2c1ab0" + "1" * 32
APPROVAL = "approval.rollwarden.dev/"


def across_rollouts(desk: Desks) -> None:
    """Two Rollouts here and one in another namespace carry the commit; one of ada's own and a likely one do not go."""
    first, second = desk.held("pay-api", commits=SHARED), desk.held("pay-web", commits=f"77aa00b,{SHARED[:12]}")
    third = desk.held("ledger", commits=SHARED, shop=desk.hasty)
    own = desk.held("pay-own", commits=SHARED, authors="ada@example.com")
    other = desk.held("pay-other", commits=LIKE_IT)
    short = desk.everywhere(SENIOR, "approve", "--commit", "3f2c1ab")
    assert (short.code, "3f2c1ab is short for 2 commits" in short.err) == (1, True), short.err
    assert "/pay-other-r2" in short.err
    bad = desk.everywhere(SENIOR, "approve", "--commit", "HEAD")
    assert "write 7 or more hex digits" in bad.err
    none = desk.everywhere(SENIOR, "approve", "--commit", "deadbeefcafe")
    assert "no change in the namespaces you may list carries deadbeefcafe" in none.said
    listed = desk.everywhere(SENIOR, "inbox")
    assert f"commit {SHARED[:12]}: 3 changes" in listed.said
    assert f"kubectl rollwarden approve --commit {SHARED[:12]}" in listed.said
    groups = desk.everywhere(SENIOR, "inbox", "-o", "json").json["commits"]
    names = {c["metadata"]["name"] for c in (first, second, third)}
    assert names in [set(g["changes"]) for g in groups]

    nobody = desk.everywhere(JUNIOR, "approve", "--commit", SHARED[:12])
    assert (nobody.code, "you hold no tier in namespace" in nobody.said) == (1, True)
    done = desk.everywhere(SENIOR, "approve", "--commit", SHARED[:12], "-m", "read all of it")
    assert done.code == 0, done.err
    assert done.out.index("you approve 3 changes") < done.out.index("counted"), "the list comes first"
    assert "you wrote or submitted it; it needs 1 senior" in done.said
    for shop, change in ((desk.shop, first), (desk.shop, second), (desk.hasty, third)):
        approvals = [a["spec"] for a in approvals_of(shop, change)]
        assert [(a["changeRef"]["uid"], a["templateDigest"], a["tier"]) for a in approvals] == [
            (change["metadata"]["uid"], change["spec"]["templateDigest"], "Senior")
        ]
        assert hold_of(shop.live(change["spec"]["rollout"]["name"])).startswith("released-")
    for change in (own, other):
        assert approvals_of(desk.shop, change) == []
        assert phase_of(desk.shop.again(change)) == "AwaitingApproval"


def partial_failure(desk: Desks) -> None:
    """Where sam is listed as an AI agent his decision does not go; the other one does, and the exit code says so."""
    sha = "beef001" + "2" * 33
    here, there = desk.held("part-here", commits=sha), desk.held("part-there", commits=sha, shop=desk.strict)
    done = desk.everywhere(OTHER_SENIOR, "approve", "--commit", sha[:10], "-o", "json")
    assert done.code == 1
    counted = {one["change"]: one["counted"] for one in done.json["approvals"]}
    assert counted.pop(here["metadata"]["name"]) is True
    failed = [one["change"] for one in done.json["failed"]] + [name for name, yes in counted.items() if yes is False]
    assert failed == [there["metadata"]["name"]]
    assert phase_of(desk.strict.again(there)) == "AwaitingApproval"
    again = desk.run(OTHER_SENIOR, "approve", "--commit", sha[:10])
    assert (again.code, f"nothing that carries {sha[:10]} waits in namespace" in again.said) == (1, True)


def rejected_everywhere(desk: Desks) -> None:
    sha = "bad0001" + "3" * 33
    one, two = desk.held("bad-one", commits=sha), desk.held("bad-two", commits=sha, shop=desk.hasty)
    assert 'add -m "why"' in desk.everywhere(SENIOR, "reject", "--commit", sha).err
    done = desk.everywhere(SENIOR, "reject", "--commit", sha, "-m", "drops the ledger", "-o", "json")
    assert (done.code, len(done.json["approvals"])) == (0, 2), done.err
    assert {phase_of(desk.shop.again(one)), phase_of(desk.hasty.again(two))} == {"Rejected"}


def wrong_changes(desk: Desks) -> None:
    """An approval of a finished, unknown or other change is answered with what waits now and what to type."""
    shop = desk.shop
    old = desk.held("moved")
    shop.apply(shop.manifest("moved", "v3", ai("v3"), steps=HALF), JUNIOR)
    now = numbered(shop, shop.waits("moved"))
    shop.reach(old, "Superseded")
    name = now["metadata"]["name"]
    type_this = f"{name} waits now: kubectl rollwarden approve {name} -n {shop.namespace}"

    def answer(reason: str, **spec: Any) -> str:
        given = shop.decide(now, **spec)
        return str(shop.answered(given, reason)["message"])

    ref = {"name": old["metadata"]["name"], "uid": old["metadata"]["uid"]}
    assert answer("ChangeFinished", changeRef=ref).endswith(f"is Superseded; {type_this}")
    assert type_this in answer("OtherDigest", templateDigest="sha256:" + "0" * 64)
    assert type_this in answer("OtherAttempt", changeRef={"name": name, "uid": "another"})
    gone = {"name": f"{name.rpartition('-')[0]}-999999", "uid": "x"}
    assert type_this in answer("UnknownChange", changeRef=gone)
    assert "kubectl rollwarden inbox -n" in answer("UnknownChange", changeRef={"name": "never-was", "uid": "x"})
    done = desk.run(SENIOR, "approve", old["metadata"]["name"])
    assert (done.code, "is superseded; moved-r3 waits now: kubectl rollwarden approve moved-r3" in done.said) == (
        1,
        True,
    )
    for typo in (gone["name"], "moved-r99"):
        done = desk.run(SENIOR, "approve", typo)
        assert f'there is no change "{typo}"' in done.err
        assert f"moved-r3 waits now: kubectl rollwarden approve moved-r3 -n {shop.namespace}" in done.err
    assert desk.run(SENIOR, "approve", "moved-r3").code == 0


def by_annotation(desk: Desks) -> None:
    """Together with an object; the other forms are refused with the right one; it is dated and does not renew."""
    shop = desk.shop
    change = desk.held("noted")
    digest = change["spec"]["templateDigest"]

    def annotate(value: str, user: str = SENIOR, tier: str = "senior") -> JsonObject:
        return shop.merge("noted", {"metadata": {"annotations": {APPROVAL + tier: value}}}, user)

    for value in ("yes", f"{SENIOR}", f"{SENIOR} {digest[:20]}", f"{OTHER_SENIOR} {digest}", f"{SENIOR}  {digest}"):
        said = refused(partial(annotate, value)).message
        assert f'reads "{SENIOR} <template digest, 32 hex or more>"' in said
        assert f"kubectl rollwarden approve noted -n {shop.namespace} writes it for you" in said
    assert "names no tier; the tiers are peer, senior, principal" in refused(lambda: annotate("x", tier="boss")).message
    assert "does not hold tier principal" in refused(lambda: annotate(f"{SENIOR} {digest}", tier="principal")).message
    annotate(f"{SENIOR} sha256:{'0' * 64}")
    shop.wait(
        "the message to say that it does not count",
        lambda: "it names another template" in shop.again(change)["status"]["message"],
    )
    annotate(f"{SENIOR} {digest.removeprefix('sha256:')[:32]}")
    done = shop.reach(change, "Canary", "Completed", "Baking")
    (counted,) = done["status"]["approvals"]
    assert (counted["user"], counted["source"], counted["tier"]) == (SENIOR, "Annotation", "Senior")
    (dated,) = done["status"]["annotationApprovals"]
    assert (dated["user"], dated["tier"]) == (SENIOR, "Senior")
    assert dated["firstSeen"] >= change["metadata"]["creationTimestamp"][:19]


def one_person_one_slot(desk: Desks) -> None:
    """A principal's annotation fills the lower slot, and the same person's object does not fill another."""
    shop = desk.strict
    change = desk.held("two-eyes", shop=shop)
    digest = change["spec"]["templateDigest"]
    shop.merge("two-eyes", {"metadata": {"annotations": {APPROVAL + "principal": f"{PRINCIPAL} {digest}"}}}, PRINCIPAL)
    first = shop.decide(change, user=PRINCIPAL, tier="Senior")
    shop.answered(first, "Counted")
    shop.wait(
        "one slot to be filled", lambda: shop.again(change)["status"].get("waitingFor", "").startswith("1 senior")
    )
    assert len(shop.again(change)["status"]["approvals"]) == 1
    assert desk.run(SENIOR, "approve", "two-eyes", shop=shop).code == 0
    released = shop.reach(change, "Canary", "Completed", "Baking")
    assert condition(released, "Approved")["status"] == "True"


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        across_rollouts,
        partial_failure,
        rejected_everywhere,
        wrong_changes,
        by_annotation,
        one_person_one_slot,
    )
}


TWO_SENIORS: JsonObject = {
    "rules": [
        {
            "name": "four-eyes",
            "when": {"origins": ["AI"]},
            "require": {"approvals": [{"tier": "Senior", "count": 2}]},
        }
    ],
    "agents": {"users": [OTHER_SENIOR]},
}
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


@dataclass(frozen=True)
class Desks(Desk):
    """In the ``strict`` namespace two seniors are needed, and sam is listed as an AI agent."""

    strict: Shop


@pytest.fixture(scope="module")
def scenes(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[dict[str, Future[None]]]:
    platform = control_plane.access.client(PLATFORM)
    shops = [Shop(control_plane, "commits"), Shop(control_plane, "elsewhere"), Shop(control_plane, "strict")]
    policy = quick_policy(shops[2].namespace)
    policy["metadata"]["name"] = "four-eyes"
    platform.create(
        POLICIES, {**policy, "spec": {**TWO_SENIORS, "namespaceSelector": policy["spec"]["namespaceSelector"]}}
    )
    looks = {
        "metadata": {"name": "look-everywhere"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "rollwarden-auditor"},
        "subjects": [{"kind": "User", "name": user} for user in (JUNIOR, SENIOR, OTHER_SENIOR)],
    }
    control_plane.api.create(BINDINGS, looks)
    with played(control_plane, SCENES, Desks(*shops)) as results:
        yield results
    control_plane.api.delete(f"{BINDINGS}/look-everywhere")
    platform.delete(f"{POLICIES}/four-eyes")
    for shop in shops:
        shop.close()


@pytest.mark.parametrize("scene", SCENES)
def test_cli_commits(scenes: dict[str, Future[None]], scene: str) -> None:
    scenes[scene].result()
