"""The operator as a process beside the control plane, under its own service account with only its own rights."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

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
    }
    command = (sys.executable, "-m", "rollwarden.cli.main", "controller")
    return cp.run(Command(name, command, environment))
