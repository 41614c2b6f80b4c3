"""Tables and pictures in docs/ from the stored results; nothing here computes a figure anew."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.perf.bench_judge.svg import Series, dots, lines

BEGIN, END = "<!-- figures: made by make bench-judge -->", "<!-- end of figures -->"
ACCEPTABLE_FALSE_ROLLBACKS = 0.05
GOOD_FOR = {
    "aa-rare": ("severe", "broken", "late", "intermittent", "leak", "race", "loss", "reset"),
    "aa-low": ("severe-low",),
    "aa-high": ("small-high",),
    "aa-bursts": ("bursty",),
    "aa-hawkes": ("hawkes",),
    "aa-pods": ("pods",),
    "aa-incident-moving": ("incident",),
    "aa-slower": ("slow",),
}
"""The good scenario that a bad one is set against; `aa` for those not named."""


def write(results: Path, docs: Path, order: Sequence[str]) -> None:
    """Replace the figures in docs/judge.md and its pictures. Raises ValueError where the page has no place for them."""
    found = [json.loads((results / f"{key}.json").read_text()) for key in order if (results / f"{key}.json").exists()]
    times = json.loads((results / "promotion.json").read_text()) if (results / "promotion.json").exists() else []
    page = (docs / "judge.md").read_text()
    if BEGIN not in page or END not in page:
        raise ValueError(f"docs/judge.md has no lines {BEGIN!r} and {END!r} to put the figures between")
    before, after = page[: page.index(BEGIN)], page[page.index(END) :]
    good, bad = [one for one in found if one["good"]], [one for one in found if not one["good"]]
    parts = [BEGIN, "", _said(found, times), "", "### Good changes: share rolled back", "", *_rows(good, _false),
             "", "### Bad changes: median delay, mean harmed requests, share missed", "", *_rows(bad, _harm),
             "", "### Against the best peer that is usable", "", *_against(good, bad),
             "", "### Time to promote a good change", "", *_promotion(times), ""]  # fmt: skip
    (docs / "judge.md").write_text(before + "\n".join(parts) + after)
    (docs / "judge-harm.svg").write_text(dots("Mean harmed requests per bad change", [one["title"] for one in bad],
                                              _harm_series(bad)))  # fmt: skip
    (docs / "judge-promotion.svg").write_text(
        lines("Median seconds to promote a good change, by requests per second", _promotion_series(times))
    )


def _said(found: Sequence[Mapping[str, Any]], times: Sequence[Mapping[str, Any]]) -> str:
    runs = sorted({one["runs"] for one in [*found, *times]})
    counted = " or ".join(str(count) for count in runs)
    cost = max((one["judgeMicroseconds"] for one in found), default=0)
    return (
        f"Made with {counted} runs per row; in brackets 95 % Wilson intervals. The judge took at most {cost} µs of "
        "processor time per change and tick, averaged over a scenario."
    )


def _rows(found: Sequence[Mapping[str, Any]], cell: Any) -> list[str]:
    names = list(dict.fromkeys(name for one in found for name in one["contenders"]))
    head = ["scenario", "runs", *names]
    rows = [[one["title"], str(one["runs"]), *(cell(one["contenders"].get(name)) for name in names)] for one in found]
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _false(own: Mapping[str, Any] | None) -> str:
    return "–" if own is None else _share(own["rolledBack"])


def _share(share: Mapping[str, float]) -> str:
    return f"{share['share']:.1%} ({share['low']:.1%}–{share['high']:.1%})"


def _harm(own: Mapping[str, Any] | None) -> str:
    if own is None:
        return "–"
    delay = own["medianDelaySeconds"]
    missed = 1.0 - own["rolledBack"]["share"]
    early = "before the fault" if own["rolledBack"]["count"] else "never"
    shown = early if delay is None else f"{delay:,.0f} s"
    false = "" if not own["promoted"]["count"] else f", promoted {_share(own['promoted'])}"
    return f"{shown}, {own['meanHarmed']:,.1f}, {missed:.0%}{false}"


def _against(good: Sequence[Mapping[str, Any]], bad: Sequence[Mapping[str, Any]]) -> list[str]:
    """A peer is usable where it rolls back at most 5 % of the same service's good changes and finds half of the bad."""
    counterpart = {key: name for name, keys in GOOD_FOR.items() for key in keys}
    by_key = {one["key"]: one for one in good}
    rows = []
    for one in bad:
        even = by_key.get(counterpart.get(one["key"], "aa"))
        peers = {name: own for name, own in one["contenders"].items() if not name.startswith("Rollwarden")}
        usable = {
            name: own["meanHarmed"]
            for name, own in peers.items()
            if own["rolledBack"]["share"] >= 0.5
            and even is not None
            and even["contenders"][name]["rolledBack"]["share"] <= ACCEPTABLE_FALSE_ROLLBACKS
        }
        best = min(usable, key=lambda name: usable[name], default=None)
        cells = [one["title"], "none finds it" if best is None else f"{best}: {usable[best]:,.1f}"]
        for name in ("Rollwarden, human on medium", "Rollwarden, AI on critical"):
            own = one["contenders"][name]["meanHarmed"]
            cells.append(f"{own:,.1f}" if best is None else f"{own:,.1f} ({own / max(usable[best], 0.1):.2f} of it)")
        rows.append(cells)
    head = ["scenario", "best usable peer, harmed", "human on medium, harmed", "AI on critical, harmed"]
    return _table(head, rows)


def _promotion(times: Sequence[Mapping[str, Any]]) -> list[str]:
    origins = list(dict.fromkeys(one["origin"] for one in times))
    traffic = list(dict.fromkeys(one["rps"] for one in times))
    cells = {(one["origin"], one["rps"]): _time_cell(one) for one in times}
    rows = [[f"{rps:g}", *(cells[origin, rps] for origin in origins)] for rps in traffic]
    return _table(["requests per second", *origins], rows)


def _time_cell(one: Mapping[str, Any]) -> str:
    median, published = one["medianSeconds"], one["publishedSeconds"]
    foreseen = "none" if published is None else _duration(published)
    return f"over 2 h (foreseen {foreseen})" if median is None else f"{_duration(median)} (foreseen {foreseen})"


def _duration(seconds: float) -> str:
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _harm_series(bad: Sequence[Mapping[str, Any]]) -> list[Series]:
    names = [name for name in (bad[0]["contenders"] if bad else ()) if "no history" not in name]
    return [
        Series(name, [(float(place), max(1.0, one["contenders"][name]["meanHarmed"])) for place, one in enumerate(bad)])
        for name in names
    ]


def _promotion_series(times: Sequence[Mapping[str, Any]]) -> list[Series]:
    origins = list(dict.fromkeys(one["origin"] for one in times))
    shown = [(one, one["medianSeconds"] or one["publishedSeconds"]) for one in times]
    return [
        Series(origin, [(math.log10(one["rps"]), s) for one, s in shown if one["origin"] == origin and s is not None])
        for origin in origins
    ]
