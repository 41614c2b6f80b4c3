"""A real Kubernetes control plane on this machine's loopback, for the end-to-end tests and the demo.

    with ControlPlane() as cp:
        cp.kubectl("get", "nodes")
        cp.kubectl("apply", "-f", "-", input=manifest, user="jun@example.com")

etcd, kube-apiserver, kube-controller-manager, kube-scheduler, the Argo Rollouts controller, Prometheus and a node
agent that runs one real HTTP process per pod. Linux only: every pod has a loopback address of its own in 127.0.0.0/8.

Leaving the ``with`` block stops exactly what was started, in reverse order; so does a killed parent (``watchdog.py``).
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import urllib3

from e2e import addons, components, identities
from e2e.access import Access, Result
from e2e.apiclient import ApiClient, ApiError, JsonObject
from e2e.build import argo_manifests, ensure, to_stderr
from e2e.load import LoadGenerator
from e2e.processes import Command, ManagedProcess, ProcessFailedError, ReadyCheck, Supervisor, wait_until_ready
from e2e.toolchain import Say

T = TypeVar("T")

CORE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
START_SECONDS = 60.0


@dataclass(frozen=True)
class Parts:
    """What runs beside etcd, the API server, the controller manager and the scheduler."""

    argo: bool = True
    prometheus: bool = True
    node: bool = True

    @property
    def programs(self) -> tuple[str, ...]:
        """The names of the programs needed."""
        return (
            *CORE,
            *(("rollouts-controller",) if self.argo else ()),
            *(("prometheus",) if self.prometheus else ()),
            *(("sampleservice", "loadgen") if self.node else ()),
        )


ALL = Parts()


class ControlPlane:
    """See the module. ``directory`` (new or empty) is kept afterwards when given, else a temporary one is removed."""

    def __init__(
        self,
        parts: Parts = ALL,
        scrape_seconds: float = 5.0,
        directory: Path | None = None,
        say: Say = to_stderr,
    ) -> None:
        self.parts = parts
        self.scrape_seconds = scrape_seconds
        self.start_seconds: dict[str, float] = {}
        self._wanted_directory = directory
        self._say = say
        self._processes: dict[str, ManagedProcess] = {}
        self._ready: dict[str, ReadyCheck] = {}
        self._loads: list[LoadGenerator] = []
        self._tokens = identities.draw_tokens(identities.EVERYONE)

    # -- life ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Builds what is missing, starts everything, waits until it is ready; stops it all again when that fails."""
        programs = ensure(self.parts.programs, self._say)
        self._install = argo_manifests(self._say) if self.parts.argo else []
        began = time.monotonic()
        self._block = _claim_address_block()
        self.directory = self._wanted_directory or Path(tempfile.mkdtemp(prefix="rollwarden-"))
        etcd, peer, api, prometheus = components.free_ports(4)
        block = _second_octet(self._block)
        self._layout = components.Layout(self.directory, programs, etcd, peer, api, prometheus, block)
        self._supervisor = Supervisor(self.directory / "logs")
        if self._wanted_directory is None:
            self._supervisor.watchdog.tell(f"directory {self.directory}")
        try:
            self._start_core()
            self._start_addons()
        except BaseException:
            self.stop()
            raise
        self.start_seconds["all"] = time.monotonic() - began

    def stop(self) -> None:
        """Stops everything that still runs, last started first, and removes the temporary directory."""
        for load in self._loads:
            load.stop()
        self._supervisor.close()
        self._block.close()
        if self._wanted_directory is None:
            shutil.rmtree(self.directory)

    def _start_core(self) -> None:
        layout = self._layout
        _write_secret(layout.token_file, identities.token_file(identities.EVERYONE, self._tokens))
        _write_secret(layout.service_account_key, identities.service_account_key())
        self._launch(components.etcd(layout), lambda: _answers(f"http://127.0.0.1:{layout.etcd_port}/health"))
        self._launch(components.api_server(layout), self._api_is_ready)
        self.access = Access(layout, self._tokens)
        self.api: ApiClient = self.access.client()
        self._launch(components.controller_manager(layout, self.kubeconfig("system:kube-controller-manager")))
        self._launch(components.scheduler(layout, self.kubeconfig("system:kube-scheduler")))
        if self.parts.node:
            self._launch(components.node_agent(layout, self.kubeconfig(identities.NODE_USER)))

    def _start_addons(self) -> None:
        if self.parts.prometheus:
            self._start_prometheus()
        if self.parts.argo:
            addons.install(self.api, addons.argo_objects(self._install), addons.ARGO_NAMESPACE)
            self.wait_for("Argo's kinds to be served", lambda: addons.rollouts_are_served(self.api))
            kubeconfig = self.service_account_kubeconfig(addons.ARGO_NAMESPACE, addons.ARGO_ACCOUNT)
            self._launch(components.rollouts_controller(self._layout, kubeconfig), self._argo_is_ready)
        self.wait_for("the default service account", self._has_default_account)
        if self.parts.node:
            self.wait_for("the node to be ready", self._node_is_ready)
        if self.parts.prometheus:
            self._await_ready("prometheus")

    def _start_prometheus(self) -> None:
        layout = self._layout
        addons.install(self.api, addons.prometheus_objects(), addons.MONITORING_NAMESPACE)
        token = self.access.service_account_token(addons.MONITORING_NAMESPACE, addons.PROMETHEUS_ACCOUNT)
        token_file = self.directory / "prometheus.token"
        _write_secret(token_file, token)
        layout.prometheus_config.write_text(components.prometheus_settings(layout, token_file, self.scrape_seconds))
        self._ready["prometheus"] = lambda: _answers(f"{self.prometheus_url}/-/ready")
        self._launch(components.prometheus(layout))

    def _launch(self, command: Command, ready: ReadyCheck | None = None) -> None:
        """Starts a component; with ``ready``, awaits it and notes how long that took."""
        self._processes[command.name] = self._supervisor.start(command)
        if ready is not None:
            self._ready[command.name] = ready
            self._await_ready(command.name)

    # -- one component at a time --------------------------------------------------------------------------------

    def process(self, name: str) -> ManagedProcess:
        """The process of a component: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, node-agent,
        prometheus, rollouts-controller."""
        return self._processes[name]

    @property
    def pids(self) -> Mapping[str, int]:
        """The process id of each component's last start."""
        return {name: process.pid for name, process in self._processes.items()}

    @property
    def watchdog_pid(self) -> int:
        """The process id of the watchdog."""
        return self._supervisor.watchdog.pid

    def stop_component(self, name: str) -> None:
        """Ends one component in the ordinary way (SIGTERM)."""
        self.process(name).stop()

    def kill_component(self, name: str) -> None:
        """Ends one component with SIGKILL."""
        self.process(name).kill()

    def start_component(self, name: str) -> None:
        """Starts a stopped component again, same address, same data, and awaits its readiness."""
        self.process(name).start()
        self._await_ready(name)

    def restart_component(self, name: str) -> None:
        """``stop_component`` and ``start_component``."""
        self.stop_component(name)
        self.start_component(name)

    def run(self, command: Command) -> ManagedProcess:
        """Starts any other process, such as the operator, and stops it with the control plane."""
        return self._supervisor.start(command)

    def _await_ready(self, name: str) -> None:
        began = time.monotonic()
        if name in self._ready:
            wait_until_ready(self.process(name), self._ready[name], START_SECONDS)
        self.start_seconds[name] = time.monotonic() - began

    # -- access -------------------------------------------------------------------------------------------------

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._layout.server

    @property
    def prometheus_url(self) -> str:
        return f"http://127.0.0.1:{self._layout.prometheus_port}"

    def kubeconfig(self, user: str = identities.ADMIN) -> Path:
        """The path of a kubeconfig of a user of ``identities.py``."""
        return self.access.kubeconfig(user)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """The path of a kubeconfig of a service account, with a real token."""
        return self.access.service_account_kubeconfig(namespace, name)

    def kubectl(self, *arguments: str, user: str = identities.ADMIN, input: str | None = None) -> Result:
        """Runs kubectl as ``user``; a refusal does not raise: look at ``rc``, ``out``, ``err``."""
        return self.access.kubectl(*arguments, user=user, input=input)

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The instant vector of a PromQL query, as Prometheus's API gives it."""
        response = urllib3.request("GET", f"{self.prometheus_url}/api/v1/query", fields={"query": promql}, timeout=10)
        answer = response.json()
        if answer["status"] != "success":
            raise ValueError(f"Prometheus refused {promql!r}: {answer}")
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def load(self, max_seconds: float = 900.0) -> LoadGenerator:
        """A load generator, started; it ends by itself after ``max_seconds`` at the latest."""
        number = len(self._loads) + 1
        client = self.access.client("system:kube-proxy")
        load = LoadGenerator(self._supervisor, self._layout.program("loadgen"), client, number, max_seconds)
        self._loads.append(load)
        return load

    def wait_for(
        self, what: str, ask: Callable[[], T | None], seconds: float = START_SECONDS, every: float = 0.05
    ) -> T:
        """Asks until the answer is true, and returns it; TimeoutError names ``what`` and the last answer."""
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:g} s in vain for {what}; the last answer was {answer!r}")
            time.sleep(every)
        return answer

    # -- readiness ----------------------------------------------------------------------------------------------

    def _api_is_ready(self) -> bool:
        if not self._layout.ca_file.exists():
            return False
        return _answers(f"{self.server}/readyz", self._layout.ca_file)

    def _argo_is_ready(self) -> bool:
        return "Started rollout workers" in self.process("rollouts-controller").log_since_start()

    def _has_default_account(self) -> bool:
        return self.get_or_none("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def _node_is_ready(self) -> bool:
        self.process("node-agent").check()
        node = self.get_or_none(f"/api/v1/nodes/{identities.NODE}")
        if node is None or node["spec"].get("taints"):
            return False
        return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", ()))

    def get_or_none(self, path: str) -> JsonObject | None:
        """An object as admin, None when there is none at that path."""
        try:
            return self.api.get(path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise


def _answers(url: str, ca_file: Path | None = None) -> bool:
    pool = urllib3.PoolManager(ca_certs=None if ca_file is None else str(ca_file), retries=False)
    try:
        return pool.request("GET", url, timeout=2).status == 200
    except (urllib3.exceptions.HTTPError, OSError):
        return False  # not yet; whoever asks keeps count of the time


def _claim_address_block() -> socket.socket:
    """Holds 127.X.255.254:8080 for the first free X from 16 on: the pods of this control plane live in 127.X.0.0/16."""
    for octet in range(16, 250):
        claim = socket.socket()
        try:
            claim.bind((f"127.{octet}.255.254", 8080))
        except OSError:
            claim.close()
            continue
        return claim
    raise ProcessFailedError("no free block 127.X.0.0/16 for pods: other control planes run here; stop some of them")


def _second_octet(claim: socket.socket) -> int:
    return int(claim.getsockname()[0].split(".")[1])


def _write_secret(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
