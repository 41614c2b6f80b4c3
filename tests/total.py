"""``python -m tests.total FILE...``: one closing line, in pytest's own form, over several runs' JUnit XML files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree

KINDS = ("failed", "passed", "skipped", "errors")


def counts(file: Path) -> dict[str, float]:
    """Tests by outcome, and ``seconds``, of one run."""
    suites = list(ElementTree.parse(file).getroot().iter("testsuite"))

    def total(attribute: str) -> float:
        return sum(float(suite.get(attribute, 0)) for suite in suites)

    failed, skipped, errors = total("failures"), total("skipped"), total("errors")
    passed = total("tests") - failed - skipped - errors
    return {"failed": failed, "passed": passed, "skipped": skipped, "errors": errors, "seconds": total("time")}


def closing_line(runs: Iterable[Mapping[str, float]]) -> str:
    """``1234 passed, 2 skipped in 345.67s``."""
    every = list(runs)
    sums = {kind: int(sum(run[kind] for run in every)) for kind in KINDS}
    told = ", ".join(f"{number} {kind}" for kind, number in sums.items() if number)
    return f"{told or 'no tests ran'} in {sum(run['seconds'] for run in every):.2f}s"


if __name__ == "__main__":
    print(closing_line(counts(Path(name)) for name in sys.argv[1:]))
