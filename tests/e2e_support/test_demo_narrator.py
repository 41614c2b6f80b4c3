"""What the demo prints: tables that fit, sentences that wrap, nothing interleaved."""

from __future__ import annotations

import re

import pytest

from e2e.demo.narrator import MARGIN, PLAIN_COLUMNS, TABLE_HEAD, Narrator

TABLE = """\
NAME                 PHASE       WAITING FOR                 ORIGIN    AGE
ledger-457d1037-2    RolledBack                              AI        90s
ledger-457d1037-12   Completed   1 senior of @payments       Unknown   7s

kubectl rollwarden approve ledger-r2
"""


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Narrator:
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    return Narrator()


def test_a_table_keeps_its_columns_two_spaces_apart(tell: Narrator, capsys: pytest.CaptureFixture[str]) -> None:
    tell.command("jun@example.com", ["kubectl", "get", "changes"], TABLE, "c")
    lines = [line[MARGIN:] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "jun$ kubectl get changes",
        "  NAME                PHASE       WAITING FOR            ORIGIN   AGE",
        "  ledger-457d1037-2   RolledBack                         AI       90s",
        "  ledger-457d1037-12  Completed   1 senior of @payments  Unknown  7s",
        "",
        "  kubectl rollwarden approve ledger-r2",
    ]


def test_only_a_line_of_words_in_capitals_heads_a_table() -> None:
    assert TABLE_HEAD.fullmatch("NAME   PHASE   WAITING FOR")
    assert not TABLE_HEAD.fullmatch("Error from server (Forbidden): no")
    assert not TABLE_HEAD.fullmatch("NAME")


def test_nothing_is_wider_than_100_columns(tell: Narrator, capsys: pytest.CaptureFixture[str]) -> None:
    tell.say("word " * 60, "b")
    tell.command("ada@example.com", ["kubectl", "get", "x"], "A     B\n" + "x" * 150 + "  y\n", "b")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= PLAIN_COLUMNS
    assert all(re.match(r" {0,5}\d+s b  | {6}b  ", line) for line in lines)


def test_arguments_are_quoted_as_a_shell_needs_them(tell: Narrator, capsys: pytest.CaptureFixture[str]) -> None:
    tell.command("ada@example.com", ["rollwarden", "approve", "x", "-m", "read it"], "")
    assert "ada$ rollwarden approve x -m 'read it'" in capsys.readouterr().out
