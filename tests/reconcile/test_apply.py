"""What a decision about a Rollout rests on, and what may change under it without harm."""

from __future__ import annotations

import msgspec
import pytest

from rollwarden.api.argo import Rollout, RolloutSpec, RolloutStatus
from rollwarden.api.meta import ObjectMeta
from rollwarden.reconcile.apply import decided_on

READ = Rollout(
    metadata=ObjectMeta(name="checkout", uid="u", resource_version="7", generation=3, annotations={"a": "1"}),
    spec=RolloutSpec(replicas=4, template={"spec": {"containers": [{"name": "app"}]}}),
    status=RolloutStatus(phase="Progressing", stable_rs="one", current_pod_hash="two", replicas=4),
)


def metadata(**changes: object) -> Rollout:
    return msgspec.structs.replace(READ, metadata=msgspec.structs.replace(READ.metadata, **changes))


def spec(**changes: object) -> Rollout:
    return msgspec.structs.replace(READ, spec=msgspec.structs.replace(READ.spec, **changes))


def status(**changes: object) -> Rollout:
    return msgspec.structs.replace(READ, status=msgspec.structs.replace(READ.status, **changes))


WITHOUT_HARM = {
    "resource-version": metadata(resource_version="8", generation=4),
    "scaled": spec(replicas=9),
    "phase": status(phase="Paused", message="CanaryPauseStep"),
    "pods": status(replicas=9, ready_replicas=9, observed_generation="4"),
}
ANOTHER_DECISION = {
    "another-object": metadata(uid="v"),
    "annotation": metadata(annotations={"a": "1", "rollwarden.dev/hold": "held-9"}),
    "label": metadata(labels={"team": "pay"}),
    "template": spec(template={}),
    "paused": spec(paused=True),
    "aborted": status(abort=True),
    "promoted-in-full": status(promote_full=True),
    "another-stable": status(stable_rs="two"),
    "another-revision": status(current_pod_hash="three"),
}


@pytest.mark.parametrize("case", WITHOUT_HARM)
def test_a_patch_is_tried_again_over(case: str) -> None:
    assert decided_on(WITHOUT_HARM[case]) == decided_on(READ)


@pytest.mark.parametrize("case", ANOTHER_DECISION)
def test_a_patch_is_given_up_for(case: str) -> None:
    assert decided_on(ANOTHER_DECISION[case]) != decided_on(READ)
