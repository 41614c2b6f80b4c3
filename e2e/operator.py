"""The operator as a process beside the control plane, under its own service account with only its own rights."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import urllib3
from prometheus_client.parser import text_string_to_metric_families

from e2e.components import free_ports
from e2e.controlplane import ControlPlane
from e2e.processes import Command, ManagedProcess

NAMESPACE = "rollwarden-system"
ACCOUNT = "rollwarden"


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """Ticks and settle time in seconds; history of 0 judges with the cold dispersion of the profile."""

    tick: float = 5.0
    settle: float = 1.5
    history: float = 0.0


DEFAULTS = OperatorOptions()


def start_operator(cp: ControlPlane, options: OperatorOptions = DEFAULTS, name: str = "operator") -> ManagedProcess:
    """Starts it; ``kill``, ``stop`` and ``start`` are the process's own. The control plane stops it at its end."""
    (port,) = free_ports(1)
    environment = {
        "ROLLWARDEN_KUBECONFIG": str(cp.service_account_kubeconfig(NAMESPACE, ACCOUNT)),
        "ROLLWARDEN_PROMETHEUS_URL": cp.prometheus_url,
        "ROLLWARDEN_TICK": str(options.tick),
        "ROLLWARDEN_SETTLE": str(options.settle),
        "ROLLWARDEN_HISTORY": str(options.history),
        "ROLLWARDEN_METRICS_HOST": "127.0.0.1",
        "ROLLWARDEN_METRICS_PORT": str(port),
        "HOME": str(Path.home()),
        "PYTHONFAULTHANDLER": "1",  # an end by a signal of the kernel's is in the log too
    }
    command = (sys.executable, "-m", "rollwarden.cli.main", "controller")
    return cp.run(Command(name, command, environment))


def measured(operator: ManagedProcess, sample: str, **labels: str) -> float:
    """The sum of the samples of that name, such as ``rollwarden_reconciles_total``, with these labels."""
    port = operator.command.environment["ROLLWARDEN_METRICS_PORT"]
    text = urllib3.request("GET", f"http://127.0.0.1:{port}/metrics", timeout=5).data.decode()
    found = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == sample]
    return sum(s.value for s in found if labels.items() <= s.labels.items())


def failures(operator: ManagedProcess) -> list[str]:
    """The log lines of reconciles that ended in an error nobody foresaw, over all its lives."""
    words = ("reconcile failed", "judging a tick failed", "Traceback", "the observer of reconcile calls failed")
    lines = operator.log.read_text(errors="replace").splitlines()
    return [line for line in lines if any(word in line for word in words)]
