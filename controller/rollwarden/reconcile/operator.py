"""The operator: wires caches, judging, reconcilers and telemetry together, and stops them in order."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import structlog

from ..api import names
from ..core.seen import Seen
from ..core.times import unix
from ..core.writes import Emit, Outcome
from ..kube.client import KubeClient
from ..kube.errors import KubeError
from ..kube.informers import ObjectKey
from ..kube.recorder import ObjectRef, kube_recorder
from ..kube.resources import PODS
from ..kube.transport import ApiRequest, ClientOptions
from ..prometheus import Breaker, Grid, PrometheusClient, Sampler
from ..runtime.controller import Controller, Reconciled
from ..runtime.queue import WorkQueue
from ..settings import Settings
from ..telemetry.logs import set_up_logs
from ..telemetry.metrics import Metrics
from .answers import Answering
from .apply import Applier
from .gather import Gatherer
from .governed import Governing, wire_governed
from .ground import Grounds, GroundSettings
from .holders import Holders
from .integrity import KEY as INTEGRITY_KEY
from .integrity import Integrity
from .judging import Judging
from .reviews import Reviewing
from .rollouts import RolloutReconciler
from .stores import Stores, make_stores, wire, wire_profiles, wire_reviews

log = structlog.get_logger(__name__)

SYNC_SECONDS = 60.0
HOUSEKEEPING_SECONDS = 10.0
GOVERNED_SECONDS = 0.2


class NotSynced(Exception):
    """The caches did not fill in time: the API server is away, or a right to list something is missing."""


class Operator:
    """Everything of one process. ``start`` returns when the caches are full and the workers run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.queue: WorkQueue[ObjectKey] = WorkQueue(max_delay=30.0)
        self.metrics = Metrics(self._gauges())
        options = ClientOptions(on_request=self._count_request)
        self.client = KubeClient.connect(settings.kubeconfig, settings.context, options)
        self.stores = make_stores(self.client, _undecodable)
        self.events = kube_recorder(self.client, socket.gethostname())
        grid = Grid(settings.tick, settings.settle)
        self._lock = threading.Lock()
        self._clients: dict[str, PrometheusClient] = {}
        self._samplers: dict[str, Sampler] = {}
        self._grid = grid
        self.judging = Judging(grid, self._sampler, self._pod_starts, time.time, self.queue.add)
        ground_settings = GroundSettings(settings.tick, settings.history, settings.prometheus_url)
        self.holders = Holders(self.client)
        self.integrity = Integrity(self.client, settings.argo_user, time.time, self._guard_moved, self._emit)
        self.gatherer = Gatherer(
            self.client,
            self.stores,
            self.judging,
            Grounds(ground_settings, self._prometheus, time.time),
            self.integrity,
            self.holders,
            time.time,
        )
        applier = Applier(self.client, self._emit)
        reconciler = RolloutReconciler(self.gatherer, applier, self._count_decision)
        answering = Answering(self.client, self.stores, self.integrity, self.holders, time.time)
        reviewing = Reviewing(self.stores, applier, time.time)
        governing = Governing(self.client, self.stores, time.time)
        self.answer_queues = {
            name: WorkQueue[ObjectKey](max_delay=60.0)
            for name in ("policies", "profiles", "approvals", "reviews", "governed", "integrity")
        }
        self.controllers = [
            Controller("rollouts", reconciler.reconcile, self.queue, workers=settings.workers, observe=self._count),
            *(
                Controller(name, work, self.answer_queues[name], workers=1, observe=self._count)
                for name, work in (
                    ("policies", answering.policy),
                    ("profiles", answering.profile),
                    ("approvals", answering.approval),
                    ("reviews", reviewing.reconcile),
                    ("governed", governing.reconcile),
                    ("integrity", self.integrity.check),
                )
            ),
        ]
        self._informers = (*self.stores.all(), *self.holders.informers(), *self.integrity.informers)
        self._wire_all(self.stores)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self.judging.run, name="judging", daemon=True),
            threading.Thread(target=self._housekeeping, name="housekeeping", daemon=True),
        ]

    def start(self) -> None:
        self.events.start()
        for informer in self._informers:
            informer.start()
        deadline = time.monotonic() + SYNC_SECONDS
        for informer in self._informers:
            if not informer.wait_synced(max(0.1, deadline - time.monotonic())):
                raise NotSynced(
                    f"the cache of {informer.name} did not fill within {SYNC_SECONDS:.0f} s: is the API server "
                    "reachable, are the CRDs installed, may this service account list it?"
                )
        self._first_look()
        for controller in self.controllers:
            controller.start()
        for thread in self._threads:
            thread.start()
        log.info("started", server=self.client.server, rollouts=len(self.stores.rollouts.store.keys()))

    def _first_look(self) -> None:
        """Before the workers run, so that they know the guard from the start; one that fails is made again."""
        try:
            self.integrity.look()
        except KubeError as error:
            log.warning("the admission policies cannot be looked at yet", why=str(error))
            self.answer_queues["integrity"].add(INTEGRITY_KEY)

    def stop(self) -> None:
        """Lets running reconciles end; nothing is lost if it is killed instead."""
        self._stopping.set()
        self.judging.stop()
        for controller in self.controllers:
            controller.stop()
        for informer in self._informers:
            informer.stop()
        self.events.stop()
        self.client.close()

    def _wire_all(self, stores: Stores) -> None:
        wire(stores, self.queue.add)
        wire_profiles(stores, self.answer_queues["profiles"].add)
        approvals = self.answer_queues["approvals"]
        stores.policies.add_handler(_enqueue_into(self.answer_queues["policies"]))
        stores.approvals.add_handler(_enqueue_into(approvals))

        def change_moved(old: object, new: object) -> None:
            metadata = getattr(new, "metadata", None)
            if metadata is not None:
                key = ObjectKey(metadata.namespace, metadata.name)
                for approval in stores.approvals.store.by_index("change", key):
                    approvals.add(ObjectKey(approval.metadata.namespace, approval.metadata.name))

        stores.changes.add_handler(change_moved)
        self.integrity.watch(lambda key: self.answer_queues["integrity"].add_after(key, GOVERNED_SECONDS))
        self.holders.watch(self._decide_waiting)
        wire_reviews(stores, self.answer_queues["reviews"].add)
        # what moves together is written together
        governed = self.answer_queues["governed"]
        wire_governed(stores, lambda key: governed.add_after(key, GOVERNED_SECONDS))

    def _guard_moved(self) -> None:
        self._decide_waiting("")

    def _decide_waiting(self, namespace: str) -> None:
        """What waits in the namespace, everywhere for "", is decided anew, and so is each approval that it has."""
        for change in self.stores.changes.store.items():
            meta = change.metadata
            if change.status.phase.waiting and not change.status.phase.final and namespace in ("", meta.namespace):
                self.queue.add(ObjectKey(meta.namespace, change.spec.rollout.name))
                for approval in self.stores.approvals.store.by_index("change", ObjectKey(meta.namespace, meta.name)):
                    self.answer_queues["approvals"].add(ObjectKey(meta.namespace, approval.metadata.name))

    def _prometheus(self, url: str) -> PrometheusClient:
        with self._lock:
            if url not in self._clients:
                self._clients[url] = PrometheusClient(url, timeout=self.settings.prometheus_timeout)
            return self._clients[url]

    def _sampler(self, url: str) -> Sampler:
        client = self._prometheus(url)
        with self._lock:
            return self._samplers.setdefault(url, Sampler(client, self._grid, breaker=self._breaker()))

    def _breaker(self) -> Breaker:
        """A Prometheus that came back is noticed within two ticks, and one that is away never eats a whole tick."""
        return Breaker(longest_seconds=max(10.0, 2 * self.settings.tick))

    def _pod_starts(self, namespace: str, hashes: Iterable[str]) -> Mapping[str, float]:
        """When the pods of these ReplicaSets started, for those that say so."""
        selector = f"{names.POD_TEMPLATE_HASH} in ({','.join(hashes)})"
        try:
            pods = self.client.list(PODS, namespace=namespace, label_selector=selector)
        except KubeError as error:
            log.warning("pod starts unknown", namespace=namespace, why=str(error))
            return {}
        starts: dict[str, float] = {}
        for pod in pods.items:
            started = pod.get("status", {}).get("startTime")
            if started:
                starts[pod["metadata"]["name"]] = unix(started)
        return starts

    def _housekeeping(self) -> None:
        while not self._stopping.wait(HOUSEKEEPING_SECONDS):
            live = {c.metadata.uid for c in self.stores.changes.store.items() if not c.status.phase.final}
            self.judging.forget_finished(live)

    def _emit(self, regarding: ObjectRef, event: Emit) -> None:
        kind: Literal["Normal", "Warning"] = "Warning" if event.kind == "Warning" else "Normal"
        self.events.emit(regarding, kind=kind, reason=event.reason, message=event.message, action="Decide")

    def _count_request(self, request: ApiRequest) -> None:
        self.metrics.requests.labels(request.call.verb, str(request.call.resource), str(request.code)).inc()

    def _count(self, done: Reconciled[ObjectKey]) -> None:
        self.metrics.reconciles.labels(done.controller, str(done.outcome)).inc()
        self.metrics.seconds.labels(done.controller).observe(done.seconds)

    def _count_decision(self, key: ObjectKey, seen: Seen, outcome: Outcome) -> None:
        self.metrics.decisions.labels(outcome.rule).inc()

    def _gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        return {
            "rollwarden_changes_followed": ("Changes judged each tick.", lambda: float(self.judging.following)),
            "rollwarden_tick_seconds": ("How long the last tick took.", lambda: self.judging.last_tick_seconds),
            "rollwarden_queue_length": ("Rollouts waiting for a worker.", lambda: float(self.queue.lengths().ready)),
            "rollwarden_prometheus_queries": ("Queries asked so far.", lambda: float(self._queries())),
            "rollwarden_policies_intact": (
                "1 while the admission policies are as installed.",
                lambda: float(self.integrity.guard.intact),
            ),
            "rollwarden_policies_outdated": (
                "Admission policies of an earlier version than this operator's.",
                lambda: float(self.integrity.outdated),
            ),
            "rollwarden_ticks": ("Grid ticks judged so far.", lambda: float(self.judging.ticks)),
        }

    def _queries(self) -> int:
        with self._lock:
            return sum(sampler.stats().client.queries for sampler in self._samplers.values())


def _enqueue_into(queue: WorkQueue[ObjectKey]) -> Callable[[Any, Any], None]:
    def handle(old: Any, new: Any) -> None:
        if new is not None:
            queue.add(ObjectKey(new.metadata.namespace, new.metadata.name))

    return handle


def _undecodable(raw: object, error: Exception) -> None:
    log.error("an object cannot be read; its last good copy stays in use", why=str(error))


def run(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT."""
    set_up_logs(settings.log_level)
    operator = Operator(settings)
    wake = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: wake.set())
    operator.start()
    stop_serving = operator.metrics.serve(settings.metrics_host, settings.metrics_port)
    wake.wait()
    stop_serving()
    operator.stop()
