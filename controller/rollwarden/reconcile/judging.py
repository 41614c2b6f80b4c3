"""From ticks to evidence: one thread samples Prometheus on the grid for all changes in flight and judges each.

Nothing here is truth: evidence is recomputed from the start of a change by a range query on the same grid, so a restart
neither loses it nor spends alpha again. Which gate a change stands at, and since when, comes from its Change's status.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from ..api.change import Change, GateStatus, PlannedGate
from ..api.enums import GateKind, VerdictResult
from ..core.plan import Ground, share_at
from ..core.seen import Evidence, Seen
from ..core.times import unix
from ..judge import (
    Facts,
    Gate,
    JudgeParameters,
    JudgeState,
    RollbackIntent,
    Tick,
    Verdict,
    begin,
    decide,
    enter_gate,
    held_by_common_cause,
    observe,
    parameters_from_dict,
)
from ..kube.informers import ObjectKey
from ..prometheus import ENDPOINT_REASONS, Grid, Reading, Sampler, Subscription
from .ground import is_routed
from .indicators import prometheus_indicator

log = structlog.get_logger(__name__)

SILENT_TICKS = 3
"""Ticks in a row without any series before "no usable metric" is said."""
SPARED_REASONS = frozenset({"CircuitOpen", "OutOfTime"})
UNANSWERED_REASONS = frozenset({"Blind", "NoData"})
"""The judge's words for an endpoint that gives no answer; why it does not is known here only."""
PodStarts = Callable[[str, Iterable[str]], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Follow:
    """One change to judge, as its Change and ReplicaSets say at the last reconcile."""

    key: ObjectKey
    name: str
    parameters: JudgeParameters
    subscription: Subscription
    url: str
    pod_hashes: tuple[str, ...]
    gates: tuple[Gate, ...]
    stable_ready: bool
    stride: int

    def judged(self, number: int) -> bool:
        """Whether this change is judged at that tick of the grid: at every one, or at every second where scrapes are
        slower, and so on. Counters are cumulative, so nothing is lost between."""
        return number >= self.subscription.first_tick and number % self.stride == 0


@dataclass
class Watched:
    follow: Follow
    state: JudgeState
    verdict: Verdict | None = None
    evidence: Evidence | None = None
    blind_since: float | None = None
    silent_ticks: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    away: str = ""
    starts_known: bool = False


class Judging:
    """Thread-safe: ``evidence`` is called by reconciles, ``run`` by one thread of its own."""

    def __init__(
        self,
        grid: Grid,
        sampler_for: Callable[[str], Sampler],
        pod_starts: PodStarts,
        clock: Callable[[], float],
        enqueue: Callable[[ObjectKey], None],
    ) -> None:
        self._grid = grid
        self._sampler_for = sampler_for
        self._pod_starts = pod_starts
        self._clock = clock
        self._enqueue = enqueue
        self._lock = threading.Lock()
        self._watched: dict[str, Watched] = {}
        self._intents: dict[str, RollbackIntent] = {}
        self._stop = threading.Event()
        self.last_tick_seconds = 0.0
        self.ticks = 0

    def evidence(self, change: Change, seen: Seen) -> Evidence | None:
        """The latest evidence for a live change; from its first call on the change is followed."""
        uid = change.metadata.uid
        follow = follow_of(change, seen, self._grid)
        with self._lock:
            if follow is None:
                return None
            watched = self._watched.get(uid)
            if watched is None:
                self._watched[uid] = Watched(follow, begin(follow.parameters))
                return None
            starts = watched.follow.subscription.pod_starts
            watched.follow = _with_starts(follow, starts)
            return watched.evidence

    def forget_finished(self, live: set[str]) -> None:
        """Stops following every change whose uid is not in ``live``."""
        with self._lock:
            self._watched = {uid: one for uid, one in self._watched.items() if uid in live}
            self._intents = {uid: one for uid, one in self._intents.items() if uid in live}

    @property
    def following(self) -> int:
        with self._lock:
            return len(self._watched)

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        """Until ``stop``: judge each grid tick once, after its settle time."""
        done = self._grid.number_at(self._clock()) - 1
        while not self._stop.is_set():
            due = self._grid.due(self._clock(), done)
            if due:
                done = due[-1]
                self._tick_guarded(done)
            wait = self._grid.askable_at(done + 1) - self._clock()
            self._stop.wait(max(0.02, wait))

    def _tick_guarded(self, number: int) -> None:
        started = self._clock()
        try:
            self.tick(number)
        except Exception:
            # A bug in judging must not end the thread: without it every gate would wait for ever, unsaid.
            log.exception("judging a tick failed", tick=number)
        self.last_tick_seconds = self._clock() - started
        self.ticks += 1

    def tick(self, number: int) -> None:
        """Samples and judges tick ``number`` for every change that is followed; those behind are caught up first."""
        with self._lock:
            watched = dict(self._watched)
        self._learn_starts(watched.values())
        for url in {one.follow.url for one in watched.values()}:
            here = {uid: one for uid, one in watched.items() if one.follow.url == url}
            self._sample(self._sampler_for(url), here, number)
        self._judge(watched, number)

    def _learn_starts(self, watched: Iterable[Watched]) -> None:
        for one in watched:
            if not one.starts_known:
                starts = self._pod_starts(one.follow.key.namespace, one.follow.pod_hashes)
                one.follow = _with_starts(one.follow, starts)
                one.starts_known = True

    def _sample(self, sampler: Sampler, watched: dict[str, Watched], number: int) -> None:
        for one in watched.values():
            first = one.follow.subscription.first_tick if one.state.last_tick is None else one.state.last_tick + 1
            missed = [k for k in range(first, number) if one.follow.judged(k)]
            if missed:
                _catch_up(one, sampler, missed)
        due = {uid: one for uid, one in watched.items() if one.follow.judged(number)}
        if not due:
            return
        readings = sampler.sample([_keyed(one.follow.subscription, uid) for uid, one in due.items()], number)
        for uid, one in due.items():
            _absorb(one, readings.get(uid, {}), number, self._grid.time_of(number))

    def _judge(self, watched: dict[str, Watched], number: int) -> None:
        now = self._grid.time_of(number)
        for uid, one in watched.items():
            facts = Facts(stable_ready=one.follow.stable_ready)
            one.verdict = decide(one.state, one.follow.parameters, facts)
            if one.verdict.result == "Rollback":
                self._intents.setdefault(uid, RollbackIntent(uid, now, one.verdict.hard))
        held = held_by_common_cause(self._intents.values(), len(watched), now)
        if held:
            log.error("many changes would roll back at once: all hold for a person", changes=len(held))
        for uid, one in watched.items():
            if one.verdict is not None:
                evidence = _evidence(one, one.verdict, now, common_cause=uid in held)
                with self._lock:
                    one.evidence = evidence
                self._enqueue(one.follow.key)


def follow_of(change: Change, seen: Seen, grid: Grid) -> Follow | None:
    """What to follow for this change; None while it is not released, not taken up by Argo, or over."""
    release = change.status.release
    current, stable = seen.current_set, seen.stable_set
    if release is None or release.judge is None or change.status.phase.final or current is None:
        return None
    if not seen.settled and not change.spec.rollout.attempt.startswith("o"):
        return None
    judge = release.judge
    ground = Ground(replicas=release.replicas, routed=is_routed(seen))
    parameters = parameters_from_dict(judge.parameters)
    arms = [s for s in (current, stable) if s is not None]
    stride = max(1, round(float(judge.tick_seconds) / grid.step_seconds))
    first = grid.number_at(unix(release.time))
    return Follow(
        key=ObjectKey(seen.rollout.metadata.namespace, seen.rollout.metadata.name),
        name=change.metadata.name,
        parameters=parameters,
        subscription=Subscription(
            key=change.metadata.uid,
            namespace=seen.rollout.metadata.namespace,
            canary_set=current.name,
            stable_set=stable.name if stable and stable.name != current.name else "",
            indicators=tuple(prometheus_indicator(one) for one in judge.indicators),
            first_tick=first - first % stride,
        ),
        url=judge.prometheus_url,
        pod_hashes=tuple(s.pod_hash for s in arms),
        gates=tuple(_gates(change, release.plan.gates, ground, parameters)),
        stable_ready=stable is None or stable.replicas == 0 or stable.ready > 0,
        stride=stride,
    )


def _gates(
    change: Change, planned: Iterable[PlannedGate], ground: Ground, parameters: JudgeParameters
) -> Iterable[Gate]:
    by_index = {gate.index: gate for gate in planned}
    for entry in change.status.gates:
        plan = by_index.get(entry.index)
        if plan is not None:
            yield _gate(entry, plan, ground, parameters)


def _gate(entry: GateStatus, plan: PlannedGate, ground: Ground, parameters: JudgeParameters) -> Gate:
    bake = plan.kind is GateKind.BAKE
    return Gate(
        index=entry.index,
        kind="Bake" if bake else "Proof" if parameters.proof else "Watch",
        weight=1.0 if bake else max(0.001, share_at(plan.weight, ground)),
        next_weight=1.0 if bake else max(0.001, share_at(plan.next_weight, ground)),
        started_tick=0,
        started_at=unix(entry.started_at),
        soak_seconds=float(plan.min_soak),
        router_weighted=ground.routed,
    )


def _with_starts(follow: Follow, starts: Mapping[str, float]) -> Follow:
    return replace(follow, subscription=replace(follow.subscription, pod_starts=dict(starts)))


def _keyed(subscription: Subscription, uid: str) -> Subscription:
    return replace(subscription, key=uid)


def _catch_up(one: Watched, sampler: Sampler, missed: list[int]) -> None:
    """Asks for the ticks that were missed (a restart, a slow Prometheus) in one range query per indicator."""
    first = missed[0]
    readings = sampler.backfill(one.follow.subscription, first, missed[-1])
    for number in missed:
        tick = {name: own[number - first] for name, own in readings.items() if number - first < len(own)}
        times = [reading.tick.time for reading in tick.values()]
        if times:
            _absorb(one, tick, number, times[0])


def _absorb(one: Watched, readings: Mapping[str, Reading], number: int, time: float) -> None:
    """Enters the gates that began before this tick, then observes it."""
    known = {p.name for p in one.follow.parameters.indicators}
    ticks = {name: reading.tick for name, reading in readings.items() if name in known}
    _enter_gates(one, time)
    if not ticks:
        ticks = {name: Tick.unanswered(number, time) for name in known}
    one.state = observe(one.state, ticks, one.follow.parameters)
    one.faults = {name: fault.detail for name, r in readings.items() for fault in r.faults}
    answered = any(tick.answered for tick in ticks.values())
    one.blind_since = None if answered else (one.blind_since if one.blind_since is not None else time)
    one.away = "" if answered else _away(readings.values(), one.away)
    empty = answered and all(not tick.canary and not tick.stable for tick in ticks.values())
    one.silent_ticks = one.silent_ticks + 1 if empty else 0


def _away(readings: Iterable[Reading], before: str) -> str:
    """Why the endpoint gives no answer; what it was when it was last asked, where it is spared now."""
    faults = [fault for reading in readings for fault in reading.faults if fault.reason in ENDPOINT_REASONS]
    asked = [fault.detail for fault in faults if fault.reason not in SPARED_REASONS]
    return next(filter(None, [*asked, before, *(fault.detail for fault in faults)]), "")


def _enter_gates(one: Watched, time: float) -> None:
    for gate in one.follow.gates:
        at = one.state.gate
        later = at is None or gate.started_at > at.started_at or (gate.index != at.index and gate.index > at.index)
        if later and gate.started_at < time and one.state.last_tick is not None:
            began = replace(gate, started_tick=one.state.last_tick, started_at=max(gate.started_at, one.state.time))
            one.state = enter_gate(one.state, began)


def _evidence(one: Watched, verdict: Verdict, now: float, *, common_cause: bool) -> Evidence:
    gate = one.state.gate
    lead = verdict.indicators[0] if verdict.indicators else None
    reason, message, result = verdict.reason, verdict.detail, VerdictResult(verdict.result)
    if common_cause and not verdict.hard:
        reason, result = "CommonCause", VerdictResult.HOLD
        message = "many changes would roll back at the same time, so the cause is likely common; a person decides"
    silent = one.silent_ticks >= SILENT_TICKS and result is not VerdictResult.ROLLBACK
    if one.away and reason in UNANSWERED_REASONS:
        message = f"{message}; {one.away}"
    if silent:
        reason, message = "NoIndicators", next(iter(one.faults.values()), "no usable metric was found")
    passing = [i.log_safety for i in verdict.indicators]
    gathering = gate is not None and result is not VerdictResult.ROLLBACK
    return Evidence(
        result=VerdictResult.HOLD if silent else result,
        reason=reason,
        message=message,
        at=now,
        gate_index=gate.index if gate else None,
        indicator=max(verdict.indicators, key=lambda i: i.log_evidence).name if lead else "",
        hard=verdict.hard,
        page=verdict.page or reason == "CommonCause",
        canary_requests=round(lead.gate_requests if gathering and lead else verdict.canary_requests),
        canary_bad=round(verdict.canary_failed),
        canary_rate=verdict.canary_rate,
        stable_rate=verdict.stable_rate,
        harmed=verdict.harmed,
        needed=verdict.needed,
        eta_seconds=verdict.eta_seconds,
        log_safety=min(passing) if passing else None,
        blind_since=one.blind_since,
        no_indicators=silent,
    )
