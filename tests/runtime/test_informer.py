"""The informer ends up with what the server has, whatever happens on the way, and its handlers with the same."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rollwarden.runtime.errors import Expired, Retryable
from rollwarden.runtime.informer import Backoff, EventKind, Identity, Informer, Listing, WatchEvent
from tests.runtime.clock import FakeClock

KEYS = st.sampled_from(["a", "b", "c"])
NO_WAIT = Backoff(first=0.001, cap=0.002, steady=0.0)


@dataclass(frozen=True)
class Raw:
    """An object as a server sends it: undecodable if `value` is negative, unreadable even by name if key is None."""

    key: str | None
    version: int
    value: int


def identify(raw: Raw) -> Identity[str]:
    if raw.key is None:
        raise ValueError("no name")
    return Identity(raw.key, str(raw.version))


def decode(raw: Raw) -> Raw:
    if raw.value < 0:
        raise ValueError("not a value")
    return raw


@dataclass
class Stream:
    """The events given, then the error given, if any."""

    events: list[WatchEvent[Raw]]
    error: Exception | None = None

    def __iter__(self) -> Iterator[WatchEvent[Raw]]:
        yield from self.events
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        pass


@dataclass
class Server:
    """Objects with a history, of which it forgets the older part; the faults queued strike the next calls."""

    version: int = 1
    objects: dict[str, Raw] = field(default_factory=dict)
    history: list[tuple[int, WatchEvent[Raw]]] = field(default_factory=list)
    forgotten: int = 0  # events up to this version are gone
    list_faults: deque[Exception] = field(default_factory=deque)
    watch_faults: deque[Exception] = field(default_factory=deque)
    breaks: deque[tuple[int, Exception | None]] = field(default_factory=deque)  # events until a watch ends, and how
    calls: list[str] = field(default_factory=list)

    def record(self, kind: EventKind, raw: Raw) -> None:
        self.history.append((self.version, WatchEvent(kind, raw)))

    def put(self, key: str, value: int) -> None:
        self.version += 1
        kind = EventKind.MODIFIED if key in self.objects else EventKind.ADDED
        self.objects[key] = Raw(key, self.version, value)
        self.record(kind, self.objects[key])

    def delete(self, key: str) -> None:
        if key in self.objects:
            self.version += 1
            self.record(EventKind.DELETED, Raw(key, self.version, self.objects.pop(key).value))

    def list(self) -> Listing[Raw]:
        self.calls.append("list")
        if self.list_faults:
            raise self.list_faults.popleft()
        return Listing(list(self.objects.values()), str(self.version))

    def watch(self, resource_version: str) -> Stream:
        self.calls.append("watch")
        if self.watch_faults:
            raise self.watch_faults.popleft()
        since = int(resource_version)
        if since < self.forgotten:
            raise Expired("too old")
        events = [event for version, event in self.history if version > since]
        if self.breaks:
            after, error = self.breaks.popleft()
            return Stream(events[:after], error)
        events.append(WatchEvent(EventKind.BOOKMARK, Raw("", self.version, 0)))
        return Stream(events)


def informer_of(server: Server, **options: object) -> Informer[str, Raw, Raw]:
    return Informer("things", server, identify=identify, decode=decode, **options)  # type: ignore[arg-type]


class InformerMachine(RuleBasedStateMachine):
    """Writes, lost events, refusals and broken watches in any order; then one calm round."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.server = Server()
        self.replica: dict[str, Raw] = {}  # what a handler knows
        self.wrong_calls: list[str] = []
        self.good: dict[str, set[Raw]] = {}  # every good copy a key ever had
        self.informer = informer_of(
            self.server, clock=self.clock, relist_every=50.0, indexers={"parity": lambda raw: [raw.value % 2]}
        )
        self.informer.add_handler(self.on_change)

    def on_change(self, old: Raw | None, new: Raw | None) -> None:
        changed = new or old
        assert changed is not None and changed.key is not None
        # What a handler raises, the informer only logs: wrong calls are noted and looked at by an invariant.
        if self.replica.get(changed.key) != old:
            self.wrong_calls.append(f"the old copy of {changed.key} is not the one announced last")
        if old == new:
            self.wrong_calls.append(f"{changed.key} announced though nothing changed")
        if new is None:
            del self.replica[changed.key]
        else:
            self.replica[changed.key] = new

    @rule(key=KEYS, value=st.integers(-1, 5))
    def write(self, key: str, value: int) -> None:
        self.server.put(key, value)
        if value >= 0:
            self.good.setdefault(key, set()).add(self.server.objects[key])

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.server.delete(key)

    @rule(keep=st.integers(0, 3))
    def history_is_compacted(self, keep: int) -> None:
        kept = self.server.history[len(self.server.history) - keep :] if keep else []
        self.server.forgotten = (kept[0][0] - 1) if kept else self.server.version
        self.server.history = kept

    @rule(where=st.sampled_from(["list", "watch"]), expired=st.booleans())
    def next_call_is_refused(self, where: str, expired: bool) -> None:
        error = Expired("gone") if expired else Retryable("refused", after=1.0)
        (self.server.list_faults if where == "list" else self.server.watch_faults).append(error)

    @rule(
        after=st.integers(0, 4), error=st.sampled_from([None, Retryable("reset"), Expired("gone"), KeyError("a bug")])
    )
    def next_watch_breaks(self, after: int, error: Exception | None) -> None:
        self.server.breaks.append((after, error))

    @rule(seconds=st.integers(0, 60))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def one_round(self) -> None:
        before = self.clock()
        assert self.informer.run_once() > 0, "rounds that take no time must not follow each other without a wait"
        assert self.clock() == before

    @rule()
    def calm_rounds_converge(self) -> None:
        self.server.list_faults.clear()
        self.server.watch_faults.clear()
        self.server.breaks.clear()
        self.informer.run_once()  # may find out that its resource version is too old
        self.informer.run_once()
        assert self.informer.has_synced()
        store = {key: self.informer.store.get(key) for key in set(self.informer.store.keys())}
        for key, raw in self.server.objects.items():
            if raw.value >= 0:
                assert store.pop(key) == raw
            else:
                copy = store.pop(key, None)
                assert copy is None or copy in self.good[key], "not a copy that was once good"
        assert not store, "deleted on the server, still in the store"

    @invariant()
    def handlers_know_what_the_store_holds(self) -> None:
        assert {raw.key: raw for raw in self.informer.store.items()} == self.replica

    @invariant()
    def handlers_are_called_with_what_changed(self) -> None:
        assert self.wrong_calls == []

    @invariant()
    def index_agrees(self) -> None:
        for parity in (0, 1):
            found = {raw.key for raw in self.informer.store.by_index("parity", parity)}
            assert found == {raw.key for raw in self.replica.values() if raw.value % 2 == parity}


TestInformerMachine = InformerMachine.TestCase
TestInformerMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_refused_watch_waits_longer_each_time_up_to_the_cap() -> None:
    server = Server(watch_faults=deque(Retryable("refused") for _ in range(20)))
    informer = informer_of(server, backoff=Backoff(first=1.0, cap=8.0))
    waits = [informer.run_once() for _ in range(6)]
    for wait, full in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert full / 2 <= wait < full
    assert server.calls.count("list") == 1, "a refused watch needs no new list"


def test_a_watch_that_ends_at_once_without_error_waits_too() -> None:
    informer = informer_of(Server(), backoff=Backoff(first=1.0))
    assert informer.run_once() >= 0.5
    assert informer.run_once() >= 1.0


def test_a_watch_that_lasted_is_taken_up_at_once_and_ends_the_backoff() -> None:
    clock = FakeClock()
    server = Server(watch_faults=deque([Retryable("refused")] * 3))
    informer = informer_of(server, clock=clock, backoff=Backoff(first=1.0, steady=5.0))
    for _ in range(3):
        informer.run_once()

    class Long(Stream):
        def __iter__(self) -> Iterator[WatchEvent[Raw]]:
            clock.advance(60)
            return iter(())

    server.watch = lambda resource_version: Long([])  # type: ignore[method-assign]
    assert informer.run_once() == 0.0
    del server.watch
    assert informer.run_once() < 1.0, "the back-off did not start over"


def test_a_watch_is_taken_up_after_the_last_event_or_bookmark() -> None:
    server = Server()
    informer = informer_of(server)
    server.put("a", 1)
    informer.run_once()
    server.put("a", 2)
    server.put("b", 1)
    informer.run_once()
    asked: list[str] = []

    def watch(resource_version: str) -> Stream:
        asked.append(resource_version)
        return Stream([WatchEvent(EventKind.BOOKMARK, Raw("", 77, 0))])

    server.watch = watch  # type: ignore[method-assign]
    informer.run_once()
    informer.run_once()
    assert asked == ["4", "77"]
    assert informer.counts().events == 2, "a bookmark is no change"


def test_the_wait_asked_for_by_the_server_is_kept() -> None:
    informer = informer_of(Server(list_faults=deque([Retryable("slow down", after=17.0)])))
    assert informer.run_once() == 17.0


def test_an_undecodable_object_is_reported_and_its_good_copy_stays() -> None:
    server = Server()
    reported: list[Raw] = []
    informer = informer_of(server, on_undecodable=lambda raw, error: reported.append(raw))
    server.put("a", 1)
    informer.run_once()
    server.put("a", -1)
    server.put("b", 2)
    informer.run_once()
    held = informer.store.get("a")
    assert held is not None and held.value == 1
    assert informer.store.get("b") is not None, "those after it are read all the same"
    assert [raw.key for raw in reported] == ["a"]
    assert informer.counts().undecodable == 1


def test_nothing_is_taken_for_deleted_when_an_object_has_no_readable_name() -> None:
    server = Server()
    informer = informer_of(server)
    server.put("a", 1)
    informer.run_once()
    server.objects = {"a": Raw(None, 9, 9)}
    server.forgotten = server.version = 10
    informer.run_once()
    informer.run_once()
    assert informer.store.get("a") is not None


def test_a_failing_handler_or_indexer_stops_neither_the_others_nor_the_loop() -> None:
    server = Server()
    seen: list[str | None] = []

    def fail(old: Raw | None, new: Raw | None) -> None:
        raise RuntimeError("a handler's bug")

    def index(raw: Raw) -> list[int]:
        return [1 // (raw.value - 5)]

    informer = informer_of(server, indexers={"bad": index})
    informer.add_handler(fail)
    informer.add_handler(lambda old, new: seen.append(new.key if new else None))
    server.put("a", 5)
    server.put("b", 1)
    informer.run_once()
    assert seen == ["b"]


def test_a_handler_cannot_be_added_after_the_start() -> None:
    informer = informer_of(Server(), backoff=NO_WAIT)
    informer.start()
    with pytest.raises(RuntimeError, match="before start"):
        informer.add_handler(lambda old, new: None)
    assert informer.stop()


def test_last_contact_is_none_until_the_server_answers_and_then_moves() -> None:
    clock = FakeClock()
    server = Server(list_faults=deque([Retryable("down")]))
    informer = informer_of(server, clock=clock)
    informer.run_once()
    assert informer.last_contact is None
    informer.run_once()
    assert informer.last_contact == 1000.0
    clock.advance(9)
    informer.run_once()
    assert informer.last_contact == 1009.0


def test_stop_ends_a_watch_that_waits_for_ever() -> None:
    class Silent:
        def __init__(self) -> None:
            self.closed = threading.Event()

        def __iter__(self) -> Iterator[WatchEvent[Raw]]:
            self.closed.wait(30)
            raise Retryable("the connection was closed under the reader")

        def close(self) -> None:
            self.closed.set()

    server = Server()
    server.watch = lambda resource_version: Silent()  # type: ignore[method-assign,assignment,return-value]
    informer = informer_of(server)
    informer.start()
    assert informer.wait_synced(5)
    assert informer.alive()
    started = time.monotonic()
    assert informer.stop(5)
    assert time.monotonic() - started < 2
    assert informer.counts().failures == 0, "being stopped is no failure"


def test_the_thread_follows_a_server_that_keeps_breaking() -> None:
    server = Server(breaks=deque((1, Retryable("reset")) for _ in range(200)))
    informer = informer_of(server, backoff=NO_WAIT)
    informer.start()
    try:
        for number in range(50):
            server.put("abc"[number % 3], number)
            time.sleep(0.001)
        give_up = time.monotonic() + 10
        while {raw.key: raw for raw in informer.store.items()} != server.objects and time.monotonic() < give_up:
            time.sleep(0.01)
        assert {raw.key: raw for raw in informer.store.items()} == server.objects
    finally:
        assert informer.stop()
