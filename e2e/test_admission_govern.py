"""Who writes policies and profiles, and who lowers what services say of themselves: on the real API server."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.governed import AGENT, GovernedStage
from e2e.identities import PLATFORM
from e2e.shop import POLICIES
from e2e.stage import ADMIN, CI, JUNIOR, PREFIX, PRINCIPAL, RBAC, SENIOR, annotations_of, refusal

pytestmark = pytest.mark.e2e

PROFILES = "/apis/rollwarden.dev/v1alpha1/namespaces/govern/serviceprofiles"
GOVERN = "needs the verb govern on policies (group rollwarden.dev) in the whole cluster, which {} does not hold"
LOOSEN = "needs the verb loosen on modes (group rollwarden.dev)"
EDITED_BY = PREFIX + "edited-by"

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[GovernedStage]:
    stage = GovernedStage(control_plane, "govern")
    stage.client().create(stage.core("serviceaccounts"), {"metadata": {"name": "gitops"}})
    editors = {"rules": [{"apiGroups": ["rollwarden.dev"], "resources": ["*"], "verbs": ["*"]}]}
    only = {"apiGroups": ["rollwarden.dev"], "resources": ["policies"], "resourceNames": ["from-git"]}
    granted = {"rules": [{**only, "verbs": ["govern"]}]}
    plain = {"apiGroups": ["rollwarden.dev"], "resources": ["guardrailpolicies", "guardrailpolicies/status"]}
    writers = {"rules": [{**plain, "verbs": ["get", "create", "update", "patch", "delete"]}]}
    account = {"kind": "ServiceAccount", "name": "gitops", "namespace": "govern"}
    people = [{"kind": "User", "name": user} for user in (JUNIOR, PRINCIPAL, AGENT)]
    roles = {
        "govern-editors": (editors, [{"kind": "User", "name": SENIOR}]),
        "govern-writers": (writers, [*people, account]),
        "govern-granted": (granted, [account]),
    }
    for name, (role, subjects) in roles.items():
        control_plane.api.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, **role})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": subjects}
        control_plane.api.create(f"{RBAC}/clusterrolebindings", binding)
    yield stage
    for name in roles:
        control_plane.api.delete(f"{RBAC}/clusterrolebindings/{name}")
    stage.close()


def policy(name: str, **metadata: JsonObject) -> JsonObject:
    kind = {"apiVersion": "rollwarden.dev/v1alpha1", "kind": "GuardrailPolicy"}
    # it selects no namespace of anybody's
    spec = {"preset": "Memo", "namespaceSelector": {"matchLabels": {"nobody": "here"}}}
    return {**kind, "metadata": {"name": name, **metadata}, "spec": spec}


@pytest.fixture
def written(stage: GovernedStage) -> Iterator[str]:
    """A policy of the platform's."""
    name = f"govern-{next(_numbers)}"
    stage.client(PLATFORM).create(POLICIES, policy(name))
    yield name
    stage.client(PLATFORM).delete(f"{POLICIES}/{name}")


SPEC = {"spec": {"preset": "Proportional"}}


# JUNIOR may by RBAC, PRINCIPAL is one in a namespace only, SENIOR and ADMIN hold wildcards.
@pytest.mark.parametrize("user", [JUNIOR, PRINCIPAL, SENIOR, ADMIN, AGENT])
def test_policies_take_the_verb(stage: GovernedStage, written: str, user: str) -> None:
    path = f"{POLICIES}/{written}"
    asks: tuple[Callable[[], JsonObject], ...] = (
        lambda: stage.client(user).create(POLICIES, policy("mine")),
        lambda: stage.client(user).patch(path, SPEC),
        lambda: stage.client(user).delete(path),
    )
    for ask in asks:
        assert GOVERN.format(user) in refusal(ask)
    stage.client(user).patch(path, {"metadata": {"labels": {"x": "y"}}})


def test_an_account_may_be_granted_one_policy(stage: GovernedStage) -> None:
    gitops = stage.service_account("govern", "gitops")
    live = gitops.apply(f"{POLICIES}/from-git", policy("from-git"), "gitops")
    assert annotations_of(live)[EDITED_BY] == "system:serviceaccount:govern:gitops"
    assert "GuardrailPolicy other needs" in refusal(lambda: gitops.create(POLICIES, policy("other")))
    gitops.delete(f"{POLICIES}/from-git")


def test_the_editor_is_stamped_and_not_forged(stage: GovernedStage, written: str) -> None:
    path = f"{POLICIES}/{written}"
    forged = {"metadata": {"annotations": {EDITED_BY: PRINCIPAL}}}
    for body in (forged, {"metadata": {"annotations": {EDITED_BY: None}}}, {"metadata": {"annotations": None}}):
        live = stage.client(JUNIOR).patch(path, body)
        assert annotations_of(live)[EDITED_BY] == PLATFORM
    live = stage.client(PLATFORM).patch(path, {**forged, **SPEC})
    assert annotations_of(live)[EDITED_BY] == PLATFORM


def test_what_was_accepted_is_the_operators_to_say(stage: GovernedStage, written: str) -> None:
    path = f"{POLICIES}/{written}/status"
    accepted = {"status": {"accepted": {"generation": 1, "spec": {"rules": []}}}}
    for user in (JUNIOR, ADMIN):
        said = refusal(lambda user=user: stage.client(user).patch(path, accepted))  # type: ignore[misc]
        assert "only the operator writes the status of a GuardrailPolicy" in said
    stage.operator.patch(path, {"status": {"observedGeneration": 1}})


# -- profiles ---------------------------------------------------------------------------------------------------------


def profile(name: str, **spec: object) -> JsonObject:
    kind = {"apiVersion": "rollwarden.dev/v1alpha1", "kind": "ServiceProfile"}
    return {**kind, "metadata": {"name": name}, "spec": dict(spec)}


def test_agents_write_no_profile(stage: GovernedStage) -> None:
    stage.client(CI).create(PROFILES, profile("plain", contact="#shop"))
    path = f"{PROFILES}/plain"
    said = "writing ServiceProfile {} is not for AI agents, and agent is listed as one"
    asks: dict[str, Callable[[], JsonObject]] = {
        "mine": lambda: stage.client(AGENT).create(PROFILES, profile("mine")),
        "plain": lambda: stage.client(AGENT).patch(path, {"spec": {"contact": "#me"}}),
    }
    for name, ask in asks.items():
        assert said.format(name) in refusal(ask)
    assert said.format("plain") in refusal(lambda: stage.client(AGENT).delete(path))
    stage.client(AGENT).patch(path, {"metadata": {"labels": {"x": "y"}}})
    stage.client(JUNIOR).patch(path, {"spec": {"contact": "#us"}})
    stage.client(JUNIOR).delete(path)


LOWER: dict[str, JsonObject] = {
    "lower": {"spec": {"criticality": "Medium"}},
    "removed": {"spec": {"criticality": None}},
    "narrowed": {"spec": {"rolloutSelector": {"matchLabels": {"app": "none"}}}},
}


@pytest.mark.parametrize("how", LOWER)
def test_a_profile_is_lowered_by_a_verb(stage: GovernedStage, how: str) -> None:
    name = f"high-{next(_numbers)}"
    stage.client(CI).create(PROFILES, profile(name, criticality="High"))
    path = f"{PROFILES}/{name}"
    for user in (JUNIOR, ADMIN):
        for ask in (
            lambda user=user: stage.client(user).patch(path, LOWER[how]),
            lambda user=user: stage.client(user).delete(path),
        ):
            said = refusal(ask)
            assert f"ServiceProfile {name} keeps its criticality high and whom it is for" in said
            assert f"{LOOSEN} in namespace govern" in said
    stage.client(JUNIOR).patch(path, {"spec": {"criticality": "Critical", "contact": "#x"}})
    stage.client(PRINCIPAL).patch(path, LOWER[how])
    stage.client(PRINCIPAL).delete(path)


def test_a_low_profile_is_its_owners(stage: GovernedStage) -> None:
    stage.client(JUNIOR).create(PROFILES, profile("low", criticality="Low"))
    stage.client(JUNIOR).patch(f"{PROFILES}/low", {"spec": {"criticality": "High"}})
    stage.client(PRINCIPAL).patch(f"{PROFILES}/low", {"spec": {"criticality": "Low"}})
    stage.client(JUNIOR).patch(f"{PROFILES}/low", {"spec": {"criticality": None}})
    stage.client(JUNIOR).delete(f"{PROFILES}/low")


def test_a_namespaces_criticality_is_lowered_by_a_verb(control_plane: ControlPlane, stage: GovernedStage) -> None:
    path = "/api/v1/namespaces/govern"

    def labelled(user: str, value: str | None) -> JsonObject:
        client = control_plane.access.client(user)
        return client.patch(path, {"metadata": {"labels": {PREFIX + "criticality": value}}})

    labelled(ADMIN, "high")
    for value in ("low", None, "hihg"):
        said = refusal(lambda value=value: labelled(ADMIN, value))  # type: ignore[misc]
        assert f"lowering rollwarden.dev/criticality of namespace govern, or removing it, {LOOSEN} there" in said
    labelled(ADMIN, "critical")
    labelled(PLATFORM, None)
