"""The identity of a pod template.

``template_digest`` is what approvals bind to: SHA-256 of the canonical JSON of the template, less a *closed list* of
what Kubernetes adds on the way to a ReplicaSet (``defaults``), less our own annotations and the ReplicaSet's hash
label. ``match_digest`` is looser and serves quarantine only: what the containers run, so that a new timestamp
annotation does not free a bad template.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ..api.enums import GROUP
from ..api.names import POD_TEMPLATE_HASH
from .defaults import plain_spec, without_nulls

Json = Any
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_RUNS = ("image", "command", "args", "env", "envFrom", "volumeMounts")


def template_digest(template: Mapping[str, Json]) -> str:
    return _sha256(normalised(template))


def match_digest(template: Mapping[str, Json]) -> str:
    spec = plain_spec(_mapping(template.get("spec")))
    containers = [
        [kind, {key: container.get(key) for key in _RUNS}]
        for kind in _CONTAINERS
        for container in _mappings(spec.get(kind))
    ]
    return _sha256({"containers": containers, "volumes": spec.get("volumes")})


def images(template: Mapping[str, Json]) -> tuple[str, ...]:
    """The image of every container, in the template's order."""
    spec = _mapping(template.get("spec"))
    return tuple(str(c.get("image", "")) for kind in _CONTAINERS for c in _mappings(spec.get(kind)))


def normalised(template: Mapping[str, Json]) -> dict[str, Json]:
    """The template as it is compared: plain data without what Kubernetes adds and without our own marks."""
    metadata = dict(_mapping(template.get("metadata")))
    annotations = {k: v for k, v in _mapping(metadata.get("annotations")).items() if not _ours(k)}
    labels = {k: v for k, v in _mapping(metadata.get("labels")).items() if k != POD_TEMPLATE_HASH}
    metadata["annotations"] = annotations or None
    metadata["labels"] = labels or None
    rest = {key: value for key, value in template.items() if key not in ("metadata", "spec")}
    result: dict[str, Json] = without_nulls({"metadata": without_nulls(metadata) or None, **rest})
    return result | {"spec": plain_spec(_mapping(template.get("spec")))}


def _ours(key: str) -> bool:
    prefix = key.partition("/")[0]
    return prefix == GROUP or prefix.endswith("." + GROUP)


def _sha256(value: Json) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Json) -> list[Mapping[str, Json]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []
