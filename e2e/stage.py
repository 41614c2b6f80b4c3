"""A namespace with people, Rollouts and a record of every size a ReplicaSet ever had: the stage of admission scenarios.

Nothing here asserts. Requests are made as the person named, with that person's rights.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from e2e.apiclient import ApiClient, ApiError, JsonObject, follow
from e2e.controlplane import ControlPlane
from e2e.identities import PLATFORM

JUNIOR = "jun@example.com"
SENIOR = "ada@example.com"
OTHER_SENIOR = "sam@example.com"
PRINCIPAL = "pia@example.com"
ON_CALL = "olli@example.com"
CI = "ci-bot"
ADMIN = "admin"

PREFIX = "rollwarden.dev/"
HOLD = PREFIX + "hold"
JSON_PATCH = "application/json-patch+json"
BARRIER: list[JsonObject] = [{"setWeight": 0}, {"pause": {}}]

# Everybody may do everything to workloads and records, so that whatever is refused is refused by admission.
RIGHTS: tuple[JsonObject, ...] = (
    {"apiGroups": ["argoproj.io", "apps"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["*"]},
    {
        "apiGroups": ["rollwarden.dev"],
        "resources": ["approvals", "approvals/status", "changes", "changes/status"],
        "verbs": ["get", "list", "create", "update", "patch", "delete", "deletecollection"],
    },
)
TIERS = {
    "rollwarden-senior": "payments-seniors",
    "rollwarden-principal": "principals",
    "rollwarden-break-glass": "on-call",
}
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def merged(target: JsonObject, changes: JsonObject) -> JsonObject:
    """``target`` with ``changes`` laid over it, mapping by mapping; a new object."""
    result = dict(target)
    for key, value in changes.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def pods(name: str, tag: str) -> JsonObject:
    """A pod template whose ``tag`` makes it another one, written as Argo's own types would not write it."""
    container = {
        "name": "service",
        "image": f"registry.example.com/shop:{tag}",
        "resources": {"requests": {"cpu": "0.001"}},
        "env": [{"name": "EMPTY", "value": ""}],
    }
    sidecar = {"name": "sidecar", "image": "registry.example.com/sidecar:v1"}
    return {"metadata": {"labels": {"app": name}}, "spec": {"hostNetwork": False, "containers": [container, sidecar]}}


def rollout(name: str, tag: str = "v1", strategy: JsonObject | None = None, **spec: Any) -> JsonObject:
    """An owner's manifest; ``strategy`` defaults to a canary without steps."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "revisionHistoryLimit": 30,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"canary": {}} if strategy is None else strategy,
            "template": pods(name, tag),
            **spec,
        },
    }


def canary(*steps: JsonObject, **fields: Any) -> JsonObject:
    return {"canary": {"steps": list(steps), **fields}}


def steps_of(live: JsonObject) -> list[JsonObject]:
    return list(live["spec"]["strategy"]["canary"].get("steps", []))


def annotations_of(live: JsonObject) -> dict[str, str]:
    return dict(live["metadata"].get("annotations", {}))


def hold_of(live: JsonObject) -> str:
    return annotations_of(live).get(HOLD, "")


@dataclass
class SizeRecord:
    """Every size of every ReplicaSet of one namespace, as a watch saw it."""

    sizes: list[tuple[str, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, live: JsonObject) -> None:
        if kind != "DELETED":
            with self.lock:
                self.sizes.append((live["metadata"]["name"], live["spec"].get("replicas", 1)))

    def mark(self) -> int:
        with self.lock:
            return len(self.sizes)

    def peak(self, names: Iterable[str], since: int) -> int:
        """The largest size any of the sets had from ``since`` on; 0 if none was seen."""
        wanted = set(names)
        with self.lock:
            return max((size for name, size in self.sizes[since:] if name in wanted), default=0)


class Stage:
    """One namespace. ``enforce`` puts it under Rollwarden."""

    def __init__(self, cp: ControlPlane, namespace: str, *, labels: dict[str, str] | None = None) -> None:
        self.cp = cp
        self.namespace = namespace
        self.record = SizeRecord()
        self._stop = threading.Event()
        self._clients: dict[str, ApiClient] = {}
        cp.api.create("/api/v1/namespaces", {"metadata": {"name": namespace, "labels": labels or {}}})
        self._grant()
        sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
        self._watch = threading.Thread(
            target=follow,
            args=(cp.access.client(), sets, self._note_all, self.record.note, self._stop),
            daemon=True,
        )
        self._watch.start()

    def _note_all(self, listed: list[JsonObject]) -> None:
        for live in listed:
            self.record.note("LISTED", live)

    def _grant(self) -> None:
        """Developers' rights for everybody, tiers for those who hold them, both in this namespace only."""
        role = {"metadata": {"name": "developers"}, "rules": list(RIGHTS)}
        self.cp.api.create(f"{RBAC}/namespaces/{self.namespace}/roles", role)
        self.bind("developers", "Role", "developers", {"kind": "Group", "name": "system:authenticated"})
        for role_name, group in TIERS.items():
            self.bind(role_name, "ClusterRole", role_name, {"kind": "Group", "name": group})

    def bind(self, name: str, kind: str, role: str, subject: dict[str, str]) -> None:
        """A RoleBinding in this namespace."""
        api = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": api, "kind": kind, "name": role},
            "subjects": [subject],
        }
        self.cp.api.create(f"{RBAC}/namespaces/{self.namespace}/rolebindings", binding)

    def close(self) -> None:
        """Ends the watch and deletes the namespace with all that is in it."""
        self._stop.set()
        self.cp.access.client(PLATFORM).delete(f"/api/v1/namespaces/{self.namespace}")

    # -- requests -----------------------------------------------------------------------------------------------

    def client(self, user: str = ADMIN) -> ApiClient:
        """A client that acts as ``user``, or as a service account that ``service_account`` was called for."""
        if user not in self._clients:
            self._clients[user] = self.cp.access.client(user)
        return self._clients[user]

    def service_account(self, namespace: str, name: str) -> ApiClient:
        """A client with a real token of a service account."""
        key = f"{namespace}:{name}"
        if key not in self._clients:
            token = self.cp.access.service_account_token(namespace, name)
            cluster = yaml.safe_load(self.cp.kubeconfig().read_text())["clusters"][0]["cluster"]
            self._clients[key] = ApiClient(cluster["server"], Path(cluster["certificate-authority"]), token)
        return self._clients[key]

    @property
    def operator(self) -> ApiClient:
        return self.service_account("rollwarden-system", "rollwarden")

    def path(self, name: str = "", subresource: str = "") -> str:
        """The path of a Rollout."""
        parts = [f"/apis/argoproj.io/v1alpha1/namespaces/{self.namespace}/rollouts", name, subresource]
        return "/".join(part for part in parts if part)

    def set_path(self, name: str = "", subresource: str = "") -> str:
        """The path of a ReplicaSet."""
        parts = [f"/apis/apps/v1/namespaces/{self.namespace}/replicasets", name, subresource]
        return "/".join(part for part in parts if part)

    def enforce(self) -> None:
        """Returns when every policy knows it: they come to know a namespace's label one after the other."""
        mode = {"metadata": {"labels": {PREFIX + "mode": "enforce"}}}
        self.cp.api.patch(f"/api/v1/namespaces/{self.namespace}", mode)
        self.wait(f"the policies to know that {self.namespace} is enforced", self.is_enforced)

    def is_enforced(self) -> bool:
        """What is guarded already may not be stamped yet, and is refused then."""
        try:
            made = self.client(CI).request("POST", self.path(), rollout("dry"), query={"dryRun": "All"})
        except ApiError as error:
            if error.code == 403:
                return False
            raise
        return hold_of(made) == "held-0"

    def live(self, name: str) -> JsonObject:
        return self.client().get(self.path(name))

    def merge(self, name: str, changes: JsonObject, user: str = CI) -> JsonObject:
        return self.client(user).patch(self.path(name), changes)

    def annotate(self, name: str, user: str = CI, **annotations: str | None) -> JsonObject:
        """Keys without prefix; dashes as underscores."""
        keys = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
        return self.merge(name, {"metadata": {"annotations": keys}}, user)

    def status(self, name: str, changes: JsonObject, user: str = CI) -> JsonObject:
        return self.client(user).patch(self.path(name, "status"), {"status": changes})

    def scale(self, name: str, replicas: int, user: str = CI) -> JsonObject:
        """Through the scale subresource, as an autoscaler does."""
        return self.client(user).patch(self.path(name, "scale"), {"spec": {"replicas": replicas}})

    def json_patch(self, client: ApiClient, path: str, operations: list[JsonObject]) -> JsonObject:
        # the client's type says object, its wire form is any JSON
        return client.request("PATCH", path, cast(JsonObject, operations), JSON_PATCH)

    def new_template(self, name: str, tag: str, user: str = CI, **spec: Any) -> JsonObject:
        return self.merge(name, {"spec": {"template": pods(name, tag), **spec}}, user)

    def release(self, name: str, steps: list[JsonObject] | None, change: str = "a-change") -> JsonObject:
        """As the operator does it: steps, hold and change in one patch that tests the hold."""
        hold = hold_of(self.live(name))
        operations: list[JsonObject] = [
            {"op": "test", "path": "/metadata/annotations/rollwarden.dev~1hold", "value": hold},
            {
                "op": "add",
                "path": "/metadata/annotations/rollwarden.dev~1hold",
                "value": hold.replace("held", "released"),
            },
            {"op": "add", "path": "/metadata/annotations/rollwarden.dev~1change", "value": change},
        ]
        if steps is not None:
            operations.append({"op": "add", "path": "/spec/strategy/canary/steps", "value": steps})
        return self.json_patch(self.operator, self.path(name), operations)

    # -- what is there ------------------------------------------------------------------------------------------

    def sets(self, name: str) -> dict[str, JsonObject]:
        """The ReplicaSets of a Rollout by pod-template hash."""
        listed = self.client().get(self.set_path())["items"]
        labelled = [(s, s["metadata"].get("labels", {})) for s in listed]
        return {
            labels["rollouts-pod-template-hash"]: s
            for s, labels in labelled
            if labels.get("app") == name and "rollouts-pod-template-hash" in labels
        }

    def size(self, name: str, hash_: str) -> int:
        return int(self.sets(name)[hash_]["spec"]["replicas"])

    def peak(self, name: str, stable: str, since: int) -> int:
        """The largest size of any set of the Rollout but the stable one, from a mark on."""
        self.catch_up()
        return self.record.peak((s["metadata"]["name"] for h, s in self.sets(name).items() if h != stable), since)

    def catch_up(self) -> None:
        """Waits until the record has seen everything up to now."""
        marker = f"marker-{self.record.mark()}"
        template = {"metadata": {"labels": {"m": "m"}}, "spec": pods("m", "v1")["spec"]}
        body = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"generateName": marker + "-"},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"m": "m"}}, "template": template},
        }
        created = str(self.client().create(self.set_path(), body)["metadata"]["name"])
        self.wait("the record of sizes", lambda: any(n == created for n, _ in self.record.sizes[-50:]))
        self.client().delete(self.set_path(created))

    def wait(self, what: str, ask: Callable[[], Any], seconds: float = 30.0) -> Any:
        return self.cp.wait_for(what, ask, seconds=seconds, every=0.1)

    def settled(self, name: str) -> JsonObject:
        """The Rollout once Argo's status tells of the present template: its set carries the present hold."""

        def look() -> JsonObject | None:
            live = self.live(name)
            current = self.sets(name).get(live.get("status", {}).get("currentPodHash", ""))
            wanted = hold_of(live)
            return live if current is not None and annotations_of(current).get(HOLD, "") == wanted else None

        result: JsonObject = self.wait(f"Argo to settle {name}", look)
        return result

    def healthy(self, name: str) -> JsonObject:
        """The Rollout once Argo calls it fully promoted and healthy."""

        def look() -> JsonObject | None:
            live = self.live(name)
            status = live.get("status", {})
            done = status.get("phase") == "Healthy" and status.get("stableRS") == status.get("currentPodHash") != ""
            return live if done and status.get("observedGeneration") == str(live["metadata"]["generation"]) else None

        result: JsonObject = self.wait(f"{name} to become healthy", look, 60)
        return result

    def stable(self, name: str) -> str:
        return str(self.live(name)["status"]["stableRS"])


def refusal(ask: Callable[[], object]) -> str:
    """What the API server says when it refuses; AssertionError when it does not."""
    try:
        answer = ask()
    except ApiError as error:
        return error.message
    raise AssertionError(f"expected a refusal, got {json.dumps(answer, default=str)[:2000]}")
