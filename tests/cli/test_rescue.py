"""``undo`` and ``break-glass``: which template comes back, and the exact patches."""

from __future__ import annotations

import json

import msgspec
import pytest

from rollwarden.api.argo import ReplicaSet, Rollout
from rollwarden.cli.errors import CommandError
from rollwarden.cli.rehearsal import break_glass_ops, drill_ops, released
from rollwarden.cli.rescue import last_known_good, undo_ops
from rollwarden.core.restored import EPHEMERAL, restored_template

TEMPLATE = {
    "metadata": {"labels": {"app": "shop", "rollouts-pod-template-hash": "aaa"}},
    "spec": {"containers": [{"name": "shop", "image": "shop:1"}]},
}


def rollout(**annotations: str) -> Rollout:
    return msgspec.convert(
        {
            "metadata": {"name": "shop", "uid": "r-1", "resourceVersion": "9", "annotations": annotations},
            "spec": {"template": TEMPLATE},
            "status": {"currentPodHash": "ccc", "stableRS": "ccc"},
        },
        Rollout,
    )


def replica_set(
    pod_hash: str, revision: int, *, good: bool = True, owner: str = "r-1", ephemeral: str | None = None
) -> ReplicaSet:
    annotations = {"rollout.argoproj.io/revision": str(revision)} | ({"rollwarden.dev/known-good": "x"} if good else {})
    metadata = {
        "name": f"shop-{pod_hash}",
        "labels": {"rollouts-pod-template-hash": pod_hash},
        "annotations": annotations | ({} if ephemeral is None else {EPHEMERAL: ephemeral}),
        "ownerReferences": [{"uid": owner}],
    }
    return msgspec.convert({"metadata": metadata, "spec": {"template": TEMPLATE}}, ReplicaSet)


def test_the_newest_known_good_set_but_the_current_one_comes_back() -> None:
    sets = [
        replica_set("aaa", 9),
        replica_set("bbb", 10),
        replica_set("ccc", 11),
        replica_set("ddd", 12, good=False),
        replica_set("eee", 13, owner="r-2"),
    ]
    assert last_known_good(rollout(), sets, "market").metadata.name == "shop-bbb"


def test_nothing_known_good_is_said() -> None:
    with pytest.raises(CommandError, match="no known good revision"):
        last_known_good(rollout(), [replica_set("ccc", 11)], "market")


def test_the_template_comes_back_without_what_argo_added() -> None:
    one = replica_set("aaa", 9, ephemeral=json.dumps({"labels": {"role": "stable"}}))
    one.spec.template["metadata"]["labels"]["role"] = "stable"
    assert restored_template(one) == {"metadata": {"labels": {"app": "shop"}}, "spec": TEMPLATE["spec"]}
    for odd in ("", "{", "[]", '{"labels": 3}'):
        changed = replica_set("aaa", 9, ephemeral=odd)
        assert "rollouts-pod-template-hash" not in restored_template(changed)["metadata"]["labels"]


def test_undo_replaces_the_template_of_exactly_the_rollout_that_was_read() -> None:
    assert undo_ops(rollout(), {"spec": {}}, "ccc") == (
        {"op": "test", "path": "/metadata/uid", "value": "r-1"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "9"},
        {"op": "replace", "path": "/spec/template", "value": {"spec": {}}},
    )


def test_break_glass_changes_the_annotations_value_also_for_the_same_reason() -> None:
    path = "/metadata/annotations/rollwarden.dev~1break-glass"
    assert break_glass_ops(rollout(), "INC-1", 0.0)[1] == {"op": "add", "path": path, "value": "INC-1"}
    again = break_glass_ops(rollout(**{"rollwarden.dev/break-glass": "INC-1"}), "INC-1", 0.0)[1]
    assert again["value"] == "INC-1 (again at 1970-01-01T00:00:00.000Z)"


def test_a_rehearsal_where_nothing_is_held_tries_another_template() -> None:
    one = rollout()
    (op,) = drill_ops(one, 0.0)
    assert op == {
        "op": "add",
        "path": "/spec/template/metadata",
        "value": {
            "labels": one.spec.template["metadata"]["labels"],
            "annotations": {"rollwarden.dev/rehearsed-at": "1970-01-01T00:00:00.000Z"},
        },
    }


@pytest.mark.parametrize(
    ("hold", "ok", "says"),
    [
        ("released-7", True, "hold held-7 becomes released-7"),
        ("held-7", False, "are the policies rollwarden-keep-plan and rollwarden-hold-new-revision bound?"),
        ("", False, "is the namespace labelled rollwarden.dev/mode=enforce?"),
    ],
)
def test_a_rehearsal_says_what_the_policies_would_do(hold: str, ok: bool, says: str) -> None:
    done = rollout(**({"rollwarden.dev/hold": hold} if hold else {}))
    found = released(rollout(**{"rollwarden.dev/hold": "held-7"}), done)
    assert found.ok is ok
    assert says in found.says
