"""Witnesses the admission policies: watches them, compares them with their rendering, writes down what was seen.

The record is the ConfigMap ``rollwarden-witness`` in the operator's own namespace. It is read once; from then on what
this process saw is the truth, and the record is how the next process learns of it. Nothing is written at rest, and
nothing is ever repaired here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from ..admission import Identities, render
from ..api import names
from ..core.integrity import (
    UNWITNESSED,
    Guard,
    LivePiece,
    Row,
    Sight,
    Witnessed,
    decode_rows,
    encode_rows,
    key_of,
    sight_of,
    wanted_prints,
    witness,
)
from ..core.times import spoken
from ..core.writes import Emit
from ..kube.client import KubeClient
from ..kube.errors import NotFound
from ..kube.informers import ObjectKey, kube_informer
from ..kube.recorder import ObjectRef
from ..kube.resources import (
    CONFIGMAPS,
    MUTATING_BINDINGS,
    MUTATING_POLICIES,
    VALIDATING_BINDINGS,
    VALIDATING_POLICIES,
)
from ..runtime.informer import Informer

log = structlog.get_logger(__name__)

KEY = ObjectKey("", "admission-policies")
KINDS = (MUTATING_POLICIES, MUTATING_BINDINGS, VALIDATING_POLICIES, VALIDATING_BINDINGS)
FRESH_SECONDS = 1.0
"""A look serves every release within that time: half as long as an API server takes to act on a changed policy."""
SERVICE_ACCOUNT = "system:serviceaccount:"
FALLBACK_NAMESPACE = "rollwarden-system"


class PieceMeta(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0


class PieceId(msgspec.Struct, frozen=True):
    """All that is kept of a watched policy or binding: each change of it leads to a look at all of them."""

    metadata: PieceMeta


class ConfigMap(msgspec.Struct, frozen=True):
    data: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ought to stand, for the identity this process has, and where its record is."""

    prints: dict[str, str]
    namespace: str


class Integrity:
    """``guard`` is what the last look meant. Safe to use from any thread.

    ``changed`` is called after a look that meant something else than the one before it.
    """

    def __init__(
        self,
        client: KubeClient,
        argo: str,
        clock: Callable[[], float],
        changed: Callable[[], None],
        emit: Callable[[ObjectRef, Emit], None],
    ) -> None:
        self._client = client
        self._argo = argo
        self._clock = clock
        self._changed = changed
        self._emit = emit
        self._lock = threading.Lock()
        self._wanted: Wanted | None = None
        self._rows: dict[str, Row] | None = None
        self._written: dict[str, str] | None = None
        self._outdated: tuple[str, ...] = ()
        self._looked_at = float("-inf")
        self.guard: Guard = UNWITNESSED
        self.informers: tuple[Informer[ObjectKey, msgspec.Raw, PieceId], ...] = tuple(
            kube_informer(client, kind, PieceId) for kind in KINDS
        )

    def watch(self, enqueue: Callable[[ObjectKey], None]) -> None:
        """Has every change of a policy or binding end in a look."""

        def moved(old: PieceId | None, new: PieceId | None) -> None:
            if old != new:
                enqueue(KEY)

        for informer in self.informers:
            informer.add_handler(moved)

    def check(self, key: ObjectKey) -> float | None:
        """One look. Raises the KubeError of what could not be read or written."""
        self.look()
        return None

    def verified(self) -> Guard:
        """The guard from a look within the last second: no release rests on an older one."""
        self.look(FRESH_SECONDS)
        return self.guard

    def look(self, at_most: float = 0.0) -> None:
        """Reads all policies and bindings from the API server itself, and writes down what that changes.

        ``at_most``: seconds for which the last look is good enough.
        """
        with self._lock:
            if time.monotonic() - self._looked_at < at_most:
                return
            before = self.guard
            wanted = self._wants()
            live = self._sights(wanted)
            if self._rows is None:
                self._rows = self._read(wanted.namespace)
            found = witness(wanted.prints, live, self._rows, self._clock())
            self._rows = dict(found.rows)
            self.guard = found.guard
            self._outdated = found.outdated
            self._looked_at = time.monotonic()
            told = found.guard != before
            if told:
                self._tell(before, found, wanted.namespace)
            self._write(wanted.namespace)
        if told:
            self._changed()

    @property
    def outdated(self) -> int:
        """How many pieces are of an earlier version than this operator's."""
        return len(self._outdated)

    def _wants(self) -> Wanted:
        if self._wanted is None:
            user = self._client.self_subject_review().username
            of_pod = user.removeprefix(SERVICE_ACCOUNT).partition(":")[0] if user.startswith(SERVICE_ACCOUNT) else ""
            prints = wanted_prints(render(Identities(operator=user, argo=self._argo)))
            self._wanted = Wanted(prints, of_pod or FALLBACK_NAMESPACE)
        return self._wanted

    def _sights(self, wanted: Wanted) -> dict[str, Sight]:
        return {
            key: sight_of(piece)
            for kind in KINDS
            for piece in self._client.list(kind, type=LivePiece).items
            if (key := key_of(kind.kind, piece.metadata.name)) in wanted.prints
        }

    def _read(self, namespace: str) -> dict[str, Row]:
        try:
            found = self._client.get(CONFIGMAPS, names.WITNESS, namespace=namespace, type=ConfigMap)
        except NotFound:
            return {}
        self._written = found.data or {}
        return decode_rows(self._written)

    def _write(self, namespace: str) -> None:
        data = encode_rows(self._rows or {})
        if data == (self._written or {}):
            return
        if self._written is None or not self._replaced(namespace, data):
            meta = {"name": names.WITNESS, "labels": {"app.kubernetes.io/name": "rollwarden"}}
            self._client.create(CONFIGMAPS, {"metadata": meta, "data": data}, namespace=namespace)
        self._written = data

    def _replaced(self, namespace: str, data: dict[str, str]) -> bool:
        """False where somebody deleted the record."""
        ops: list[dict[str, Any]] = [{"op": "add", "path": "/data", "value": data}]
        try:
            self._client.json_patch(CONFIGMAPS, names.WITNESS, ops, namespace=namespace)
        except NotFound:
            return False
        return True

    def _tell(self, before: Guard, found: Witnessed, namespace: str) -> None:
        about = ObjectRef.of(CONFIGMAPS, namespace, names.WITNESS)
        if not found.guard.intact:
            log.warning("admission policies are not intact", why=found.guard.flaw)
            self._emit(about, Emit("Warning", names.POLICIES_NOT_INTACT, found.guard.flaw))
            return
        ago = spoken(max(0.0, self._clock() - found.guard.since)) if found.guard.since else "their installation"
        log.info("admission policies are intact", since=ago, earlier_version=list(found.outdated))
        if before is not UNWITNESSED:
            message = "the admission policies are as installed; approvals given after this count"
            self._emit(about, Emit("Normal", "PoliciesIntact", message))
