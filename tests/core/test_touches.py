"""Which words a difference between two templates gets."""

from __future__ import annotations

from typing import Any

import pytest

from rollwarden.api.enums import Touch
from rollwarden.core.touches import touches
from tests.builders import template

from .model.argo import stored_template


def pod(**fields: Any) -> dict[str, Any]:
    return {**template(), "spec": {**template()["spec"], **fields}}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param(template("shop:3"), {Touch.IMAGE}, id="an image"),
        pytest.param(template(args=["-v"]), {Touch.COMMAND}, id="arguments"),
        pytest.param(template(env=[{"name": "A", "value": "1"}]), {Touch.ENV}, id="environment"),
        pytest.param(template(envFrom=[{"configMapRef": {"name": "c"}}]), {Touch.CONFIG}, id="environment from a map"),
        pytest.param(pod(serviceAccountName="admin"), {Touch.SERVICE_ACCOUNT}, id="a service account"),
        pytest.param(template(securityContext={"privileged": True}), {Touch.SECURITY_CONTEXT}, id="privileges"),
        pytest.param(pod(hostPID=True), {Touch.SECURITY_CONTEXT}, id="the host's processes"),
        pytest.param(pod(volumes=[{"name": "v", "secret": {"secretName": "s"}}]), {Touch.VOLUMES}, id="a volume"),
        pytest.param(template(livenessProbe={"exec": {"command": ["true"]}}), {Touch.PROBES}, id="a probe"),
        pytest.param(template(resources={"limits": {"cpu": "1"}}), {Touch.RESOURCES}, id="resources"),
        pytest.param(pod(hostNetwork=True), {Touch.NETWORK}, id="the host's network"),
        pytest.param(pod(nodeSelector={"a": "b"}), {Touch.SCHEDULING}, id="a node"),
        pytest.param(template(annotations={"at": "1"}), {Touch.OTHER}, id="an annotation"),
        pytest.param(pod(aFieldOfTomorrow=1), {Touch.OTHER}, id="a field nobody knows is Other, never nothing"),
        pytest.param(template(aFieldOfTomorrow=1), {Touch.OTHER}, id="in a container too"),
        pytest.param(
            pod(containers=[*template()["spec"]["containers"], {"name": "proxy", "image": "p:1"}]),
            {Touch.IMAGE},
            id="another container brings its own words",
        ),
        pytest.param(
            pod(initContainers=[{"name": "init", "image": "i:1", "command": ["x"]}]),
            {Touch.IMAGE, Touch.COMMAND},
            id="so does one that runs first",
        ),
        pytest.param(template(), set(), id="nothing"),
    ],
)
def test_touches(changed: dict[str, Any], expected: set[Touch]) -> None:
    assert set(touches(template(), changed)) == expected


def test_two_containers_that_change_places_touch_something() -> None:
    one, other = {"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}
    assert touches(pod(containers=[one, other]), pod(containers=[other, one])) == (Touch.OTHER,)


def test_without_a_stable_template_everything_is_touched() -> None:
    assert touches(None, template()) == tuple(Touch)


def test_what_the_api_server_adds_is_no_difference() -> None:
    """Stable's template is read from its ReplicaSet, with all defaults in it."""
    assert touches(stored_template(template(), "abc"), template()) == ()
