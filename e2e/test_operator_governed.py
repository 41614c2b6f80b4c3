"""The map that tells admission about a namespace: what stands in it, when it is written, and by whom it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2e.apiclient import MERGE, ApiError, JsonObject
from e2e.controlplane import ControlPlane
from e2e.identities import PLATFORM
from e2e.processes import ManagedProcess
from e2e.shop import POLICIES, Shop, ai, lenient_profile, low, refused
from e2e.stage import JUNIOR, PREFIX, hold_of

pytestmark = pytest.mark.e2e

MAP = "rollwarden-governed"
AGENT = "agent"


@pytest.fixture(scope="module")
def shop(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[Shop]:
    profile = lenient_profile()
    profile["spec"]["onNewTemplate"] = "Refuse"
    shop = Shop(control_plane, "governed", profile=profile)
    yield shop
    shop.close()


def path(shop: Shop, name: str = MAP) -> str:
    return f"/api/v1/namespaces/{shop.namespace}/configmaps/{name}"


def live_map(shop: Shop) -> JsonObject | None:
    try:
        return shop.client().get(path(shop))
    except ApiError as error:
        if error.code == 404:
            return None
        raise


def told(shop: Shop, what: str, holds: Callable[[dict[str, str]], Any]) -> dict[str, str]:
    """The map's data once it holds."""

    def look() -> dict[str, str] | None:
        found = live_map(shop)
        data = dict(found.get("data", {})) if found else {}
        return data if found and holds(data) else None

    found: dict[str, str] = shop.wait(what, look)
    return found


def switch(shop: Shop, mode: str) -> None:
    labels = {"metadata": {"labels": {PREFIX + "mode": mode}}}
    shop.client(PLATFORM).patch(f"/api/v1/namespaces/{shop.namespace}", labels)


def test_what_stands_in_it(shop: Shop) -> None:
    owned = shop.manifest("owned", "v1", {PREFIX + "criticality": "critical"})
    subsets = {"name": "subsets", "canarySubsetName": "canary", "stableSubsetName": "stable"}
    routing = {"istio": {"virtualService": {"name": "edge"}, "destinationRule": subsets}}
    services = {"canaryService": "owned-new", "stableService": "owned-old", "trafficRouting": routing}
    owned["spec"]["strategy"]["canary"] |= services
    shop.apply(owned)
    data = told(shop, "the Rollout's entries", lambda data: "live.owned" in data)
    assert {key: value for key, value in data.items() if key.endswith(".owned")} == {
        "crit.owned": "critical",
        "pods.owned": "\napp=owned\n",
        "sel.owned": "\napp=owned\n",
        "svc.owned": "\nowned-new\nowned-old\n",
        "vs.owned": "\nedge\nsubsets\n",
        "live.owned": "true",
    }
    agents = {"users": ["robot"], "groups": ["agents"], "serviceAccounts": [{"namespace": "ci", "name": "coder"}]}
    shop.client(PLATFORM).patch(f"{POLICIES}/{shop.namespace}", {"spec": {"agents": agents}}, MERGE)
    data = told(shop, "the agents", lambda data: "agents.users" in data)
    assert data["agents.users"] == "\nrobot\nsystem:serviceaccount:ci:coder\n"
    assert data["agents.groups"] == "\nagents\n"
    shop.client(PLATFORM).delete(shop.path("owned"))
    told(shop, "the deleted Rollout to be gone from it", lambda data: not any(k.endswith(".owned") for k in data))


def test_who_is_an_agent_by_group_is_told_what_to_do(shop: Shop) -> None:
    """Whatever the change claims of itself; the groups are kept with it."""
    human = ai("v1", origin="human", authors="ada@example.com")
    shop.apply(shop.manifest("agents", "v1", human), AGENT)
    change = shop.waits("agents")
    assert change["spec"]["submitter"]["user"] == AGENT
    assert "agents" in change["spec"]["submitter"]["groups"]
    found = change["spec"]["classification"]
    assert (found["origin"], found["autonomy"], found["agentSubmitter"]) == ("AI", "Agent", True)
    assert "do not retry, delete or recreate; report it to your human" in change["status"]["message"]


def test_trains_are_told_while_a_canary_is_under_way(shop: Shop) -> None:
    shop.deploy("train")
    assert "live.train" not in told(shop, "the end of the first revision", lambda data: "live.train" not in data)
    shop.apply(shop.manifest("train", "v2"), JUNIOR)  # not low any more, so it is gated, and nobody sends it requests
    change = shop.change("train")["metadata"]["name"]
    data = told(shop, "the train", lambda data: data.get("train.train", "").startswith(f"{change} is at "))
    assert (data["live.train"], data["crit.train"]) == ("true", "medium")
    shop.reach(shop.change("train"), "Canary", reason="Evidence")
    shop.status("train", {"abort": True})
    data = told(shop, "the end of the train", lambda data: "train.train" not in data and "live.train" not in data)
    assert data["crit.train"] == "medium"


def test_written_only_when_something_changed(shop: Shop) -> None:
    shop.apply(shop.manifest("idle", "v1", low()))
    shop.completed("idle")
    shop.healthy("idle")
    told(shop, "the end of its first revision", lambda data: "crit.idle" in data and "live.idle" not in data)
    before = live_map(shop)
    shop.scale("idle", 3)
    shop.wait("the pods", lambda: shop.live("idle")["status"].get("availableReplicas") == 3)
    shop.apply(shop.manifest("held", "v1", ai("v1")), JUNIOR)
    data = told(shop, "another Rollout", lambda data: "live.held" in data)
    after = live_map(shop)
    assert before is not None and after is not None
    assert {key: data[key] for key in before["data"]} == before["data"]
    assert hold_of(shop.live("held")).startswith("held-")


def test_it_comes_and_goes_with_the_mode(shop: Shop) -> None:
    found = live_map(shop)
    assert found is not None
    shop.operator.delete(path(shop))
    again = shop.wait("it to be there again", lambda: live_map(shop))
    assert again["metadata"]["uid"] != found["metadata"]["uid"]
    assert again.get("data") == found.get("data")
    switch(shop, "observe")
    shop.wait("it to be gone", lambda: live_map(shop) is None)
    switch(shop, "enforce")
    shop.wait("it to be back", lambda: live_map(shop))


def test_the_operator_has_no_right_to_other_maps(shop: Shop) -> None:
    shop.client().create(f"/api/v1/namespaces/{shop.namespace}/configmaps", {"metadata": {"name": "other"}})
    for ask in (
        lambda: shop.operator.get(path(shop, "other")),
        lambda: shop.operator.get(path(shop, "")),
        lambda: shop.operator.patch(path(shop, "other"), {"data": {"a": "b"}}),
        lambda: shop.operator.delete(path(shop, "other")),
    ):
        assert refused(ask).code == 403
