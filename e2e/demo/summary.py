"""The end of the demo: one table of what happened and what it measured, and the same as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from e2e.demo.narrator import Narrator
from e2e.demo.stack import BUILD

FILE = BUILD / "demo-summary.json"
Figures = Mapping[str, Any]
NOT_SEEN = "did not happen"
TITLES = {
    "a": "human change, low criticality",
    "b": "AI-assisted, critical, by a junior",
    "c": "agent-written, fails 3 %",
    "d": "the bad template again, three ways",
    "e": "break-glass, operator dead",
    "f": "100 changes that need nothing",
}


def write(figures: Figures, failures: Mapping[str, str], seconds: float) -> None:
    """``build/demo-summary.json``."""
    BUILD.mkdir(exist_ok=True)
    machine = {
        "cpus": os.cpu_count(),
        "load_average_5_min": round(os.getloadavg()[1], 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    whole = {
        "ok": not failures,
        "failures": dict(failures),
        "seconds": round(seconds, 1),
        "machine": machine,
        **figures,
    }
    FILE.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


def show(tell: Narrator, figures: Figures, failures: Mapping[str, str]) -> None:
    """Two tables: the scenes, and what the operator costs."""
    tell.heading("What happened")
    scenes = figures.get("scenes", {})
    table = _table("", "scene", "result")
    for letter, title in TITLES.items():
        told = NOT_SEEN if letter in failures else _SENTENCES[letter](scenes.get(letter, {}), figures)
        table.add_row(letter, title, told, style="red" if letter in failures else "")
    tell.table(table)
    tell.heading("What Rollwarden cost")
    costs = _table("figure", "measured")
    for name, value in _costs(figures):
        costs.add_row(name, value)
    tell.table(costs)


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim", show_edge=False)
    for header in headers:
        table.add_column(header, no_wrap=header in ("", "scene", "figure"), overflow="fold")
    return table


def _human(s: Figures, _: Figures) -> str:
    return (
        f"released after {s['release_seconds']:.2f} s, on every pod after {s['completed_seconds']:.0f} s; no approval"
    )


def _canary(s: Figures, _: Figures) -> str:
    return (
        f"0 pods while held and scaled 4 → {s['stable_scaled_to']}; junior refused, senior accepted; proven, baked and "
        f"completed in {s['release_to_completed_seconds']:.0f} s; {s['failed_requests']} failed requests"
    )


def _rollback(s: Figures, _: Figures) -> str:
    return (
        f"aborted {s['release_to_abort_seconds']:.0f} s after release; {s['harmed_requests_counted']} harmed requests "
        f"counted, about {s['harmed_requests_by_verdict']} in the verdict"
    )


def _quarantine(s: Figures, _: Figures) -> str:
    return " / ".join(str(pods) for pods in s["pods_of_bad_template"].values()) + " pods; the abort stood"


def _emergency(s: Figures, _: Figures) -> str:
    return (
        f"{s['burning_error_rate']:.0%} of requests failed, {s['error_rate_after']:.1%} after "
        f"{s['seconds_to_serving']:.0f} s; on record, review due {s['break_glass']['review_due'][:10]}"
    )


def _fleet(_: Figures, figures: Figures) -> str:
    delay = figures["added_delay_seconds"]
    return f"apply → release: median {1000 * delay['median']:.0f} ms, p99 {1000 * delay['p99']:.0f} ms (aim < 1 s)"


_SENTENCES = {"a": _human, "b": _canary, "c": _rollback, "d": _quarantine, "e": _emergency, "f": _fleet}


def _costs(figures: Figures) -> list[tuple[str, str]]:
    delay = figures.get("scenes", {}).get("c", {}).get("scrape_to_abort_seconds")
    rows = [
        ("scrape → abort", delay, "{} s, from the last scrape that counts; ticks of 5 s, judged one tick late"),
        ("operator, memory", figures.get("operator_memory_mib"), "{} MiB resident"),
        ("operator, CPU", figures.get("operator_cpu_cores"), "{} cores over the whole run"),
        ("operator, CPU when quiet", figures.get("cpu_cores_when_quiet"), "{} cores"),
        (
            "Prometheus queries per tick",
            figures.get("prometheus_queries_per_tick"),
            f"{{}}, with {figures.get('changes_judged_meanwhile')} changes judged",
        ),
        ("API writes when quiet", figures.get("api_writes_per_minute_when_quiet"), "{} a minute (aim 0)"),
        ("machine", os.cpu_count(), f"{{}} CPUs under a load of {os.getloadavg()[1]:.1f}, this demo's own included"),
    ]
    return [(name, NOT_SEEN if value is None else text.format(value)) for name, value, text in rows]
