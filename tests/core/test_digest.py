"""The identity of a template: only the closed list of what Kubernetes adds is ignored."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rollwarden.api.names import POD_TEMPLATE_HASH
from rollwarden.core.defaults import plain_spec
from rollwarden.core.digest import images, match_digest, normalised, template_digest
from tests.builders import template
from tests.strategies import examples, json_paths, put, templates

from .model.argo import stored_template

PLAIN = template(env=[{"name": "A", "value": "1"}])


def spec_with(**fields: Any) -> dict[str, Any]:
    return {**template(), "spec": {**template()["spec"], **fields}}


SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "null values": (template(command=None), template()),
    "creationTimestamp: null": (
        {**template(), "metadata": {"labels": {"app": "checkout"}, "creationTimestamp": None}},
        template(),
    ),
    "resources: {}": (template(resources={}), template()),
    "resources with empty limits": (template(resources={"limits": {}}), template()),
    "the ReplicaSet's hash label": (
        {**template(), "metadata": {"labels": {"app": "checkout", POD_TEMPLATE_HASH: "abc"}}},
        template(),
    ),
    "our own annotations": (template(annotations={"provenance.rollwarden.dev/origin": "ai"}), template()),
    "empty annotations": ({**template(), "metadata": {"labels": {"app": "checkout"}, "annotations": {}}}, template()),
    "empty lists": (spec_with(volumes=[], tolerations=[]), template()),
    "the pull policy of a tag": (template("shop:2", imagePullPolicy="IfNotPresent"), template("shop:2")),
    "the pull policy of latest": (template("shop:latest", imagePullPolicy="Always"), template("shop:latest")),
    "the pull policy without a tag": (template("host:5000/shop", imagePullPolicy="Always"), template("host:5000/shop")),
    "the pull policy of a digest": (
        template("shop@sha256:00", imagePullPolicy="IfNotPresent"),
        template("shop@sha256:00"),
    ),
    "the protocol of a port": (
        template(ports=[{"containerPort": 80, "protocol": "TCP"}]),
        template(ports=[{"containerPort": 80}]),
    ),
    "a probe's defaults": (
        template(readinessProbe={"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "periodSeconds": 10}),
        template(readinessProbe={"httpGet": {"port": 80}}),
    ),
    "the spelling of a quantity": (
        template(resources={"limits": {"cpu": "500m", "memory": "1Gi"}}),
        template(resources={"limits": {"cpu": 0.5, "memory": "1024Mi"}}),
    ),
    "the mode of a volume": (
        spec_with(volumes=[{"name": "v", "secret": {"secretName": "s", "defaultMode": 420}}]),
        spec_with(volumes=[{"name": "v", "secret": {"secretName": "s"}}]),
    ),
    "the deprecated service account": (
        spec_with(serviceAccountName="sa", serviceAccount="sa"),
        spec_with(serviceAccountName="sa"),
    ),
    "a volume without a source": (
        spec_with(volumes=[{"name": "v", "emptyDir": {}}]),
        spec_with(volumes=[{"name": "v"}]),
    ),
}

OTHER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the image": (template("shop:1"), template("shop:2")),
    "an annotation of others": (template(annotations={"at": "1"}), template(annotations={"at": "2"})),
    "a domain that only ends like ours": (template(annotations={"xrollwarden.dev/a": "1"}), template()),
    "an unusual pull policy": (template("shop:2", imagePullPolicy="Always"), template("shop:2")),
    "another restart policy": (spec_with(restartPolicy="OnFailure"), template()),
    "a security context that says something": (spec_with(securityContext={"runAsUser": 0}), template()),
    "a container's empty security context": (template(securityContext={}), template()),
    "an explicit false where absent means something else": (spec_with(automountServiceAccountToken=False), template()),
    "another quantity": (
        template(resources={"limits": {"memory": "1G"}}),
        template(resources={"limits": {"memory": "1Gi"}}),
    ),
    "an empty directory in memory": (
        spec_with(volumes=[{"name": "v", "emptyDir": {"medium": "Memory"}}]),
        spec_with(volumes=[{"name": "v"}]),
    ),
    "the order of arguments": (template(args=["a", "b"]), template(args=["b", "a"])),
    "a number for a text": (template(env=[{"name": "A", "value": 1}]), template(env=[{"name": "A", "value": "1"}])),
    "true for 1": (template(tty=True), template(tty=1)),
}


@pytest.mark.parametrize("what", SAME)
def test_is_the_same_template_but_for(what: str) -> None:
    one, other = SAME[what]
    assert normalised(one) == normalised(other)
    assert template_digest(one) == template_digest(other)


@pytest.mark.parametrize("what", OTHER)
def test_is_another_template_with(what: str) -> None:
    one, other = OTHER[what]
    assert template_digest(one) != template_digest(other)


@given(templates())
@settings(max_examples=examples(100), deadline=None)
def test_a_template_and_its_form_in_a_replicaset_are_one(body: dict[str, Any]) -> None:
    assume(all(":latest" not in image and ":" in image for image in images(body)))
    assert template_digest(stored_template(body, "abc")) == template_digest(body)


@given(templates(), st.data())
@settings(max_examples=examples(200), deadline=None)
def test_any_other_difference_changes_the_digest(body: dict[str, Any], data: st.DataObject) -> None:
    """A new value anywhere that is no default, no null and not ours."""
    path = data.draw(st.sampled_from(json_paths(body)))
    changed = put(copy.deepcopy(body), path, "another-value")
    assume(changed != body)
    assert template_digest(changed) != template_digest(body)


@given(templates())
@settings(max_examples=examples(100), deadline=None)
def test_normalising_twice_is_once(body: dict[str, Any]) -> None:
    once = normalised(body)
    assert normalised(once) == once
    assert plain_spec(once["spec"]) == once["spec"]


@given(templates())
@settings(max_examples=examples(50), deadline=None)
def test_the_order_of_keys_means_nothing(body: dict[str, Any]) -> None:
    turned = {key: body[key] for key in reversed(list(body))}
    assert template_digest(turned) == template_digest(body)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        pytest.param(template(annotations={"at": "now"}), True, id="a timestamp does not free a quarantined template"),
        pytest.param({**template(), "metadata": {"labels": {"x": "y"}}}, True, id="nor does a label"),
        pytest.param(spec_with(nodeSelector={"a": "b"}), True, id="nor does another node"),
        pytest.param(
            {**template(), "spec": {"containers": [{**template()["spec"]["containers"][0], "name": "renamed"}]}},
            True,
            id="nor does another name of the container",
        ),
        pytest.param(template("shop:3"), False, id="another image is another template"),
        pytest.param(template(env=[{"name": "A", "value": "1"}]), False, id="so is another environment"),
        pytest.param(template(args=["--fast"]), False, id="so are other arguments"),
        pytest.param(spec_with(volumes=[{"name": "v", "configMap": {"name": "c"}}]), False, id="so are other volumes"),
    ],
)
def test_match_digest(changed: dict[str, Any], same: bool) -> None:
    assert (match_digest(changed) == match_digest(template())) is same


@pytest.mark.parametrize(
    "odd",
    [{}, {"spec": None}, {"spec": {"containers": "none"}}, {"spec": {"containers": [1, {}]}}, {"metadata": []}],
)
def test_a_malformed_template_still_has_a_digest(odd: dict[str, Any]) -> None:
    """Argo refuses it; it must not stop the operator."""
    assert template_digest(odd).startswith("sha256:")
    assert match_digest(odd).startswith("sha256:")
    assert isinstance(images(odd), tuple)
