"""Approvals, Changes and modes, on the real API server, as real people and service accounts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from e2e import records
from e2e.apiclient import ApiClient, ApiError, JsonObject
from e2e.controlplane import ControlPlane
from e2e.identities import PLATFORM
from e2e.install import install_rollwarden
from e2e.records import DIGEST, change
from e2e.stage import (
    ADMIN,
    CI,
    JUNIOR,
    OTHER_SENIOR,
    PREFIX,
    PRINCIPAL,
    SENIOR,
    Stage,
    annotations_of,
    merged,
    refusal,
    rollout,
)
from rollwarden.api.enums import Tier

pytestmark = pytest.mark.e2e

NAMESPACE = "records"
RECORDS = f"/apis/rollwarden.dev/v1alpha1/namespaces/{NAMESPACE}"
APPROVALS = f"{RECORDS}/approvals"
CHANGES = f"{RECORDS}/changes"
UNMANAGED = {"metadata": {"labels": {"argo-rollouts.argoproj.io/controller-instance-id": "nobody"}}}
WILDCARD = "agent"

_numbers = itertools.count(1)

Client = Callable[[Stage], ApiClient]


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[Stage]:
    """Its namespace is enforced for the approvals by annotation; records are guarded in every namespace."""
    install_rollwarden(control_plane)
    stage = Stage(control_plane, NAMESPACE, labels={PREFIX + "mode": "enforce"})
    stage.bind("wildcard", "ClusterRole", "cluster-admin", {"kind": "User", "name": WILDCARD})
    stage.client().create(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "bot"}})
    bot = {"kind": "ServiceAccount", "name": "bot", "namespace": NAMESPACE}
    stage.bind("bot", "ClusterRole", "rollwarden-senior", bot)
    yield stage
    stage.close()


def person(user: str) -> Client:
    return lambda stage: stage.client(user)


def bot(stage: Stage) -> ApiClient:
    return stage.service_account(NAMESPACE, "bot")


def operator(stage: Stage) -> ApiClient:
    return stage.operator


def approval(tier: Tier = Tier.SENIOR) -> JsonObject:
    return records.approval(f"a-{next(_numbers)}", tier)


# -- Approvals ------------------------------------------------------------------------------------------------------


def test_an_approval_speaks_for_who_sent_it(stage: Stage) -> None:
    live = stage.client(SENIOR).create(APPROVALS, approval())
    assert live["spec"]["approver"] == {
        "user": SENIOR,
        "uid": SENIOR,
        "groups": ["payments-seniors", "system:authenticated"],
    }


@pytest.mark.parametrize("tier", [Tier.PEER, Tier.SENIOR], ids=str)
def test_a_tier_holds_the_ones_below(stage: Stage, tier: Tier) -> None:
    assert stage.client(SENIOR).create(APPROVALS, approval(tier))["spec"]["tier"] == tier.value


UNFIT: dict[str, tuple[Client, Tier, str]] = {
    "somebody without a tier": (
        person(JUNIOR),
        Tier.SENIOR,
        f"{JUNIOR} does not hold tier senior in namespace {NAMESPACE}",
    ),
    "a senior as principal": (person(SENIOR), Tier.PRINCIPAL, f"{SENIOR} does not hold tier principal"),
    "a service account with a tier": (bot, Tier.SENIOR, "approvals are given by people"),
    "a wildcard role": (person(WILDCARD), Tier.SENIOR, "a wildcard is not a tier"),
    "system:masters": (person(ADMIN), Tier.SENIOR, "a wildcard is not a tier"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_approval_is_refused(stage: Stage, case: str) -> None:
    client, tier, words = UNFIT[case]
    assert words in refusal(lambda: client(stage).create(APPROVALS, approval(tier)))


def _tie(client: ApiClient, name: str, owner: JsonObject) -> JsonObject:
    return client.patch(f"{APPROVALS}/{name}", {"metadata": {"ownerReferences": [owner]}})


def _answer(client: ApiClient, name: str) -> JsonObject:
    condition = {"type": "Counted", "status": "True", "reason": "Counted", "message": "counted"}
    return client.patch(f"{APPROVALS}/{name}/status", {"status": {"conditions": [condition]}})


SOME_OWNER = {"apiVersion": "rollwarden.dev/v1alpha1", "kind": "Change", "name": "gone", "uid": "gone"}

TAMPERING: dict[str, tuple[Client, Callable[[ApiClient, str], JsonObject], str]] = {
    "its author rewrites it": (
        person(SENIOR),
        lambda c, n: c.patch(f"{APPROVALS}/{n}", {"spec": {"tier": "Peer"}}),
        "never changes",
    ),
    "its author deletes it": (person(SENIOR), lambda c, n: c.delete(f"{APPROVALS}/{n}"), "approvals stay on record"),
    "an administrator deletes it": (
        person(ADMIN),
        lambda c, n: c.delete(f"{APPROVALS}/{n}"),
        "approvals stay on record",
    ),
    "an administrator deletes all": (person(ADMIN), lambda c, n: c.delete(APPROVALS), "approvals stay on record"),
    "somebody has it collected": (
        person(CI),
        lambda c, n: _tie(c, n, SOME_OWNER),
        "only the operator ties an approval",
    ),
    "somebody answers it": (person(SENIOR), _answer, "only the operator answers an approval"),
}


@pytest.mark.parametrize("case", TAMPERING)
def test_an_approval_stays_as_it_was_given(stage: Stage, case: str) -> None:
    client, ask, words = TAMPERING[case]
    given = stage.client(SENIOR).create(APPROVALS, approval())
    name = given["metadata"]["name"]
    assert words in refusal(lambda: ask(client(stage), name))
    assert stage.client().get(f"{APPROVALS}/{name}") == given


def test_an_approval_is_not_made_to_vanish(stage: Stage) -> None:
    doomed = merged(approval(), {"metadata": {"ownerReferences": [SOME_OWNER]}})
    assert "only the operator ties an approval" in refusal(lambda: stage.client(SENIOR).create(APPROVALS, doomed))


def test_the_operator_answers_and_ties_and_the_collector_collects(stage: Stage) -> None:
    owner = operator(stage).create(CHANGES, change("tied"))
    name = stage.client(SENIOR).create(APPROVALS, approval())["metadata"]["name"]
    _answer(operator(stage), name)
    reference = {
        "apiVersion": "rollwarden.dev/v1alpha1",
        "kind": "Change",
        "name": "tied",
        "uid": owner["metadata"]["uid"],
    }
    _tie(operator(stage), name, reference)
    operator(stage).delete(f"{CHANGES}/tied")
    stage.wait("the approval to go with its change", lambda: _gone(stage, f"{APPROVALS}/{name}"))


def _gone(stage: Stage, path: str) -> bool:
    try:
        stage.client().get(path)
    except ApiError as error:
        if error.code == 404:
            return True
        raise
    return False


# -- approvals by annotation ----------------------------------------------------------------------------------------


def shop(stage: Stage, approvals: dict[str, str] | None = None) -> str:
    """A fresh Rollout, approved as its seniors do."""
    name = f"shop-{next(_numbers)}"
    stage.client(CI).create(stage.path(), merged(rollout(name), UNMANAGED))
    for user, value in (approvals or {}).items():
        approve(stage.client(user), stage, name, "senior", value)
    return name


def approve(client: ApiClient, stage: Stage, name: str, tier: str, value: str | None) -> JsonObject:
    return client.patch(stage.path(name), {"metadata": {"annotations": {f"approval.rollwarden.dev/{tier}": value}}})


@pytest.mark.parametrize("digest", [DIGEST, "ab" * 16], ids=["full", "32 hex"])
def test_an_approval_by_annotation_is_admitted(stage: Stage, digest: str) -> None:
    live = approve(stage.client(SENIOR), stage, shop(stage), "senior", f"{SENIOR} {digest}")
    assert annotations_of(live)["approval.rollwarden.dev/senior"] == f"{SENIOR} {digest}"


BY_ANNOTATION: dict[str, tuple[Client, str, str, str]] = {
    "for somebody else": (person(SENIOR), "senior", f"{OTHER_SENIOR} {DIGEST}", "speaks for its author only"),
    "with a digest too short": (person(SENIOR), "senior", f"{SENIOR} {'ab' * 15}", "32 hex or more"),
    "with no digest": (person(SENIOR), "senior", SENIOR, "speaks for its author only"),
    "with more behind the digest": (person(SENIOR), "senior", f"{SENIOR} {DIGEST} x", "32 hex or more"),
    "at a tier not held": (person(SENIOR), "principal", f"{SENIOR} {DIGEST}", f"{SENIOR} does not hold tier principal"),
    "by a junior": (person(JUNIOR), "peer", f"{JUNIOR} {DIGEST}", f"{JUNIOR} does not hold tier peer"),
    "at no tier": (
        person(SENIOR),
        "chief",
        f"{SENIOR} {DIGEST}",
        "names no tier; the tiers are peer, senior, principal",
    ),
    "by a service account": (
        bot,
        "senior",
        f"system:serviceaccount:{NAMESPACE}:bot {DIGEST}",
        "approvals are given by people",
    ),
    "by a wildcard": (person(ADMIN), "senior", f"{ADMIN} {DIGEST}", "a wildcard is not a tier"),
}


@pytest.mark.parametrize("case", BY_ANNOTATION)
def test_an_approval_by_annotation_is_refused(stage: Stage, case: str) -> None:
    client, tier, value, words = BY_ANNOTATION[case]
    name = shop(stage)
    stage.bind(f"bot-{name}", "Role", "developers", {"kind": "Group", "name": "system:serviceaccounts"})
    assert words in refusal(lambda: approve(client(stage), stage, name, tier, value))


@pytest.mark.parametrize("value", [None, f"{OTHER_SENIOR} {DIGEST}"], ids=["removed", "replaced"])
def test_somebody_elses_annotation_stays(stage: Stage, value: str | None) -> None:
    name = shop(stage, {SENIOR: f"{SENIOR} {DIGEST}"})
    words = refusal(lambda: approve(stage.client(OTHER_SENIOR), stage, name, "senior", value))
    assert "is somebody else's approval and stays; yours goes beside it" in words


def test_ones_own_annotation_may_go(stage: Stage) -> None:
    name = shop(stage, {SENIOR: f"{SENIOR} {DIGEST}"})
    assert "approval.rollwarden.dev/senior" not in annotations_of(
        approve(stage.client(SENIOR), stage, name, "senior", None)
    )


def test_a_new_template_clears_approvals_of_the_one_before(stage: Stage) -> None:
    name = shop(stage, {SENIOR: f"{SENIOR} {DIGEST}"})
    live = stage.new_template(name, "v2")
    assert "approval.rollwarden.dev/senior" not in annotations_of(live)
    approve(stage.client(OTHER_SENIOR), stage, name, "senior", f"{OTHER_SENIOR} {DIGEST}")


# -- Changes --------------------------------------------------------------------------------------------------------

WRITES: dict[str, Callable[[ApiClient, str], JsonObject]] = {
    "made": lambda c, n: c.create(CHANGES, change(n + "-x")),
    "labelled": lambda c, n: c.patch(f"{CHANGES}/{n}", {"metadata": {"labels": {"a": "b"}}}),
    "answered": lambda c, n: c.patch(f"{CHANGES}/{n}/status", {"status": {"phase": "Canary"}}),
    "deleted": lambda c, n: c.delete(f"{CHANGES}/{n}"),
    "all deleted": lambda c, n: c.delete(CHANGES),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("user", [CI, PRINCIPAL, ADMIN])
def test_a_change_is_the_operators(stage: Stage, user: str, write: str) -> None:
    name = f"c-{next(_numbers)}"
    before = operator(stage).create(CHANGES, change(name))
    assert "changes are written by the operator only" in refusal(lambda: WRITES[write](stage.client(user), name))
    assert stage.client().get(f"{CHANGES}/{name}") == before


def test_the_operator_writes_changes(stage: Stage) -> None:
    operator(stage).create(CHANGES, change("mine"))
    operator(stage).patch(f"{CHANGES}/mine/status", {"status": {"phase": "Canary"}})
    operator(stage).delete(f"{CHANGES}/mine")


def test_a_namespace_with_records_can_be_deleted(control_plane: ControlPlane) -> None:
    install_rollwarden(control_plane)
    stage = Stage(control_plane, "doomed")
    path = "/apis/rollwarden.dev/v1alpha1/namespaces/doomed"
    stage.operator.create(f"{path}/changes", change("one"))
    stage.client(SENIOR).create(f"{path}/approvals", approval())
    stage.close()
    stage.wait("the namespace to go", lambda: _gone(stage, "/api/v1/namespaces/doomed"), 60)


# -- modes ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def editors(control_plane: ControlPlane) -> None:
    """Everybody may edit namespaces, so that whatever is refused is refused by admission."""
    rbac = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "create", "update", "patch"]}]
    control_plane.api.create(f"/apis/{rbac}/v1/clusterroles", {"metadata": {"name": "edit-namespaces"}, "rules": rules})
    binding = {
        "metadata": {"name": "edit-namespaces"},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "edit-namespaces"},
        "subjects": [{"kind": "Group", "name": "system:authenticated"}],
    }
    control_plane.api.create(f"/apis/{rbac}/v1/clusterrolebindings", binding)


LOOSER = [("enforce", "observe"), ("enforce", "off"), ("enforce", None), ("observe", "off"), (None, "off")]
NOT_LOOSER = [
    ("off", "observe"),
    ("off", None),
    ("observe", None),
    (None, "observe"),
    (None, "enforce"),
    ("off", "enforce"),
]


def _set_mode(control_plane: ControlPlane, user: str, name: str, mode: str | None) -> JsonObject:
    labels = {"metadata": {"labels": {PREFIX + "mode": mode}}}
    return control_plane.access.client(user).patch(f"/api/v1/namespaces/{name}", labels)


def _in_mode(control_plane: ControlPlane, mode: str | None) -> str:
    name = f"mode-{next(_numbers)}"
    labels = {} if mode is None else {PREFIX + "mode": mode}
    control_plane.api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    rbac = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "principals"},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "rollwarden-principal"},
        "subjects": [{"kind": "Group", "name": "principals"}],
    }
    control_plane.api.create(f"/apis/{rbac}/v1/namespaces/{name}/rolebindings", binding)
    return name


@pytest.mark.parametrize("before, after", LOOSER)
@pytest.mark.usefixtures("editors", "stage")
def test_looser_takes_a_principal(control_plane: ControlPlane, before: str | None, after: str | None) -> None:
    name = _in_mode(control_plane, before)
    for user in (JUNIOR, ADMIN):
        words = refusal(partial(_set_mode, control_plane, user, name, after))
        assert f"from {before or 'observe'} to {after or 'observe'} needs the verb loosen on modes" in words
    live = _set_mode(control_plane, PRINCIPAL, name, after)
    assert live["metadata"]["labels"].get(PREFIX + "mode") == after
    control_plane.access.client(PLATFORM).delete(f"/api/v1/namespaces/{name}")


@pytest.mark.parametrize("before, after", NOT_LOOSER)
@pytest.mark.usefixtures("editors", "stage")
def test_stricter_takes_nothing(control_plane: ControlPlane, before: str | None, after: str | None) -> None:
    name = _in_mode(control_plane, before)
    live = _set_mode(control_plane, JUNIOR, name, after)
    assert live["metadata"]["labels"].get(PREFIX + "mode") == after
    control_plane.access.client(PLATFORM).delete(f"/api/v1/namespaces/{name}")


@pytest.mark.usefixtures("editors", "stage")
def test_a_mode_is_one_of_three(control_plane: ControlPlane) -> None:
    name = _in_mode(control_plane, None)
    assert "enforced is none of them" in refusal(lambda: _set_mode(control_plane, JUNIOR, name, "enforced"))
    control_plane.access.client(PLATFORM).delete(f"/api/v1/namespaces/{name}")
