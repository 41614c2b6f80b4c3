"""The life of a change under the real operator, without traffic: what is held, who may decide, what a person reads.

Each scene has a Rollout of its own; all of them play at the same time. With traffic: ``test_operator_gates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from e2e.apiclient import ApiError, JsonObject
from e2e.controlplane import ControlPlane
from e2e.processes import ManagedProcess
from e2e.shop import QUICK, Scene, Shop, ai, condition, low, own_annotations, phase_of, played, refused
from e2e.stage import BARRIER, CI, JUNIOR, OTHER_SENIOR, PRINCIPAL, SENIOR, annotations_of, hold_of, steps_of

pytestmark = pytest.mark.e2e

PAUSED: list[JsonObject] = [{"setWeight": 50}, {"pause": {"duration": "1h"}}]


# -- nothing is needed ----------------------------------------------------------------------------------------------


def nothing_needed(shop: Shop) -> None:
    shop.deploy("free", steps=[{"setWeight": 50}, {"pause": {"duration": "1s"}}])
    shop.apply(shop.manifest("free", "v2", low(), steps=[{"setWeight": 50}, {"pause": {"duration": "1s"}}]), JUNIOR)
    done = shop.completed("free")
    live = shop.healthy("free")
    assert steps_of(live) == [{"setWeight": 50}, {"pause": {"duration": "1s"}}]
    assert hold_of(live) == f"released-{done['spec']['rollout']['attempt']}"
    assert own_annotations(live) == {"hold", "submitted-by", "submitter-groups", "criticality"}
    assert done["spec"]["submitter"]["user"] == JUNIOR
    assert done["spec"]["classification"]["origin"] == "Unknown"
    assert [phase_of(c) for c in shop.changes("free")] == ["Completed", "Completed"]
    assert shop.largest("free", "v2") == 2
    for kind in ("Approved", "Released", "Restored"):
        assert condition(done, kind)["status"] == "True"


def undo(shop: Shop) -> None:
    """A return to a revision that once completed is a rollback: nobody is asked, whoever wrote it."""
    shop.deploy("undone")
    shop.apply(shop.manifest("undone", "v2", low()))
    shop.completed("undone")
    shop.healthy("undone")
    shop.apply(shop.manifest("undone", "v1", ai("v1")), JUNIOR)
    back = shop.completed("undone")
    assert back["spec"]["knownGood"]
    assert back["status"].get("approvals", []) == []
    assert shop.size("undone", shop.healthy("undone")["status"]["stableRS"]) == 2


def revert_in_hold(shop: Shop) -> None:
    shop.deploy("reverted")
    shop.apply(shop.manifest("reverted", "v2", ai("v2")), JUNIOR)
    held = shop.waits("reverted")
    shop.apply(shop.manifest("reverted", "v1", low()), JUNIOR)
    shop.completed("reverted")
    shop.reach(held, "Superseded")
    assert shop.largest("reverted", "v2") == 0
    assert steps_of(shop.healthy("reverted")) == QUICK


# -- held -----------------------------------------------------------------------------------------------------------


def held(shop: Shop) -> None:
    """Nothing of it runs while stable scales; everybody can read why and whom to ask."""
    shop.deploy("held")
    shop.apply(shop.manifest("held", "v2", ai("v2")), JUNIOR)
    change = shop.waits("held")
    assert steps_of(shop.live("held")) == [*BARRIER, *QUICK]
    sentence = change["status"]["message"]
    assert sentence.startswith('rollout "held" is held at 0 new pods: AI-assisted change to a medium service needs 1 s')
    shop.wait("the message", lambda: annotations_of(shop.live("held")).get("rollwarden.dev/message") == sentence)
    assert change["status"]["waitingFor"] == "1 senior of #shop"
    assert sentence in shop.wait("the Event", lambda: shop.events("ApprovalsMissing"))
    shop.scale("held", 4)
    shop.wait("stable to scale", lambda: shop.size("held", shop.stable("held")) == 4)
    table = shop.cp.kubectl("get", "changes", "-n", shop.namespace, change["metadata"]["name"]).out
    assert "AwaitingApproval   1 senior of #shop" in table
    assert shop.largest("held", "v2") == 0


def who_may_approve(shop: Shop) -> None:
    """The order of the answers is that of the people asking; only the last of them counts."""
    shop.deploy("asked")
    shop.apply(shop.manifest("asked", "v2", ai("v2", authors="jun@example.com,ada@example.com")), OTHER_SENIOR)
    change = shop.waits("asked")
    assert "does not hold tier senior" in refused(lambda: shop.decide(change, JUNIOR)).message
    assert "does not hold tier principal" in refused(lambda: shop.decide(change, SENIOR, tier="Principal")).message
    name = shop.decide(change, SENIOR, approver={"user": PRINCIPAL})
    assert "is an author of this change" in shop.answered(name, "ApproverIsAuthor")["message"]
    name = shop.decide(change, OTHER_SENIOR)
    assert "submitted this change" in shop.answered(name, "ApproverIsSubmitter")["message"]
    name = shop.decide(change, PRINCIPAL, templateDigest="sha256:" + "0" * 64)
    assert change["metadata"]["name"] in shop.answered(name, "OtherDigest")["message"]
    name = shop.decide(change, PRINCIPAL, changeRef={"name": change["metadata"]["name"], "uid": "another"})
    assert "names another attempt" in shop.answered(name, "OtherAttempt")["message"]
    name = shop.decide(change, PRINCIPAL, changeRef={"name": "nothing", "uid": "another"})
    assert 'no Change "nothing" in' in shop.answered(name, "UnknownChange")["message"]
    assert phase_of(shop.again(change)) == "AwaitingApproval"
    name = shop.decide(change, PRINCIPAL)
    shop.reach(change, "Canary")
    shop.answered(name, "Counted")
    (counted,) = shop.again(change)["status"]["approvals"]
    assert (counted["user"], counted["tier"], counted["ref"]) == (PRINCIPAL, "Senior", name)


def machines_may_not(shop: Shop) -> None:
    shop.deploy("machine")
    account = shop.namespace
    shop.client().create(f"/api/v1/namespaces/{account}/serviceaccounts", {"metadata": {"name": "bot"}})
    bot = {"kind": "ServiceAccount", "name": "bot", "namespace": account}
    shop.bind("bot", "ClusterRole", "rollwarden-senior", bot)
    shop.apply(shop.manifest("machine", "v2", ai("v2")), JUNIOR)
    change = shop.waits("machine")
    shop.service_account(account, "bot")
    who = f"{account}:bot"
    assert "approvals are given by people" in refused(lambda: shop.decide(change, who)).message
    assert "not a tier" in refused(lambda: shop.decide(change, "admin")).message
    assert phase_of(shop.again(change)) == "AwaitingApproval"


def first_deploy(shop: Shop) -> None:
    shop.apply(shop.manifest("first", "v1", ai("v1")), JUNIOR)
    change = shop.waits("first")
    assert "nothing serves yet" in change["status"]["message"]
    assert shop.largest("first", "v1") == 0
    shop.decide(change)
    shop.completed("first")
    assert len(shop.ready_pods("first")) == 2
    assert steps_of(shop.healthy("first")) == QUICK


# -- refused --------------------------------------------------------------------------------------------------------


def rejected(shop: Shop) -> None:
    shop.deploy("rejected")
    shop.apply(shop.manifest("rejected", "v2", ai("v2")), JUNIOR)
    change = shop.waits("rejected")
    shop.decide(change, decision="Reject", reason="no tests for the refund path")
    shop.reach(change, "Rejected")
    assert "no tests for the refund path" in shop.again(change)["status"]["message"]
    late = shop.decide(change, OTHER_SENIOR)
    shop.answered(late, "ChangeFinished")
    assert phase_of(shop.again(change)) == "Rejected"
    shop.apply(shop.manifest("rejected", "v1", low()))
    shop.completed("rejected")
    assert shop.largest("rejected", "v2") == 0


def rejected_after_release(shop: Shop) -> None:
    shop.deploy("regretted", replicas=4)
    shop.apply(shop.manifest("regretted", "v2", ai("v2"), replicas=4), JUNIOR)
    change = shop.waits("regretted")
    shop.decide(change)
    shop.reach(change, "Canary", reason="Evidence")
    shop.decide(change, OTHER_SENIOR, decision="Reject", reason="wrong tax table")
    done = shop.reach(change, "RolledBack")
    assert done["status"]["verdict"]["reason"] == "RejectedByPerson"
    assert "wrong tax table" in done["status"]["verdict"]["message"]
    shop.wait("stable alone", lambda: shop.size("regretted", shop.stable("regretted")) == 4)


def denied(shop: Shop) -> None:
    """A rule that denies is not lifted by approvals; a template without the denied part is another change."""
    shop.deploy("denied")
    shop.apply(shop.manifest("denied", "v2", ai("v2", areas="ledger")), JUNIOR)
    change = shop.reach(shop.change("denied"), "Denied")
    assert 'hands off (rule "ledger-by-hand", set by ' in change["status"]["message"]
    shop.answered(shop.decide(change, PRINCIPAL), "ChangeFinished")
    shop.apply(shop.manifest("denied", "v3", low()), JUNIOR)
    shop.completed("denied")
    assert phase_of(shop.again(change)) == "Denied"
    assert shop.largest("denied", "v2") == 0


# -- superseded -----------------------------------------------------------------------------------------------------


def superseded_in_hold(shop: Shop) -> None:
    """An approval binds to one attempt: it serves neither a newer template nor the same one written again."""
    shop.deploy("fickle")
    shop.apply(shop.manifest("fickle", "v2", ai("v2")), JUNIOR)
    older = shop.waits("fickle")
    shop.apply(shop.manifest("fickle", "v3", ai("v3")), JUNIOR)
    shop.reach(older, "Superseded")
    newer = shop.waits("fickle")
    answer = shop.answered(shop.decide(older), "ChangeFinished")
    assert newer["metadata"]["name"] in answer["message"]
    shop.apply(shop.manifest("fickle", "v2", ai("v2")), JUNIOR)
    shop.reach(newer, "Superseded")
    again = shop.waits("fickle")
    assert again["metadata"]["name"] != older["metadata"]["name"]
    assert again["status"].get("approvals", []) == []
    assert shop.largest("fickle", "v2") == shop.largest("fickle", "v3") == 0
    assert steps_of(shop.live("fickle")) == [*BARRIER, *QUICK]


def superseded_mid_canary(shop: Shop) -> None:
    shop.deploy("overtaken", replicas=4)
    shop.apply(shop.manifest("overtaken", "v2", ai("v2"), replicas=4), JUNIOR)
    older = shop.waits("overtaken")
    shop.decide(older)
    shop.reach(older, "Canary", reason="Evidence")
    assert shop.largest("overtaken", "v2") == 2
    shop.apply(shop.manifest("overtaken", "v3", ai("v3"), replicas=4), JUNIOR)
    assert "ada@example.com" in shop.reach(older, "Superseded")["status"]["message"]
    newer = shop.waits("overtaken")
    assert newer["status"].get("approvals", []) == []
    shop.wait("all traffic on stable", lambda: shop.size("overtaken", shop.stable("overtaken")) == 4)
    shop.wait("no pod of v2", lambda: shop.revision("overtaken", "v2")["spec"]["replicas"] == 0)  # type: ignore[index]
    assert shop.largest("overtaken", "v3") == 0
    shop.apply(shop.manifest("overtaken", "v1", low(), replicas=4))
    shop.completed("overtaken")
    assert steps_of(shop.healthy("overtaken")) == QUICK


# -- odd input ------------------------------------------------------------------------------------------------------


def malformed_claims(shop: Shop) -> None:
    shop.deploy("odd")
    claims = ai("v2", origin="robot", share="lots", authors=",") | {"evidence.rollwarden.dev/tests": "maybe"}
    shop.apply(shop.manifest("odd", "v2", low() | claims), JUNIOR)
    change = shop.completed("odd")
    assert change["spec"]["classification"]["origin"] == "Unknown"
    notes = shop.wait("the Events", lambda: len(found := shop.events("MalformedClaim")) >= 4 and found)
    for key in claims:
        assert key.endswith("/subject") or any(f'annotation "{key}"' in note for note in notes), (key, notes)


def two_at_once(shop: Shop) -> None:
    """Two templates written at the same moment: the last one stands, each attempt has at most one Change."""
    shop.deploy("contested", replicas=1)
    users = (JUNIOR, CI, OTHER_SENIOR, SENIOR)
    with ThreadPoolExecutor(len(users)) as pool:
        for number in range(3):
            tags = [f"w{number}-{user[:2]}" for user in users]
            manifests = [shop.manifest("contested", tag, ai(tag)) for tag in tags]
            assert any(pool.map(lambda one, user: _applied(shop, one, user), manifests, users))
    final = shop.waits("contested")
    attempts = [c["spec"]["rollout"]["attempt"] for c in shop.changes("contested")]
    assert len(set(attempts)) == len(attempts)
    live = [c for c in shop.changes("contested") if phase_of(c) not in ("Superseded", "Completed")]
    assert [c["metadata"]["name"] for c in live] == [final["metadata"]["name"]]
    assert steps_of(shop.live("contested")) == [*BARRIER, *QUICK]


def _applied(shop: Shop, manifest: JsonObject, user: str) -> bool:
    """False where the API server says that somebody else was quicker."""
    try:
        shop.apply(manifest, user)
    except ApiError as error:
        if error.code != 409:
            raise
        return False
    return True


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        nothing_needed,
        undo,
        revert_in_hold,
        held,
        who_may_approve,
        machines_may_not,
        first_deploy,
        rejected,
        rejected_after_release,
        denied,
        superseded_in_hold,
        superseded_mid_canary,
        malformed_claims,
        two_at_once,
    )
}


@pytest.fixture(scope="module")
def scenes(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[dict[str, Future[None]]]:
    shop = Shop(control_plane, "life")
    with played(control_plane, SCENES, shop) as results:
        yield results
    shop.close()


@pytest.mark.parametrize("scene", SCENES)
def test_life(scenes: dict[str, Future[None]], scene: str) -> None:
    scenes[scene].result()
