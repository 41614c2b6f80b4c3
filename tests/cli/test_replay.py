"""``replay``: the judge on recorded counters, as it is run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import rollwarden


def recording(tmp_path: Path, *, canary_bad: float, seconds: int = 1800) -> str:
    """Five minutes of stable alone, then both arms at 10 requests a second; stable fails 0.1 %."""
    lines = []
    for t in range(0, seconds, 15):
        rows = [("stable", 10.0 * t, 0.001)] + ([("canary", 10.0 * (t - 300), canary_bad)] if t >= 300 else [])
        for arm, total, bad in rows:
            counters = {"total": total, "bad": int(total * bad)}
            lines.append(json.dumps({"t": t, "arm": arm, "pod": f"{arm}-0", "indicator": "errors", **counters}))
    file = tmp_path / "counters.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def test_a_bad_canary_is_rolled_back_in_the_recordings_own_time(tmp_path: Path) -> None:
    result = rollwarden("replay", recording(tmp_path, canary_bad=0.2), "--slo", "99", "-o", "json")
    assert result.code == 0
    data = json.loads(result.out)
    assert data["verdict"] == "rollback"
    assert 300 < data["decided_at"] < 900
    assert data["harm"] > 0
    assert set(data["indicators"]) == {"errors"}


def test_the_same_for_people(tmp_path: Path) -> None:
    result = rollwarden("replay", recording(tmp_path, canary_bad=0.2), "--origin", "ai", "--criticality", "critical")
    assert result.code == 0
    assert result.out.startswith("rollback at t=")
    assert "requests harmed" in result.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there are no rows"),
        ("{", "line 1: this is no JSON"),
        ('{"t": 0, "arm": "other"}', "line 1"),
        ("\n[1]", "line 2: this is no JSON object"),
    ],
)
def test_a_bad_row_is_named_by_its_line(text: str, said: str) -> None:
    result = rollwarden("replay", "-", stdin=text)
    assert (result.code, "Traceback" in result.err) == (1, False)
    assert said in result.err
    assert result.err.startswith("error: stdin: ")


def test_bad_options_are_sentences(tmp_path: Path) -> None:
    file = recording(tmp_path, canary_bad=0.0, seconds=600)
    for option, value in (
        ("--origin", "robot"),
        ("--criticality", "huge"),
        ("--slo", "0"),
        ("--slo", "nan"),
        ("--planned-seconds", "-1"),
        ("--planned-seconds", "nan"),
    ):
        result = rollwarden("replay", file, option, value)
        assert result.code == 1, option
        assert result.err.startswith("error: ")
    assert "cannot be read" in rollwarden("replay", str(tmp_path / "none")).err
