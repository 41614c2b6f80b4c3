"""Which program is taken: by name, from the cache, from PATH when its version fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e import programs
from e2e.programs import BY_NAME, ProgramError, find, fits, parse_version, released_as, required_version

GO_MOD = """
module x
tool k8s.io/kubernetes/cmd/kubectl
require (
	k8s.io/kubernetes v1.36.3 // indirect
)
require k8s.io/api v0.36.3
replace k8s.io/kubernetes => k8s.io/kubernetes v1.30.0
"""


def fake_program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for program in programs.PROGRAMS:
        monkeypatch.delenv(program.environment_variable, raising=False)
    return tmp_path


@pytest.mark.parametrize(("module", "version"), [("k8s.io/kubernetes", "v1.36.3"), ("k8s.io/api", "v0.36.3")])
def test_the_version_is_the_required_one(module: str, version: str) -> None:
    assert required_version(GO_MOD, module) == version


def test_a_module_that_is_not_required_is_an_error_that_says_what_to_add() -> None:
    with pytest.raises(ProgramError, match=r"add 'require go\.etcd\.io"):
        required_version(GO_MOD, "go.etcd.io/etcd/server/v3")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0", (1, 32, 4)),
        ("etcd Version: 3.6.16\nGit SHA: x", (3, 6, 16)),
        ("prometheus, version 3.11.3 (branch: HEAD)", (3, 11, 3)),
        ("no idea", None),
    ],
)
def test_versions_are_read_from_what_programs_say(text: str, version: programs.Version | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(("found", "suits"), [((1, 36, 9), True), ((1, 32, 4), False), ((2, 36, 3), False)])
def test_the_same_minor_version_fits(found: programs.Version, suits: bool) -> None:
    assert fits(found, (1, 36, 3)) is suits


def test_prometheus_calls_its_go_module_by_another_version() -> None:
    assert released_as(BY_NAME["prometheus"])[0] == 3
    assert released_as(BY_NAME["kubectl"])[:2] == (1, 36)


def test_a_named_program_is_taken_as_it_is(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = fake_program(empty_cache, "my-kubectl", "v0.0.1")
    monkeypatch.setenv("ROLLWARDEN_KUBECTL", str(named))
    assert find(BY_NAME["kubectl"]).path == named


def test_a_name_that_is_no_program_is_an_error(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLWARDEN_KUBECTL", str(empty_cache / "missing"))
    with pytest.raises(ProgramError, match=r"ROLLWARDEN_KUBECTL=.*correct or unset it"):
        find(BY_NAME["kubectl"])


@pytest.mark.parametrize(
    ("says", "taken", "reason"),
    [
        ("Client Version: v1.36.0", True, "on PATH"),
        ("Client Version: v1.32.4-dispatcher", False, "is 1.32.4, needs 1.36"),
        ("nothing useful", False, "of unknown version"),
    ],
)
def test_a_program_on_path_is_taken_when_its_version_fits(
    empty_cache: Path, says: str, taken: bool, reason: str
) -> None:
    fake_program(empty_cache, "kubectl", says)
    found = find(BY_NAME["kubectl"])
    assert (found.path is not None) is taken
    assert reason in found.reason


def test_what_was_built_before_comes_first(empty_cache: Path) -> None:
    fake_program(empty_cache, "kubectl", "Client Version: v1.36.0")
    cached = BY_NAME["kubectl"].cache_path
    cached.parent.mkdir(parents=True)
    fake_program(cached.parent, cached.name, "")
    assert find(BY_NAME["kubectl"]).path == cached


def test_every_program_has_a_module_file_and_a_cache_name_of_its_own() -> None:
    assert len({p.cache_path for p in programs.PROGRAMS}) == len(programs.PROGRAMS)
