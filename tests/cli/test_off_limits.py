"""What principals put off-limits or freeze, as ``explain`` shows it offline, and what the commands say of a freeze."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollwarden.api.enums import Phase
from rollwarden.cli.changes import is_waiting, next_steps
from rollwarden.cli.wait import Code, Goal, at_time_out, outcome
from tests.cli.builders import change, claiming, rollout
from tests.cli.running import rollwarden

EXAMPLES = Path(__file__).parents[2] / "examples"
AI = {"origins": ["AI"]}


def freeze(name: str, begins_in: int, hours: int = 1) -> dict[str, Any]:
    """One of every day that begins with the full hour this many hours from the present one."""
    hour = datetime.fromtimestamp(time.time() + begins_in * 3600, UTC).hour
    return {"name": name, "schedule": f"0 {hour} * * *", "duration": f"{hours}h"}


@pytest.fixture
def explained(tmp_path: Path) -> Any:
    def run(*rules: dict[str, Any], rollout: dict[str, Any], stable: Any = None, **policy: Any) -> dict[str, Any]:
        body = {"apiVersion": "rollwarden.dev/v1alpha1", "kind": "GuardrailPolicy", "metadata": {"name": "own"}}
        file, more = tmp_path / "m.yaml", []
        file.write_text(yaml.safe_dump_all([rollout, body | {"spec": {"rules": list(rules)}} | policy]))
        if stable is not None:
            running = tmp_path / "stable.yaml"
            running.write_text(yaml.safe_dump(stable))
            more = ["--stable", str(running)]
        as_json = rollwarden("explain", str(file), *more, "-o", "json")
        assert as_json.code == 0, as_json.err
        table = rollwarden("explain", str(file), *more)
        assert table.code == 0, table.err
        found: dict[str, Any] = json.loads(as_json.out)
        return found | {"said": " ".join(table.out.split())}

    return run


def rule(name: str, when: dict[str, Any] | None = None, **require: Any) -> dict[str, Any]:
    return {"name": name, "when": when or {}, "require": require}


def test_a_freeze_that_is_on_and_the_one_that_comes_next(explained: Any) -> None:
    rules = (rule("calm", freeze=[freeze("now", 0, 2)]), rule("later", freeze=[freeze("next", 6)]))
    found = explained(*rules, rollout=claiming(rollout(), origin="ai"))
    assert found["answer"] == "Frozen"
    assert 'waits for freeze "now" to end ' in found["message"]
    assert [(f["name"], f["rule"], f["open"]) for f in found["freezes"]] == [
        ("now", "calm", True),
        ("next", "later", False),
    ]
    assert found["next"] == [{"who": "nobody", "action": "apply it; it is released by itself when the freeze ends"}]
    assert 'Freezes "now" on now, to ' in found["said"] and '"next" next in ' in found["said"]
    assert 'no release in freeze "now"' in found["said"]


def test_approvals_and_a_freeze_are_both_said(explained: Any) -> None:
    both = rule("calm", approvals=[{"tier": "Senior"}], freeze=[freeze("now", 0, 2)])
    found = explained(both, rollout=claiming(rollout(), origin="ai"))
    assert found["answer"] == "ApprovalsMissing"
    assert "needs 1 senior" in found["message"] and 'It also waits for freeze "now" to end ' in found["message"]


def labelled(**labels: str) -> dict[str, Any]:
    made = claiming(rollout(), origin="ai", areas="ledger, ui")
    made["metadata"]["labels"] |= labels
    return made


def privileged() -> dict[str, Any]:
    made = labelled()
    made["spec"]["template"]["spec"]["securityContext"] = {"runAsUser": 0}
    return made


OFF_LIMITS: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("a workload by its labels", {"rolloutSelector": {"matchLabels": {"app": "shop"}}}, labelled(), True),
    ("not another workload", {"rolloutSelector": {"matchLabels": {"app": "shop"}}}, labelled(app="other"), False),
    (
        "a namespace by its name",
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "market"}}},
        labelled(),
        True,
    ),
    (
        "not another namespace",
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "pay"}}},
        labelled(),
        False,
    ),
    ("a source area", {"areas": ["ledger"]}, labelled(), True),
    ("not another area", {"areas": ["vault"]}, labelled(), False),
    ("how it runs", {"touches": ["SecurityContext"]}, privileged(), True),
    ("not what it leaves alone", {"touches": ["SecurityContext"]}, labelled(), False),
]


@pytest.mark.parametrize(
    ("when", "manifest", "denied"), [row[1:] for row in OFF_LIMITS], ids=[r[0] for r in OFF_LIMITS]
)
def test_off_limits(explained: Any, when: dict[str, Any], manifest: dict[str, Any], denied: bool) -> None:
    deny = {"message": "the shop's ledger is off-limits to AI", "guideline": "https://wiki/ledger"}
    running = rollout()
    running["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.com/shop:1"
    found = explained(rule("by-hand", {**AI, **when}, deny=deny), rollout=manifest, stable=running)
    assert (found["answer"] == "Denied") is denied
    if denied:
        assert 'the shop\'s ledger is off-limits to AI (rule "by-hand"); approvals cannot lift this' in found["message"]
        assert "denies it: the shop's ledger is off-limits to AI" in found["said"]
        assert found["next"][0]["action"].endswith("or ask a principal; see https://wiki/ledger")


def test_a_policy_as_the_cluster_has_it_tells_who_set_the_rule(explained: Any) -> None:
    history = [{"generation": 1, "time": "2026-11-03T08:00:00Z", "user": "dana", "rules": ["by-hand"]}]
    deny = rule("by-hand", AI, deny={"message": "off-limits"})
    found = explained(deny, rollout=labelled(), status={"history": history})
    assert '(rule "by-hand", set by dana on 3 Nov); approvals cannot lift this' in found["message"]
    assert found["next"][0]["action"] == "take the AI-written part out, or ask dana"


@pytest.mark.parametrize(
    ("example", "rule_name"), [("policy-freeze.yaml", "quiet-weekends"), ("policy-off-limits.yaml", "ai-on-high")]
)
def test_the_examples_are_usable(example: str, rule_name: str) -> None:
    done = rollwarden(
        "explain", str(EXAMPLES / "checkout.yaml"), "--policy", str(EXAMPLES / example), "-o", "json",
        "--stable", str(EXAMPLES / "checkout-stable.yaml"),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert rule_name in json.loads(done.out)["decision"]["rules"]


WAITS = 'freeze "year-end" to end Mon 5 Jan 08:00 CET'


def test_a_frozen_change_waits_for_nobody() -> None:
    frozen = change(phase=Phase.FROZEN, reason="Frozen", waiting_for=WAITS)
    assert not is_waiting(frozen), "nothing in it for an inbox"
    assert outcome(frozen, Goal.RELEASED) is None
    assert at_time_out(frozen) is Code.WAITING_FOR_PEOPLE
    (step,) = next_steps(frozen)
    assert (step.who, step.action) == ("nobody", f"it waits for {WAITS} and is released by itself then")


def test_a_frozen_gate_goes_on_by_itself() -> None:
    frozen = change(phase=Phase.CANARY, reason="Frozen", waiting_for=WAITS)
    (step,) = next_steps(frozen)
    assert (step.who, step.action) == ("nobody", f"it waits for {WAITS} and goes on by itself then")
