"""At rest: nothing is written while nothing happens, in enforce or observe; and no error in the whole session.

The name puts this file after the other tests of the operator.
"""

from __future__ import annotations

import time
from functools import partial

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.load import LoadGenerator
from e2e.operator import failures, measured
from e2e.processes import ManagedProcess
from e2e.shop import Shop, ai, low, own_annotations, phase_of
from e2e.stage import JUNIOR, annotations_of, hold_of, steps_of

pytestmark = pytest.mark.e2e

QUIET_SECONDS = 20.0
WRITES = ("create", "update", "patch", "apply", "delete")
HALF: list[JsonObject] = [{"setWeight": 50}, {"pause": {"duration": "2s"}}]


def test_observed_only(control_plane: ControlPlane, operator: ManagedProcess, load: LoadGenerator) -> None:
    """In observe nothing is mutated, refused or aborted; the Change says what would have been."""
    shop = Shop(control_plane, "observe", mode="observe")
    written = shop.manifest("seen", "v1", steps=HALF)
    shop.apply(written)
    shop.healthy("seen")
    shop.serve("seen", load, 60)
    bad = shop.manifest("seen", "v2", ai("v2"), steps=[{"setWeight": 50}, {"pause": {}}], env={"ERROR_PERCENT": 60})
    live = shop.apply(bad, JUNIOR)
    assert live["spec"]["strategy"] == bad["spec"]["strategy"]
    assert own_annotations(live) == set()
    (change,) = shop.wait("a Change", lambda: shop.changes("seen"))
    attempt = change["spec"]["rollout"]["attempt"]
    assert (attempt, change["spec"]["mode"]) == (f"o{live['metadata']['generation']}", "Observe")
    told = shop.wait("the verdict", lambda: (now := shop.again(change)).get("status", {}).get("verdict") and now, 60)
    assert "would have been rolled back" in told["status"]["message"]
    assert any("would wait for 1 senior" in note for note in shop.events("Observed"))
    live = shop.live("seen")
    assert not live["status"].get("abort")
    assert shop.size("seen", live["status"]["currentPodHash"]) == 1
    assert hold_of(live) == "" and own_annotations(live) == set()
    shop.status("seen", {"promoteFull": True}, JUNIOR)
    done = shop.reach(change, "Completed")
    assert "against the verdict" in done["status"]["message"]
    assert [phase_of(c) for c in shop.changes("seen")] == ["Completed"]
    load.set_rate(shop.namespace, "seen", 0)
    shop.close()


def test_nothing_is_written_at_rest(control_plane: ControlPlane, operator: ManagedProcess, load: LoadGenerator) -> None:
    """Held, held with a vote that does not count, rolled back, denied, completed, and ungoverned Rollouts."""
    shop = Shop(control_plane, "rest")
    names = ("held", "voted", "denied", "done", "aborted")
    for name in names:
        shop.apply(shop.manifest(name, "v1", low()))
    for name in names:
        shop.completed(name)
    shop.serve("held", load, 20)
    # what a hold says of its canary's time is from measured traffic, so there has to be some before
    sent = f'http_requests_total{{namespace="{shop.namespace}"}} > 30'
    shop.wait("measured traffic", lambda: control_plane.query(sent), 40)
    for name in ("held", "voted"):
        shop.apply(shop.manifest(name, "v2", ai("v2", authors="ada@example.com")), JUNIOR)
    shop.apply(shop.manifest("denied", "v2", ai("v2", areas="ledger")), JUNIOR)
    shop.apply(shop.manifest("done", "v2", low()), JUNIOR)
    shop.apply(shop.manifest("aborted", "v2"), JUNIOR)
    shop.answered(shop.decide(shop.waits("voted")), "ApproverIsAuthor")
    shop.reach(shop.change("denied"), "Denied")
    shop.reach(shop.change("aborted"), "Canary", reason="Evidence")
    shop.status("aborted", {"abort": True})
    shop.reach(shop.change("aborted"), "RolledBack")
    shop.completed("done")
    shop.waits("held")
    shop.wait("the operator to be done", lambda: _is_quiet(operator), 60)
    before = _writes(operator)
    time.sleep(QUIET_SECONDS)
    assert _writes(operator) - before == 0
    load.set_rate(shop.namespace, "held", 0)
    shop.close()


def _writes(operator: ManagedProcess) -> float:
    """All but Events: one that was said again is counted up within half a minute."""
    sample = "rollwarden_api_requests_total"
    events = "events.events.k8s.io"
    return sum(
        measured(operator, sample, verb=verb) - measured(operator, sample, verb=verb, resource=events)
        for verb in WRITES
    )


def _is_quiet(operator: ManagedProcess) -> bool:
    before = _writes(operator)
    time.sleep(4)
    return _writes(operator) == before


def test_known_good_is_seeded(control_plane: ControlPlane, operator: ManagedProcess) -> None:
    """When a namespace begins to be enforced, what it ran before counts as known good: undo works on the first day."""
    shop = Shop(control_plane, "seeded", mode="off")
    for tag in ("v1", "v2"):
        shop.apply(shop.manifest("old", tag))
        shop.wait(f"{tag} to be stable", partial(_runs, shop, tag))
    shop.enforce()

    def marked() -> bool:
        return all("rollwarden.dev/known-good" in annotations_of(s) for s in shop.sets("old").values())

    shop.wait("both sets to be marked", marked)
    shop.apply(shop.manifest("old", "v1", ai("v1")), JUNIOR)
    assert shop.completed("old")["spec"]["knownGood"]
    assert steps_of(shop.healthy("old")) == [{"setWeight": 50}]
    shop.close()


def _runs(shop: Shop, tag: str) -> bool:
    wanted = shop.revision("old", tag)
    stable = shop.healthy("old")["status"]["stableRS"]
    return wanted is not None and wanted["metadata"]["labels"]["rollouts-pod-template-hash"] == stable


def test_no_error_in_the_whole_session(operator: ManagedProcess) -> None:
    operator.check()
    assert measured(operator, "rollwarden_reconciles_total", outcome="Error") == 0
    assert measured(operator, "rollwarden_reconciles_total", outcome="Success") > 0
    assert failures(operator) == []
