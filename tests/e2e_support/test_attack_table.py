"""The attack table is complete, and the documentation shows it as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.attack_facts import FACTS
from e2e.attacks import BEGIN, DOCUMENT, END, Table, placed, read, summary

LEAST = 80
ASKED_FOR = {
    *("junior", "senior", "principal", "agent", "agent as developer"),
    *("namespace admin", "cluster admin", "masters", "gitops"),
}
TABLE = read()


def test_the_documentation_shows_the_table_as_it_is() -> None:
    document = DOCUMENT.read_text()
    assert document == placed(document, summary(TABLE)), "run: make generate"


def test_it_has_rows_of_everybody_in_every_phase() -> None:
    rows = list(TABLE.rows())
    assert len(rows) >= LEAST
    assert {row.who for row in rows} >= ASKED_FOR
    assert {row.phase for row in rows} == TABLE.phases.keys()


def test_what_takes_effect_says_why_or_holds_what_its_phase_promises() -> None:
    for row in TABLE.rows():
        if row.reach:
            assert row.outcome == "admitted", row.id
        if row.outcome in ("admitted", "held"):
            assert row.reach or row.then or TABLE.phases[row.phase].then, row.id


def test_every_fact_can_be_seen() -> None:
    wanted = {fact for phase in TABLE.phases.values() for fact in phase.then}
    wanted |= {fact for row in TABLE.rows() for fact in row.then or ()}
    assert wanted == FACTS.keys()


@pytest.mark.parametrize(
    "wrong, words",
    [
        ("do: [{patch: rollouts/a, delete: rollouts/a}]", "a step has one verb"),
        ("do: [{body: {}}]", "a step has one verb"),
        ("do: []", "it does nothing"),
        ("who: nobody", "no identity 'nobody'"),
        ("phase: later", "no phase 'later'"),
        ("says: ''", "not in which words"),
        ("outcome: maybe", "Invalid enum value"),
        ("sais: typo", "sais"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, wrong: str, words: str) -> None:
    fields = dict(
        line.split(": ", 1)
        for line in ("who: me", "phase: none", "do: [{patch: rollouts/a}]", "outcome: refused", "says: never", wrong)
    )
    row = "".join(f"    {key}: {value}\n" for key, value in fields.items())
    text = "identities: {me: {means: I}}\nphases: {none: {means: none}}\nsections:\n- title: all\n  rows:\n"
    path = tmp_path / "table.yaml"
    path.write_text(text + "  - id: a row\n" + row)
    with pytest.raises(Exception, match=words):
        read(path)


def test_a_document_without_a_place_for_it_is_named() -> None:
    assert placed(f"a {BEGIN} old {END} b", "new") == f"a {BEGIN}\nnew\n{END} b"
    with pytest.raises(ValueError, match="no place for the attack table"):
        placed("a b", "new")


def test_the_summary_has_a_line_per_row() -> None:
    lines = summary(Table(identities={}, phases={}, sections=TABLE.sections)).splitlines()
    assert all(any(line.startswith(f"| {row.id} |") for line in lines) for row in TABLE.rows())
