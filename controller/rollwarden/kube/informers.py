"""The runtime's informer, fed by the API server."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec

from rollwarden.kube.client import KubeClient
from rollwarden.kube.resources import Resource
from rollwarden.kube.watch import Watch
from rollwarden.runtime.informer import Identity, Informer, Listing

T = TypeVar("T")


class ObjectKey(NamedTuple):
    """Which object of a kind; `namespace` is "" for cluster-scoped ones. Prints as `pay/checkout`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str
    namespace: str = ""
    name: str = ""  # a bookmark has none


class _Object(msgspec.Struct, frozen=True):
    metadata: _Metadata


_OBJECTS = msgspec.json.Decoder(_Object)


@dataclass(frozen=True, slots=True)
class _Transport:
    client: KubeClient
    resource: Resource
    namespace: str | None
    label_selector: str
    field_selector: str

    def list(self) -> Listing[msgspec.Raw]:
        page = self.client.list_raw(
            self.resource,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
        )
        return Listing(page.items, page.resource_version)

    def watch(self, resource_version: str) -> Watch[msgspec.Raw]:
        return self.client.watch(
            self.resource,
            resource_version,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            type=msgspec.Raw,
        )


def identity_of(raw: msgspec.Raw) -> Identity[ObjectKey]:
    """Name and resource version of an object, whatever else is in it. Raises msgspec.MsgspecError without them."""
    metadata = _OBJECTS.decode(raw).metadata
    return Identity(ObjectKey(metadata.namespace, metadata.name), metadata.resource_version)


def kube_informer(
    client: KubeClient,
    resource: Resource,
    type: type[T],
    *,
    namespace: str | None = None,
    label_selector: str = "",
    field_selector: str = "",
    indexers: Mapping[str, Callable[[T], Iterable[Hashable]]] | None = None,
    on_undecodable: Callable[[msgspec.Raw, Exception], None] | None = None,
    relist_every: float | None = None,
) -> Informer[ObjectKey, msgspec.Raw, T]:
    """An informer of one kind, of one namespace or of all; not yet started. `type`: a frozen Struct of what is used.

    Objects of built-in kinds come from a list without apiVersion and kind.
    """
    return Informer(
        str(resource),
        _Transport(client, resource, namespace, label_selector, field_selector),
        identify=identity_of,
        decode=msgspec.json.Decoder(type).decode,
        indexers=indexers,
        on_undecodable=on_undecodable,
        relist_every=relist_every,
    )


def distilling_informer(
    client: KubeClient,
    resource: Resource,
    distil: Callable[[msgspec.Raw], T],
    *,
    indexers: Mapping[str, Callable[[T], Iterable[Hashable]]] | None = None,
) -> Informer[ObjectKey, msgspec.Raw, T]:
    """An informer that keeps of each object only what `distil` makes of it; not yet started.

    `distil` raises on what it cannot read.
    """
    transport = _Transport(client, resource, None, "", "")
    return Informer(str(resource), transport, identify=identity_of, decode=distil, indexers=indexers)
