"""The command line as people run it, against the real API server, Argo and the operator.

Each scene has a Rollout of its own; all of them play at the same time. Offline commands: ``tests/cli``.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.desk import HALF, Desk
from e2e.processes import ManagedProcess
from e2e.shop import IMAGE, Scene, Shop, ai, low, phase_of, played
from e2e.stage import JUNIOR, ON_CALL, OTHER_SENIOR, PRINCIPAL, SENIOR, annotations_of, hold_of, steps_of

pytestmark = pytest.mark.e2e

# -- look -----------------------------------------------------------------------------------------------------------


def seen_while_held(desk: Desk) -> None:
    change = desk.held("seen", tools="Copilot", commits="3f2c1ab")
    name, revision = change["metadata"]["name"], "seen-r2"
    for asked in ("seen", revision, name):
        found = desk.run(JUNIOR, "status", asked, "-o", "json")
        assert found.code == 0, found.err
        assert (found.json["name"], found.json["shortName"], found.json["phase"]) == (
            name,
            revision,
            "AwaitingApproval",
        )
    listed = desk.run(JUNIOR, "status", "-o", "json").json["items"]
    assert [one["shortName"] for one in listed].index(revision) < [one["shortName"] for one in listed].index("seen-r1")
    explained = desk.run(JUNIOR, "explain", "seen", "-o", "json").json
    assert {"classification", "decision", "plan", "message", "next"} <= set(explained)
    assert explained["plan"]["ownerSteps"] == HALF
    assert explained["plan"]["gates"]
    assert explained["decision"]["rules"] == ["ai-needs-senior", "prove"]
    assert explained["next"][0]["action"] == f"kubectl rollwarden approve {revision} -n {desk.shop.namespace}"
    for command in (("status", "seen"), ("explain", "seen"), ("status",)):
        assert "1 senior of #shop" in desk.run(JUNIOR, *command).said


def inboxes(desk: Desk) -> None:
    change = desk.held("asked-for", authors="sam@example.com")
    name = change["metadata"]["name"]

    def boxes(user: str) -> tuple[set[str], set[str]]:
        found = desk.run(user, "inbox", "-o", "json").json
        return {one["name"] for one in found["items"]}, {one["name"] for one in found["own"]}

    assert name in boxes(SENIOR)[0]
    assert name in boxes(PRINCIPAL)[0]
    for user in (JUNIOR, OTHER_SENIOR):
        mine, own = boxes(user)
        assert name not in mine
        assert name in own
    assert name not in set.union(*boxes(ON_CALL))
    assert "asked-for-r2" in desk.run(SENIOR, "inbox").said


def unknown_names(desk: Desk) -> None:
    for command in (("status",), ("explain",), ("approve",), ("wait", "--timeout=5s"), ("undo",), ("abort",)):
        done = desk.run(SENIOR, *command, "nothing-here")
        assert done.code == 1
        assert 'there is no change and no Rollout "nothing-here"' in done.err


# -- decide ---------------------------------------------------------------------------------------------------------


def approved(desk: Desk) -> None:
    desk.held("wanted", commits="3f2c1ab,77aa00b")
    waiting = desk.run(JUNIOR, "wait", "wanted", "--for", "released", "--timeout", "1s")
    assert (waiting.code, "still waits for 1 senior of #shop" in waiting.err) == (3, True)
    refused = desk.run(JUNIOR, "approve", "wanted")
    assert refused.code == 1
    assert refused.err.startswith("error: approval refused: you hold no tier in namespace")
    assert "wanted-r2 needs 1 senior; ask #shop" in refused.err
    assert "a wildcard is not a tier" in desk.run("admin", "approve", "wanted").err
    other = desk.run(SENIOR, "approve", "wanted", "--commit", "deadbeef")
    assert (other.code, "carries 3f2c1ab, 77aa00b, not deadbeef" in other.err) == (1, True)
    done = desk.run(SENIOR, "approve", "wanted", "--commit", "77aa00b", "-o", "json")
    (given,) = done.json["approvals"]
    assert (done.code, given["tier"], given["counted"]) == (0, "Senior", True)
    assert given["approval"].endswith("-ada-example-com-1")
    assert desk.run(JUNIOR, "wait", "wanted", "--for", "released", "--timeout", "30s").code == 0
    again = desk.run(SENIOR, "approve", "wanted-r2")
    assert (again.code, "is already released" in again.err) == (1, True)
    live = desk.run(JUNIOR, "explain", "wanted", "-o", "json").json
    assert live["approvals"][0]["user"] == SENIOR
    assert [step for step in live["plan"]["steps"] if step in HALF] == HALF


def not_by_its_author(desk: Desk) -> None:
    desk.held("selfish", authors="jun@example.com,ada@example.com")
    done = desk.run(SENIOR, "approve", "selfish")
    assert done.code == 1
    assert "approval refused: ada@example.com is an author of this change" in done.said
    assert "needs 1 senior, not an author. Eligible: payments-seniors or principals" in done.said
    done = desk.run(PRINCIPAL, "approve", "selfish")
    assert done.code == 0
    assert "as senior, pia@example.com" in done.said


def several_at_once(desk: Desk) -> None:
    """One that cannot be approved does not keep the others from it."""
    desk.held("many-one")
    desk.held("many-two")
    done = desk.run(SENIOR, "approve", "many-one", "nothing-here", "many-two", "-o", "json")
    assert done.code == 1
    assert [one["counted"] for one in done.json["approvals"]] == [True, True]
    assert len(done.json["errors"]) == 1


def rejected(desk: Desk) -> None:
    desk.held("unwanted")
    done = desk.run(SENIOR, "reject", "unwanted", "-m", "no tests for refunds")
    assert done.code == 0, done.err
    assert "unwanted-r2 is rejected, it stays at 0 pods" in done.said
    waited = desk.run(JUNIOR, "wait", "unwanted", "--timeout", "20s", "-o", "json")
    assert (waited.code, waited.json["exitCode"], waited.json["phase"]) == (4, 4, "Rejected")
    assert "no tests for refunds" in waited.json["message"]
    late = desk.run(OTHER_SENIOR, "approve", "unwanted")
    assert (late.code, "unwanted-r2 is rejected; nothing of unwanted waits" in late.err) == (1, True)


def waits_for_the_latest(desk: Desk) -> None:
    """Right after an apply the newest Change may still be the one before, which is done."""
    desk.shop.deploy("latest", steps=HALF)
    for number in range(2, 5):
        desk.shop.apply(desk.shop.manifest("latest", f"v{number}", low(), steps=HALF))
        done = desk.run(JUNIOR, "wait", "latest", "--timeout", "40s", "-o", "json")
        assert done.code == 0, done.err
        assert done.json["revision"] == number


def unproven(desk: Desk) -> None:
    """No request ever comes, so nothing is shown: past its maximum the gate holds for a person."""
    shop = desk.hasty
    shop.deploy("quiet", steps=HALF)
    shop.apply(shop.manifest("quiet", "v2", ai("v2"), steps=HALF), JUNIOR)
    change = shop.waits("quiet")
    assert desk.run(SENIOR, "approve", "quiet", shop=shop).code == 0
    shop.reach(change, "Canary", reason="Unproven")
    waited = desk.run(JUNIOR, "wait", "quiet", "--timeout", "0s", shop=shop)
    assert (waited.code, "is not proven safe" in waited.err) == (6, True)
    assert change["metadata"]["name"] in desk.run(SENIOR, "inbox", "-o", "json", shop=shop).out
    assert desk.run(SENIOR, "approve", "quiet", "--accept-unproven", shop=shop).code == 0
    assert desk.run(JUNIOR, "wait", "quiet", "--timeout", "60s", shop=shop).code == 6
    assert phase_of(shop.again(change)) == "Completed"


# -- emergencies ----------------------------------------------------------------------------------------------------


def aborted_and_retried(desk: Desk) -> None:
    """What is aborted is quarantined, whatever timestamp comes with it; of a low service its owner may retry."""
    shop = desk.shop
    steps: list[JsonObject] = [{"setWeight": 50}, {"pause": {}}]
    shop.deploy("doubtful", steps=HALF)
    assert "has no canary under way" in desk.run(JUNIOR, "abort", "doubtful").err
    shop.apply(shop.manifest("doubtful", "v2", low(), steps=steps), JUNIOR)
    change = shop.reach(shop.change("doubtful"), "Canary")
    shop.wait("its pods", lambda: shop.largest("doubtful", "v2") > 0)
    shop.settled("doubtful")
    done = desk.run(JUNIOR, "abort", "doubtful")
    assert done.code == 0, done.err
    assert desk.run(JUNIOR, "wait", change["metadata"]["name"], "--timeout", "30s").code == 5
    shop.apply(shop.manifest("doubtful", "v2", low() | {"deployed-at": "now"}, steps=steps), JUNIOR)
    again = shop.manifest("doubtful", "v2", low(), steps=HALF)
    again["spec"]["template"]["metadata"]["annotations"] = {"deployed-at": "now"}
    shop.apply(again, JUNIOR)
    shop.waits("doubtful", reason="Quarantined")
    plain = desk.run(SENIOR, "approve", "doubtful")
    assert (plain.code, "--quarantined -m" in plain.err) == (1, True)
    assert 'add -m "' in desk.run(SENIOR, "retry", "doubtful").err
    assert desk.run(SENIOR, "retry", "doubtful", "-m", "the database is back").code == 0
    assert desk.run(JUNIOR, "wait", "doubtful", "--timeout", "60s").code == 0
    assert shop.largest("doubtful", "v2") > 0


def undone(desk: Desk) -> None:
    shop = desk.shop
    shop.deploy("wrong", steps=HALF)
    alone = desk.run(JUNIOR, "undo", "wrong")
    assert (alone.code, "no known good revision besides the one it has now" in alone.err) == (1, True)
    shop.apply(shop.manifest("wrong", "v2", low(), steps=HALF))
    shop.completed("wrong")
    shop.healthy("wrong")
    done = desk.run(JUNIOR, "undo", "wrong")
    assert done.code == 0, done.err
    assert f"has the template of r1 again ({IMAGE}v1)" in done.said
    assert desk.run(JUNIOR, "wait", "wrong", "--timeout", "60s").code == 0
    live = shop.healthy("wrong")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == f"{IMAGE}v1"
    assert shop.changes("wrong")[-1]["spec"]["knownGood"]
    assert steps_of(live) == HALF


def broken_glass(desk: Desk) -> None:
    change = desk.held("urgent")
    assert "you do not hold the verb break-glass" in desk.run(JUNIOR, "break-glass", "urgent", "-m", "INC-812").err
    assert "a wildcard is no right" in desk.run("admin", "break-glass", "urgent", "-m", "INC-812").err
    assert 'add -m "' in desk.run(ON_CALL, "break-glass", "urgent").err
    done = desk.run(ON_CALL, "break-glass", "urgent", "-m", "INC-812")
    assert done.code == 0, done.err
    assert done.said.startswith('BREAK-GLASS: olli@example.com released "urgent" without approval at ')
    assert "A principal owes a review by" in done.said
    assert hold_of(desk.shop.live("urgent")).startswith("released-")
    assert annotations_of(desk.shop.live("urgent"))["rollwarden.dev/break-glass-by"] == ON_CALL
    assert desk.run(ON_CALL, "wait", "urgent", "--timeout", "60s").code == 6, "it ran, and nobody proved it"
    seen = desk.run(ON_CALL, "status", change["metadata"]["name"], "-o", "json").json
    assert seen["breakGlass"]["reason"] == "INC-812"
    assert seen["next"][-1]["who"] == "a principal"
    again = desk.run(ON_CALL, "break-glass", "urgent", "-m", "INC-813")
    assert (again.code, "there is nothing to release" in again.err) == (1, True)


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        seen_while_held,
        inboxes,
        unknown_names,
        approved,
        not_by_its_author,
        several_at_once,
        rejected,
        waits_for_the_latest,
        unproven,
        aborted_and_retried,
        undone,
        broken_glass,
    )
}


@pytest.fixture(scope="module")
def scenes(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[dict[str, Future[None]]]:
    shop = Shop(control_plane, "desk")
    hasty = Shop(control_plane, "hasty", policy={"maxStep": "2s"})
    with played(control_plane, SCENES, Desk(shop, hasty)) as results:
        yield results
    hasty.close()
    shop.close()


@pytest.mark.parametrize("scene", SCENES)
def test_cli(scenes: dict[str, Future[None]], scene: str) -> None:
    scenes[scene].result()
