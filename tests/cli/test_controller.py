"""``controller``: settings that cannot be used end in a sentence before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import rollwarden

BAD = {
    "a tick that is no number": ("ROLLWARDEN_TICK", "soon", "ROLLWARDEN_TICK is 'soon'"),
    "a tick of 0": ("ROLLWARDEN_TICK", "0", "greater than or equal to 1"),
    "a port beyond all ports": ("ROLLWARDEN_METRICS_PORT", "70000", "ROLLWARDEN_METRICS_PORT"),
    "a level that is none": ("ROLLWARDEN_LOG_LEVEL", "loud", "ROLLWARDEN_LOG_LEVEL is 'loud'"),
    "a kubeconfig that is not there": ("ROLLWARDEN_KUBECONFIG", "/nonexistent/config", "there is no kubeconfig"),
    "a file that is not there": ("ROLLWARDEN_CONFIG", "/nonexistent/settings.yaml", "there is no such file"),
}
FILES = {
    "no YAML": ("tick: [", "cannot be read"),
    "a list": ("[1, 2]", "cannot be read"),
    "a setting that is none": ("ticks: 5", "ROLLWARDEN_TICKS"),
    "a value that is none": ("tick: soon", "ROLLWARDEN_TICK is 'soon'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    variable, value, said = BAD[name]
    monkeypatch.setenv(variable, value)
    result = rollwarden("controller")
    assert (result.code, len(result.err.splitlines())) == (1, 1)
    assert said in result.err


@pytest.mark.parametrize("name", FILES)
def test_a_settings_file_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    text, said = FILES[name]
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    monkeypatch.setenv("ROLLWARDEN_CONFIG", str(file))
    result = rollwarden("controller")
    assert (result.code, len(result.err.splitlines())) == (1, 1), result.err
    assert said in result.err
