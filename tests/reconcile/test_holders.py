"""RBAC objects as the API server sends them, distilled."""

from __future__ import annotations

import msgspec
import pytest

from rollwarden.api.enums import Tier
from rollwarden.core.holders import Binding, Role, Subject
from rollwarden.reconcile.holders import read_binding, read_role

ALL = frozenset(Tier)


def raw(body: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(body))


RULE = {"verbs": ["approve"], "apiGroups": ["rollwarden.dev"], "resources": ["tiers"]}


@pytest.mark.parametrize(
    "body, role",
    [
        pytest.param(
            {"metadata": {"name": "chief"}, "rules": [RULE, {"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]},
            Role("", "chief", ALL),
            id="a cluster role with rules of every kind",
        ),
        pytest.param(
            {"metadata": {"name": "a", "namespace": "pay"}, "rules": [RULE | {"resourceNames": ["peer"]}]},
            Role("pay", "a", frozenset({Tier.PEER})),
            id="a role with names",
        ),
        pytest.param(
            {"metadata": {"name": "empty"}, "rules": None}, Role("", "empty"), id="an aggregate without rules"
        ),
    ],
)
def test_role(body: object, role: Role) -> None:
    assert read_role(raw(body)) == role


def test_binding() -> None:
    subjects = [
        {"kind": "Group", "name": "seniors", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "ServiceAccount", "name": "robot", "namespace": "ci"},
    ]
    ref = {"kind": "ClusterRole", "name": "rollwarden-senior", "apiGroup": "rbac.authorization.k8s.io"}
    body = {"metadata": {"name": "b", "namespace": "pay"}, "roleRef": ref, "subjects": subjects}
    robot = Subject("User", "system:serviceaccount:ci:robot")
    expected = Binding("pay", "b", "ClusterRole", "rollwarden-senior", (Subject("Group", "seniors"), robot))
    assert read_binding(raw(body)) == expected
    assert read_binding(raw({"metadata": {"name": "b"}, "roleRef": ref})).subjects == ()
