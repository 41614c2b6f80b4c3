"""Who may take a governed service away, and what stays possible to everybody: on the real API server, as real users."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from e2e.apiclient import ApiError, JsonObject
from e2e.controlplane import ControlPlane
from e2e.governed import AGENT, UNMANAGED, GovernedStage, about, lines
from e2e.identities import PLATFORM
from e2e.istio import install_istio
from e2e.stage import ADMIN, CI, JUNIOR, ON_CALL, PREFIX, PRINCIPAL, SENIOR, merged, pods, refusal, rollout

pytestmark = pytest.mark.e2e

ISTIO = "/apis/networking.istio.io/v1beta1/namespaces/destroy"
APPS = "/apis/apps/v1/namespaces/destroy"
DRY = {"dryRun": "All"}
TO_AGENTS = "This is a deliberate hold, not a failure: do not retry, delete or recreate; report it to your human."
LISTED = "is not for AI agents, and agent is listed as one"
VERB = "needs the verb destroy on workloads (group rollwarden.dev) in namespace destroy"

_numbers = itertools.count(1)

Ask = Callable[[GovernedStage, str], JsonObject]

SERVICES = {"heavy": "app", "light": "app", "heavy-stable": "app", "free": "other"}


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[GovernedStage]:
    install_istio(control_plane)
    data = {
        **about("heavy", "high", svc=lines("heavy-stable", "heavy-canary"), vs=lines("heavy"), live="true"),
        **about("light", "low", vs=lines("light")),
        **about("still", "critical", vs=lines("still")),
    }
    sets = [merged(workload("ReplicaSet", f"{name}-5c7d", {"app": name}), ONE) for name in ("heavy", "light")]
    stage = GovernedStage(control_plane, "destroy", sets=sets, **data)
    stage.bind("on-call-destroys", "ClusterRole", "rollwarden-destroyer", {"kind": "User", "name": ON_CALL})
    stage.bind("agent-destroys", "ClusterRole", "rollwarden-destroyer", {"kind": "User", "name": AGENT})
    only = {"apiGroups": ["rollwarden.dev"], "resources": ["workloads"], "resourceNames": ["heavy"]}
    role = {"metadata": {"name": "one"}, "rules": [{**only, "verbs": ["destroy"]}]}
    control_plane.api.create("/apis/rbac.authorization.k8s.io/v1/namespaces/destroy/roles", role)
    stage.bind("keda", "Role", "one", {"kind": "User", "name": SENIOR})
    for name in ("heavy", "light", "still"):
        stage.owned(name)
        stage.client(CI).create(stage.core("services"), service(name, {"app": name}))
        route = {"metadata": {"name": name}, "spec": {"http": [{"route": [{"weight": 100}]}]}}
        stage.client(CI).create(f"{ISTIO}/virtualservices", {**ISTIO_KIND, **route})
    for name in ("heavy-stable", "free"):
        stage.client(CI).create(stage.core("services"), service(name, {"app": "other"}))
    control_plane.wait_for("the map to be read", lambda: _refused(lambda: deleted(stage.path("heavy"))(stage, AGENT)))
    yield stage
    stage.close()


ONE = {"spec": {"replicas": 1}}
ISTIO_KIND = {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService"}


def service(name: str, selector: dict[str, str]) -> JsonObject:
    return {"metadata": {"name": name}, "spec": {"selector": selector, "ports": [{"port": 80}]}}


def _refused(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except ApiError:
        return True
    return False


# -- requests, all as dry runs: what is admitted leaves no trace ------------------------------------------------------


def deleted(path: str) -> Ask:
    return lambda stage, user: stage.client(user).request("DELETE", path, query=DRY)


def patched(path: str, body: JsonObject) -> Ask:
    return lambda stage, user: stage.client(user).request(
        "PATCH", path, body, "application/merge-patch+json", query=DRY
    )


def created(path: str, body: JsonObject) -> Ask:
    return lambda stage, user: stage.client(user).request("POST", path, body, query=DRY)


ROLLOUTS = "/apis/argoproj.io/v1alpha1/namespaces/destroy/rollouts"
CORE = "/api/v1/namespaces/destroy"
OWNED_BY = {"apiVersion": "v1", "kind": "ConfigMap", "name": "bait", "uid": "7f6c1d0e-0000-4000-8000-000000000000"}


def workload(kind: str, name: str, labels: dict[str, str], selector: dict[str, str] | None = None) -> JsonObject:
    template = {"metadata": {"labels": labels}, "spec": pods("x", "v1")["spec"]}
    if kind == "Pod":
        return {"metadata": {"name": name, "labels": labels}, "spec": template["spec"]}
    if kind in ("Job", "CronJob"):
        job = {"template": merged(template, {"spec": {"restartPolicy": "Never"}})}
        dated = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}
        return {"metadata": {"name": name}, "spec": job if kind == "Job" else dated}
    matched = {"matchLabels": selector or labels}
    if kind == "Experiment":
        api = {"apiVersion": "argoproj.io/v1alpha1", "kind": kind}
        arms = [{"name": "a", "selector": matched, "template": template}]
        return {**api, "metadata": {"name": name}, "spec": {"templates": arms}}
    spec: JsonObject = {"replicas": 0, "selector": matched, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = "x"
    if kind == "DaemonSet":
        del spec["replicas"]
    if kind == "ReplicationController":
        spec["selector"] = selector or labels
    return {"metadata": {"name": name}, "spec": spec}


PLURALS = {
    "Deployment": f"{APPS}/deployments",
    "StatefulSet": f"{APPS}/statefulsets",
    "DaemonSet": f"{APPS}/daemonsets",
    "ReplicaSet": f"{APPS}/replicasets",
    "Pod": f"{CORE}/pods",
    "ReplicationController": f"{CORE}/replicationcontrollers",
    "Job": "/apis/batch/v1/namespaces/destroy/jobs",
    "CronJob": "/apis/batch/v1/namespaces/destroy/cronjobs",
    "Experiment": "/apis/argoproj.io/v1alpha1/namespaces/destroy/experiments",
}


def second(kind: str, app: str, **more: str) -> Ask:
    return created(PLURALS[kind], workload(kind, "second", {"app": app, **more}))


def deeds(name: str) -> dict[str, tuple[Ask, str]]:
    """What takes the Rollout away, and how the sentence about it begins."""
    other = merged(merged(rollout("second"), UNMANAGED), {"spec": {"selector": {"matchLabels": {"app": name}}}})
    other = merged(other, {"spec": {"template": pods(name, "v1")}})
    found = {
        "delete": (deleted(f"{ROLLOUTS}/{name}"), f'deleting rollout "{name}"'),
        "to zero": (patched(f"{ROLLOUTS}/{name}", {"spec": {"replicas": 0}}), f'scaling to 0 rollout "{name}"'),
        "scale to zero": (
            patched(f"{ROLLOUTS}/{name}/scale", {"spec": {"replicas": 0}}),
            f'scaling to 0 rollout "{name}"',
        ),
        "bait for the garbage collector": (
            patched(f"{ROLLOUTS}/{name}", {"metadata": {"ownerReferences": [OWNED_BY]}}),
            f'changing the owners of rollout "{name}"',
        ),
        "delete set": (deleted(f"{PLURALS['ReplicaSet']}/{name}-5c7d"), f'deleting ReplicaSet "{name}-5c7d"'),
        "set to zero": (
            patched(f"{PLURALS['ReplicaSet']}/{name}-5c7d", {"spec": {"replicas": 0}}),
            f'scaling to 0 ReplicaSet "{name}-5c7d"',
        ),
        "scale set to zero": (
            patched(f"{PLURALS['ReplicaSet']}/{name}-5c7d/scale", {"spec": {"replicas": 0}}),
            f'scaling to 0 ReplicaSet "{name}-5c7d"',
        ),
        "delete service": (deleted(f"{CORE}/services/{name}"), f'deleting service "{name}"'),
        "service elsewhere": (
            patched(f"{CORE}/services/{name}", {"spec": {"selector": {"app": "other"}}}),
            f'changing the selector of service "{name}"',
        ),
        "service narrowed": (
            patched(f"{CORE}/services/{name}", {"spec": {"selector": {"tag": "v9"}}}),
            f'changing the selector of service "{name}"',
        ),
        "service outside": (
            patched(f"{CORE}/services/{name}", {"spec": {"type": "ExternalName", "externalName": "x.example.com"}}),
            f'changing the selector of service "{name}"',
        ),
        "service taken over": (
            patched(f"{CORE}/services/free", {"spec": {"selector": {"app": name}}}),
            'changing the selector of service "free"',
        ),
        "bait for its service": (
            patched(f"{CORE}/services/{name}", {"metadata": {"ownerReferences": [OWNED_BY]}}),
            f'changing the owners of service "{name}"',
        ),
        "second rollout": (created(ROLLOUTS, other), f'running Rollout "second" behind the labels of rollout "{name}"'),
        "wider selector": (
            created(PLURALS["Deployment"], workload("Deployment", "second", {"app": name, "x": "y"}, {"app": name})),
            f'running Deployment "second" behind the labels of rollout "{name}"',
        ),
    }
    for kind in PLURALS:
        found[f"second {kind}"] = (
            second(kind, name, tier="web"),
            f'running {kind} "second" behind the labels of rollout "{name}"',
        )
    return found


LIVE: dict[str, tuple[Ask, str]] = {
    "weights": (
        patched(f"{ISTIO}/virtualservices/heavy", {"spec": {"http": [{"route": [{"weight": 0}]}]}}),
        'editing VirtualService "heavy" while a revision is under way',
    ),
    "route away": (
        deleted(f"{ISTIO}/virtualservices/heavy"),
        'deleting VirtualService "heavy" while a revision is under way',
    ),
    "strategy's service": (
        patched(f"{CORE}/services/heavy-stable", {"spec": {"selector": {"app": "third"}}}),
        'changing the selector of service "heavy-stable"',
    ),
    "delete strategy's service": (
        deleted(f"{CORE}/services/heavy-stable"),
        'deleting service "heavy-stable"',
    ),
}
HEAVY = deeds("heavy") | LIVE
LIGHT = deeds("light")


@pytest.mark.parametrize("deed", HEAVY)
@pytest.mark.parametrize("user", [JUNIOR, ADMIN])
def test_high_takes_the_verb(stage: GovernedStage, deed: str, user: str) -> None:
    ask, words = HEAVY[deed]
    said = refusal(lambda: ask(stage, user))
    assert f"{words} {VERB}" in said
    assert f"{user} does not hold it, and a wildcard does not count" in said


@pytest.mark.parametrize("deed", HEAVY)
def test_agents_do_not_even_with_the_verb(stage: GovernedStage, deed: str) -> None:
    ask, words = HEAVY[deed]
    said = refusal(lambda: ask(stage, AGENT))
    assert f"{words} {LISTED}" in said
    assert TO_AGENTS in said


@pytest.mark.parametrize("deed", LIGHT)
def test_agents_do_not_at_any_criticality(stage: GovernedStage, deed: str) -> None:
    ask, words = LIGHT[deed]
    assert f"{words} {LISTED}" in refusal(lambda: ask(stage, AGENT))


@pytest.mark.parametrize("deed", HEAVY)
def test_the_verb_admits(stage: GovernedStage, deed: str) -> None:
    HEAVY[deed][0](stage, ON_CALL)


@pytest.mark.parametrize("deed", LIGHT)
def test_low_takes_nothing_from_people(stage: GovernedStage, deed: str) -> None:
    LIGHT[deed][0](stage, JUNIOR)


def test_the_verb_for_one_is_not_the_verb_for_another(stage: GovernedStage) -> None:
    deleted(f"{ROLLOUTS}/heavy")(stage, SENIOR)
    assert 'rollout "still"' in refusal(lambda: deleted(f"{ROLLOUTS}/still")(stage, SENIOR))
    deleted(f"{ROLLOUTS}/still")(stage, PRINCIPAL)
    both = patched(f"{CORE}/services/heavy", {"spec": {"selector": {"app": "still"}}})
    assert VERB in refusal(lambda: both(stage, SENIOR)), "it is taken off one and put before another"
    both(stage, ON_CALL)


def test_all_at_once_is_one_by_one(stage: GovernedStage) -> None:
    assert "deleting rollout" in refusal(lambda: deleted(ROLLOUTS)(stage, JUNIOR))


def test_its_own_word_and_the_namespaces_count(stage: GovernedStage, control_plane: ControlPlane) -> None:
    """The map may be behind: what the Rollout says of itself is taken too."""
    name = f"said-{next(_numbers)}"
    stage.owned(name, annotations={PREFIX + "criticality": " High "})
    assert VERB in refusal(lambda: deleted(f"{ROLLOUTS}/{name}")(stage, JUNIOR))
    stage.owned(f"{name}-not")
    deleted(f"{ROLLOUTS}/{name}-not")(stage, JUNIOR)


ALWAYS: dict[str, Ask] = {
    "scale down": patched(f"{ROLLOUTS}/heavy/scale", {"spec": {"replicas": 1}}),
    "scale up": patched(f"{ROLLOUTS}/heavy", {"spec": {"replicas": 9}}),
    "abort": patched(f"{ROLLOUTS}/heavy/status", {"status": {"abort": True}}),
    "another port": patched(f"{CORE}/services/heavy", {"spec": {"ports": [{"port": 81}]}}),
    "a label on the service": patched(f"{CORE}/services/heavy", {"metadata": {"labels": {"x": "y"}}}),
    "another service before it": created(f"{CORE}/services", service("more", {"app": "heavy"})),
    "a service that is nobody's": deleted(f"{CORE}/services/free"),
    "a route while nothing is under way": patched(f"{ISTIO}/virtualservices/still", {"spec": {"http": []}}),
    "a label on a route": patched(f"{ISTIO}/virtualservices/heavy", {"metadata": {"labels": {"x": "y"}}}),
    "a workload of its own": second("Deployment", "else"),
    "a pod without labels": created(PLURALS["Pod"], workload("Pod", "bare", {})),
    "the same again": patched(f"{ROLLOUTS}/heavy", {"spec": {"selector": {"matchLabels": {"app": "heavy"}}}}),
}


@pytest.mark.parametrize("what", ALWAYS)
@pytest.mark.parametrize("user", [JUNIOR, AGENT])
def test_always_possible(stage: GovernedStage, what: str, user: str) -> None:
    ALWAYS[what](stage, user)


def test_a_pod_label_brings_nobody_behind_it(stage: GovernedStage) -> None:
    stage.client(CI).create(PLURALS["Deployment"], workload("Deployment", "plain", {"app": "plain"}))
    labels = {"spec": {"template": {"metadata": {"labels": {"app": "plain", "tier": "web"}}}}}
    patched(f"{PLURALS['Deployment']}/plain", labels)(stage, AGENT)
    stage.client(CI).create(PLURALS["Pod"], workload("Pod", "plain", {"app": "plain"}))
    said = refusal(lambda: patched(f"{CORE}/pods/plain", {"metadata": {"labels": {"app": "light"}}})(stage, AGENT))
    assert 'running Pod "plain" behind the labels of rollout "light"' in said


def test_the_map_is_the_operators(stage: GovernedStage) -> None:
    path = stage.core("configmaps", "rollwarden-governed")
    for user in (JUNIOR, ADMIN, PRINCIPAL):
        for ask in (
            patched(path, {"data": {"agents.users": ""}}),
            patched(path, {"metadata": {"labels": {"x": "y"}}}),
            deleted(path),
            deleted(stage.core("configmaps")),
        ):
            said = refusal(lambda ask=ask, user=user: ask(stage, user))  # type: ignore[misc]
            assert "rollwarden-governed is written by the operator only" in said
    created(stage.core("configmaps"), {"metadata": {"name": "mine"}, "data": {"a": "b"}})(stage, JUNIOR)


def test_an_enforced_namespace_is_deleted_by_a_verb(control_plane: ControlPlane, stage: GovernedStage) -> None:
    said = refusal(lambda: deleted(CORE)(stage, ADMIN))
    assert "deleting namespace destroy takes every governed service in it away" in said
    assert "verb destroy on workloads (group rollwarden.dev) there, which admin does not hold" in said
    assert "if you are an ai agent: this is a deliberate hold" in said.lower()
    control_plane.access.client(PLATFORM).request("DELETE", CORE, query=DRY)
    control_plane.api.create("/api/v1/namespaces", {"metadata": {"name": "destroy-free"}})
    control_plane.api.delete("/api/v1/namespaces/destroy-free")


def test_a_map_of_hundreds_of_rollouts_is_read_as_well(control_plane: ControlPlane) -> None:
    """No expression exceeds what it may cost; with thousands, one refuses without being able to say why."""
    big = GovernedStage(control_plane, "destroy-big", **about("heavy", "high", live="true"))
    many: JsonObject = {"agents.users": lines(AGENT, *(f"bot-{i}@example.com" for i in range(256)))}
    many["agents.groups"] = lines(*(f"bots-{i}-{'x' * 100}" for i in range(256)))
    for number in range(300):
        labels = lines(f"app=filler-{number}", *(f"label-{i}=value-{i}" for i in range(19)))
        many |= {f"crit.filler-{number}": "low", f"pods.filler-{number}": labels, f"live.filler-{number}": "true"}
        many[f"sel.filler-{number}"] = lines(f"app=filler-{number}", "label-1=value-1")
    big.tell(many)
    big.owned("heavy")
    big.client(CI).create(big.core("services"), service("heavy", {"app": "heavy"}))

    def counted() -> bool:
        body = workload("Deployment", "probe", {"app": "filler-299", "label-1": "value-1"})
        path = f"/apis/apps/v1/namespaces/{big.namespace}/deployments"
        return _refused(lambda: created(path, body)(big, AGENT))

    big.wait("the whole map to be read", counted)
    deployment = workload("Deployment", "second", {"app": "heavy"} | {f"label-{i}": f"value-{i}" for i in range(12)})
    asks = {
        "deleting rollout": deleted(big.path("heavy")),
        "scaling to 0": patched(big.path("heavy", "scale"), {"spec": {"replicas": 0}}),
        "deleting service": deleted(big.core("services", "heavy")),
        "changing the selector": patched(big.core("services", "heavy"), {"spec": {"selector": {"tag": "x"}}}),
        "running Deployment": created(f"/apis/apps/v1/namespaces/{big.namespace}/deployments", deployment),
    }
    for words, ask in asks.items():
        for user in (JUNIOR, AGENT):
            said = refusal(lambda ask=ask, user=user: ask(big, user))  # type: ignore[misc]
            assert words in said and "cost" not in said
    big.close()


def test_a_namespace_takes_all_of_it_along(control_plane: ControlPlane) -> None:
    """Whoever may delete the namespace has decided: nothing inside stands in the way."""
    inner = GovernedStage(control_plane, "destroy-whole", **about("heavy", "critical", live="true"))
    inner.owned("heavy", annotations={PREFIX + "criticality": "critical"})
    inner.client(CI).create(inner.core("services"), service("heavy", {"app": "heavy"}))
    inner.close()
    control_plane.wait_for(
        "the namespace to be gone", lambda: control_plane.get_or_none("/api/v1/namespaces/destroy-whole") is None, 30
    )
