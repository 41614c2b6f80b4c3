"""The command line of each component, as pure functions of one ``Layout``. Everything listens on 127.0.0.1 only."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from e2e.identities import NODE
from e2e.processes import Command

LOOPBACK = "127.0.0.1"
SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc.cluster.local"

# What an ordinary cluster runs for workloads; no volumes, no cloud, no certificates, no quotas.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "taint-eviction-controller",
    "validatingadmissionpolicy-status-controller",
)


@dataclass(frozen=True)
class Layout:
    """Where everything is: the directory, the ports, the programs, and the second octet of the pods' addresses."""

    directory: Path
    programs: Mapping[str, Path]
    etcd_port: int
    etcd_peer_port: int
    api_port: int
    prometheus_port: int
    address_block: int

    @property
    def server(self) -> str:
        return f"https://{LOOPBACK}:{self.api_port}"

    @property
    def ca_file(self) -> Path:
        """The certificate the API server made for itself, with its authority."""
        return self.directory / "tls" / "apiserver.crt"

    @property
    def token_file(self) -> Path:
        return self.directory / "tokens.csv"

    @property
    def service_account_key(self) -> Path:
        return self.directory / "service-accounts.pem"

    @property
    def prometheus_config(self) -> Path:
        return self.directory / "prometheus.yaml"

    def program(self, name: str) -> str:
        return str(self.programs[name])


def free_ports(count: int) -> list[int]:
    """``count`` different TCP ports that are free on 127.0.0.1 now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def etcd(layout: Layout) -> Command:
    client = f"http://{LOOPBACK}:{layout.etcd_port}"
    peer = f"http://{LOOPBACK}:{layout.etcd_peer_port}"
    return Command(
        "etcd",
        (
            layout.program("etcd"),
            "--name=local",
            f"--data-dir={layout.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=local={peer}",
            "--unsafe-no-fsync",  # the data is thrown away in the end; the disk is shared
            "--log-level=warn",
        ),
    )


def api_server(layout: Layout) -> Command:
    return Command(
        "kube-apiserver",
        (
            layout.program("kube-apiserver"),
            f"--etcd-servers=http://{LOOPBACK}:{layout.etcd_port}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={layout.api_port}",
            f"--advertise-address={LOOPBACK}",
            "--endpoint-reconciler-type=none",  # it would refuse to publish a loopback address
            f"--cert-dir={layout.ca_file.parent}",
            "--service-cluster-ip-range=10.254.0.0/16",
            "--authorization-mode=Node,RBAC",
            f"--token-auth-file={layout.token_file}",
            f"--service-account-issuer={SERVICE_ACCOUNT_ISSUER}",
            f"--service-account-key-file={layout.service_account_key}",
            f"--service-account-signing-key-file={layout.service_account_key}",
            "--allow-privileged=true",
            "--profiling=false",
        ),
    )


def controller_manager(layout: Layout, kubeconfig: Path) -> Command:
    return Command(
        "kube-controller-manager",
        (
            layout.program("kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--use-service-account-credentials=true",  # so the ReplicaSet controller is who it is in a real cluster
            f"--service-account-private-key-file={layout.service_account_key}",
            f"--root-ca-file={layout.ca_file}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=100",
            "--kube-api-burst=200",
        ),
    )


def scheduler(layout: Layout, kubeconfig: Path) -> Command:
    return Command(
        "kube-scheduler",
        (
            layout.program("kube-scheduler"),
            f"--kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
        ),
    )


def rollouts_controller(layout: Layout, kubeconfig: Path) -> Command:
    return Command(
        "rollouts-controller",
        (
            layout.program("rollouts-controller"),
            f"--kubeconfig={kubeconfig}",
            "--leader-elect=false",
            # It can only listen on all interfaces; an impossible port makes it log an error and not listen at all.
            "--metricsPort=-1",
            "--healthzPort=-1",
        ),
        {"POD_NAMESPACE": "argo-rollouts"},
    )


def prometheus(layout: Layout) -> Command:
    return Command(
        "prometheus",
        (
            layout.program("prometheus"),
            f"--config.file={layout.prometheus_config}",
            f"--storage.tsdb.path={layout.directory / 'prometheus'}",
            "--storage.tsdb.retention.time=6h",
            f"--web.listen-address={LOOPBACK}:{layout.prometheus_port}",
            "--scrape.discovery-reload-interval=1s",  # a canary's first seconds matter; the default is 5 s
        ),
    )


def prometheus_settings(layout: Layout, token_file: Path, scrape_seconds: float) -> str:
    """Scrapes every running pod with a container port named ``http``, found by Kubernetes service discovery."""
    pods = {
        "role": "pod",
        "api_server": layout.server,
        "authorization": {"credentials_file": str(token_file)},
        "tls_config": {"ca_file": str(layout.ca_file)},
    }
    relabel = [
        {"source_labels": ["__meta_kubernetes_pod_container_port_name"], "regex": "http", "action": "keep"},
        {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Running", "action": "keep"},
        # Pods say 10.x.y.z, because EndpointSlices refuse loopback addresses; their processes are on 127.x.y.z.
        {
            "source_labels": ["__address__"],
            "regex": r"10\.(.+)",
            "target_label": "__address__",
            "replacement": "127.$1",
        },
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ]
    interval = f"{round(scrape_seconds * 1000)}ms"
    job = {"job_name": "rollout-pods", "kubernetes_sd_configs": [pods], "relabel_configs": relabel}
    settings = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": "1m"},
        "scrape_configs": [job],
    }
    return yaml.safe_dump(settings, sort_keys=False)


def node_agent(layout: Layout, kubeconfig: Path) -> Command:
    return Command(
        "node-agent",
        (
            sys.executable,
            "-m",
            "e2e.nodeagent",
            f"--kubeconfig={kubeconfig}",
            f"--node={NODE}",
            f"--program={layout.program('sampleservice')}",
            f"--address-block={layout.address_block}",
            f"--logs={layout.directory / 'pods'}",
        ),
        {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
