"""What we ask of the API server: read, list, write, watch, and who may do what.

Methods are synchronous and safe to call from any thread; each raises the KubeErrors of `errors.py`. Answers are decoded
into `type`: a msgspec Struct that names the fields wanted, or a plain dict if none is given. Nothing is retried.

A write to a Rollout is a JSON Patch with tests, never a merge patch: a merge patch cannot say which attempt it is meant
for. Not here: requests and connections (`transport.py`), errors, informers.
"""

import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, Self, cast

import msgspec
from kubernetes.client.configuration import Configuration
from typing_extensions import TypeVar

from rollwarden.kube import config
from rollwarden.kube.deep import bounded
from rollwarden.kube.errors import Call, Gone, MergePatchForbidden, PatchTestFailed, UndecodableAnswer
from rollwarden.kube.resources import EVENTS, OWN_GROUP, Resource
from rollwarden.kube.transport import ClientOptions, HttpRequest, Transport
from rollwarden.kube.watch import Watch, open_watch

T = TypeVar("T", default=dict[str, Any])
ANY = cast(Any, dict)  # the default of every `type` parameter: a plain dict

Query = tuple[tuple[str, str], ...]
Propagation = Literal["Background", "Foreground", "Orphan"]

PAGE_SIZE = 500
RESTARTS = 3  # of a paged list whose continuation expired

DEFAULTS = ClientOptions()

_DECODERS: dict[Hashable, msgspec.json.Decoder[Any]] = {}
_LEARNING = threading.Lock()

SELF_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
SELF_REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False)


class ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class RawList(msgspec.Struct, frozen=True):
    """A list as answered, its items not yet decoded."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """All objects of a list, and the resource version from which a watch continues."""

    items: list[T]
    resource_version: str


class UserInfo(msgspec.Struct, frozen=True):
    """Who the API server takes us for."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] | None = None


class AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class AccessReview(msgspec.Struct, frozen=True):
    status: AccessStatus


class SelfReviewStatus(msgspec.Struct, frozen=True, rename="camel"):
    user_info: UserInfo


class SelfReview(msgspec.Struct, frozen=True):
    status: SelfReviewStatus


class KubeClient:
    """One API server, one identity. Close it, or use it as a context manager."""

    def __init__(self, configuration: Configuration, options: ClientOptions = DEFAULTS) -> None:
        self.server = configuration.host
        self._options = options
        self._transport = Transport(configuration, options)

    @classmethod
    def from_kubeconfig(
        cls, path: Path | None = None, context: str | None = None, options: ClientOptions = DEFAULTS
    ) -> Self:
        """A kubeconfig's context; None: $KUBECONFIG or ~/.kube/config, and its current one. Raises ConfigError."""
        return cls(config.from_kubeconfig(path, context), options)

    @classmethod
    def in_cluster(cls, options: ClientOptions = DEFAULTS, directory: Path = config.SERVICE_ACCOUNT) -> Self:
        """The service account of the pod we run in. Raises ConfigError outside a pod."""
        return cls(config.in_cluster(directory), options)

    @classmethod
    def connect(
        cls, kubeconfig: Path | None = None, context: str | None = None, options: ClientOptions = DEFAULTS
    ) -> Self:
        """What was named; else $KUBECONFIG; else the pod's service account; else ~/.kube/config. Raises ConfigError."""
        return cls(config.find(kubeconfig, context), options)

    def close(self) -> None:
        """Close the idle connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def get(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        subresource: str | None = None,
        type: type[T] = ANY,
    ) -> T:
        """One object, as it is now (not from a cache)."""
        call = Call("get", resource, namespace, name, subresource)
        return self._send(call, HttpRequest("GET", _path(call)), type)

    def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        type: type[T] = ANY,
    ) -> Page[T]:
        """All objects, of one namespace or of all, read page by page. Objects that built-in kinds list carry neither
        apiVersion nor kind."""
        call = Call("list", resource, namespace)
        raw = self.list_raw(resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector)
        return Page([decode(call, item, type) for item in raw.items], raw.resource_version)

    def list_raw(
        self, resource: Resource, *, namespace: str | None = None, label_selector: str = "", field_selector: str = ""
    ) -> Page[msgspec.Raw]:
        """As `list`, with items left to the caller to decode one by one."""
        call = Call("list", resource, namespace)
        query = _selectors(label_selector, field_selector)
        for _ in range(RESTARTS):
            try:
                return self._all_pages(call, query)
            except Gone:
                continue  # the continuation is older than the server remembers: from the first page again
        return self._all_pages(call, query)

    def watch(
        self,
        resource: Resource,
        resource_version: str,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        type: type[T] = ANY,
    ) -> Watch[T]:
        """What happens to the objects after that resource version; ends after some minutes, or on `close`.

        Bookmarks come too: objects with nothing but a kind and a resource version. With `msgspec.Raw` as the type
        nothing is decoded.
        """
        call = Call("watch", resource, namespace)
        request = HttpRequest("GET", _path(call), _selectors(label_selector, field_selector))
        return open_watch(self._transport, call, request, resource_version, lambda raw: decode(call, raw, type))

    def create(
        self,
        resource: Resource,
        body: Any,
        *,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
        dry_run: bool = False,
        type: type[T] = ANY,
    ) -> T:
        """Create an object; `name` is only for subresources that are created, such as a pod's eviction."""
        call = Call("create", resource, namespace, name, subresource)
        return self._send(call, self._write("POST", call, "application/json", body, dry_run), type)

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation = "Background",
        dry_run: bool = False,
    ) -> None:
        """Delete one object; with `uid` or `resource_version` only if it is still that one (Conflict if not)."""
        call = Call("delete", resource, namespace, name)
        wanted = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {key: value for key, value in wanted.items() if value is not None}
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if preconditions:
            body["preconditions"] = preconditions
        if dry_run:
            body["dryRun"] = ["All"]  # with a body, the server does not look at the query
        self._transport.send(call, HttpRequest("DELETE", _path(call), (), "application/json", body))

    def json_patch(
        self,
        resource: Resource,
        name: str,
        ops: Sequence[Mapping[str, Any]],
        *,
        namespace: str | None = None,
        subresource: str | None = None,
        dry_run: bool = False,
        type: type[T] = ANY,
    ) -> T:
        """Apply the operations, all or none. Raises PatchTestFailed if a `test` among them does not hold, or if a path
        to change is not there."""
        call = Call("patch", resource, namespace, name, subresource)
        body = [dict(op) for op in ops]
        request = self._write("PATCH", call, "application/json-patch+json", body, dry_run)
        try:
            return self._send(call, request, type)
        except PatchTestFailed as error:
            paths = ", ".join(f"{op.get('op')} {op.get('path')}" for op in body)
            message = f"the object is not as this patch expects; one of these could not be carried out: {paths}"
            raise PatchTestFailed(call, message, code=error.code, reason=error.reason) from error

    def merge_patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, Any],
        *,
        resource_version: str | None,
        namespace: str | None = None,
        subresource: str | None = "status",
        dry_run: bool = False,
        type: type[T] = ANY,
    ) -> T:
        """Merge into the status of one of our own kinds, or into an event's series; Conflict if the object is no longer
        at `resource_version` (None: whatever it is at). Raises MergePatchForbidden for anything else."""
        call = Call("patch", resource, namespace, name, subresource)
        if not (resource.group == OWN_GROUP and subresource == "status") and resource != EVENTS:
            message = f"{call}: no merge patch here, send a JSON Patch with tests (json_patch)"
            raise MergePatchForbidden(message)
        body = dict(patch)
        if resource_version is not None:
            body["metadata"] = {**body.get("metadata", {}), "resourceVersion": resource_version}
        return self._send(call, self._write("PATCH", call, "application/merge-patch+json", body, dry_run), type)

    def apply(
        self,
        resource: Resource,
        body: Any,
        *,
        force: bool = False,
        subresource: str | None = None,
        dry_run: bool = False,
        field_manager: str | None = None,
        type: type[T] = ANY,
    ) -> T:
        """Server-side apply of an object that names itself (metadata.name, metadata.namespace, apiVersion, kind).

        Conflict if another manager owns a field and `force` is not set.
        """
        values = msgspec.to_builtins(body)
        metadata = values["metadata"]
        call = Call("apply", resource, metadata.get("namespace"), metadata["name"], subresource)
        query = self._write_query(dry_run, field_manager)
        if force:
            query = (*query, ("force", "true"))
        # JSON is YAML; as bytes it passes the client's REST layer untouched.
        content = msgspec.json.encode(values)
        request = HttpRequest("PATCH", _path(call), query, "application/apply-patch+yaml", content)
        return self._send(call, request, type)

    def self_subject_access_review(
        self, verb: str, group: str, resource: str, name: str = "", namespace: str = "", subresource: str = ""
    ) -> bool:
        """Whether we may do that. `namespace` "" means in all namespaces."""
        attributes = _attributes(verb, group, resource, name, namespace, subresource)
        return self._review(SELF_ACCESS_REVIEWS, {"resourceAttributes": attributes})

    def can(
        self,
        user: str,
        groups: Sequence[str],
        verb: str,
        group: str,
        resource: str,
        name: str = "",
        namespace: str = "",
        subresource: str = "",
        extra: Mapping[str, Sequence[str]] | None = None,
    ) -> bool:
        """Whether that user with those groups may do that (SubjectAccessReview)."""
        attributes = _attributes(verb, group, resource, name, namespace, subresource)
        spec = {"user": user, "groups": [*groups], "resourceAttributes": attributes}
        if extra:
            spec["extra"] = {key: [*values] for key, values in extra.items()}
        return self._review(ACCESS_REVIEWS, spec)

    def self_subject_review(self) -> UserInfo:
        """Who the API server takes us for."""
        body = {"apiVersion": SELF_REVIEWS.api_version, "kind": SELF_REVIEWS.kind}
        return self.create(SELF_REVIEWS, body, type=SelfReview).status.user_info

    def _review(self, resource: Resource, spec: Mapping[str, Any]) -> bool:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        return self.create(resource, body, type=AccessReview).status.allowed

    def _send(self, call: Call, request: HttpRequest, type: type[T]) -> T:
        return decode(call, self._transport.send(call, request), type)

    def _write(self, method: str, call: Call, content_type: str, body: Any, dry_run: bool) -> HttpRequest:
        query = self._write_query(dry_run, None)
        return HttpRequest(method, _path(call), query, content_type, msgspec.to_builtins(body))

    def _write_query(self, dry_run: bool, field_manager: str | None) -> Query:
        query: Query = (("fieldManager", field_manager or self._options.field_manager),)
        return (*query, ("dryRun", "All")) if dry_run else query

    def _all_pages(self, call: Call, query: Query) -> Page[msgspec.Raw]:
        items: list[msgspec.Raw] = []
        more = ""
        while True:
            paging = (("limit", str(PAGE_SIZE)), *((("continue", more),) if more else ()))
            answer = self._send(call, HttpRequest("GET", _path(call), query + paging), RawList)
            items += answer.items or []
            more = answer.metadata.continue_
            if not more:
                return Page(items, answer.metadata.resource_version)


def decode(call: Call, content: bytes | msgspec.Raw, type: type[T]) -> T:
    """The value in an answer. Raises UndecodableAnswer if it is not what the type says."""
    try:
        value: T = _decoder(cast(Hashable, type)).decode(bounded(bytes(content)))
    except (msgspec.MsgspecError, ValueError) as error:
        message = f"the answer cannot be read as {getattr(type, '__name__', type)}: {error}"
        raise UndecodableAnswer(call, message) from error
    return value


def _decoder(type: Hashable) -> msgspec.json.Decoder[Any]:
    """The type's decoder. One thread at a time makes one: msgspec crashes the process when two learn a type at once."""
    found = _DECODERS.get(type)
    if found is None:
        with _LEARNING:
            found = _DECODERS.setdefault(type, msgspec.json.Decoder(cast(Any, type)))
    return found


def _path(call: Call) -> str:
    return call.resource.path(call.namespace, call.name, call.subresource)


def _selectors(label_selector: str, field_selector: str) -> Query:
    wanted = (("labelSelector", label_selector), ("fieldSelector", field_selector))
    return tuple((key, value) for key, value in wanted if value)


def _attributes(verb: str, group: str, resource: str, name: str, namespace: str, subresource: str) -> dict[str, str]:
    return {
        "verb": verb,
        "group": group,
        "resource": resource,
        "name": name,
        "namespace": namespace,
        "subresource": subresource,
    }
