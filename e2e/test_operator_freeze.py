"""Freezes and off-limits on the running operator: what waits for a freeze, what does not, and what is said about it.

A freeze's times are whole minutes, so one that ends in some seconds began at the last full minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from e2e.apiclient import MERGE, JsonObject
from e2e.controlplane import ControlPlane
from e2e.desk import Desk
from e2e.identities import PLATFORM
from e2e.processes import ManagedProcess
from e2e.shop import POLICIES, Shop, ai, condition, low, phase_of, quick_policy, refused
from e2e.stage import ADMIN, JUNIOR, ON_CALL, PREFIX, annotations_of

pytestmark = pytest.mark.e2e

SHORT, LONG = 20.0, 3600.0
BREAK_GLASS = PREFIX + "break-glass"


@pytest.fixture(scope="module")
def desk(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[Desk]:
    shop = Shop(control_plane, "calm")
    yield Desk(shop, shop)
    shop.close()


@pytest.fixture
def shop(desk: Desk) -> Iterator[Shop]:
    """The module's shop, under its quick policy alone before and after."""
    yield desk.shop
    set_rules(desk.shop)


def window(left: float, name: str = "calm") -> JsonObject:
    """A freeze that is on, and has about ``left`` seconds to go; it does not come again this year."""
    now = time.time()
    begun = datetime.fromtimestamp(now - now % 60, UTC)
    schedule = f"{begun.minute} {begun.hour} {begun.day} {begun.month} *"
    return {"name": name, "schedule": schedule, "duration": f"{round(now % 60 + left)}s"}


def set_rules(shop: Shop, *more: JsonObject) -> int:
    """The policy's generation with the quick rules and these, once the operator has accepted it."""
    path, rules = f"{POLICIES}/{shop.namespace}", quick_policy(shop.namespace)["spec"]["rules"]
    written = shop.client(PLATFORM).patch(path, {"spec": {"rules": [*rules, *more]}}, MERGE)
    generation = int(written["metadata"]["generation"])

    def accepted() -> bool:
        found = condition(shop.client().get(path), "Accepted")
        return (found.get("status"), found.get("observedGeneration")) == ("True", generation)

    shop.wait(f"generation {generation} to be accepted", accepted)
    return generation


def freezing(left: float, name: str = "calm") -> JsonObject:
    return {"name": f"rule-{name}", "require": {"freeze": [window(left, name)]}}


def test_it_waits_for_the_end_and_writes_nothing_meanwhile(shop: Shop, desk: Desk) -> None:
    shop.deploy("quiet")
    end = time.time() + SHORT
    set_rules(shop, freezing(SHORT))
    shop.apply(shop.manifest("quiet", "v2", low()))
    change = shop.reach(shop.change("quiet"), "Frozen", reason="Frozen")
    said = 'waits for freeze "calm" to end '
    assert change["status"]["waitingFor"] == change["status"]["message"].partition("waits for ")[2].partition(";")[0]
    assert said in change["status"]["message"] and "no action needed" in change["status"]["message"]
    told = shop.wait("the message on the Rollout", lambda: annotations_of(shop.live("quiet")).get(PREFIX + "message"))
    assert told == change["status"]["message"]

    waiting = desk.run(JUNIOR, "wait", "quiet", "--for", "released", "--timeout", "0s")
    assert (waiting.code, 'still waits for freeze "calm" to end' in waiting.err) == (3, True)
    explained = desk.run(JUNIOR, "explain", "quiet", "-o", "json").json
    assert [(f["name"], f["rule"], f["open"]) for f in explained["freezes"]] == [("calm", "rule-calm", True)]
    assert explained["next"][0]["who"] == "nobody"
    assert "on now, to " in desk.run(JUNIOR, "explain", "quiet").said

    versions = {shop.again(change)["metadata"]["resourceVersion"]}

    def over() -> bool:
        now = shop.again(change)
        if phase_of(now) == "Frozen":
            versions.add(now["metadata"]["resourceVersion"])
        return phase_of(now) != "Frozen"

    assert shop.largest("quiet", "v2") == 0
    shop.wait("the freeze to end", over, SHORT + 30)
    assert len(versions) == 1, "nothing is written while it waits"
    done = shop.reach(change, "Completed")
    released = datetime.fromisoformat(done["status"]["release"]["time"]).timestamp()
    assert released >= end - 1.0, "not before the end"


def test_approvals_are_collected_and_a_looser_policy_frees_nothing(shop: Shop, desk: Desk) -> None:
    shop.deploy("held")
    shop.deploy("free")
    set_rules(shop, freezing(LONG))
    shop.apply(shop.manifest("held", "v2", ai("v2")), JUNIOR)
    change = shop.waits("held")
    assert change["status"]["waitingFor"].startswith('1 senior of #shop, and freeze "calm" to end ')
    assert 'It also waits for freeze "calm"' in change["status"]["message"]
    shop.decide(change)
    shop.reach(change, "Frozen")

    set_rules(shop)
    shop.apply(shop.manifest("free", "v2", low()))
    shop.completed("free")
    still = shop.again(change)
    assert phase_of(still) == "Frozen", "the freeze that it was held under holds it"
    assert shop.largest("held", "v2") == 0
    explained = desk.run(ADMIN, "explain", "held", "-o", "json").json
    assert [f["name"] for f in explained["freezes"]] == ["calm"]

    shop.apply(shop.manifest("held", "v1", low()))
    shop.completed("held")


def test_break_glass_and_the_way_back_pass(shop: Shop) -> None:
    shop.deploy("urgent")
    set_rules(shop, freezing(LONG))
    shop.apply(shop.manifest("urgent", "v2", {**low(), BREAK_GLASS: "INC-812"}), ON_CALL)
    change = shop.completed("urgent")
    assert change["status"]["breakGlass"]["reason"] == "INC-812"
    shop.apply(shop.manifest("urgent", "v1", low()))
    shop.completed("urgent")


def test_one_that_opens_mid_canary_holds_the_next_gate(shop: Shop) -> None:
    shop.deploy("midway")
    shop.apply(shop.manifest("midway", "v2"))
    change = shop.reach(shop.change("midway"), "Canary", reason="Evidence")
    set_rules(shop, freezing(LONG, "sudden"))
    frozen = shop.reach(change, "Canary", reason="Frozen")
    assert frozen["status"]["waitingFor"].startswith('freeze "sudden" to end ')
    assert 'stays at 50 %: it waits for freeze "sudden"' in frozen["status"]["message"]
    shop.scale("midway", 4, ADMIN)
    shop.wait("scaling", lambda: len(shop.ready_pods("midway")) >= 4)
    shop.status("midway", {"abort": True}, ADMIN)
    shop.reach(change, "RolledBack")


def test_a_denial_names_who_set_its_rule(shop: Shop) -> None:
    shop.deploy("books")
    path = f"{POLICIES}/{shop.namespace}"
    rules = quick_policy(shop.namespace)["spec"]["rules"]
    deny = {"message": "ledger posting is off-limits to AI", "guideline": "https://wiki.example.com/ledger"}
    rules[2] = {"name": "ledger-by-hand", "when": {"areas": ["ledger"]}, "require": {"deny": deny}}
    written = shop.client(PLATFORM).patch(path, {"spec": {"rules": rules}}, MERGE)
    generation = int(written["metadata"]["generation"])

    def revision() -> JsonObject | None:
        history = shop.client().get(path).get("status", {}).get("history", ())
        return next((one for one in history if one["generation"] == generation), None)

    found = shop.wait("the new generation in the history", revision)
    assert (found["user"], found["rules"]) == (PLATFORM, ["ledger-by-hand"])
    shop.apply(shop.manifest("books", "v2", ai("v2", areas="ledger")), JUNIOR)
    change = shop.reach(shop.change("books"), "Denied")
    day = datetime.fromisoformat(found["time"])
    setter = f'(rule "ledger-by-hand", set by {PLATFORM} on {day.day} {day:%b}); approvals cannot lift this'
    assert setter in change["status"]["message"]
    assert f"or ask {PLATFORM}. See https://wiki.example.com/ledger." in change["status"]["message"]
    assert shop.largest("books", "v2") == 0


BAD: tuple[tuple[JsonObject, str], ...] = (
    ({"schedule": "@weekly"}, "spec.rules[0].require.freeze[0].schedule"),
    ({"duration": "0s"}, "a freeze lasts at least 1s and at most 8784h"),
    ({"duration": "8785h"}, "a freeze lasts at least 1s and at most 8784h"),
    ({"timeZone": "../zone"}, "spec.rules[0].require.freeze[0].timeZone"),
)


@pytest.mark.parametrize(("field", "words"), BAD, ids=lambda value: str(value)[:40])
def test_the_schema_refuses_what_it_can(shop: Shop, field: JsonObject, words: str) -> None:
    rule = {"name": "x", "require": {"freeze": [{"name": "f", "schedule": "0 18 * * 5", "duration": "60h"} | field]}}
    body = {"spec": {"rules": [rule]}}
    assert words in refused(lambda: shop.client(PLATFORM).patch(f"{POLICIES}/{shop.namespace}", body, MERGE)).message


def test_what_the_schema_cannot_see_is_named_by_field(shop: Shop) -> None:
    path = f"{POLICIES}/{shop.namespace}"
    freeze = {"name": "f", "schedule": "0 18 * * 5", "duration": "60h", "timeZone": "Europe/Belin"}
    shop.client(PLATFORM).patch(path, {"spec": {"rules": [{"name": "x", "require": {"freeze": [freeze]}}]}}, MERGE)
    found = shop.wait(
        "the policy to be unusable",
        lambda: (c := condition(shop.client().get(path), "Accepted")).get("status") == "False" and c,
    )
    assert 'spec.rules[0].require.freeze[0].timeZone is "Europe/Belin", which is no time zone' in found["message"]


def test_policy_test_over_what_was_recorded(shop: Shop, desk: Desk, tmp_path: Path) -> None:
    """By the admin, who may read all that it asks for; by a junior, who may not, and is told so."""
    shop.deploy("past")
    shop.apply(shop.manifest("past", "v2", ai("v2")), JUNIOR)
    shop.waits("past")
    strict = quick_policy(shop.namespace)
    strict["spec"]["rules"][0]["require"]["approvals"] = [{"tier": "Principal"}, {"tier": "Peer", "count": 2}]
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(strict))
    done = desk.run(ADMIN, "policy", "test", str(file), "--last", "1h", "-o", "json")
    assert done.code == 0, done.err
    (item,) = [one for one in done.json["items"] if one["shortName"] == "past-r2"]
    assert item["was"] == {"effect": "Held", "needs": "1 senior"}
    assert item["would"] == {"effect": "Held", "needs": "1 principal and 2 peers"}
    assert done.json["beside"] == [] or shop.namespace not in done.json["beside"]
    blind = desk.run(JUNIOR, "policy", "test", str(file), "--last", "1h")
    assert blind.code == 0, blind.err
    assert "who could have approved is not known" in blind.out
