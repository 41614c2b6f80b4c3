"""A namespace under the running operator: manifests with claims, Changes, Approvals, and what really ran there.

Requests are made as the person named. Nothing here asserts, but every wait names what it waited for.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from e2e import manifests
from e2e.apiclient import ApiError, JsonObject
from e2e.controlplane import ControlPlane
from e2e.identities import PLATFORM
from e2e.install import install_rollwarden
from e2e.load import LoadGenerator
from e2e.stage import ADMIN, PREFIX, SENIOR, Stage, annotations_of, hold_of

POLICIES = "/apis/rollwarden.dev/v1alpha1/guardrailpolicies"
IMAGE = "registry.example.com/shop:"
QUICK: list[JsonObject] = [{"setWeight": 50}]
FINAL = ("Completed", "RolledBack", "Superseded", "Rejected", "Denied", "Abandoned")

_numbers = itertools.count(1)

Owner = dict[str, str]


def ai(tag: str, **more: str) -> Owner:
    """Annotations of an AI-assisted change by a junior, bound to its image; more ``provenance`` keys by keyword."""
    claims = {"origin": "ai", "authors": "jun@example.com", "subject": IMAGE + tag, **more}
    return {f"provenance.{PREFIX}{key}": value for key, value in claims.items()}


def low() -> Owner:
    """A service of low criticality: nothing is needed and nothing is gated."""
    return {PREFIX + "criticality": "low"}


def quick_policy(namespace: str, **profile: Any) -> JsonObject:
    """AI needs a senior; everything that is not low is gated, with as little soak and bake as there can be."""
    quick = {"name": "quick", "minSoak": "0s", "bake": "2s", "coldPhi": 1, "maxStep": "20m", "warmUp": "0s", **profile}
    rules = [
        {"name": "ai-needs-senior", "when": {"origins": ["AI"]}, "require": _needs_senior()},
        {"name": "prove", "when": {"minCriticality": "Medium"}, "require": {"profile": "quick"}},
        {"name": "ledger-by-hand", "when": {"areas": ["ledger"]}, "require": {"deny": {"message": "hands off"}}},
    ]
    spec = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "people": [{"level": "Senior", "users": ["ada@example.com", "sam@example.com"]}],
        "profiles": [quick],
        "rules": rules,
    }
    return {
        "apiVersion": "rollwarden.dev/v1alpha1",
        "kind": "GuardrailPolicy",
        "metadata": {"name": namespace},
        "spec": spec,
    }


def _needs_senior() -> JsonObject:
    return {"approvals": [{"tier": "Senior"}], "profile": "quick"}


def lenient_profile(target_percent: str = "90", **indicator: Any) -> JsonObject:
    """A ServiceProfile for all Rollouts, with an objective loose enough to be proven within seconds."""
    errors = {"name": "errors", "type": "Errors", "objective": {"targetPercent": target_percent}, **indicator}
    return {
        "apiVersion": "rollwarden.dev/v1alpha1",
        "kind": "ServiceProfile",
        "metadata": {"name": "all"},
        "spec": {"contact": "#shop", "indicators": [errors]},
    }


class Shop(Stage):
    """A namespace with a quick policy and a lenient profile, in ``enforce`` unless another mode is given."""

    def __init__(
        self,
        cp: ControlPlane,
        prefix: str,
        *,
        mode: str = "enforce",
        policy: Mapping[str, Any] | None = None,
        profile: JsonObject | None = None,
    ) -> None:
        namespace = f"{prefix}-{next(_numbers)}"
        super().__init__(cp, namespace, labels={PREFIX + "mode": mode})
        if mode == "enforce":
            self.wait(f"the policies to know {namespace}", self.is_enforced)
        self.client(PLATFORM).create(POLICIES, quick_policy(namespace, **(policy or {})))
        self.client().create(self.records("serviceprofiles"), profile or lenient_profile())

    def close(self) -> None:
        """Deletes the namespace and its policy."""
        super().close()
        self.client(PLATFORM).delete(f"{POLICIES}/{self.namespace}")

    def records(self, plural: str, name: str = "", subresource: str = "") -> str:
        """The path of a namespaced kind of rollwarden.dev."""
        parts = [f"/apis/rollwarden.dev/v1alpha1/namespaces/{self.namespace}/{plural}", name, subresource]
        return "/".join(part for part in parts if part)

    # -- what owners write --------------------------------------------------------------------------------------

    def manifest(
        self,
        name: str,
        tag: str,
        annotations: Owner | None = None,
        *,
        replicas: int = 2,
        steps: Sequence[Mapping[str, Any]] = tuple(QUICK),
        env: Mapping[str, str | int | float] | None = None,
        **spec: Any,
    ) -> JsonObject:
        """A canary Rollout of the sample service as its owner writes it, further fields of spec by keyword."""
        made = manifests.rollout(self.namespace, name, replicas, steps, IMAGE + tag, env, annotations)
        made["spec"] |= {"revisionHistoryLimit": 10, **spec}
        return made

    def apply(self, manifest: JsonObject, user: str = ADMIN) -> JsonObject:
        """Server-side apply, as GitOps tools do it."""
        return self.client(user).apply(self.path(manifest["metadata"]["name"]), manifest, "owner")

    def serve(self, name: str, load: LoadGenerator, rate: float) -> None:
        """A Service for the Rollout, and that many real requests per second to it."""
        self.client().create(f"/api/v1/namespaces/{self.namespace}/services", manifests.service(self.namespace, name))
        load.set_rate(self.namespace, name, rate)

    def deploy(self, name: str, tag: str = "v1", **more: Any) -> JsonObject:
        """The first revision, let through as a low one, brought up to be stable and known good."""
        self.apply(self.manifest(name, tag, low(), **more))
        self.completed(name)
        return self.healthy(name)

    # -- what the operator wrote --------------------------------------------------------------------------------

    def changes(self, name: str) -> list[JsonObject]:
        """All Changes of a Rollout, the oldest attempt first."""
        listed = self.client().get(self.records("changes"))["items"]
        return sorted((c for c in listed if c["spec"]["rollout"]["name"] == name), key=_attempt)

    def change(self, name: str) -> JsonObject:
        """The Change of the attempt that stands on the Rollout now, once there is one."""

        def look() -> JsonObject | None:
            live = self.live(name)
            attempt = hold_of(live).rpartition("-")[2]
            uid = live["metadata"]["uid"]
            same = [c for c in self.changes(name) if c["spec"]["rollout"]["uid"] == uid]
            return next((c for c in same if c["spec"]["rollout"]["attempt"] == attempt), None)

        found: JsonObject = self.wait(f"a Change for {name}", look)
        return found

    def again(self, change: JsonObject) -> JsonObject:
        """The same Change as it is now."""
        return self.client().get(self.records("changes", change["metadata"]["name"]))

    def reach(self, change: JsonObject, *phases: str, reason: str = "", seconds: float = 60.0) -> JsonObject:
        """The Change once it is in one of the phases (and has that reason); stops waiting when it ends otherwise."""

        def look() -> JsonObject | None:
            now = self.again(change)
            phase = phase_of(now)
            if phase in phases and reason in ("", now["status"].get("reason")):
                return now
            if phase in FINAL and phase not in phases:
                raise AssertionError(f"{now['metadata']['name']} ended {phase}: {now['status']}")
            return None

        what = f"{change['metadata']['name']} to be {' or '.join(phases)} {reason}"
        try:
            found: JsonObject = self.wait(what, look, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{what}; it is {self.again(change).get('status')}") from error
        return found

    def completed(self, name: str, seconds: float = 60.0) -> JsonObject:
        return self.reach(self.change(name), "Completed", seconds=seconds)

    def waits(self, name: str, reason: str = "ApprovalsMissing") -> JsonObject:
        """The live Change once it says what it waits for."""
        return self.reach(self.change(name), "AwaitingApproval", reason=reason, seconds=30)

    def events(self, reason: str) -> list[str]:
        """The notes of all Events with that reason."""
        listed = self.client().get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")["items"]
        return [str(e.get("note", "")) for e in listed if e.get("reason") == reason]

    # -- decisions ----------------------------------------------------------------------------------------------

    def decide(self, change: JsonObject, user: str = SENIOR, **spec: Any) -> str:
        """The name of a new Approval of that Change by ``user``; raises ApiError where it is refused."""
        name = f"decision-{next(_numbers)}"
        body = {
            "apiVersion": "rollwarden.dev/v1alpha1",
            "kind": "Approval",
            "metadata": {"name": name},
            "spec": {
                "changeRef": {"name": change["metadata"]["name"], "uid": change["metadata"]["uid"]},
                "templateDigest": change["spec"]["templateDigest"],
                "decision": "Approve",
                "tier": "Senior",
                **spec,
            },
        }
        self.client(user).create(self.records("approvals"), body)
        return name

    def answered(self, approval: str, reason: str) -> JsonObject:
        """The condition Counted of an Approval once it has that reason."""

        def look() -> JsonObject | None:
            live = self.client().get(self.records("approvals", approval))
            conditions = live.get("status", {}).get("conditions", ())
            return next((c for c in conditions if c["type"] == "Counted" and c["reason"] == reason), None)

        found: JsonObject = self.wait(f"{approval} to be answered {reason}", look)
        return found

    # -- what really ran ----------------------------------------------------------------------------------------

    def revision(self, name: str, tag: str) -> JsonObject | None:
        """The ReplicaSet that runs that tag, if Argo has made one."""
        wanted = IMAGE + tag
        sets = self.sets(name).values()
        return next((s for s in sets if s["spec"]["template"]["spec"]["containers"][0]["image"] == wanted), None)

    def largest(self, name: str, tag: str) -> int:
        """The largest size that the ReplicaSet of that tag ever had; 0 where there was none."""
        found = self.revision(name, tag)
        self.catch_up()
        return self.record.peak([found["metadata"]["name"]], 0) if found else 0

    def ready_pods(self, name: str) -> list[JsonObject]:
        listed = self.client().get(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector=app%3D{name}")["items"]
        return [p for p in listed if _is_ready(p) and "deletionTimestamp" not in p["metadata"]]

    @contextmanager
    def autoscaled(self, name: str, sizes: Sequence[int], every: float) -> Iterator[None]:
        """Writes through the scale subresource without pause, as a nervous autoscaler."""
        stop = threading.Event()

        def scale() -> None:
            for size in itertools.cycle(sizes):
                if stop.wait(every):
                    return
                self.scale(name, size)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(scale)
            try:
                yield
            finally:
                stop.set()
                done.result()


def phase_of(change: JsonObject) -> str:
    return str(change.get("status", {}).get("phase", "Held"))


def condition(live: JsonObject, kind: str) -> JsonObject:
    """One condition of an object's status; empty where it is not there."""
    return next((c for c in live.get("status", {}).get("conditions", ()) if c["type"] == kind), {})


def own_annotations(live: JsonObject) -> set[str]:
    """Which annotations of the operator stand on it, without prefix."""
    return {key.removeprefix(PREFIX) for key in annotations_of(live) if key.startswith(PREFIX)}


def refused(ask: Callable[[], object]) -> ApiError:
    """The API server's refusal; AssertionError where it lets it pass."""
    try:
        answer = ask()
    except ApiError as error:
        return error
    raise AssertionError(f"expected a refusal, got {str(answer)[:500]}")


Scene = Callable[[Any], None]


@contextmanager
def played(cp: ControlPlane, scenes: Mapping[str, Scene], on: Any) -> Iterator[dict[str, Future[None]]]:
    """All scenes at once, each with the stage ``on``; ``.result()`` of each raises what it raised."""
    install_rollwarden(cp)
    with ThreadPoolExecutor(len(scenes)) as pool:
        yield {name: pool.submit(scene, on) for name, scene in scenes.items()}


def _attempt(change: JsonObject) -> int:
    return int(change["spec"]["rollout"]["attempt"].lstrip("o"))


def _is_ready(pod: JsonObject) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))
