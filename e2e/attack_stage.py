"""A namespace for the attack table: its identities with their rights, and Rollouts in every phase.

Nobody's operator runs here: what it would write on the way into a phase is written with its own token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from e2e import records
from e2e.apiclient import JsonObject
from e2e.attack_play import Player, Scene
from e2e.attacks import Table
from e2e.controlplane import ControlPlane
from e2e.identities import PLATFORM
from e2e.stage import (
    CI,
    PREFIX,
    RBAC,
    RIGHTS,
    SENIOR,
    Stage,
    canary,
    hold_of,
    rollout,
)
from rollwarden.api import names

STEPS: list[JsonObject] = [{"setWeight": 50}, {"pause": {}}]
PLAN: list[JsonObject] = [{"setWeight": 25}, {"pause": {}}, *STEPS]
THROUGH: list[JsonObject] = [{"setWeight": 50}]
WORKERS = 8

MORE_RIGHTS: tuple[JsonObject, ...] = (
    {"apiGroups": [""], "resources": ["namespaces", "pods", "configmaps"], "verbs": ["*"]},
    {"apiGroups": ["batch"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["rollwarden.dev"], "resources": ["serviceprofiles"], "verbs": ["*"]},
)


class AttackStage(Stage):
    """One namespace in which every identity of the table has its rights and its client."""

    def __init__(self, cp: ControlPlane, namespace: str, table: Table) -> None:
        super().__init__(cp, namespace)
        self.player = Player(self, table)
        self.other = f"{namespace}-other"
        labels = {PREFIX + "mode": "enforce", PREFIX + "criticality": "high"}
        cp.api.create("/api/v1/namespaces", {"metadata": {"name": self.other, "labels": labels}})
        developers = {"metadata": {"name": "developers"}, "rules": list(RIGHTS)}
        cp.api.create(f"{RBAC}/namespaces/{self.other}/roles", developers)
        self._bind_all()
        role = {"metadata": {"name": "more"}, "rules": list(MORE_RIGHTS)}
        cp.api.create(f"{RBAC}/namespaces/{namespace}/roles", role)
        self.bind("more", "Role", "more", {"kind": "Group", "name": "system:authenticated"})
        for identity in table.identities.values():
            if identity.account and "/" not in identity.account:
                accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
                cp.api.create(accounts, {"metadata": {"name": identity.account}})

    def _bind_all(self) -> None:
        """Rights beside those that everybody has here."""
        everybody = {"kind": "Group", "name": "system:authenticated"}
        api = "rbac.authorization.k8s.io"
        agent = {"kind": "ServiceAccount", "name": "agent", "namespace": self.namespace}
        self.bind("agent", "ClusterRole", "rollwarden-senior", agent)
        self.bind("admins", "ClusterRole", "admin", {"kind": "User", "name": self.player.user("namespace admin")})
        elsewhere = {
            "metadata": {"name": "developers"},
            "roleRef": {"apiGroup": api, "kind": "Role", "name": "developers"},
            "subjects": [everybody],
        }
        self.cp.api.create(f"{RBAC}/namespaces/{self.other}/rolebindings", elsewhere)
        everywhere = {
            "metadata": {"name": "attack-cluster-admin"},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "User", "name": self.player.user("cluster admin")}],
        }
        self.cp.api.create(f"{RBAC}/clusterrolebindings", everywhere)

    def close(self) -> None:
        self.cp.api.delete(f"{RBAC}/clusterrolebindings/attack-cluster-admin")
        self.cp.access.client(PLATFORM).delete(f"/api/v1/namespaces/{self.other}")
        super().close()

    # -- into the phases ----------------------------------------------------------------------------------------

    def prepare(self, phases: Mapping[str, str]) -> dict[str, Scene]:
        """A Rollout in its phase for every name; all are brought up together before the namespace is enforced."""
        with ThreadPoolExecutor(WORKERS) as pool:
            early = [name for name, phase in phases.items() if phase != "first"]
            list(pool.map(lambda name: self._bring_up(name, phases[name]), early))
            list(pool.map(self.healthy, early))
            self._tell_admission(phases)
            self.enforce()
            scenes = pool.map(lambda name: self._enter(name, phases[name]), phases)
            return {scene.name: scene for scene in scenes}

    def _tell_admission(self, phases: Mapping[str, str]) -> None:
        """The map that the operator keeps of a namespace, as admission reads it."""
        data = {names.AGENT_USERS: f"\n{self.player.user('agent')}\n"}
        for name, phase in phases.items():
            app = f"\napp={name}\n"
            data |= {
                names.GOVERNED_CRITICALITY + name: "high" if phase == "high" else "medium",
                names.GOVERNED_PODS + name: app,
                names.GOVERNED_SELECTOR + name: app,
            }
            if phase not in ("none", "high", "completed"):
                data[names.GOVERNED_LIVE + name] = "true"
        body = {"metadata": {"name": names.GOVERNED_MAP}, "data": data}
        self.cp.api.create(f"/api/v1/namespaces/{self.namespace}/configmaps", body)

    def _bring_up(self, name: str, phase: str) -> None:
        service = {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}
        self.client(CI).create(f"/api/v1/namespaces/{self.namespace}/services", service)
        self.client(CI).apply(self.path(name), self.owners(name, "v1", phase), "owner")

    def owners(self, name: str, tag: str, phase: str = "") -> JsonObject:
        colours = {"blueGreen": {"activeService": name, "autoPromotionEnabled": True}}
        strategy = colours if phase == "blue-green" else canary(*STEPS)
        return rollout(name, tag, strategy, replicas=1)

    def _enter(self, name: str, phase: str) -> Scene:
        stable = "" if phase == "first" else self.stable(name)
        ENTRANCES[phase](self, name)
        live = self.live(name) if phase in ("none", "high") else self.settled(name)
        if phase == "completed":
            stable = self.stable(name)
        status = live.get("status", {})
        owner = partial(self.owners, name, phase=phase)
        scene = Scene(name, phase, owner, self.record.mark(), stable, status.get("currentPodHash", ""), hold_of(live))
        scene.words = {
            "name": name,
            "namespace": self.namespace,
            "stable": f"{name}-{stable}",
            "current": f"{name}-{scene.current}",
            "hash": scene.current,
            "hold": scene.hold,
            "released": scene.hold.replace("held", "released"),
            "uid": live["metadata"]["uid"],
            "digest": records.DIGEST,
            "change": "shop-1",
            "change_uid": "1",
        }
        return scene

    def canary_runs(self, name: str) -> None:
        """Released, with one pod, waiting at the first gate of the plan."""
        self.new_template(name, "v2")
        self.release(name, PLAN)
        current = str(self.settled(name)["status"]["currentPodHash"])
        self.wait(f"the canary of {name}", lambda: self.size(name, current) == 1)

    def operator_sets(self, name: str, key: str, value: str | None) -> None:
        pointer = "/metadata/annotations/" + (PREFIX + key).replace("/", "~1")
        operation = {"op": "remove", "path": pointer} if value is None else {"op": "add", "path": pointer}
        self.json_patch(self.operator, self.path(name), [operation if value is None else {**operation, "value": value}])


# -- entrances --------------------------------------------------------------------------------------------------------


def _stays(stage: AttackStage, name: str) -> None:
    pass


def _held(stage: AttackStage, name: str) -> None:
    stage.new_template(name, "v2")


def _approved(stage: AttackStage, name: str) -> None:
    _held(stage, name)
    value = {"metadata": {"annotations": {f"approval.{PREFIX}senior": f"{SENIOR} {records.DIGEST}"}}}
    stage.merge(name, value, SENIOR)


def _first(stage: AttackStage, name: str) -> None:
    stage.client(CI).create(stage.path(), stage.owners(name, "v1"))


def _train(stage: AttackStage, name: str) -> None:
    stage.canary_runs(name)
    phrase = {names.GOVERNED_TRAIN + name: "it is at 25 %, about 12 min left"}
    path = f"/api/v1/namespaces/{stage.namespace}/configmaps/{names.GOVERNED_MAP}"
    stage.operator.patch(path, {"data": phrase})


def _rolled_back(stage: AttackStage, name: str) -> None:
    stage.canary_runs(name)
    bad = str(stage.live(name)["status"]["currentPodHash"])
    attempt = hold_of(stage.live(name)).removeprefix("released-")
    stage.status(name, {"abort": True})
    stage.wait(f"the canary of {name} to go", lambda: stage.size(name, bad) == 0)
    stage.operator_sets(name, "hold", f"aborted-{attempt}")
    stage.wait("the abort to be told", lambda: stage.live(name)["status"].get("abortedAt"))


def _quarantined(stage: AttackStage, name: str) -> None:
    _rolled_back(stage, name)
    stage.new_template(name, "v1")
    stage.settled(name)
    stage.new_template(name, "v2")


def _completed(stage: AttackStage, name: str) -> None:
    stage.new_template(name, "v2")
    stage.release(name, THROUGH)
    stage.healthy(name)
    stage.operator_sets(name, "change", None)
    stage.healthy(name)


ENTRANCES: dict[str, Callable[[AttackStage, str], None]] = {
    "none": _stays,
    "high": _stays,
    "train": _train,
    "held": _held,
    "approved": _approved,
    "canary": lambda stage, name: stage.canary_runs(name),
    "rolled back": _rolled_back,
    "quarantined": _quarantined,
    "completed": _completed,
    "first": _first,
    "blue-green": _held,
}
