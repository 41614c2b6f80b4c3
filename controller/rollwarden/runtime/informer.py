"""List and watch: a local copy of one kind of object, and everyone told of every change.

One thread lists, then watches from the list's resource version on, for ever. What goes wrong never ends it:
- a watch that ends is taken up where it stood; one that was refused or broke waits first, longer each time;
- an expired resource version (410 Gone) means a new list; what the list no longer has is announced as deleted;
- an object that cannot be decoded is reported and counted, and its last good copy stays in the store.

Not here: how a list or a watch reaches a server (the transport), what the objects are, the store (`store.py`).
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import structlog

from rollwarden.runtime.errors import Expired, Retryable
from rollwarden.runtime.store import Store

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

Handler = Callable[[T | None, T | None], None]

log = structlog.get_logger(__name__)


class EventKind(StrEnum):
    """What a watch says happened to an object. A bookmark only carries a newer resource version."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[R_co]):
    """One event of a watch; `raw` is the object as it came."""

    kind: EventKind
    raw: R_co


@dataclass(frozen=True, slots=True)
class Listing(Generic[R_co]):
    """All objects at one moment, and the resource version from which a watch continues."""

    items: Sequence[R_co]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Identity(Generic[K]):
    """What can be told of an object without understanding it."""

    key: K
    resource_version: str


class Stream(Protocol[R_co]):
    """An open watch. Iterating ends when the server ends it; `close` ends it from any thread."""

    def __iter__(self) -> Iterator[WatchEvent[R_co]]: ...

    def close(self) -> None: ...


class Transport(Protocol[R_co]):
    """The way to the server. Both calls raise Retryable when it cannot answer, Expired on 410 Gone."""

    def list(self) -> Listing[R_co]: ...

    def watch(self, resource_version: str) -> Stream[R_co]: ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between failed attempts: `first` seconds, doubled each time up to `cap`, of which a random part is taken.

    A watch that lasted `steady` seconds starts it over.
    """

    first: float = 0.2
    cap: float = 30.0
    steady: float = 5.0

    def wait(self, failures: int, fraction: float) -> float:
        """Seconds to wait after that many failures in a row (1 or more); `fraction` in [0, 1) spreads the clients."""
        full = min(self.first * 2.0 ** min(failures - 1, 60), self.cap)
        return full * (0.5 + fraction / 2)


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since the start."""

    lists: int = 0
    watches: int = 0
    events: int = 0
    failures: int = 0
    undecodable: int = 0


class Informer(Generic[K, R, T]):
    """Keeps a Store equal to the server's objects and calls the handlers with (old, new) for every change.

    `identify` and `decode` raise on what they cannot read; so may an indexer. Handlers run in the informer's thread,
    one after the other, after the store has changed; what they raise is logged and goes no further. Every
    `relist_every` seconds a full list is made even if nothing is wrong; None: never.
    """

    def __init__(
        self,
        name: str,
        transport: Transport[R],
        *,
        identify: Callable[[R], Identity[K]],
        decode: Callable[[R], T],
        indexers: Mapping[str, Callable[[T], Iterable[Hashable]]] | None = None,
        on_undecodable: Callable[[R, Exception], None] | None = None,
        relist_every: float | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._transport = transport
        self._identify = identify
        self._decode = decode
        self._on_undecodable = on_undecodable
        self._relist_every = relist_every
        self._backoff = backoff or Backoff()
        self._clock = clock
        self.store: Store[K, T] = Store(indexers or {})
        self._handlers: list[Handler[T]] = []
        self._resource_version: str | None = None  # None: a list is due
        self._listed_at = 0.0
        self._failures_in_a_row = 0
        self._last_contact: float | None = None
        self._counts: Counter[str] = Counter()
        self._synced = threading.Event()
        self._stopping = threading.Event()
        self._stream: Stream[R] | None = None
        self._stream_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"informer-{name}", daemon=True)

    def add_handler(self, handler: Handler[T]) -> None:
        """Call `handler(old, new)` for every change: old is None for a new object, new is None for a deleted one.

        Raises RuntimeError after the start: a late handler would have missed what came before it.
        """
        if self._thread.ident is not None:
            message = f"informer {self.name}: handlers are added before start()"
            raise RuntimeError(message)
        self._handlers.append(handler)

    def start(self) -> None:
        """Start the thread. An informer is started once."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """End the watch and the thread; whether it ended within `timeout` seconds."""
        self._stopping.set()
        with self._stream_lock:
            if self._stream is not None:
                self._stream.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def has_synced(self) -> bool:
        """Whether the first list is in the store and the handlers have seen all of it."""
        return self._synced.is_set()

    def wait_synced(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for has_synced."""
        return self._synced.wait(timeout)

    @property
    def last_contact(self) -> float | None:
        """When the server last answered a list, opened a watch or sent an event: seconds of the clock, None: never."""
        return self._last_contact

    def counts(self) -> Counts:
        """Totals since the start."""
        return Counts(**self._counts)

    def run_once(self) -> float:
        """One round: list if that is due, then watch to the watch's end. Returns the seconds to wait before the next.

        For the informer's own thread; tests call it without one.
        """
        watching_since: float | None = None
        try:
            if self._list_is_due():
                self._list()
            watching_since = self._clock()
            self._watch(self._resource_version or "")
        except Expired as error:
            self._resource_version = None
            return self._failed(error, watching_since)
        except Retryable as error:
            return 0.0 if self._stopping.is_set() else self._failed(error, watching_since)
        except Exception as error:
            if self._stopping.is_set():
                return 0.0
            log.exception("the informer failed, will start over", informer=self.name)
            self._resource_version = None
            return self._failed(error, watching_since)
        # A server that ends every watch at once must not be asked in a tight loop, though nothing failed.
        return 0.0 if self._lasted(watching_since) else self._next_wait(0.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self.run_once())

    def _failed(self, error: Exception, watching_since: float | None) -> float:
        self._counts["failures"] += 1
        self._lasted(watching_since)
        wait = self._next_wait(getattr(error, "after", None) or 0.0)
        log.warning("list or watch failed", informer=self.name, reason=str(error), seconds=round(wait, 3))
        return wait

    def _lasted(self, watching_since: float | None) -> bool:
        """Whether the watch lived long enough to call the connection good; starts the back-off over if so."""
        lasted = watching_since is not None and self._clock() - watching_since >= self._backoff.steady
        if lasted:
            self._failures_in_a_row = 0
        return lasted

    def _next_wait(self, at_least: float) -> float:
        self._failures_in_a_row += 1
        return max(at_least, self._backoff.wait(self._failures_in_a_row, random.random()))

    def _list_is_due(self) -> bool:
        if self._resource_version is None:
            return True
        return self._relist_every is not None and self._clock() - self._listed_at >= self._relist_every

    def _list(self) -> None:
        """Take over a full list: changes first, then what is gone."""
        listing = self._transport.list()
        self._counts["lists"] += 1
        self._last_contact = self._listed_at = self._clock()
        seen: set[K] = set()
        unreadable = False
        for raw in listing.items:
            identity = self._identity(raw)
            if identity is None:
                unreadable = True
            else:
                seen.add(identity.key)
                self._take(identity, raw)
        # An object whose very name is unreadable may be any of those that seem gone: then nothing is taken for deleted.
        if not unreadable:
            for key in set(self.store.keys()) - seen:
                self._drop(key)
        self._resource_version = listing.resource_version
        self._synced.set()

    def _watch(self, resource_version: str) -> None:
        stream = self._transport.watch(resource_version)
        with self._stream_lock:
            self._stream = stream
        try:
            self._counts["watches"] += 1
            self._last_contact = self._clock()
            if self._stopping.is_set():
                return
            for event in stream:
                self._last_contact = self._clock()
                self._handle(event)
                if self._stopping.is_set() or self._list_is_due():
                    return
        finally:
            with self._stream_lock:
                self._stream = None
            stream.close()

    def _handle(self, event: WatchEvent[R]) -> None:
        identity = self._identity(event.raw)
        if identity is None:
            return
        if event.kind is not EventKind.BOOKMARK:
            self._counts["events"] += 1
            if event.kind is EventKind.DELETED:
                self._drop(identity.key)
            else:
                self._take(identity, event.raw)
        self._resource_version = identity.resource_version

    def _take(self, identity: Identity[K], raw: R) -> None:
        if self.store.version(identity.key) == identity.resource_version:
            return
        try:
            new = self._decode(raw)
            old = self.store.put(identity.key, identity.resource_version, new)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one object must not stop the others
            self._undecodable(raw, error)
            return
        self._announce(old, new)

    def _drop(self, key: K) -> None:
        old = self.store.remove(key)
        if old is not None:
            self._announce(old, None)

    def _identity(self, raw: R) -> Identity[K] | None:
        try:
            return self._identify(raw)
        except Exception as error:  # noqa: BLE001 - as above
            self._undecodable(raw, error)
            return None

    def _undecodable(self, raw: R, error: Exception) -> None:
        self._counts["undecodable"] += 1
        log.warning("an object cannot be decoded; its last good copy stays", informer=self.name, reason=str(error))
        if self._on_undecodable is not None:
            try:
                self._on_undecodable(raw, error)
            except Exception:
                log.exception("the callback for undecodable objects failed", informer=self.name)

    def _announce(self, old: T | None, new: T | None) -> None:
        for handler in self._handlers:
            try:
                handler(old, new)
            except Exception:
                log.exception("a handler failed", informer=self.name)
