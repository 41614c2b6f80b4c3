"""The work queue's promises, by example, against a model, and under real threads."""

import math
import random
import threading
import time
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rollwarden.runtime.errors import QueueClosed
from rollwarden.runtime.queue import WorkQueue
from tests.runtime.clock import FakeClock

KEYS = st.sampled_from(["a", "b", "c", "d"])


def test_a_key_added_twice_is_handed_out_once() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    queue.add("a")
    assert queue.get(0) == "a"
    assert queue.get(0) is None


def test_a_key_added_while_processed_comes_again_only_after_done() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    assert queue.get(0) == "a"
    queue.add("a")
    assert queue.get(0) is None
    queue.done("a")
    assert queue.get(0) == "a"


def test_of_two_delays_the_earlier_wins_whichever_came_first() -> None:
    for delays in ((5, 50), (50, 5)):
        clock = FakeClock()
        queue = WorkQueue[str](clock=clock)
        for delay in delays:
            queue.add_after("a", delay)
        clock.advance(5)
        assert queue.get(0) == "a"
        queue.done("a")
        clock.advance(100)
        assert queue.get(0) is None, "the later timer was kept"


def test_backoff_doubles_up_to_its_cap_and_starts_over_when_forgotten() -> None:
    queue = WorkQueue[str](base_delay=1, max_delay=10)
    assert [queue.add_rate_limited("a") for _ in range(5)] == [1, 2, 4, 8, 10]
    assert queue.failures("a") == 5
    queue.forget("a")
    assert queue.add_rate_limited("a") == 1


def test_a_thousand_failures_do_not_overflow() -> None:
    queue = WorkQueue[str](max_delay=10)
    for _ in range(1100):
        queue.add_rate_limited("a")
    assert queue.add_rate_limited("a") == 10


def test_the_wait_asked_for_by_the_other_side_is_kept() -> None:
    queue = WorkQueue[str](base_delay=1)
    assert queue.add_rate_limited("a", at_least=7) == 7


def test_shut_down_hands_out_what_waits_then_says_closed() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    queue.add_after("b", 0.01)
    queue.shut_down()
    queue.add("c")
    assert queue.get() == "a"
    queue.done("a")
    with pytest.raises(QueueClosed):
        queue.get()
    assert queue.wait_drained(0)


def test_a_worker_waits_for_a_key_that_comes_again_after_shut_down() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    queue.get()
    queue.add("a")
    queue.shut_down()
    assert queue.get(0) is None, "not closed yet: a is to come again"
    assert not queue.wait_drained(0)
    queue.done("a")
    assert queue.get() == "a"


def test_a_delay_wakes_a_waiting_worker() -> None:
    queue = WorkQueue[str]()
    queue.add_after("late", 60)
    threading.Timer(0.05, queue.add_after, ("soon", 0.05)).start()
    started = time.monotonic()
    assert queue.get(10) == "soon"
    assert time.monotonic() - started < 5


def test_an_endless_delay_is_accepted_and_one_that_is_no_number_refused() -> None:
    queue = WorkQueue[str]()
    queue.add_after("a", math.inf)
    assert queue.get(0.01) is None
    with pytest.raises(ValueError, match="not a number"):
        queue.add_after("a", math.nan)


def test_lengths_tell_the_oldest_wait() -> None:
    clock = FakeClock()
    queue = WorkQueue[str](clock=clock)
    queue.add("a")
    clock.advance(3)
    queue.add("b")
    queue.add("a")
    queue.add_after("c", 9)
    lengths = queue.lengths()
    assert (lengths.ready, lengths.processing, lengths.delayed, lengths.oldest_wait) == (2, 0, 1, 3)


def test_many_workers_never_hold_a_key_together_and_see_every_last_add() -> None:
    queue = WorkQueue[int](base_delay=0.0001)
    wanted: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    held: set[int] = set()
    lock = threading.Lock()
    collisions: list[int] = []

    def work() -> None:
        while True:
            try:
                key = queue.get()
            except QueueClosed:
                return
            assert key is not None
            with lock:
                if key in held:
                    collisions.append(key)
                held.add(key)
                newest = wanted[key]
            time.sleep(0.0002)
            with lock:
                held.discard(key)
                seen[key] = max(seen[key], newest)
            queue.done(key)

    def add(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(300):
            key = chance.randrange(7)
            with lock:
                wanted[key] += 1
            match chance.randrange(3):
                case 0:
                    queue.add(key)
                case 1:
                    queue.add_after(key, 0.001)
                case _:
                    queue.add_rate_limited(key)
                    queue.forget(key)

    workers = [threading.Thread(target=work) for _ in range(6)]
    adders = [threading.Thread(target=add, args=(seed,)) for seed in range(4)]
    for thread in workers + adders:
        thread.start()
    for thread in adders:
        thread.join()
    time.sleep(0.05)  # the last delays are over
    queue.lengths()
    assert queue.wait_drained(10)
    queue.shut_down()
    for thread in workers:
        thread.join(10)
    assert not collisions
    assert seen == wanted


class QueueMachine(RuleBasedStateMachine):
    """Any order of calls, against a model that is a list, two sets and a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.queue = WorkQueue[str](clock=self.clock, base_delay=1, max_delay=8)
        self.ready: list[str] = []
        self.processing: set[str] = set()
        self.again: set[str] = set()
        self.due: dict[str, tuple[float, int]] = {}  # when, and which came first
        self.serial = 0
        self.failures: Counter[str] = Counter()
        self.closed = False

    def model_add(self, key: str) -> None:
        if self.closed or key in self.ready:
            return
        if key in self.processing:
            self.again.add(key)
        else:
            self.ready.append(key)

    def model_add_after(self, key: str, seconds: float) -> None:
        if self.closed:
            return
        if seconds <= 0:
            self.model_add(key)
        else:
            self.serial += 1
            self.due[key] = min(self.due.get(key, (math.inf, 0)), (self.clock() + seconds, self.serial))

    def model_promote(self) -> None:
        for key in sorted(self.due, key=lambda key: self.due[key]):
            if self.due[key][0] <= self.clock():
                del self.due[key]
                self.model_add(key)

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self.model_add(key)

    @rule(key=KEYS, seconds=st.integers(-1, 10))
    def add_after(self, key: str, seconds: int) -> None:
        self.queue.add_after(key, seconds)
        self.model_add_after(key, seconds)

    @rule(key=KEYS)
    def add_rate_limited(self, key: str) -> None:
        expected = min(2.0 ** self.failures[key], 8)
        self.failures[key] += 1
        assert self.queue.add_rate_limited(key) == expected
        self.model_add_after(key, expected)

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        self.failures[key] = 0

    @rule(seconds=st.integers(0, 6))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model_promote()

    @rule()
    def get(self) -> None:
        if not self.ready and self.closed and not self.again:
            with pytest.raises(QueueClosed):
                self.queue.get(0)
            return
        key = self.queue.get(0)
        if not self.ready:
            assert key is None
            return
        assert key == self.ready.pop(0)
        assert key not in self.processing, "handed out twice at the same time"
        self.processing.add(key)

    @precondition(lambda self: self.processing)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.processing)))
        self.queue.done(key)
        self.processing.discard(key)
        if key in self.again:
            self.again.discard(key)
            self.ready.append(key)

    @rule()
    def shut_down(self) -> None:
        self.queue.shut_down()
        self.closed = True
        self.due.clear()

    @invariant()
    def lengths_agree(self) -> None:
        lengths = self.queue.lengths()
        assert lengths.ready == len(self.ready) + len(self.again)
        assert lengths.processing == len(self.processing)
        assert lengths.delayed == len(self.due)

    @invariant()
    def failures_agree(self) -> None:
        assert all(self.queue.failures(key) == self.failures[key] for key in "abcd")


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
