"""Argo Rollouts' own examples and end-to-end manifests, the malformed ones too, through ``explain``."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollwarden.api.change import PolicyRef
from rollwarden.api.policy import GuardrailPolicySpec
from rollwarden.api.profile import ServiceProfile, ServiceProfileSpec
from rollwarden.cli.errors import CommandError, InputError
from rollwarden.cli.explain_view import as_data
from rollwarden.cli.explanation import Explanation, Question, explain
from rollwarden.cli.manifests import decode_rollout
from rollwarden.cli.steps import owned_positions
from rollwarden.cli.yamlfile import Document, read_documents
from rollwarden.core.policy import Policy
from rollwarden.core.presets import PRESETS
from tests.cli.builders import claiming
from tests.cli.running import rollwarden

MODULE = "github.com/argoproj/argo-rollouts"
TOOLS = Path(__file__).parents[2] / "e2e" / "tools" / "argo-rollouts"
FOLDERS = ("examples", "test", "docs", "pkg/kubectl-argo-rollouts")
FEWEST = 100
"""Rollouts in the module's files; far fewer would mean that they were not found, not that there are none."""


@functools.cache
def module_directory() -> Path | None:
    """Where the module's source is; None if Go or the module is not on this machine."""
    go = shutil.which("go")
    if go is None:
        return None
    environment = ["env", "GOFLAGS=-mod=readonly", "GOPROXY=off", go, "list", "-m", "-f", "{{.Dir}}", MODULE]
    done = subprocess.run(environment, cwd=TOOLS, capture_output=True, text=True, check=False)
    found = Path(done.stdout.strip()) if done.returncode == 0 and done.stdout.strip() else None
    return found if found is not None and found.is_dir() else None


@pytest.fixture(scope="module")
def module() -> Path:
    found = module_directory()
    if found is None:
        pytest.skip(f"the source of {MODULE} is not in this machine's Go module cache")
    return found


def files(module: Path) -> list[Path]:
    patterns = ("*.yaml", "*.yml", "*.json")
    return sorted(file for folder in FOLDERS for pattern in patterns for file in (module / folder).rglob(pattern))


def rollouts(module: Path) -> Iterator[Document]:
    for file in files(module):
        try:
            documents = read_documents(str(file))
        except InputError:
            continue  # templates that are rendered first; test_each_file sees them
        yield from (document for document in documents if document.value.get("kind") == "Rollout")


def strict(document: Document) -> Explanation:
    """As an AI-assisted change to a critical service: the plan has everything in it that a plan can have."""
    value: dict[str, Any] = json.loads(json.dumps(document.value))
    metadata = value.setdefault("metadata", {})
    metadata["annotations"] = {k: str(v) for k, v in (metadata.get("annotations") or {}).items()}
    rollout = decode_rollout(claiming(value, origin="ai", criticality="critical"), document.where)
    memo = Policy(PolicyRef(name="memo"), PRESETS["Memo"])
    own = Policy(PolicyRef(name="own"), GuardrailPolicySpec())
    profile = ServiceProfile(spec=ServiceProfileSpec(contact="#team"))
    return explain(Question(rollout=rollout, policies=(memo, own), profiles=(profile,), rps=100.0))


def test_every_rollout_is_explained_or_refused_in_a_sentence(module: Path) -> None:
    explained, refused = 0, []
    for document in rollouts(module):
        try:
            data = as_data(strict(document))
        except CommandError as error:
            refused.append(str(error))
            continue
        explained += 1
        assert json.loads(json.dumps(data)) == data
        assert data["next"]
    assert explained >= FEWEST
    assert all("spec.strategy: has neither canary nor blueGreen" in sentence for sentence in refused), refused


def test_a_plan_keeps_every_step_of_the_owner_in_order_and_is_never_looser(module: Path) -> None:
    gated = 0
    for document in rollouts(module):
        try:
            found = strict(document)
        except CommandError:
            continue
        if found.plan is None or found.base.steps is None:
            continue
        planned, own = found.plan.steps or (), found.base.steps
        positions = owned_positions(planned, own)
        assert positions is not None, document.where
        assert [planned[index] for index in sorted(positions)] == list(own), document.where
        added = [step for index, step in enumerate(planned) if index not in positions]
        assert all(set(step) <= {"setWeight", "pause"} for step in added), document.where
        assert_never_above(planned, own, positions, document.where)
        gated += bool(found.plan.gates)
    assert gated > FEWEST / 4


def assert_never_above(
    planned: tuple[dict[str, Any], ...], own: tuple[dict[str, Any], ...], positions: frozenset[int], where: str
) -> None:
    """Before each of the owner's steps the plan's weight has nowhere been above what the owner has by then, or will
    have with that very step's weight."""
    passed, allowed = 0, _weight_after(own, 0)
    for index, step in enumerate(planned):
        if index in positions:
            passed += 1
            allowed = max(_weight_after(own, passed), _weight_after(own, passed + 1))
        weight = step.get("setWeight")
        if isinstance(weight, int):
            assert weight <= max(allowed, 100 if passed == len(own) else 0), f"{where}: step {index}"


def _weight_after(own: tuple[dict[str, Any], ...], count: int) -> int:
    """The largest weight the owner has reached after ``count`` steps, the next weight to come included."""
    reached: list[int] = [step["setWeight"] for step in own[:count] if isinstance(step.get("setWeight"), int)]
    coming: int = next((step["setWeight"] for step in own[count:] if isinstance(step.get("setWeight"), int)), 100)
    return max([*reached, coming])


def test_each_file_ends_in_an_exit_code_and_no_traceback(module: Path) -> None:
    for file in files(module):
        result = rollwarden("explain", str(file), "-o", "json")
        assert result.code in (0, 1), file
        if result.code:
            assert result.err.startswith("error: "), file
            assert len(result.err.splitlines()) == 1, file
            assert file.name in result.err
        else:
            json.loads(result.out)
