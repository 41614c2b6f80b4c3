"""``crds``: what is printed is what is checked in."""

from __future__ import annotations

from pathlib import Path

import yaml

from rollwarden.api.crds import all_definitions
from tests.cli.running import rollwarden

CHECKED_IN = Path(__file__).parents[2] / "crds"


def test_the_checked_in_definitions_are_current(tmp_path: Path) -> None:
    """If not: rollwarden crds --dir crds"""
    assert rollwarden("crds", "--dir", str(tmp_path)).code == 0
    written = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert written == {file.name: file.read_text() for file in CHECKED_IN.iterdir()}


def test_printed_they_are_one_file_for_kubectl() -> None:
    result = rollwarden("crds")
    assert list(yaml.safe_load_all(result.out)) == list(all_definitions().values())


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = rollwarden("crds", "--dir", str(tmp_path / "file"))
    assert result.code == 1
    assert "cannot be written" in result.err
