"""Errors of the API server as sentences, and the namespace a command works in; no server is needed for either."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rollwarden.cli.cluster import context_namespace, sentence_of
from rollwarden.kube.errors import Call, Forbidden, KubeError, NotFound, ServerUnavailable, Unauthorized
from rollwarden.kube.resources import APPROVALS, CHANGES, ROLLOUTS
from tests.cli.running import rollwarden

LIST = Call("list", CHANGES, "market")
ERRORS: list[tuple[KubeError, str]] = [
    (
        Forbidden(
            Call("create", APPROVALS, "market"),
            "approvals.rollwarden.dev \"x\" is forbidden: ValidatingAdmissionPolicy 'rollwarden-guard-approval' with "
            "binding 'rollwarden-guard-approval' denied request: jun does not hold tier senior in namespace market",
            code=403,
        ),
        "jun does not hold tier senior in namespace market",
    ),
    (
        Forbidden(LIST, 'User "jun" cannot list resource "changes"', code=403),
        'resource "changes"; ask for the right',
    ),
    (Unauthorized(LIST, "Unauthorized", code=401), "does not accept your credentials"),
    (ServerUnavailable(LIST, "no answer from the API server: refused"), "check --kubeconfig and --context"),
    (NotFound(LIST, "the server could not find the requested resource", code=404), "rollwarden crds | kubectl apply"),
    (
        NotFound(Call("get", ROLLOUTS, "a", "b"), "the server could not find the requested resource", code=404),
        "install Argo Rollouts",
    ),
]


@pytest.mark.parametrize(("error", "said"), ERRORS)
def test_an_error_says_what_to_do(error: KubeError, said: str) -> None:
    assert said in sentence_of(error)


def kubeconfig(path: Path, server: str = "http://127.0.0.1:1") -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [
            {"name": "a", "context": {"cluster": "c", "user": "u", "namespace": "market"}},
            {"name": "b", "context": {"cluster": "c", "user": "u"}},
        ],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_namespace_is_the_contexts_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kubeconfig(tmp_path / "config")
    assert context_namespace(path, None) == "market"
    assert context_namespace(path, "b") == "default"
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{path}")
    assert context_namespace(None, None) == "market"
    assert context_namespace(None, "b") == "default"


COMMANDS = (
    ("status",),
    ("inbox",),
    ("wait", "shop", "--timeout", "0s"),
    ("approve", "shop"),
    ("reject", "shop", "-m", "no"),
    ("retry", "shop", "-m", "now"),
    ("break-glass", "shop", "-m", "now"),
    ("abort", "shop"),
    ("undo", "shop"),
    ("explain", "shop"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_an_api_server_a_command_ends_in_one_sentence(command: tuple[str, ...], tmp_path: Path) -> None:
    for arguments in (
        ("--kubeconfig", str(kubeconfig(tmp_path / "config"))),
        ("--kubeconfig", str(tmp_path / "none")),
        ("--kubeconfig", str(kubeconfig(tmp_path / "config")), "--context", "none"),
    ):
        result = rollwarden(*command, *arguments)
        assert result.code == 1, result
        assert result.err.startswith("error: "), result
        assert len(result.err.splitlines()) == 1, result


def test_what_needs_a_reason_asks_for_one() -> None:
    for command in (("reject", "x"), ("retry", "x"), ("break-glass", "x"), ("approve", "x", "--quarantined")):
        result = rollwarden(*command)
        assert result.code == 1
        assert 'add -m "' in result.err


def test_a_timeout_that_is_none_is_said() -> None:
    for text in ("soon", "-1s", "nan", "1d", ""):
        result = rollwarden("wait", "shop", f"--timeout={text}")
        assert result.code == 1
        assert "--timeout" in result.err
