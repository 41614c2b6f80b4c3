"""Which events may change what admission is told, and by which profiles it is made."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rollwarden.api.argo import Rollout
from rollwarden.api.meta import LabelSelector, ObjectMeta
from rollwarden.api.profile import ServiceProfile, ServiceProfileSpec
from rollwarden.reconcile.gather import matching_profiles
from rollwarden.reconcile.governed import rollout_shape
from tests.builders import argo_status, rollout, template

LIVE = rollout()


def labelled(**labels: str) -> Rollout:
    return msgspec.structs.replace(LIVE, metadata=msgspec.structs.replace(LIVE.metadata, labels=labels))


@pytest.mark.parametrize(
    ("after", "tells"),
    [
        pytest.param(rollout(replicas=9), False, id="scaled"),
        pytest.param(rollout(status=argo_status(ready_replicas=3, observed_generation="7")), False, id="pods come up"),
        pytest.param(rollout(hold="released-5"), True, id="released"),
        pytest.param(rollout(pod_template=template("shop:3")), True, id="another template"),
        pytest.param(rollout(status=argo_status(current_step_index=2)), True, id="another weight"),
        pytest.param(rollout(status=argo_status(abort=True)), True, id="aborted"),
        pytest.param(rollout(uid="another"), True, id="recreated"),
        pytest.param(labelled(team="pay"), True, id="selected by others"),
    ],
)
def test_what_a_map_tells_of(after: Rollout, tells: bool) -> None:
    assert (rollout_shape(after) != rollout_shape(LIVE)) is tells


def profile(name: str, created: str, **labels: Any) -> ServiceProfile:
    spec = ServiceProfileSpec(rollout_selector=LabelSelector(match_labels=labels))
    return ServiceProfile(metadata=ObjectMeta(name=name, creation_timestamp=created), spec=spec)


def test_profiles_that_select_a_rollout_come_the_oldest_first() -> None:
    young, old = profile("young", "2026-02-01T00:00:00Z"), profile("old", "2026-01-01T00:00:00Z", team="pay")
    other = profile("other", "2025-01-01T00:00:00Z", team="web")
    assert matching_profiles([young, other, old], labelled(team="pay")) == (old, young)
