"""What a broken glass owes, on the real parts: announced, open after the change has ended, closed by a principal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.desk import HALF, Desk, approvals_of
from e2e.identities import PLATFORM
from e2e.processes import ManagedProcess
from e2e.shop import Scene, Shop, ai, played, refused
from e2e.stage import JUNIOR, ON_CALL, PRINCIPAL, SENIOR, annotations_of

pytestmark = pytest.mark.e2e

SECOND_PRINCIPAL = "sam@example.com"


def broken(desk: Desk, name: str, user: str = ON_CALL, shop: Shop | None = None) -> JsonObject:
    """A change that was released by break-glass, as its Change says once the operator has recorded it."""
    where = shop or desk.shop
    change = desk.held(name, shop=where)
    done = desk.run(user, "break-glass", name, "-m", "INC-812", shop=where)
    assert done.code == 0, done.err
    recorded: JsonObject = where.wait(
        "the break-glass to be recorded",
        lambda: now if "breakGlass" in (now := where.again(change))["status"] else None,
    )
    return recorded


def glass_of(shop: Shop, change: JsonObject) -> JsonObject:
    found: JsonObject = shop.again(change)["status"]["breakGlass"]
    return found


def closed(shop: Shop, change: JsonObject) -> JsonObject:
    found: JsonObject = shop.wait("the review to be closed", lambda: glass_of(shop, change).get("review"))
    return found


def owed_until_a_principal_closes_it(desk: Desk) -> None:
    shop = desk.shop
    change = broken(desk, "urgent")
    name = change["metadata"]["name"]
    (event,) = shop.wait("the Event", lambda: [e for e in shop.events("BreakGlass") if '"urgent"' in e])
    assert "olli@example.com" in event
    shop.completed("urgent")
    assert desk.run(ON_CALL, "review", "urgent", "-m", "fine").code == 1
    assert "you broke the glass" in desk.run(ON_CALL, "review", "urgent", "-m", "fine").err
    assert "a principal closes a review" in desk.run(SENIOR, "review", "urgent", "-m", "fine").err
    assert "a wildcard is not a tier" in desk.run("admin", "review", "urgent", "-m", "fine").err
    assert 'add -m "what was found"' in desk.run(PRINCIPAL, "review", "urgent").err
    inbox = desk.run(PRINCIPAL, "inbox")
    assert "kubectl rollwarden review urgent-r2 -n" in inbox.said
    (owed,) = [r for r in desk.run(PRINCIPAL, "inbox", "-o", "json").json["reviews"] if r["name"] == name]
    assert (owed["by"], owed["reason"], owed["overdue"]) == (ON_CALL, "INC-812", False)
    assert desk.run(SENIOR, "inbox", "-o", "json").json["reviews"] == []
    assert "a review by" in desk.run(JUNIOR, "status").said
    assert "open, due by" in desk.run(JUNIOR, "status", "urgent-r2").said
    done = desk.run(PRINCIPAL, "review", "urgent", "-m", "the pool was too small; it is 64 now")
    assert (done.code, "the review of urgent-r2 is closed" in done.said) == (0, True), done.err
    review = closed(shop, change)
    assert (review["closedBy"], review["note"]) == (PRINCIPAL, "the pool was too small; it is 64 now")
    assert shop.again(change)["status"]["phase"] == "Completed"
    assert [a["spec"]["decision"] for a in approvals_of(shop, change)] == ["Review"]
    assert all(r["name"] != name for r in desk.run(PRINCIPAL, "inbox", "-o", "json").json["reviews"])
    assert "closed by pia@example.com" in desk.run(JUNIOR, "status", "urgent-r2").said
    assert "has closed the review of urgent-r2" in desk.run(PRINCIPAL, "review", "urgent-r2", "-m", "again").err
    assert "nobody broke the glass for urgent-r1" in desk.run(PRINCIPAL, "review", "urgent-r1", "-m", "x").err


def written_by_hand(desk: Desk) -> None:
    """The kind and admission ask for the tier and the note; the operator for somebody else."""
    shop = desk.hasty
    shop.bind("principals-on-call", "ClusterRole", "rollwarden-break-glass", {"kind": "User", "name": PRINCIPAL})
    shop.bind("sam-is-principal", "ClusterRole", "rollwarden-principal", {"kind": "User", "name": SECOND_PRINCIPAL})
    change = broken(desk, "by-hand", PRINCIPAL, shop)
    review = {"decision": "Review", "tier": "Principal", "reason": "looked at it"}
    low = refused(lambda: shop.decide(change, PRINCIPAL, **(review | {"tier": "Senior"})))
    assert "a review of a break-glass is a principal's" in low.message
    assert "says in its reason" in refused(lambda: shop.decide(change, PRINCIPAL, **(review | {"reason": ""}))).message
    assert "does not hold tier principal" in refused(lambda: shop.decide(change, SENIOR, **review)).message
    own = shop.answered(shop.decide(change, PRINCIPAL, **review), "ReviewerBrokeGlass")
    assert "another principal reviews it" in own["message"]
    assert "review" not in glass_of(shop, change)
    first = shop.decide(change, SECOND_PRINCIPAL, **review)
    assert closed(shop, change)["ref"] == first
    assert shop.answered(first, "Counted")["status"] == "True"
    late = shop.decide(change, SECOND_PRINCIPAL, **review)
    assert shop.answered(late, "AlreadyReviewed")["status"] == "False"


def overdue_and_of_a_rollout_that_is_gone(desk: Desk) -> None:
    """One Warning when it is overdue, and it can be closed when nothing is left but the Change."""
    shop = desk.shop
    change = broken(desk, "gone")
    shop.completed("gone")
    path = shop.records("changes", change["metadata"]["name"], "status")
    past = [{"op": "add", "path": "/status/breakGlass/reviewDue", "value": "2026-01-01T00:00:00.000Z"}]
    shop.json_patch(shop.operator, path, past)
    said = shop.wait("the Warning", lambda: [e for e in shop.events("BreakGlassReviewOverdue") if '"gone"' in e])
    assert f"kubectl rollwarden review {change['metadata']['name']}" in said[0]
    assert glass_of(shop, change)["remindedAt"]
    overdue = [r for r in desk.run(PRINCIPAL, "inbox", "-o", "json").json["reviews"] if r["rollout"] == "gone"]
    assert [r["overdue"] for r in overdue] == [True]
    assert "overdue" in desk.run(PRINCIPAL, "inbox").said
    shop.client(PLATFORM).delete(shop.path("gone"))
    shop.apply(shop.manifest("other", "v1", steps=HALF))
    done = desk.run(PRINCIPAL, "review", "gone", "-m", "late, but fine")
    assert done.code == 0, done.err
    assert closed(shop, change)["note"] == "late, but fine"
    assert len([e for e in shop.events("BreakGlassReviewOverdue") if '"gone"' in e]) == 1


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (owed_until_a_principal_closes_it, written_by_hand, overdue_and_of_a_rollout_that_is_gone)
}


@pytest.fixture(scope="module")
def scenes(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[dict[str, Future[None]]]:
    shops = [Shop(control_plane, "glass"), Shop(control_plane, "by-hand")]
    with played(control_plane, SCENES, Desk(*shops)) as results:
        yield results
    for shop in shops:
        shop.close()


@pytest.mark.parametrize("scene", SCENES)
def test_review(scenes: dict[str, Future[None]], scene: str) -> None:
    scenes[scene].result()


def test_broken_and_written_over_while_the_operator_is_dead(
    control_plane: ControlPlane, operator: ManagedProcess, scenes: dict[str, Future[None]]
) -> None:
    """It rehearses and works all the same, and what nobody saw is recorded when the operator is back."""
    for scene in scenes.values():
        scene.exception()  # waits for its end: it needs the operator
    shop = Shop(control_plane, "dead")
    desk = Desk(shop, shop)
    change = desk.held("night")
    operator.kill()
    try:
        assert desk.run(ON_CALL, "break-glass", "night", "-m", "INC-9", "--rehearse").code == 0
        done = desk.run(ON_CALL, "break-glass", "night", "-m", "INC-9")
        assert done.code == 0, done.err
        broken_set = shop.wait("Argo to carry it to the ReplicaSet", lambda: marked(shop, "night"))
        assert annotations_of(broken_set)["rollwarden.dev/break-glass"] == "INC-9"
        shop.apply(shop.manifest("night", "v3", ai("v3"), steps=HALF), JUNIOR)
        shop.settled("night")
    finally:
        operator.start()
    ended = shop.reach(change, "Superseded")
    glass = ended["status"]["breakGlass"]
    assert (glass["user"], glass["reason"], "review" in glass) == (ON_CALL, "INC-9", False)
    assert shop.wait("the Warning", lambda: [e for e in shop.events("BreakGlass") if '"night"' in e])
    assert "breakGlass" not in shop.waits("night")["status"]
    assert desk.run(PRINCIPAL, "review", "night", "-m", "nobody saw it, now somebody did").code == 0
    assert closed(shop, change)["closedBy"] == PRINCIPAL
    shop.close()


def marked(shop: Shop, name: str) -> JsonObject | None:
    found = shop.revision(name, "v2")
    return found if found and "rollwarden.dev/break-glass-by" in annotations_of(found) else None
