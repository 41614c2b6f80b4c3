"""The admission policies are witnessed: tampering makes new revisions wait and voids what was approved meanwhile;
a restart and an upgrade void nothing; what runs, aborts and returns is not affected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from e2e.apiclient import MERGE, JsonObject
from e2e.controlplane import ControlPlane
from e2e.operator import NAMESPACE, measured
from e2e.processes import ManagedProcess, wait_until_ready
from e2e.shop import Shop, ai, refused
from e2e.stage import JUNIOR

pytestmark = pytest.mark.e2e

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
BINDING = f"{ADMISSION}/validatingadmissionpolicybindings/rollwarden-guard-approval"
POLICY = f"{ADMISSION}/validatingadmissionpolicies/rollwarden-guard-approval"
WITNESS = f"/api/v1/namespaces/{NAMESPACE}/configmaps/rollwarden-witness"


@pytest.fixture(scope="module")
def shop(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[Shop]:
    shop = Shop(control_plane, "guarded")
    yield shop
    shop.close()


@contextmanager
def stopped(operator: ManagedProcess) -> Iterator[None]:
    """The operator is away for the time of the block."""
    operator.kill()
    try:
        yield
    finally:
        operator.start()
        wait_until_ready(operator, lambda: '"started"' in operator.log_since_start(), 30)


def held(shop: Shop, name: str, tag: str = "v2") -> JsonObject:
    """A change that waits for a senior."""
    shop.apply(shop.manifest(name, tag, ai(tag)), JUNIOR)
    return shop.waits(name)


def rows(shop: Shop) -> dict[str, Any]:
    """The record, by policy and binding."""
    return {key: json.loads(text) for key, text in shop.client().get(WITNESS)["data"].items()}


def version(shop: Shop) -> str:
    return str(shop.client().get(WITNESS)["metadata"]["resourceVersion"])


def approved_again(shop: Shop, change: JsonObject) -> JsonObject:
    """Approves until one counts: for some seconds after a gap none does."""
    reasons = []

    def counts() -> bool:
        given = shop.decide(change)

        def answer() -> str:
            live = shop.client().get(shop.records("approvals", given))
            return next((str(c["reason"]) for c in live.get("status", {}).get("conditions", ())), "")

        reasons.append(shop.wait("an answer", answer))
        return bool(reasons[-1] == "Counted")

    shop.wait("an approval that counts", counts)
    assert set(reasons) <= {"GivenUnguarded", "Counted"}
    return shop.reach(change, "Canary", "Baking", "Completed")


def test_a_restart_voids_nothing_and_nothing_is_written_at_rest(shop: Shop, operator: ManagedProcess) -> None:
    shop.deploy("restarted")
    change = held(shop, "restarted")
    before = version(shop)
    live = shop.client().get(f"{ADMISSION}/validatingadmissionpolicies")["items"]
    ours = {p["metadata"]["name"] for p in live if p["metadata"]["name"].startswith("rollwarden-")}
    assert ours and ours <= {key.partition(".")[2] for key in rows(shop)}
    with stopped(operator):
        given = shop.decide(change)
    shop.answered(given, "Counted")
    shop.reach(change, "Canary", "Baking", "Completed")
    assert version(shop) == before
    assert measured(operator, "rollwarden_policies_intact") == 1
    assert measured(operator, "rollwarden_policies_outdated") == 0


def test_tampering_makes_new_revisions_wait_until_it_is_undone(shop: Shop, operator: ManagedProcess) -> None:
    for name in ("tampered", "running", "returning"):
        shop.deploy(name)
    running = held(shop, "running")
    shop.decide(running)
    shop.reach(running, "Canary", "Baking", "Completed")
    change = held(shop, "tampered")
    early = shop.decide(change, user="sam@example.com", tier="Peer")
    returning = held(shop, "returning")
    good = shop.client().get(BINDING)["spec"]
    shop.client().patch(BINDING, {"spec": {"validationActions": ["Audit"]}}, MERGE)
    try:
        waiting = shop.waits("tampered", "PoliciesNotIntact")
        message = waiting["status"]["message"]
        assert message.startswith('binding "rollwarden-guard-approval" was changed with ')
        assert "new revisions wait in enforced namespaces" in message and "rollbacks are not affected" in message
        assert waiting["status"]["waitingFor"] == "the admission policies to be put back as installed"
        assert measured(operator, "rollwarden_policies_intact") == 0
        given = shop.decide(change)
        shop.answered(given, "GivenUnguarded")
        # back to what is known to be good, with the policies as they are
        shop.apply(shop.manifest("returning", "v1", ai("v1")), JUNIOR)
        shop.reach(shop.change("returning"), "Completed")
        assert shop.again(returning)["status"]["phase"] == "Superseded"
        assert shop.again(change)["status"]["phase"] == "AwaitingApproval"
    finally:
        shop.client().patch(BINDING, {"spec": good}, MERGE)
    missing = shop.waits("tampered")
    assert f"{given}: approve by ada@example.com does not count: it was given before" in missing["status"]["message"]
    shop.answered(early, "GivenUnguarded")
    assert rows(shop)["ValidatingAdmissionPolicyBinding.rollwarden-guard-approval"]["generation"] >= 3
    approved_again(shop, change)
    assert measured(operator, "rollwarden_policies_intact") == 1
    shop.wait("the event", lambda: noted(shop, "PoliciesNotIntact") and noted(shop, "PoliciesIntact"))


def noted(shop: Shop, reason: str) -> bool:
    listed = shop.client().get(f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events")["items"]
    return any(e.get("reason") == reason and e["regarding"]["name"] == "rollwarden-witness" for e in listed)


def test_what_happened_while_the_operator_was_away_is_found(shop: Shop, operator: ManagedProcess) -> None:
    """Deleted, used, and put back exactly as it was: the new object gives it away."""
    shop.deploy("away")
    change = held(shop, "away")
    body = shop.client().get(BINDING)
    body["metadata"] = {key: body["metadata"][key] for key in ("name", "labels")}
    with stopped(operator):
        given = shop.decide(change)
        shop.client().delete(BINDING)
        shop.client().create(BINDING.rpartition("/")[0], body)
    shop.answered(given, "GivenUnguarded")
    assert 'binding "rollwarden-guard-approval" was changed' in shop.waits("away")["status"]["message"]
    approved_again(shop, change)


def test_an_upgrade_voids_nothing(shop: Shop, operator: ManagedProcess) -> None:
    """An operator of an earlier version has witnessed its own policy; this one comes first, its policies after it."""
    shop.deploy("upgraded")
    change = held(shop, "upgraded")
    with stopped(operator):
        earlier = shop.client().patch(POLICY, {"spec": {"auditAnnotations": [AUDIT]}}, MERGE)
        key = "ValidatingAdmissionPolicy.rollwarden-guard-approval"
        row = rows(shop)[key] | {"generation": earlier["metadata"]["generation"], "print": "earlier"}
        shop.operator.patch(WITNESS, {"data": {key: json.dumps(row)}}, MERGE)
        given = shop.decide(change, user="sam@example.com", tier="Peer")
    try:
        shop.wait("the earlier version to be told", lambda: measured(operator, "rollwarden_policies_outdated") == 1)
        assert measured(operator, "rollwarden_policies_intact") == 1
        shop.answered(given, "Counted")
    finally:
        shop.client().patch(POLICY, {"spec": {"auditAnnotations": None}}, MERGE)
    shop.wait("the upgrade to be seen", lambda: measured(operator, "rollwarden_policies_outdated") == 0)
    assert measured(operator, "rollwarden_policies_intact") == 1
    assert shop.answered(given, "Counted")
    shop.answered(shop.decide(change), "Counted")
    shop.reach(change, "Canary", "Baking", "Completed")


AUDIT = {"key": "earlier", "valueExpression": "'an earlier version'"}


def test_the_witness_is_the_operators_alone(shop: Shop) -> None:
    """Also out of reach of who may do everything everywhere, short of taking a policy away, which is witnessed."""
    forged = {"data": {"ValidatingAdmissionPolicy.rollwarden-guard-approval": "{}"}}
    assert refused(lambda: shop.client(JUNIOR).patch(WITNESS, forged, MERGE)).code == 403
    for ask in (lambda: shop.client().patch(WITNESS, forged, MERGE), lambda: shop.client().delete(WITNESS)):
        assert "rollwarden-witness is written by the operator only" in refused(ask).message
