"""The Kubernetes adapter against the real API server: reading, writing, watching, being refused, being cut off."""

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlparse

import msgspec
import pytest
import yaml

from e2e.controlplane import ControlPlane
from rollwarden.kube import client as client_module
from rollwarden.kube import errors
from rollwarden.kube.client import KubeClient
from rollwarden.kube.errors import Call
from rollwarden.kube.informers import ObjectKey, kube_informer
from rollwarden.kube.recorder import KubeEvents, ObjectRef
from rollwarden.kube.resources import (
    CONFIGMAPS,
    CUSTOMRESOURCEDEFINITIONS,
    EVENTS,
    NAMESPACES,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICEPROFILES,
    Resource,
)
from rollwarden.kube.transport import ApiRequest, ClientOptions
from rollwarden.kube.watch import Watch
from rollwarden.runtime.events import Event, EventRecorder
from rollwarden.runtime.informer import EventKind

pytestmark = pytest.mark.e2e

CRDS = Path(__file__).parent.parent / "crds"
RBAC = "rbac.authorization.k8s.io"
ROLES = Resource(RBAC, "v1", "roles", "Role")
ROLEBINDINGS = Resource(RBAC, "v1", "rolebindings", "RoleBinding")

Digits = Annotated[str, msgspec.Meta(pattern="^[0-9]*$")]


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    uid: str
    resource_version: str


class Numbers(msgspec.Struct, frozen=True):
    """A ConfigMap of which we understand numbers only."""

    metadata: Metadata
    data: dict[str, Digits] = {}


@dataclass
class Seen:
    """What the client's callbacks were told."""

    requests: list[ApiRequest] = field(default_factory=list)
    warnings: list[tuple[Call, str]] = field(default_factory=list)

    def options(self, **more: Any) -> ClientOptions:
        return ClientOptions(
            on_request=self.requests.append, on_warning=lambda call, text: self.warnings.append((call, text)), **more
        )

    def count(self, verb: str) -> int:
        return sum(request.call.verb == verb for request in self.requests)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def client(control_plane: ControlPlane, seen: Seen) -> Iterator[KubeClient]:
    with KubeClient.from_kubeconfig(control_plane.kubeconfig(), options=seen.options()) as client:
        yield client


@pytest.fixture
def namespace(client: KubeClient) -> Iterator[str]:
    name = f"kube-client-{uuid.uuid4().hex[:8]}"
    client.create(NAMESPACES, {"metadata": {"name": name}})
    yield name
    client.delete(NAMESPACES, name)


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels or {}}, "data": data}


def as_user(control_plane: ControlPlane, user: str) -> KubeClient:
    return KubeClient.from_kubeconfig(control_plane.kubeconfig(user))


# -- reading and writing ------------------------------------------------------------------------------------------


def test_an_object_is_created_read_patched_and_deleted(client: KubeClient, namespace: str, seen: Seen) -> None:
    created = client.create(CONFIGMAPS, config_map("one", a="1"), namespace=namespace, type=Numbers)
    assert client.get(CONFIGMAPS, "one", namespace=namespace, type=Numbers) == created
    as_dict = client.get(CONFIGMAPS, "one", namespace=namespace)
    assert as_dict["data"] == {"a": "1"} and as_dict["kind"] == "ConfigMap"
    ops = [
        {"op": "test", "path": "/metadata/uid", "value": created.metadata.uid},
        {"op": "add", "path": "/data/b", "value": "2"},
    ]
    patched = client.json_patch(CONFIGMAPS, "one", ops, namespace=namespace, type=Numbers)
    assert patched.data == {"a": "1", "b": "2"}
    assert patched.metadata.resource_version != created.metadata.resource_version
    client.delete(CONFIGMAPS, "one", namespace=namespace, uid=created.metadata.uid)
    with pytest.raises(errors.NotFound, match=f'get configmaps {namespace}/one: 404 NotFound: configmaps "one" not'):
        client.get(CONFIGMAPS, "one", namespace=namespace)
    told = [(request.call.verb, str(request.call.resource), request.code) for request in seen.requests[-6:]]
    assert told == [
        ("create", "configmaps", 201),
        ("get", "configmaps", 200),
        ("get", "configmaps", 200),
        ("patch", "configmaps", 200),
        ("delete", "configmaps", 200),
        ("get", "configmaps", 404),
    ]


def test_our_writes_carry_our_name(client: KubeClient, namespace: str) -> None:
    created = client.create(CONFIGMAPS, config_map("one", a="1"), namespace=namespace)
    assert [entry["manager"] for entry in created["metadata"]["managedFields"]] == ["rollwarden"]


def test_a_dry_run_changes_nothing(client: KubeClient, namespace: str) -> None:
    client.create(CONFIGMAPS, config_map("dry"), namespace=namespace, dry_run=True)
    client.create(CONFIGMAPS, config_map("wet"), namespace=namespace)
    client.json_patch(
        CONFIGMAPS, "wet", [{"op": "add", "path": "/data", "value": {"a": "1"}}], namespace=namespace, dry_run=True
    )
    client.apply(
        CONFIGMAPS, {**named("wet", namespace), "data": {"a": "1"}}, dry_run=True, force=True, field_manager="other"
    )
    client.delete(CONFIGMAPS, "wet", namespace=namespace, dry_run=True)
    names = [item["metadata"]["name"] for item in client.list(CONFIGMAPS, namespace=namespace).items]
    assert "dry" not in names and "wet" in names
    assert "data" not in client.get(CONFIGMAPS, "wet", namespace=namespace)


def named(name: str, namespace: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}


def test_a_long_list_is_read_page_by_page(
    client: KubeClient, namespace: str, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE_SIZE", 2)
    for number in range(5):
        body = config_map(f"n{number}", {"parity": str(number % 2)}, value=str(number))
        client.create(CONFIGMAPS, body, namespace=namespace)
    page = client.list(CONFIGMAPS, namespace=namespace, label_selector="parity", type=Numbers)
    assert [item.data["value"] for item in page.items] == list("01234")
    assert seen.count("list") >= 3
    even = client.list(CONFIGMAPS, namespace=namespace, label_selector="parity=0,parity")
    assert [item["metadata"]["name"] for item in even.items] == ["n0", "n2", "n4"]
    one = client.list(CONFIGMAPS, namespace=namespace, field_selector="metadata.name=n3")
    assert len(one.items) == 1
    everywhere = client.list(CONFIGMAPS, label_selector="parity")
    assert len(everywhere.items) == 5
    assert int(everywhere.resource_version) > 0


def test_server_side_apply_creates_updates_and_tells_of_conflicts(client: KubeClient, namespace: str) -> None:
    body = {**named("applied", namespace), "data": {"a": "1"}}
    first = client.apply(CONFIGMAPS, body)
    again = client.apply(CONFIGMAPS, body)
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"], "nothing to change"
    theirs = {**named("applied", namespace), "data": {"a": "2"}}
    with pytest.raises(errors.Conflict, match=r"apply configmaps .*/applied: 409 Conflict: .*rollwarden"):
        client.apply(CONFIGMAPS, theirs, field_manager="someone-else")
    assert client.apply(CONFIGMAPS, theirs, field_manager="someone-else", force=True)["data"] == {"a": "2"}


# -- refusals -----------------------------------------------------------------------------------------------------


def test_a_failed_test_of_a_json_patch_is_told_apart_and_leaves_the_object_alone(
    client: KubeClient, namespace: str
) -> None:
    before = client.create(CONFIGMAPS, config_map("one", a="1"), namespace=namespace, type=Numbers)
    write = {"op": "add", "path": "/data/b", "value": "2"}
    for path, value in (("/metadata/uid", "another"), ("/metadata/resourceVersion", "1"), ("/metadata/nothing", "x")):
        test = {"op": "test", "path": path, "value": value}
        with pytest.raises(errors.PatchTestFailed, match=f"patch configmaps {namespace}/one: 422 Invalid: .*{path}"):
            client.json_patch(CONFIGMAPS, "one", [test, write], namespace=namespace)
    with pytest.raises(errors.PatchTestFailed, match=r"could not be carried out: remove /data/none$"):
        client.json_patch(CONFIGMAPS, "one", [{"op": "remove", "path": "/data/none"}], namespace=namespace)
    with pytest.raises(errors.Invalid) as caught:
        client.json_patch(CONFIGMAPS, "one", [{"op": "add", "path": "/data/b", "value": 7}], namespace=namespace)
    assert not isinstance(caught.value, errors.PatchTestFailed), "an object that is not acceptable is another matter"
    assert client.get(CONFIGMAPS, "one", namespace=namespace, type=Numbers) == before


def test_conflicts(client: KubeClient, namespace: str) -> None:
    created = client.create(CONFIGMAPS, config_map("one"), namespace=namespace, type=Numbers)
    with pytest.raises(errors.AlreadyExists, match="409 AlreadyExists"):
        client.create(CONFIGMAPS, config_map("one"), namespace=namespace)
    stale = [{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}]
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        client.json_patch(
            CONFIGMAPS, "one", [*stale, {"op": "add", "path": "/data", "value": {"a": "1"}}], namespace=namespace
        )
    with pytest.raises(errors.Conflict, match=r"delete configmaps .*UID in the precondition"):
        client.delete(CONFIGMAPS, "one", namespace=namespace, uid="another")
    client.delete(
        CONFIGMAPS,
        "one",
        namespace=namespace,
        uid=created.metadata.uid,
        resource_version=created.metadata.resource_version,
    )


def test_the_status_of_our_own_kinds_takes_merge_patches_at_one_resource_version(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    kind = yaml.safe_load((CRDS / "rollwarden.dev_serviceprofiles.yaml").read_text())
    client.apply(CUSTOMRESOURCEDEFINITIONS, kind, force=True)

    def create() -> dict[str, Any] | None:
        try:
            return client.create(SERVICEPROFILES, {**body, "spec": {}}, namespace=namespace)
        except errors.NotFound:
            return None  # the new kind is not served yet

    name = f"kube-client-{uuid.uuid4().hex[:8]}"
    body = {
        "apiVersion": SERVICEPROFILES.api_version,
        "kind": SERVICEPROFILES.kind,
        "metadata": {"name": name},
    }
    before = control_plane.wait_for("the kind to be served", create, 15)["metadata"]["resourceVersion"]
    try:
        status = {"status": {"observedGeneration": 1}}
        patched = client.merge_patch(SERVICEPROFILES, name, status, namespace=namespace, resource_version=before)
        assert patched["status"] == {"observedGeneration": 1}
        with pytest.raises(errors.Conflict, match="the object has been modified"):
            newer = {"status": {"observedGeneration": 2}}
            client.merge_patch(SERVICEPROFILES, name, newer, namespace=namespace, resource_version=before)
    finally:
        client.delete(SERVICEPROFILES, name, namespace=namespace)


def test_an_invalid_object_is_refused_with_the_field_named(client: KubeClient, namespace: str) -> None:
    with pytest.raises(errors.Invalid, match=r"metadata\.name") as caught:
        client.create(CONFIGMAPS, config_map("Not A Name"), namespace=namespace)
    assert [cause.field for cause in caught.value.causes] == ["metadata.name"]


def test_an_unknown_kind_is_not_found(client: KubeClient) -> None:
    with pytest.raises(errors.NotFound, match=r"list nothings\.example\.com: 404"):
        client.list(Resource("example.com", "v1", "nothings", "Nothing"))


def test_who_may_not_is_told_so(control_plane: ControlPlane, namespace: str) -> None:
    with as_user(control_plane, "jun@example.com") as jun:
        with pytest.raises(errors.Forbidden, match=r'403 Forbidden: .*User "jun@example.com" cannot get.*secrets'):
            jun.get(SECRETS, "x", namespace=namespace)
        with pytest.raises(errors.Forbidden):
            jun.watch(SECRETS, "1")


def test_an_unknown_token_is_told_so(control_plane: ControlPlane, tmp_path: Path) -> None:
    known = yaml.safe_load(control_plane.kubeconfig().read_text())
    known["users"][0]["user"]["token"] = "nobody's"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(known))
    with KubeClient.from_kubeconfig(path) as stranger, pytest.raises(errors.Unauthorized, match="401 Unauthorized"):
        stranger.list(NAMESPACES)


def test_a_server_that_our_certificates_do_not_vouch_for_is_not_spoken_to(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    known = yaml.safe_load(control_plane.kubeconfig().read_text())
    del known["clusters"][0]["cluster"]["certificate-authority"]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(known))
    with (
        KubeClient.from_kubeconfig(path) as client,
        pytest.raises(errors.ServerUnavailable, match=r"(?s)certificate verify failed"),
    ):
        client.list(NAMESPACES)


def test_warnings_of_the_api_server_are_passed_on(client: KubeClient, namespace: str, seen: Seen) -> None:
    client.create(CONFIGMAPS, {**config_map("one"), "spcification": 1}, namespace=namespace)
    assert [(call.verb, text) for call, text in seen.warnings] == [("create", 'unknown field "spcification"')]


# -- who we are and who may ---------------------------------------------------------------------------------------


def test_reviews(control_plane: ControlPlane, client: KubeClient, namespace: str) -> None:
    grant(client, namespace, "tiers", "approve", "User", "ada@example.com")
    assert client.self_subject_review().username == "admin"
    assert client.can("ada@example.com", ["payments-seniors"], "approve", "example.com", "tiers", "senior", namespace)
    assert not client.can("jun@example.com", ["juniors"], "approve", "example.com", "tiers", "senior", namespace)
    assert not client.can("ada@example.com", [], "approve", "example.com", "tiers", "senior"), "not in all namespaces"
    assert client.can("x", ["system:masters"], "get", "", "secrets", extra={"scopes": ["all"]})
    with as_user(control_plane, "ada@example.com") as ada:
        who = ada.self_subject_review()
        assert who.username == "ada@example.com" and "payments-seniors" in who.groups
        assert ada.self_subject_access_review("approve", "example.com", "tiers", "senior", namespace)
        assert not ada.self_subject_access_review("approve", "example.com", "tiers", "senior")


def grant(client: KubeClient, namespace: str, resources: str, verb: str, kind: str, name: str) -> None:
    rules = [{"apiGroups": ["", "example.com"], "resources": [resources], "verbs": [verb]}]
    client.create(ROLES, {"metadata": {"name": f"{verb}-{resources}"}, "rules": rules}, namespace=namespace)
    subject = {"kind": kind, "name": name} | (
        {"namespace": namespace} if kind == "ServiceAccount" else {"apiGroup": RBAC}
    )
    reference = {"apiGroup": RBAC, "kind": "Role", "name": f"{verb}-{resources}"}
    body = {"metadata": {"name": f"{verb}-{resources}"}, "subjects": [subject], "roleRef": reference}
    client.create(ROLEBINDINGS, body, namespace=namespace)


def test_a_pods_service_account_authenticates_and_has_its_rights_only(
    control_plane: ControlPlane, client: KubeClient, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create(SERVICEACCOUNTS, {"metadata": {"name": "robot"}}, namespace=namespace)
    grant(client, namespace, "configmaps", "list", "ServiceAccount", "robot")
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    answer = client.create(SERVICEACCOUNTS, request, namespace=namespace, name="robot", subresource="token")
    known = yaml.safe_load(control_plane.kubeconfig().read_text())
    authority = Path(known["clusters"][0]["cluster"]["certificate-authority"])
    (tmp_path / "token").write_text(answer["status"]["token"])
    (tmp_path / "ca.crt").write_bytes(authority.read_bytes())
    address = urlparse(control_plane.server)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    with KubeClient.in_cluster(directory=tmp_path) as robot:
        assert robot.self_subject_review().username == f"system:serviceaccount:{namespace}:robot"
        robot.list(CONFIGMAPS, namespace=namespace)
        with pytest.raises(errors.Forbidden):
            robot.list(SECRETS, namespace=namespace)


# -- watching -----------------------------------------------------------------------------------------------------


def test_a_watch_tells_what_happened_since(client: KubeClient, namespace: str) -> None:
    since = client.list(CONFIGMAPS, namespace=namespace).resource_version
    client.create(CONFIGMAPS, config_map("one", a="1"), namespace=namespace)
    client.json_patch(CONFIGMAPS, "one", [{"op": "add", "path": "/data/a", "value": "2"}], namespace=namespace)
    client.delete(CONFIGMAPS, "one", namespace=namespace)
    watch = client.watch(CONFIGMAPS, since, namespace=namespace, field_selector="metadata.name=one", type=Numbers)
    told = []
    for event in watch:
        told.append((event.kind, event.raw.data))
        if event.kind is EventKind.DELETED:
            break
    watch.close()
    assert told == [
        (EventKind.ADDED, {"a": "1"}),
        (EventKind.MODIFIED, {"a": "2"}),
        (EventKind.DELETED, {"a": "2"}),
    ]


def test_a_watch_is_ended_from_another_thread_while_it_waits(client: KubeClient, namespace: str) -> None:
    since = client.list(CONFIGMAPS, namespace=namespace).resource_version
    watch: Watch[dict[str, Any]] = client.watch(CONFIGMAPS, since, namespace=namespace, label_selector="watched")
    threading.Timer(0.5, watch.close).start()
    started = time.monotonic()
    assert [event.kind for event in watch if event.kind is not EventKind.BOOKMARK] == []
    assert 0.4 < time.monotonic() - started < 3


def test_a_silent_watch_ends_without_error(control_plane: ControlPlane, namespace: str) -> None:
    options = ClientOptions(quiet_timeout=0.5)
    with KubeClient.from_kubeconfig(control_plane.kubeconfig(), options=options) as client:
        # every new namespace gets a ConfigMap of the cluster's own some moments later
        since = client.list(CONFIGMAPS, namespace=namespace).resource_version
        assert list(client.watch(CONFIGMAPS, since, namespace=namespace, label_selector="nobody=wears")) == []


def test_a_resource_version_from_before_the_servers_memory_is_gone(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    since = client.list(CONFIGMAPS, namespace=namespace).resource_version
    client.create(CONFIGMAPS, config_map("one"), namespace=namespace)
    control_plane.restart_component("kube-apiserver")  # which begins anew with what it remembers
    with pytest.raises(errors.Gone, match=r"watch configmaps in .*: 410 .*too old"):
        list(client.watch(CONFIGMAPS, since, namespace=namespace))


def value_in(item: Numbers | None) -> str | None:
    return item.data.get("a") if item else None


# -- informers ----------------------------------------------------------------------------------------------------


def test_an_informer_follows_and_keeps_the_last_good_copy(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    bad: list[str] = []
    told: list[tuple[str | None, str | None]] = []
    informer = kube_informer(
        client,
        CONFIGMAPS,
        Numbers,
        namespace=namespace,
        label_selector="watched",
        indexers={"a": lambda item: [item.data.get("a")]},
        on_undecodable=lambda raw, error: bad.append(str(error)),
    )
    informer.add_handler(lambda old, new: told.append((value_in(old), value_in(new))))
    client.create(CONFIGMAPS, config_map("one", {"watched": ""}, a="1"), namespace=namespace)
    informer.start()
    try:
        assert informer.wait_synced(10)
        key = ObjectKey(namespace, "one")

        def value() -> str | None:
            return value_in(informer.store.get(key))

        def write(a: str) -> None:
            ops = [{"op": "add", "path": "/data/a", "value": a}]
            client.json_patch(CONFIGMAPS, "one", ops, namespace=namespace)

        assert value() == "1"
        write("2")
        control_plane.wait_for("the new value", lambda: value() == "2", 10)
        write("two")
        control_plane.wait_for("the report of a bad object", lambda: bad, 10)
        assert value() == "2" and "Expected `str` matching regex" in bad[0]
        write("3")
        control_plane.wait_for("the next good value", lambda: value() == "3", 10)
        assert [item.metadata.name for item in informer.store.by_index("a", "3")] == ["one"]
        client.delete(CONFIGMAPS, "one", namespace=namespace)
        control_plane.wait_for("the object to go", lambda: value() is None, 10)
        assert told == [(None, "1"), ("1", "2"), ("2", "3"), ("3", None)]
    finally:
        started = time.monotonic()
        assert informer.stop(5)
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_an_informer_converges_over_a_lost_api_server(
    control_plane: ControlPlane, client: KubeClient, namespace: str, seen: Seen, how: str
) -> None:
    told: dict[str, str] = {}

    def note(old: Numbers | None, new: Numbers | None) -> None:
        if new is None:
            assert old is not None
            told.pop(old.metadata.name)
        else:
            told[new.metadata.name] = new.data.get("a", "")

    informer = kube_informer(client, CONFIGMAPS, Numbers, namespace=namespace, label_selector="watched")
    informer.add_handler(note)
    for name in ("stays", "changes", "goes"):
        client.create(CONFIGMAPS, config_map(name, {"watched": ""}, a="1"), namespace=namespace)
    informer.start()
    try:
        assert informer.wait_synced(10)
        stop = control_plane.stop_component if how == "restarted" else control_plane.kill_component
        stop("kube-apiserver")
        with pytest.raises(errors.ServerUnavailable):
            client.get(CONFIGMAPS, "stays", namespace=namespace)
        requests = len(seen.requests)
        time.sleep(2)
        assert len(seen.requests) - requests < 15, "asked in a tight loop while the server was away"
        control_plane.start_component("kube-apiserver")
        client.delete(CONFIGMAPS, "goes", namespace=namespace)
        client.create(CONFIGMAPS, config_map("comes", {"watched": ""}, a="1"), namespace=namespace)
        ops = [{"op": "add", "path": "/data/a", "value": "2"}]
        client.json_patch(CONFIGMAPS, "changes", ops, namespace=namespace)
        expected = {"stays": "1", "changes": "2", "comes": "1"}
        control_plane.wait_for("the informer to catch up", lambda: told == expected, 40)
        assert {item.metadata.name for item in informer.store.items()} == set(expected)
    finally:
        assert informer.stop(5)


# -- events -------------------------------------------------------------------------------------------------------


def test_an_event_is_written_once_and_counted(control_plane: ControlPlane, client: KubeClient, namespace: str) -> None:
    target = client.create(CONFIGMAPS, config_map("one"), namespace=namespace, type=Numbers)
    about = ObjectRef.of(CONFIGMAPS, namespace, "one", target.metadata.uid)
    recorder = EventRecorder(KubeEvents(client, "rollwarden-0"), bump_every=0.1)
    recorder.start()
    for _ in range(7):
        recorder.emit(about, kind="Warning", reason="Held", message="waits for 1 senior " + "ä" * 1000, action="Hold")
    assert recorder.stop(5)
    counts = recorder.counts()
    assert (counts.written, counts.failed, counts.dropped) == (1, 0, 0)
    (event,) = client.list(EVENTS, namespace=namespace, field_selector="reason=Held").items
    assert event["series"]["count"] == 7
    assert event["regarding"]["uid"] == target.metadata.uid
    assert event["note"].startswith("waits for 1 senior") and event["note"].endswith("…")
    shown = control_plane.kubectl("describe", "configmap", "one", "-n", namespace)
    assert "Held" in shown.out and "rollwarden.dev/controller" in shown.out


def test_an_event_repeated_after_a_lost_answer_is_not_written_twice(client: KubeClient, namespace: str) -> None:
    sink = KubeEvents(client, "rollwarden-0")
    event = Event(ObjectRef.of(CONFIGMAPS, namespace, "one"), "Normal", "Once", "only once", "Hold")
    at = datetime.now(UTC)
    assert sink.create(event, at) == sink.create(event, at)
    assert len(client.list(EVENTS, namespace=namespace, field_selector="reason=Once").items) == 1


def test_an_event_for_a_namespace_that_is_not_there_is_given_up_at_once(
    control_plane: ControlPlane, client: KubeClient
) -> None:
    recorder = EventRecorder(KubeEvents(client, "rollwarden-0"))
    recorder.start()
    recorder.emit(ObjectRef.of(CONFIGMAPS, "not-there", "one"), kind="Normal", reason="Held", message="x")
    control_plane.wait_for("the event to be given up", lambda: recorder.counts().failed == 1, 3)
    assert recorder.stop()
