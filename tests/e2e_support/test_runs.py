"""What a second try forgives."""

from __future__ import annotations

from xml.etree import ElementTree

from e2e.runs import failed, forgive

RESULTS = (
    '<testsuites><testsuite tests="3" failures="2" errors="0">'
    '<testcase classname="e2e.test_a" name="test_one[x]"><failure message="late"/></testcase>'
    '<testcase classname="e2e.test_a" name="test_two"><failure message="wrong"/></testcase>'
    '<testcase classname="e2e.test_b" name="test_three"/></testsuite></testsuites>'
)


def test_failed_tests_are_named_as_pytest_takes_them() -> None:
    assert set(failed(ElementTree.fromstring(RESULTS))) == {"e2e/test_a.py::test_one[x]", "e2e/test_a.py::test_two"}


def test_only_what_passed_is_forgiven() -> None:
    results = ElementTree.fromstring(RESULTS)
    forgive(results, {"e2e/test_a.py::test_one[x]"})
    assert set(failed(results)) == {"e2e/test_a.py::test_two"}
    assert [suite.get("failures") for suite in results.iter("testsuite")] == ["1"]
