"""The closing line of ``make test``."""

from __future__ import annotations

from pathlib import Path

from tests.total import closing_line, counts

XML = (
    '<testsuites><testsuite name="pytest" errors="{errors}" failures="{failures}" skipped="1" tests="10" time="2.5"/>'
    "</testsuites>"
)


def test_runs_are_added_up(tmp_path: Path) -> None:
    unit, e2e = tmp_path / "unit.xml", tmp_path / "e2e.xml"
    unit.write_text(XML.format(errors=0, failures=0))
    e2e.write_text(XML.format(errors=1, failures=2))
    assert closing_line([counts(unit), counts(e2e)]) == "2 failed, 15 passed, 2 skipped, 1 errors in 5.00s"


def test_no_tests_are_not_success() -> None:
    assert closing_line([]) == "no tests ran in 0.00s"
