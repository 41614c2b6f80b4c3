"""``python -m e2e.runs FILE``: the end-to-end tests, and what failed once more on a control plane of its own.

Real processes on a busy machine miss a deadline now and then. A test that fails twice fails; one that passes at the
second try is named, so that nobody mistakes it for a sound one. ``FILE`` is the JUnit XML of the outcome.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

TESTS_FAILED = 1
"""pytest's exit code for failed tests; any other than 0 is trouble of another kind."""
MOST = 30
"""More failures than these are no accident of timing: no second try."""
BAD = ("failure", "error")


def run(tests: Sequence[str], results: Path) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *tests, f"--junit-xml={results}"], check=False).returncode


def failed(results: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """Failed cases by node id, as pytest takes it; tests are functions of modules."""
    return {
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '')}": case
        for case in results.iter("testcase")
        if any(case.find(kind) is not None for kind in BAD)
    }


def forgive(results: ElementTree.Element, nodes: set[str]) -> None:
    """Takes the failures of ``nodes`` out of the cases and the counts."""
    for node, case in failed(results).items():
        if node not in nodes:
            continue
        for kind in BAD:
            for found in case.findall(kind):
                case.remove(found)
                for suite in results.iter("testsuite"):
                    name = "failures" if kind == "failure" else "errors"
                    suite.set(name, str(int(suite.get(name, "0")) - 1))


def main(results: Path) -> int:
    code = run(["e2e"], results)
    if code != TESTS_FAILED:
        return code
    tree = ElementTree.parse(results)
    first = list(failed(tree.getroot()))
    if len(first) > MOST:
        return code
    print(f"\n== a second try, on a control plane of its own: {len(first)} that failed", flush=True)
    again = results.with_name("e2e-second.xml")
    code = run(first, again)
    if code not in (0, TESTS_FAILED):
        return code
    second = set(failed(ElementTree.parse(again).getroot()))
    passed = set(first) - second
    for node in sorted(passed):
        print(f"passed at the second try only: {node}")
    forgive(tree.getroot(), passed)
    tree.write(results, encoding="utf-8", xml_declaration=True)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
