"""The operator's own figures, from its ``/metrics`` page and from the kernel."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import urllib3
from prometheus_client.parser import text_string_to_metric_families

from e2e.demo.world import World
from e2e.processes import ManagedProcess

READING = ("get", "list", "watch")
REVIEWS = "subjectaccessreviews"


@dataclass(frozen=True)
class Reading:
    """One look. ``writes`` are requests that change something in the cluster; reviews of rights do not."""

    at: float
    writes: float
    cpu_seconds: float
    memory_bytes: float
    peak_memory_bytes: float
    queries: float
    ticks: float
    followed: float


def read(operator: ManagedProcess) -> Reading:
    """Asks the running operator."""
    port = operator.command.environment["ROLLWARDEN_METRICS_PORT"]
    page = urllib3.request("GET", f"http://127.0.0.1:{port}/metrics", timeout=5, retries=3).data.decode()
    single: dict[str, float] = {}
    writes = 0.0
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == "rollwarden_api_requests_total":
                changes = sample.labels["verb"] not in READING and REVIEWS not in sample.labels["resource"]
                writes += sample.value if changes else 0.0
            elif not sample.labels:
                single[sample.name] = sample.value
    return Reading(
        time.monotonic(),
        writes,
        single["process_cpu_seconds_total"],
        single["process_resident_memory_bytes"],
        _peak_memory(operator.pid),
        single["rollwarden_prometheus_queries"],
        single["rollwarden_ticks"],
        single["rollwarden_changes_followed"],
    )


def _peak_memory(pid: int) -> float:
    """Bytes; VmHWM of the kernel."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024.0 * float(line.split()[1])


def quiet_writes(world: World, seconds: float) -> None:
    """Writes per minute while services run under load and nobody changes anything."""
    before = read(world.operator)
    time.sleep(seconds)
    after = read(world.operator)
    per_minute = 60.0 * (after.writes - before.writes) / (after.at - before.at)
    world.figures["api_writes_per_minute_when_quiet"] = round(per_minute, 1)
    world.figures["cpu_cores_when_quiet"] = round((after.cpu_seconds - before.cpu_seconds) / (after.at - before.at), 4)


def queries_per_tick(world: World, seconds: float) -> None:
    """Prometheus queries per tick while changes are judged."""
    before = read(world.operator)
    time.sleep(seconds)
    after = read(world.operator)
    ticks = after.ticks - before.ticks
    world.figures["prometheus_queries_per_tick"] = round((after.queries - before.queries) / ticks, 2) if ticks else None
    world.figures["changes_judged_meanwhile"] = int(max(before.followed, after.followed))


def whole_run(world: World, started: Reading) -> None:
    """Memory and CPU over everything since ``started``; called before the operator is killed."""
    now = read(world.operator)
    world.figures["operator_memory_mib"] = round(now.memory_bytes / 2**20, 1)
    world.figures["operator_peak_memory_mib"] = round(now.peak_memory_bytes / 2**20, 1)
    world.figures["operator_cpu_cores"] = round((now.cpu_seconds - started.cpu_seconds) / (now.at - started.at), 3)
