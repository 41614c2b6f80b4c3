"""Events as `kubectl get events` and `kubectl describe` show them: events.k8s.io/v1 objects.

Not here: which events there are; when they are written and counted (`runtime/events.py`).
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rollwarden.kube.client import KubeClient
from rollwarden.kube.errors import AlreadyExists, Forbidden, NotFound
from rollwarden.kube.resources import EVENTS, Resource
from rollwarden.runtime.errors import Terminal
from rollwarden.runtime.events import Event, EventRecorder

REPORTING_CONTROLLER = "rollwarden.dev/controller"
NAMESPACE_OF_CLUSTER_SCOPED = "default"  # as the API server demands

# Limits of the API, in bytes.
NOTE_LIMIT = 1024
REASON_LIMIT = 128
INSTANCE_LIMIT = 128
NAME_LIMIT = 253


class ObjectRef(NamedTuple):
    """The object an event is about. `namespace` is "" for cluster-scoped kinds."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""

    @classmethod
    def of(cls, resource: Resource, namespace: str, name: str, uid: str = "") -> "ObjectRef":
        """A reference to the object of that kind and name."""
        return cls(resource.api_version, resource.kind, namespace, name, uid)


class EventName(NamedTuple):
    """Where an event was written."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class KubeEvents:
    """The sink; `instance` is this process's name (the pod's), shown as the reporting instance."""

    client: KubeClient
    instance: str

    def create(self, event: Event[ObjectRef], at: datetime) -> EventName:
        """Write the event. Its name follows from what it says and when, so a repeated attempt finds it written."""
        body = event_object(event, at, self.instance)
        where = EventName(body["metadata"]["namespace"], body["metadata"]["name"])
        try:
            self.client.create(EVENTS, body, namespace=where.namespace)
        except AlreadyExists:
            return where
        except Forbidden as error:  # a namespace that is going away: waiting would only hold up other events
            raise Terminal(str(error)) from error
        return where

    def bump(self, handle: EventName, count: int, last: datetime) -> None:
        """Set the event's series."""
        series = {"series": {"count": count, "lastObservedTime": micro_time(last)}}
        try:
            self.client.merge_patch(
                EVENTS, handle.name, series, namespace=handle.namespace, subresource=None, resource_version=None
            )
        except (Forbidden, NotFound) as error:
            raise Terminal(str(error)) from error


def kube_recorder(client: KubeClient, instance: str) -> EventRecorder[ObjectRef, EventName]:
    """A recorder that writes through the client; not yet started."""
    return EventRecorder(KubeEvents(client, instance))


def event_object(event: Event[ObjectRef], at: datetime, instance: str) -> dict[str, Any]:
    """The Event as it is created. A message longer than the API allows is cut, and ends in an ellipsis."""
    about = event.regarding
    said = "\n".join((about.uid, event.kind, event.reason, event.message, micro_time(at)))
    suffix = "." + hashlib.sha256(said.encode()).hexdigest()[:16]
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {
            "name": about.name[: NAME_LIMIT - len(suffix)].rstrip(".-") + suffix,
            "namespace": about.namespace or NAMESPACE_OF_CLUSTER_SCOPED,
        },
        "eventTime": micro_time(at),
        "reportingController": REPORTING_CONTROLLER,
        "reportingInstance": cut(instance, INSTANCE_LIMIT),
        "type": event.kind,
        "reason": cut(event.reason, REASON_LIMIT),
        "action": cut(event.action, REASON_LIMIT),
        "note": cut(event.message, NOTE_LIMIT),
        "regarding": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "name": about.name,
            **({"namespace": about.namespace} if about.namespace else {}),
            **({"uid": about.uid} if about.uid else {}),
        },
    }


def micro_time(at: datetime) -> str:
    """RFC 3339 with microseconds, as the API's MicroTime wants it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def cut(text: str, limit: int) -> str:
    """The text in at most `limit` bytes of UTF-8."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - len("…".encode())].decode(errors="ignore") + "…"
