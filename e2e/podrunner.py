"""One pod on the node: its real HTTP process, its readiness, its restarts and its end. One thread per pod."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

from e2e.apiclient import STRATEGIC, ApiClient, ApiError, JsonObject
from e2e.load import process_address
from e2e.podstatus import (
    FORGIVEN_AFTER_SECONDS,
    ContainerState,
    back_off,
    ended,
    pod_status,
    timestamp,
    with_transition_times,
)

LOOK_SECONDS = 0.1
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Node:
    """What all pods of the node share. ``program`` runs for every image; ``logs`` gets one file per pod."""

    name: str
    client: ApiClient
    program: str
    logs: Path
    host_ip: str


@dataclass(frozen=True)
class Probe:
    """A readiness probe (HTTP only), or none: then a running process is ready."""

    path: str | None = None
    port: int = 8080
    initial_delay: float = 0.0
    period: float = 1.0
    timeout: float = 1.0
    failures: int = 3

    def succeeds(self, host: str) -> bool:
        """True for an answer from 200 to 399."""
        connection = http.client.HTTPConnection(host, self.port, timeout=self.timeout)
        try:
            connection.request("GET", self.path or "/")
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False  # that is the answer of a probe
        finally:
            connection.close()


def http_port(container: JsonObject) -> int:
    """The container port named ``http``, else the first, else 8080."""
    ports = container.get("ports") or [{"containerPort": 8080}]
    named = [p for p in ports if p.get("name") == "http"]
    return int((named or ports)[0]["containerPort"])


def readiness_probe(container: JsonObject) -> Probe:
    """The probe of a container. A named port is the container's HTTP port."""
    spec = container.get("readinessProbe")
    if spec is None or "httpGet" not in spec:
        return Probe()
    port = spec["httpGet"]["port"]
    return Probe(
        path=spec["httpGet"].get("path", "/"),
        port=port if isinstance(port, int) else http_port(container),
        initial_delay=float(spec.get("initialDelaySeconds", 0)),
        period=float(spec.get("periodSeconds", 10)),
        timeout=float(spec.get("timeoutSeconds", 1)),
        failures=int(spec.get("failureThreshold", 3)),
    )


def environment(container: JsonObject) -> dict[str, str]:
    """The plain variables of a container. ValueError for ``valueFrom`` and ``envFrom``, which this node cannot do."""
    if container.get("envFrom") or any("valueFrom" in e for e in container.get("env") or ()):
        raise ValueError("this node understands plain env values only; write the value itself instead of a reference")
    return {e["name"]: e.get("value", "") for e in container.get("env") or ()}


class PodRunner:
    """Runs one pod until it is deleted. ``pod`` may be replaced by a newer version at any time."""

    def __init__(self, node: Node, pod: JsonObject, pod_ip: str) -> None:
        self.pod_ip = pod_ip
        self.pod = pod
        self._node = node
        meta = pod["metadata"]
        self._path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        self._container = pod["spec"]["containers"][0]
        self._probe = readiness_probe(self._container)
        self._host = process_address(pod_ip)
        self._scheduled = time.time()
        self._state = ContainerState(restarts=_restarts_so_far(pod))
        self._written: JsonObject | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._gone = threading.Event()
        self._next_start = 0.0
        self._next_probe = 0.0
        self._failed_probes = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name=meta["name"])

    def start(self) -> None:
        self._thread.start()

    def forget(self) -> None:
        """The pod object is gone: ends the process at once."""
        self._gone.set()

    @property
    def over(self) -> bool:
        """The process is gone and nothing more will be reported."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._gone.is_set():
                if self.pod["metadata"].get("deletionTimestamp"):
                    self._end_gracefully()
                    return
                self._look()
                self._report()
                self._gone.wait(LOOK_SECONDS)
            self._kill()
        except Exception:
            self._kill()
            traceback.print_exc()
            raise

    def _look(self) -> None:
        """One look at the process: starts it when it is due, notes its end, probes it when it runs."""
        now = time.time()
        if self._process is None:
            if now >= self._next_start:
                self._start_process(now)
        elif (code := self._process.poll()) is not None:
            self._note_end(code, now)
        elif self._probe.path is None:
            self._state = replace(self._state, ready=True)
        elif now >= self._next_probe:
            self._next_probe = now + self._probe.period
            self._note_probe(self._probe.succeeds(self._host))

    def _start_process(self, now: float) -> None:
        try:
            variables = environment(self._container)
        except ValueError as error:
            self._state = replace(self._state, waiting=("CreateContainerConfigError", str(error)))
            self._next_start = now + FORGIVEN_AFTER_SECONDS
            return
        meta = self.pod["metadata"]
        log = self._node.logs / f"{meta['namespace']}_{meta['name']}.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._node.program, f"-address={self._host}:{http_port(self._container)}"],
                env={"GOMAXPROCS": "1", "GOMEMLIMIT": "64MiB", **variables},
                stdin=subprocess.PIPE,  # held open: the service ends when this agent does
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._failed_probes = 0
        self._next_probe = now + self._probe.initial_delay
        self._state = replace(self._state, started=now, ready=False)

    def _note_end(self, code: int, now: float) -> None:
        assert self._process is not None and self._process.stdin is not None and self._state.started is not None
        self._process.stdin.close()
        self._process = None
        started = self._state.started
        restarts = 0 if now - started > FORGIVEN_AFTER_SECONDS else self._state.restarts
        wait = back_off(restarts)
        self._next_start = now + wait
        self._state = ContainerState(
            restarts=self._state.restarts + 1,
            waiting=_waiting(wait, str(self._container["name"])),
            last_end=ended(code, started, now),
        )

    def _note_probe(self, success: bool) -> None:
        self._failed_probes = 0 if success else self._failed_probes + 1
        if success:
            self._state = replace(self._state, ready=True)
        elif self._failed_probes >= self._probe.failures:
            self._state = replace(self._state, ready=False)

    def _report(self) -> None:
        """Writes the status if it changed; an API server that cannot be reached is tried again at the next look."""
        status = pod_status(self.pod, self._state, self.pod_ip, self._node.host_ip, self._scheduled)
        if self._written is not None and _same(status, self._written):
            return
        dated = with_transition_times(status, self._written, time.time())
        # The uid makes the write fail when the name belongs to another pod by now.
        patch = {"metadata": {"uid": self.pod["metadata"]["uid"]}, "status": dated}
        try:
            self._node.client.patch(f"{self._path}/status", patch, STRATEGIC)
        except ApiError as error:
            if error.code in (404, 409):
                return  # the watch will say what became of the pod
            _say(f"{self._path}: status not written, will be tried again: {error}")
            self._gone.wait(1.0)
            return
        self._written = dated

    def _end_gracefully(self) -> None:
        """SIGTERM, the pod's grace period, SIGKILL; then the API object goes."""
        grace = float(self.pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._kill()
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.pod["metadata"]["uid"]}}
        while not self._gone.is_set():
            try:
                self._node.client.delete(self._path, body)
                return
            except ApiError as error:
                if error.code in (404, 409):
                    return
                _say(f"{self._path}: not removed, will be tried again: {error}")
                self._gone.wait(1.0)

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(KILL_SECONDS)


def _waiting(wait: float, container: str) -> tuple[str, str]:
    """What a container waits for after its end: its first restart comes at once, and is no loop yet."""
    if wait == 0:
        return ("ContainerCreating", "")
    return ("CrashLoopBackOff", f"back-off {wait:g}s restarting failed container={container}")


def _restarts_so_far(pod: JsonObject) -> int:
    """After a restart of this agent the pod's process starts anew, which counts as one restart."""
    known = (pod.get("status") or {}).get("containerStatuses") or ()
    return int(known[0]["restartCount"]) + 1 if known else 0


def _same(status: JsonObject, written: JsonObject) -> bool:
    def plain(s: JsonObject) -> JsonObject:
        return {**s, "conditions": [{k: c.get(k) for k in ("type", "status", "reason")} for c in s["conditions"]]}

    return plain(status) == plain(written)


def _say(line: str) -> None:
    print(timestamp(time.time()), line, file=sys.stderr, flush=True)
