"""A model test: random people send random requests for half a minute, and what must always hold is looked for in what
really happened: every state of every Rollout and ReplicaSet, as watches saw it, and the records the operator left.

The requests come from a fixed seed; how they interleave with Argo and the operator does not.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import pytest

from e2e.apiclient import ApiError, JsonObject, follow
from e2e.controlplane import ControlPlane
from e2e.processes import ManagedProcess
from e2e.shop import Shop, ai, low
from e2e.stage import CI, HOLD, JUNIOR, OTHER_SENIOR, PREFIX, PRINCIPAL, SENIOR, annotations_of, hold_of

pytestmark = pytest.mark.e2e

SEED = 20260101
SECONDS = 25.0
ROLLOUTS = ("r0", "r1", "r2")
TAGS = ("v1", "v2", "v3", "v4", "v5")
PEOPLE = (JUNIOR, SENIOR, OTHER_SENIOR, PRINCIPAL, CI)
NEVER = -1
OWN_STEPS: tuple[list[JsonObject], ...] = (
    [{"setWeight": 50}],
    [{"setWeight": 50}, {"pause": {"duration": "2s"}}],
    [{"pause": {}}],
)

Request = Callable[[Shop, str, random.Random, str], object]


# -- what people send -------------------------------------------------------------------------------------------------


def _write(shop: Shop, name: str, draw: random.Random, user: str) -> object:
    """A template with or without a claim, with steps of its own and perhaps with other replicas."""
    tag = draw.choice(TAGS)
    claims = ai(tag) | low() if draw.random() < 0.6 else low()
    steps = draw.choice(OWN_STEPS)
    return shop.apply(shop.manifest(name, tag, claims, steps=steps, replicas=draw.randint(1, 3)), user)


def _steps(shop: Shop, name: str, draw: random.Random, user: str) -> object:
    steps = draw.choice((None, [{"setWeight": 100}], [{"setCanaryScale": {"replicas": 2}}, {"pause": {}}]))
    return shop.merge(name, {"spec": {"strategy": {"canary": {"steps": steps}}}}, user)


def _scale(shop: Shop, name: str, draw: random.Random, user: str) -> object:
    return shop.scale(name, draw.randint(1, 3), user)


def _button(shop: Shop, name: str, draw: random.Random, user: str) -> object:
    fields: list[JsonObject] = [
        {"abort": True},
        {"abort": False},
        {"promoteFull": True},
        {"pauseConditions": None},
        {"currentStepIndex": draw.randint(0, 4)},
    ]
    return shop.status(name, draw.choice(fields), user)


def _annotate(shop: Shop, name: str, draw: random.Random, user: str) -> object:
    key = draw.choice(("hold", "change", "submitted-by", "criticality", "break-glass", "owner-pauses"))
    value = draw.choice((None, "released-1", "released-99", "critical", "x"))
    return shop.merge(name, {"metadata": {"annotations": {PREFIX + key: value}}}, user)


def _decide(shop: Shop, name: str, draw: random.Random, user: str) -> object:
    """Mostly on what waits now, at times on an attempt that is over or on another digest."""
    changes = shop.changes(name)
    change = changes[-1] if draw.random() < 0.7 else draw.choice(changes)
    wrong = {"templateDigest": "sha256:" + "0" * 64} if draw.random() < 0.1 else {}
    reject = {"decision": "Reject"} if draw.random() < 0.15 else {}
    knowing = {"acknowledgesQuarantine": True} if draw.random() < 0.3 else {}
    tier = draw.choice(("Peer", "Senior", "Principal"))
    return shop.decide(change, user, tier=tier, reason="I know", **wrong, **knowing, **reject)


def _scale_set(shop: Shop, name: str, draw: random.Random, user: str) -> object:
    path = shop.set_path(draw.choice(list(shop.sets(name).values()))["metadata"]["name"])
    body: JsonObject = {"spec": {"replicas": draw.randint(0, 2)}}
    if draw.random() < 0.5:
        body = {"metadata": {"annotations": {HOLD: draw.choice((None, "released-1"))}}}
    return shop.client(user).patch(path, body)


REQUESTS: dict[Request, int] = {_write: 4, _steps: 2, _scale: 4, _button: 4, _annotate: 2, _decide: 6, _scale_set: 2}
"""By weight."""


# -- what was seen ----------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """Every state of every object of one kind in the namespace, by name, oldest first."""

    states: dict[str, list[JsonObject]] = field(default_factory=dict)

    def note(self, kind: str, live: JsonObject) -> None:
        if kind != "DELETED":
            self.states.setdefault(live["metadata"]["name"], []).append(live)

    def note_all(self, listed: list[JsonObject]) -> None:
        for live in listed:
            self.note("LISTED", live)


@contextmanager
def watched(shop: Shop, path: str) -> Iterator[Seen]:
    seen, stop = Seen(), threading.Event()
    arguments = (shop.cp.access.client(), path, seen.note_all, seen.note, stop)
    threading.Thread(target=follow, args=arguments, daemon=True).start()
    try:
        yield seen
    finally:
        stop.set()


def _keep_sending(shop: Shop, name: str, until: float) -> Counter[str]:
    """How many requests of each kind were admitted and refused."""
    draw = random.Random(f"{SEED} {name}")
    count: Counter[str] = Counter()
    requests, weights = list(REQUESTS), list(REQUESTS.values())
    while time.monotonic() < until:
        (request,) = draw.choices(requests, weights)
        user = draw.choice(PEOPLE)
        try:
            request(shop, name, draw, user)
        except ApiError as error:
            assert 400 <= error.code < 500, f"{request.__name__} by {user}: {error}"
            count[f"{request.__name__} refused"] += 1
        else:
            count[f"{request.__name__} admitted"] += 1
        time.sleep(draw.choice((0.0, 0.05, 0.2, 0.6)))
    return count


# -- what must hold ---------------------------------------------------------------------------------------------------


def _attempt(value: str) -> int:
    number = value.rpartition("-")[2]
    return int(number) if number.isdigit() else NEVER


def _check_holds(states: list[JsonObject]) -> None:
    """Attempts only ever grow, and within an attempt held becomes released becomes aborted, never back."""
    order = ("held", "released", "aborted")
    last = (NEVER, 0)
    for live in states:
        value = hold_of(live)
        now = (_attempt(value), order.index(value.rpartition("-")[0]))
        assert now >= last, f"{live['metadata']['name']}: hold {value} after {last}"
        last = now


def _check_aborts(states: list[JsonObject]) -> None:
    """Only another template ends an abort: while the attempt that was aborted stands, so does the abort.

    Argo clears it some writes after the template, when it tells of the new revision. Of one that is stable already,
    which an abort does nothing to, Argo may forget it.
    """
    aborted = None
    for before, after in pairwise(states):
        attempt, status = hold_of(after).rpartition("-")[2], after.get("status", {})
        if status.get("abort"):
            # an abort in the very moment of the release, while held, is lost with the steps that the release writes
            aborted = aborted or (attempt if hold_of(after).startswith("released-") else "held")
            continue
        current = status.get("currentPodHash")
        same = attempt == aborted and current == before["status"].get("currentPodHash")
        if same and current != status.get("stableRS"):
            raise AssertionError(f"{after['metadata']['name']}: the abort is gone between {before} and {after}")
        aborted = None


def _check_starts(shop: Shop, sets: Seen) -> int:
    """A set's first pod came with a release that its Change knows, or the set was known good; how many there were."""
    changes = {
        (c["spec"]["rollout"]["name"], c["spec"]["rollout"]["attempt"]): c for n in ROLLOUTS for c in shop.changes(n)
    }
    starts = 0
    for name, states in sets.states.items():
        for before, after in zip([None, *states], states, strict=False):
            if after["spec"]["replicas"] == 0 or (before is not None and before["spec"]["replicas"] > 0):
                continue
            starts += 1
            if PREFIX + "known-good" in annotations_of(after):
                continue
            value, owner = annotations_of(after).get(HOLD, ""), after["metadata"]["ownerReferences"][0]["name"]
            assert value.startswith("released-"), f"{name} got pods while its hold was {value!r}"
            change = changes.get((owner, value.removeprefix("released-")))
            assert change is not None and change["status"].get("release"), f"{name} got pods, and no Change released it"
    return starts


def _check_approvals(shop: Shop) -> int:
    """Whatever needed a senior and was released had one who was neither author nor submitter, for this very attempt."""
    approvals = {a["metadata"]["name"]: a["spec"] for a in shop.client().get(shop.records("approvals"))["items"]}
    needed = 0
    for change in (c for name in ROLLOUTS for c in shop.changes(name)):
        spec, status = change["spec"], change.get("status", {})
        if not status.get("release") or spec.get("knownGood"):
            continue
        if not spec["decision"]["requirements"].get("approvals"):
            continue
        needed += 1
        given = [approvals[a["ref"]] for a in status["approvals"]]
        people = {a["approver"]["user"] for a in given if a["tier"] in ("Senior", "Principal")}
        authors = {author["name"] for author in spec["classification"].get("authors", ())}
        assert people - authors - {spec["submitter"]["user"]}, f"{change['metadata']['name']} was released by {people}"
        for one in given:
            assert one["changeRef"]["uid"] == change["metadata"]["uid"]
            assert one["templateDigest"] == spec["templateDigest"]
    return needed


def _approve_one(shop: Shop, name: str) -> None:
    """Whatever came before: a change that needs a senior is released by one."""
    shop.apply(shop.manifest(name, "last", ai("last") | low()), JUNIOR)
    change = shop.waits(name)
    shop.decide(change, PRINCIPAL)
    shop.wait(f"the release of {name}", lambda: shop.again(change)["status"].get("release"))


def _stable_scales(shop: Shop, name: str) -> None:
    """In whatever state it was left: abort what is under way, then ask for another size."""
    shop.status(name, {"abort": True})
    for size in (5, 1):
        shop.scale(name, size)
        shop.wait(f"stable of {name} to have {size}", partial(_at_size, shop, name, size))


def _at_size(shop: Shop, name: str, size: int) -> bool:
    live = shop.live(name)
    stable = live.get("status", {}).get("stableRS", "")
    return shop.size(name, stable) == size


def test_random_requests(control_plane: ControlPlane, operator: ManagedProcess) -> None:
    shop = Shop(control_plane, "random")
    with ThreadPoolExecutor(len(ROLLOUTS)) as pool:
        list(pool.map(shop.deploy, ROLLOUTS))
        with watched(shop, shop.path()) as rollouts, watched(shop, shop.set_path()) as sets:
            until = time.monotonic() + SECONDS
            counts = list(pool.map(lambda name: _keep_sending(shop, name, until), ROLLOUTS))
            list(pool.map(lambda name: _approve_one(shop, name), ROLLOUTS))
            list(pool.map(lambda name: _stable_scales(shop, name), ROLLOUTS))
            for name in ROLLOUTS:
                shop.change(name)  # the operator has seen the last template
    total = sum(counts, Counter[str]())
    print(dict(total))
    assert all(total[f"{request.__name__} admitted"] for request in REQUESTS if request is not _scale_set), total
    assert sum(count for what, count in total.items() if what.endswith("refused")) > 10, total
    for name in ROLLOUTS:
        _check_holds(rollouts.states[name])
        _check_aborts(rollouts.states[name])
    assert _check_starts(shop, sets) > 0
    assert _check_approvals(shop) >= len(ROLLOUTS)
    shop.close()
