"""Brings everything up: the control plane, services that already run, Rollwarden, and at last the word ``enforce``."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import urllib3

from e2e import identities
from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.demo import meters
from e2e.demo.failure import must
from e2e.demo.narrator import Narrator
from e2e.demo.scene_fleet import ROLLOUTS, member
from e2e.demo.services import FLEET, MODE, PREFIX, SERVICES, policy
from e2e.demo.watching import Watching
from e2e.demo.world import World
from e2e.install import install_rollwarden
from e2e.operator import start_operator
from e2e.processes import ManagedProcess

BUILD = Path(__file__).parents[2] / "build"
DIRECTORY = BUILD / "demo"
NAMESPACES = (*(service.name for service in SERVICES), FLEET)
KEPT_SECONDS = 3600.0
RBAC = "rbac.authorization.k8s.io"

DEVELOPER_RULES = (
    {
        "apiGroups": ["argoproj.io"],
        "resources": ["rollouts", "rollouts/scale"],
        "verbs": ["get", "list", "watch", "create", "patch", "update"],
    },
    {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "watch"]},
    {
        "apiGroups": ["rollwarden.dev"],
        "resources": ["changes", "approvals", "serviceprofiles"],
        "verbs": ["get", "list", "watch"],
    },
)
TIERS = (
    ("rollwarden-peer", "juniors"),
    ("rollwarden-senior", "payments-seniors"),
    ("rollwarden-principal", "principals"),
    ("rollwarden-break-glass", "on-call"),
)


def control_plane() -> ControlPlane:
    """Not started yet. Its logs and kubeconfigs stay in ``build/demo`` until the next demo."""
    if DIRECTORY.exists():
        shutil.rmtree(DIRECTORY)
    return ControlPlane(scrape_seconds=5.0, directory=DIRECTORY)


def bring_up(cp: ControlPlane, tell: Narrator) -> World:
    """Everything runs, every namespace is enforced, and nothing has changed yet."""
    tell.say(
        f"A control plane, all of it real and on this machine's loopback, is up in {cp.start_seconds['all']:.0f} s: "
        "etcd, kube-apiserver, kube-controller-manager, kube-scheduler, Argo Rollouts, Prometheus, and a node whose "
        "every pod is an HTTP process."
    )
    for identity in identities.EVERYONE:
        cp.kubeconfig(identity.user)  # written now, before several threads ask for them
    watching = Watching()
    watching.start(cp)
    for name in NAMESPACES:
        _namespace(cp, name)
    _apply(cp, [each for service in SERVICES for each in service.at_first()])
    _apply(cp, [member(number, 1) for number in range(ROLLOUTS)])
    for service in SERVICES:
        must(cp.kubectl(*service.scaling(service.replicas)).ok, f"{service.name} could not be scaled")
    install_rollwarden(cp)
    _apply(cp, [policy()], identities.PLATFORM)
    _apply(cp, [service.profile() for service in SERVICES])
    _await_services(cp)
    load = cp.load(KEPT_SECONDS)
    for service in SERVICES:
        load.set_rate(service.name, service.name, service.rps)
    total = sum(service.rps for service in SERVICES)
    pods = sum(service.replicas for service in SERVICES)
    tell.say(
        f"{len(SERVICES)} services run already, {pods} pods under {total:g} requests a second: "
        + ", ".join(f"{s.name} ({s.criticality.lower()})" for s in SERVICES)
        + "."
    )
    operator = _operator(cp)
    world = World(cp, tell, load, operator, watching)
    tell.say(
        "Rollwarden is installed: four kinds, admission policies in the API server, and the operator under a service "
        "account of its own. So far it only observes. Now it may enforce:"
    )
    _enforce(world)
    return world


def _namespace(cp: ControlPlane, name: str) -> None:
    cp.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    role = {"metadata": {"name": "developers"}, "rules": list(DEVELOPER_RULES)}
    cp.api.create(f"/apis/{RBAC}/v1/namespaces/{name}/roles", role)
    users = [{"kind": "User", "name": user, "apiGroup": RBAC} for user in ("jun@example.com", "ci-bot", "agent")]
    _bind(cp, name, "developers", "Role", users)
    for role_name, group in TIERS:
        _bind(cp, name, role_name, "ClusterRole", [{"kind": "Group", "name": group, "apiGroup": RBAC}])


def _bind(cp: ControlPlane, namespace: str, role: str, kind: str, subjects: list[dict[str, str]]) -> None:
    binding = {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": subjects,
    }
    cp.api.create(f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings", binding)


def _apply(cp: ControlPlane, objects: Iterable[JsonObject], user: str = identities.ADMIN) -> None:
    manifest = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    done = cp.kubectl("apply", "--server-side", "-f", "-", user=user, input=json.dumps(manifest))
    must(done.ok, f"the demo's own objects were refused: {done.err.strip()}")


def _await_services(cp: ControlPlane) -> None:
    path = "/apis/argoproj.io/v1alpha1/rollouts"

    def unhealthy() -> list[str]:
        return [
            f"{r['metadata']['namespace']}/{r['metadata']['name']}"
            for r in cp.api.get(path)["items"]
            if r.get("status", {}).get("phase") != "Healthy"
        ]

    cp.wait_for("every first revision to be healthy", lambda: not unhealthy(), seconds=40, every=0.25)


def _operator(cp: ControlPlane) -> ManagedProcess:
    operator = start_operator(cp)
    url = f"http://127.0.0.1:{operator.command.environment['ROLLWARDEN_METRICS_PORT']}/metrics"

    def answers() -> bool:
        operator.check()
        try:
            return urllib3.request("GET", url, timeout=1, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False  # it has not opened the port yet

    cp.wait_for("the operator to run", answers, seconds=30)
    return operator


def _enforce(world: World) -> None:
    """Labels every namespace, and waits until what runs there is marked as known good."""
    command = ["label", "namespaces", *NAMESPACES, f"{MODE}=enforce"]
    done = world.cp.kubectl(*command)
    world.tell.command("admin", ["kubectl", *command], "")
    must(done.ok, f"the namespaces could not be labelled: {done.err.strip()}")
    known = PREFIX + "known-good"

    def seeded() -> bool:
        sets = world.cp.api.get("/apis/apps/v1/replicasets")["items"]
        return bool(sets) and all(known in s["metadata"].get("annotations", {}) for s in sets)

    world.cp.wait_for("what runs to be marked as known good", seeded, seconds=20, every=0.25)


def warm_up(world: World, seconds: float) -> meters.Reading:
    """Lets traffic flow, and counts what the operator writes while nobody changes anything."""
    time.sleep(1.0)
    started = meters.read(world.operator)
    world.tell.say(
        f"For {seconds:g} s nobody changes anything; Prometheus learns what healthy looks like. The cast: Jun, a "
        "junior; Ada, a senior of payments; Olli, on call; an AI agent with an identity of its own; and ci-bot, which "
        "applies what Git holds. Each is a real user with no more rights than theirs."
    )
    meters.quiet_writes(world, seconds)
    writes = world.figures["api_writes_per_minute_when_quiet"]
    world.tell.say(f"The operator wrote to the API server {writes:g} times a minute in that time.")
    return started
