"""What Kubernetes itself adds to a pod template: a closed list.

Argo's controller copies a Rollout's template, through its Go types, into a ReplicaSet, and there the API server fills
in the defaults of ``apps/v1``; on the Rollout nobody does. Both forms are one template and must have one identity, else
no template would ever equal that of the ReplicaSet that runs it, and what is put back from a ReplicaSet would be new.
A default that is not listed here makes two forms differ, which holds a change that could have gone; it never lets one
through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .numerals import MOST_DIGITS

Json = Any

_SUFFIXES = {
    **{"": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3")},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """An object of the pod's specification: the values that say nothing, and the objects below it.

    ``quantities``: every value is a resource quantity, of which ``1``, ``"1"`` and ``"1000m"`` are one.
    """

    defaults: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    below: Mapping[str, _Shape] = field(default_factory=dict)
    quantities: bool = False


_NOTHING = _Shape()
_REQUIREMENTS = _Shape(
    {"limits": ({},), "requests": ({},)},
    {"limits": _Shape(quantities=True), "requests": _Shape(quantities=True)},
)
_FIELD_REF = _Shape({"apiVersion": ("v1",)})
_RESOURCE_REF = _Shape({"divisor": ("0", 0)})
_REFERENCES = {"fieldRef": _FIELD_REF, "resourceFieldRef": _RESOURCE_REF}
_HTTP_GET = _Shape({"path": ("/", ""), "scheme": ("HTTP", "")})
_PROBE = _Shape(
    {
        "timeoutSeconds": (1, 0),
        "periodSeconds": (10, 0),
        "successThreshold": (1, 0),
        "failureThreshold": (3, 0),
        "initialDelaySeconds": (0,),
    },
    {"httpGet": _HTTP_GET, "grpc": _Shape({"service": ("",)})},
)
_HANDLER = _Shape(below={"httpGet": _HTTP_GET})
_CONTAINER = _Shape(
    {
        "terminationMessagePath": ("/dev/termination-log", ""),
        "terminationMessagePolicy": ("File", ""),
        "resources": ({},),
        "stdin": (False,),
        "stdinOnce": (False,),
        "tty": (False,),
        "workingDir": ("",),
    },
    {
        "ports": _Shape({"protocol": ("TCP", ""), "hostPort": (0,), "name": ("",)}),
        "env": _Shape({"value": ("",)}, {"valueFrom": _Shape(below=_REFERENCES)}),
        "resources": _REQUIREMENTS,
        "livenessProbe": _PROBE,
        "readinessProbe": _PROBE,
        "startupProbe": _PROBE,
        "lifecycle": _Shape(below={"postStart": _HANDLER, "preStop": _HANDLER}),
        "volumeMounts": _Shape({"readOnly": (False,), "subPath": ("",), "subPathExpr": ("",)}),
    },
)
_DOWNWARD = _Shape({"defaultMode": (420,)}, {"items": _Shape(below=_REFERENCES)})
_VOLUME = _Shape(
    {"emptyDir": ({},)},
    {
        "secret": _Shape({"defaultMode": (420,)}),
        "configMap": _Shape({"defaultMode": (420,)}),
        "downwardAPI": _DOWNWARD,
        "projected": _Shape(
            {"defaultMode": (420,)},
            {
                "sources": _Shape(
                    below={"downwardAPI": _DOWNWARD, "serviceAccountToken": _Shape({"expirationSeconds": (3600,)})}
                )
            },
        ),
        "hostPath": _Shape({"type": ("",)}),
    },
)
_POD = _Shape(
    {
        "restartPolicy": ("Always", ""),
        "dnsPolicy": ("ClusterFirst", ""),
        "schedulerName": ("default-scheduler", ""),
        "terminationGracePeriodSeconds": (30,),
        "securityContext": ({},),
        "nodeSelector": ({},),
        "hostNetwork": (False,),
        "hostPID": (False,),
        "hostIPC": (False,),
        "serviceAccountName": ("",),
    },
    {"containers": _CONTAINER, "initContainers": _CONTAINER, "ephemeralContainers": _CONTAINER, "volumes": _VOLUME},
)
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


def plain_spec(spec: Mapping[str, Json]) -> dict[str, Json]:
    """A pod's specification without what Kubernetes adds: its defaults, null values, empty lists."""
    result: dict[str, Json] = _plain(spec, _POD)
    # deprecated alias, which the API server writes beside the name
    alias = result.pop("serviceAccount", None)
    if alias and "serviceAccountName" not in result:
        result["serviceAccountName"] = alias
    for kind in _CONTAINER_LISTS:
        if isinstance(result.get(kind), list):
            result[kind] = [_without_pull_policy(container) for container in result[kind]]
    return result


def without_nulls(value: Json) -> Json:
    """Drops null values and nothing else."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return value


def _plain(value: Json, shape: _Shape) -> Json:
    if isinstance(value, list | tuple):
        return [_plain(item, shape) for item in value]
    if not isinstance(value, Mapping):
        return value
    result: dict[str, Json] = {}
    for key, item in value.items():
        kept = _quantity(item) if shape.quantities else _plain(item, shape.below.get(key, _NOTHING))
        if kept is not None and kept != [] and not _is_one_of(kept, shape.defaults.get(key, ())):
            result[key] = kept
    return result


def _is_one_of(value: Json, defaults: tuple[Json, ...]) -> bool:
    """Of the same type too: in Python ``False`` equals 0."""
    return any(type(value) is type(default) and value == default for default in defaults)


def _without_pull_policy(container: Json) -> Json:
    if not isinstance(container, Mapping):
        return container
    name = str(container.get("image", "")).rpartition("/")[2]
    tag = name.partition("@")[0].partition(":")[2]
    untagged = not tag and "@" not in name
    usual = "Always" if tag == "latest" or untagged else "IfNotPresent"
    return {k: v for k, v in container.items() if k != "imagePullPolicy" or v not in (usual, "")}


def _quantity(value: Json) -> Json:
    """``"500m"`` and ``0.5`` → ``"0.5"``; a text that is no quantity stays as it is."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    text = str(value)
    digits = text.rstrip("numkKMGTPEi") if not text[-1:].isdigit() else text
    try:
        number = Decimal(digits) * _SUFFIXES[text[len(digits) :]]
    except (ArithmeticError, KeyError):
        return value
    readable = number.is_finite() and abs(number.adjusted()) <= MOST_DIGITS
    return format(number.normalize(), "f") if readable else value
