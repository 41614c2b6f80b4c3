"""The one control plane that all end-to-end tests of a run share; each test works in a namespace of its own.

Run with ``pytest e2e`` and without parallel workers: every worker would start a control plane of its own.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.addons import namespace
from e2e.controlplane import ControlPlane
from e2e.install import install_rollwarden
from e2e.load import LoadGenerator
from e2e.operator import OperatorOptions, start_operator
from e2e.processes import ManagedProcess, wait_until_ready
from e2e.watchdog import start_time

LOGS = Path(__file__).parent.parent / "build" / "e2e"

NewNamespace = Callable[..., str]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Everything running; its logs stay in ``build/e2e/<process id>/logs`` until the next run after this one."""
    for old in LOGS.glob("*"):
        if start_time(int(old.name)) is None:
            shutil.rmtree(old)
    with ControlPlane(directory=LOGS / str(os.getpid()), scrape_seconds=2.0) as cp:
        yield cp


@pytest.fixture(scope="session")
def operator(control_plane: ControlPlane) -> ManagedProcess:
    """The one operator of all tests that need it, judging every 2 s; it runs until the control plane ends."""
    install_rollwarden(control_plane)
    started = start_operator(control_plane, OperatorOptions(tick=2.0, settle=0.6))
    wait_until_ready(started, lambda: '"started"' in started.log_since_start(), 30)
    return started


@pytest.fixture(scope="session")
def load(control_plane: ControlPlane) -> Iterator[LoadGenerator]:
    """One load generator; each test names its own services."""
    generator = control_plane.load(max_seconds=1800)
    yield generator
    generator.stop()


@pytest.fixture
def new_namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[NewNamespace]:
    """``new_namespace({label: value})`` makes a namespace with a fresh name and default service account.

    It is deleted after the test, without waiting for the end of that.
    """
    made: list[str] = []

    def make(labels: dict[str, str] | None = None) -> str:
        test = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")[:40].strip("-")
        name = f"{test}-{next(_numbers)}"
        body = namespace(name)
        body["metadata"]["labels"] = labels or {}
        control_plane.api.create("/api/v1/namespaces", body)
        made.append(name)
        control_plane.wait_for(
            f"the default service account of {name}",
            lambda: control_plane.get_or_none(f"/api/v1/namespaces/{name}/serviceaccounts/default"),
        )
        return name

    yield make
    for name in made:
        control_plane.api.delete(f"/api/v1/namespaces/{name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of parts come first, on a control plane without an operator that would answer beside them."""
    items.sort(key=lambda item: "operator" in getattr(item, "fixturenames", ()))
