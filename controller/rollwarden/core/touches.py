"""Which parts of a pod template differ between two revisions, as a closed set of words.

An unknown path is ``Other``, never nothing, so that a rule on touches cannot be walked around by a new field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.enums import Touch
from .digest import normalised

_CONTAINER = {
    "image": Touch.IMAGE,
    "imagePullPolicy": Touch.IMAGE,
    "command": Touch.COMMAND,
    "args": Touch.COMMAND,
    "workingDir": Touch.COMMAND,
    "env": Touch.ENV,
    "envFrom": Touch.CONFIG,
    "securityContext": Touch.SECURITY_CONTEXT,
    "volumeMounts": Touch.VOLUMES,
    "volumeDevices": Touch.VOLUMES,
    "livenessProbe": Touch.PROBES,
    "readinessProbe": Touch.PROBES,
    "startupProbe": Touch.PROBES,
    "resources": Touch.RESOURCES,
    "ports": Touch.NETWORK,
}
_POD = {
    "serviceAccountName": Touch.SERVICE_ACCOUNT,
    "serviceAccount": Touch.SERVICE_ACCOUNT,
    "automountServiceAccountToken": Touch.SERVICE_ACCOUNT,
    "imagePullSecrets": Touch.IMAGE,
    "securityContext": Touch.SECURITY_CONTEXT,
    "hostPID": Touch.SECURITY_CONTEXT,
    "hostIPC": Touch.SECURITY_CONTEXT,
    "hostUsers": Touch.SECURITY_CONTEXT,
    "volumes": Touch.VOLUMES,
    "hostNetwork": Touch.NETWORK,
    "hostname": Touch.NETWORK,
    "subdomain": Touch.NETWORK,
    "dnsPolicy": Touch.NETWORK,
    "dnsConfig": Touch.NETWORK,
    "hostAliases": Touch.NETWORK,
    "readinessGates": Touch.PROBES,
    "nodeSelector": Touch.SCHEDULING,
    "affinity": Touch.SCHEDULING,
    "tolerations": Touch.SCHEDULING,
    "topologySpreadConstraints": Touch.SCHEDULING,
    "priorityClassName": Touch.SCHEDULING,
    "schedulerName": Touch.SCHEDULING,
    "runtimeClassName": Touch.SCHEDULING,
    "nodeName": Touch.SCHEDULING,
}
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


def touches(stable: Mapping[str, Any] | None, proposed: Mapping[str, Any]) -> tuple[Touch, ...]:
    """The words for every difference, in the order they are declared. Without a stable template: every word."""
    if stable is None:
        return tuple(Touch)
    before, after = normalised(stable), normalised(proposed)
    found: set[Touch] = set()
    if {k: v for k, v in before.items() if k != "spec"} != {k: v for k, v in after.items() if k != "spec"}:
        found.add(Touch.OTHER)
    old, new = _mapping(before.get("spec")), _mapping(after.get("spec"))
    for key in {*old, *new}:
        if old.get(key) != new.get(key):
            found |= (
                _containers(old.get(key), new.get(key)) if key in _CONTAINER_LISTS else {_POD.get(key, Touch.OTHER)}
            )
    return tuple(touch for touch in Touch if touch in found)


def _containers(before: Any, after: Any) -> set[Touch]:
    old, new = _by_name(before), _by_name(after)
    found: set[Touch] = set()
    for name in {*old, *new}:
        one, other = old.get(name, {}), new.get(name, {})
        found |= {
            _CONTAINER.get(key, Touch.OTHER) for key in {*one, *other} - {"name"} if one.get(key) != other.get(key)
        }
    return found or {Touch.OTHER}


def _by_name(containers: Any) -> dict[str, Mapping[str, Any]]:
    if not isinstance(containers, list):
        return {}
    return {str(c.get("name", position)): c for position, c in enumerate(containers) if isinstance(c, Mapping)}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
