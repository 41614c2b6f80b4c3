"""Policies and profiles that the API server takes and the operator cannot use: said by field, the last good one stays.

With the operator restarted in between, because what is in force must not depend on what it remembers.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.apiclient import MERGE, JsonObject
from e2e.controlplane import ControlPlane
from e2e.identities import PLATFORM
from e2e.processes import ManagedProcess, wait_until_ready
from e2e.shop import POLICIES, Shop, ai, condition, quick_policy
from e2e.stage import JUNIOR

pytestmark = pytest.mark.e2e

# A schema cannot see that the preset brings a rule of the same name.
CLASH = [{"name": "ai-on-high", "require": {"approvals": [{"tier": "Principal"}]}}]


@pytest.fixture(scope="module")
def shop(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[Shop]:
    shop = Shop(control_plane, "rules")
    yield shop
    shop.close()


def accepted(shop: Shop, name: str, status: str, generation: int) -> JsonObject:
    """The policy once its condition says so of that generation."""

    def look() -> JsonObject | None:
        live = shop.client().get(f"{POLICIES}/{name}")
        found = condition(live, "Accepted")
        return live if (found.get("status"), found.get("observedGeneration")) == (status, generation) else None

    found: JsonObject = shop.wait(f"{name} to be Accepted {status}", look)
    return found


def rules_of(shop: Shop, name: str, tag: str) -> list[str]:
    """Which rules a new AI-assisted template falls under."""
    shop.apply(shop.manifest(name, tag, ai(tag)), JUNIOR)
    return list(shop.waits(name)["spec"]["decision"]["rules"])


def test_unusable_policy(shop: Shop, operator: ManagedProcess) -> None:
    policy = shop.namespace
    shop.deploy("judged")
    good = accepted(shop, policy, "True", 1)
    assert good["status"]["accepted"] == {"generation": 1, "spec": good["spec"]}
    assert rules_of(shop, "judged", "v2") == ["ai-needs-senior", "prove"]

    bad_spec = {"preset": "Memo", "rules": CLASH, "profiles": None}
    shop.client(PLATFORM).patch(f"{POLICIES}/{policy}", {"spec": bad_spec}, MERGE)
    bad = accepted(shop, policy, "False", 2)
    found = condition(bad, "Accepted")
    assert found["reason"] == "Unusable"
    assert 'spec.rules[0] is the second of name "ai-on-high" (the first is the preset\'s)' in found["message"]
    assert bad["status"]["accepted"] == good["status"]["accepted"]
    assert "ai-on-high" in shop.cp.kubectl("get", "guardrailpolicy", policy, "-o", "yaml").out
    assert rules_of(shop, "judged", "v3") == ["ai-needs-senior", "prove"]

    operator.kill()
    operator.start()
    wait_until_ready(operator, lambda: '"started"' in operator.log_since_start(), 30)
    assert rules_of(shop, "judged", "v4") == ["ai-needs-senior", "prove"]
    assert accepted(shop, policy, "False", 2)["status"]["accepted"] == good["status"]["accepted"]

    shop.client(PLATFORM).patch(f"{POLICIES}/{policy}", {"spec": {"rules": [], "preset": "Memo"}}, MERGE)
    fixed = accepted(shop, policy, "True", 3)
    assert fixed["status"]["accepted"]["generation"] == 3
    assert [h["generation"] for h in fixed["status"]["history"]] == [1, 3]
    assert rules_of(shop, "judged", "v5") == ["ai-on-medium"]


def test_never_accepted_policy(shop: Shop) -> None:
    """One that was wrong from the start is not in force at all: the namespace has the preset memo, not nothing."""
    other = Shop(shop.cp, "wrong")
    shop.client(PLATFORM).delete(f"{POLICIES}/{other.namespace}")
    wrong = quick_policy(other.namespace)
    wrong["spec"] |= {"preset": "Proportional", "rules": CLASH}
    shop.client(PLATFORM).create(POLICIES, wrong)
    live = accepted(shop, other.namespace, "False", 1)
    assert "accepted" not in live["status"]
    other.deploy("lonely")
    other.apply(other.manifest("lonely", "v2", ai("v2")), JUNIOR)
    decision = other.waits("lonely")["spec"]["decision"]
    assert [p["name"] for p in decision["policies"]] == ["preset:memo"]
    assert decision["rules"] == ["ai-on-medium"]
    other.close()


def test_stricter_policy_reaches_what_is_held(shop: Shop) -> None:
    """What a held change needs only grows: a new rule counts at once, taking it away again frees nothing."""
    other = Shop(shop.cp, "grown")
    other.deploy("held")
    other.apply(other.manifest("held", "v2", ai("v2")), JUNIOR)
    change = other.waits("held")
    rules = quick_policy(other.namespace)["spec"]["rules"]
    strict = {"name": "two-seniors", "when": {"origins": ["AI"]}, "require": {"approvals": [_two()]}}
    path = f"{POLICIES}/{other.namespace}"
    shop.client(PLATFORM).patch(path, {"spec": {"rules": [*rules, strict]}}, MERGE)
    other.wait("two seniors", lambda: other.again(change)["status"]["waitingFor"] == "2 seniors of #shop")
    other.decide(change)
    other.wait("one senior", lambda: other.again(change)["status"]["waitingFor"] == "1 senior of #shop")
    shop.client(PLATFORM).patch(path, {"spec": {"rules": []}}, MERGE)
    other.reach(change, "Canary", "Completed")
    other.close()


def _two() -> JsonObject:
    return {"tier": "Senior", "count": 2}


def test_profiles(shop: Shop) -> None:
    """A selector that cannot be read is named; two profiles for one Rollout are said on both."""
    other = Shop(shop.cp, "teams")
    other.apply(other.manifest("shared", "v1"))
    query = {"total": "a_total{app}", "bad": "a_total{app}"}
    indicator = {"name": "broken", "type": "Errors", "objective": {"targetPercent": "99"}, "query": query}
    second = {
        "apiVersion": "rollwarden.dev/v1alpha1",
        "kind": "ServiceProfile",
        "metadata": {"name": "second"},
        "spec": {"indicators": [indicator]},
    }
    shop.client().create(other.records("serviceprofiles"), second)

    def conditions(name: str) -> dict[str, tuple[str, str]]:
        live = shop.client().get(other.records("serviceprofiles", name))
        return {c["type"]: (c["status"], c.get("message", "")) for c in live.get("status", {}).get("conditions", ())}

    def overlapping(name: str) -> bool:
        return conditions(name).get("Overlapping", ("", ""))[0] == "True"

    other.wait("both to say that they overlap", lambda: overlapping("all") and overlapping("second"))
    assert "also selected by all" in conditions("second")["Overlapping"][1]
    assert conditions("all")["IndicatorsUsable"][0] == "True"
    status, message = conditions("second")["IndicatorsUsable"]
    assert status == "False" and 'indicators["broken"]' in message
    other.close()
