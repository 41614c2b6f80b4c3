"""``explain`` on manifests, as it is run: what is printed, the JSON's names, the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.builders import claiming, rollout
from tests.cli.running import Result, rollwarden

EXAMPLES = Path(__file__).parents[2] / "examples"
IMAGE = "registry.example.com/shop:2"


@pytest.fixture
def save(tmp_path: Path) -> Any:
    def write(*manifests: Any, name: str = "m.yaml") -> str:
        file = tmp_path / name
        file.write_text(yaml.safe_dump_all(manifests))
        return str(file)

    return write


def explained(*arguments: str) -> dict[str, Any]:
    result = rollwarden("explain", *arguments, "-o", "json")
    assert result.code == 0, result.err
    value: dict[str, Any] = json.loads(result.out)
    return value


def profile(criticality: str = "Critical", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "rollwarden.dev/v1alpha1",
        "kind": "ServiceProfile",
        "metadata": {"name": "shop", "namespace": "market"},
        "spec": {"criticality": criticality, "contact": "#market", **spec},
    }


def policy(name: str = "own", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "rollwarden.dev/v1alpha1",
        "kind": "GuardrailPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


# -- answers --------------------------------------------------------------------------------------------------------


def test_an_ai_assisted_change_to_a_critical_service_waits_for_a_senior(save: Any) -> None:
    data = explained(save(claiming(rollout(), origin="ai", tools="Copilot"), profile()))
    assert data["answer"] == "ApprovalsMissing"
    assert data["classification"]["origin"] == "AI"
    assert data["decision"]["rules"] == ["ai-on-medium", "ai-on-high"]
    assert data["decision"]["requirements"]["approvals"] == [{"tier": "Senior", "count": 1}]
    assert data["next"] == [
        {"who": "1 senior of #market", "action": "kubectl rollwarden approve shop -n market"},
    ]
    assert data["message"].startswith('rollout "shop" would be held at 0 new pods: AI-assisted change (Copilot)')


def test_a_human_change_to_a_low_service_keeps_its_owners_steps(save: Any) -> None:
    manifest = claiming(rollout(), subject=IMAGE, origin="human")
    data = explained(save(manifest, profile("Low")))
    assert data["answer"] == "Released"
    assert data["plan"]["steps"] == manifest["spec"]["strategy"]["canary"]["steps"]
    assert data["plan"]["gates"] == []
    assert data["next"][0]["who"] == "nobody"


def test_a_template_that_equals_stable_is_released_at_once(save: Any) -> None:
    running = save(rollout(), name="running.yaml")
    data = explained(save(claiming(rollout(), origin="ai"), profile()), "--stable", running)
    assert data["answer"] == "KnownGood"
    assert data["plan"]["gates"] == []


def test_what_runs_now_narrows_what_a_change_touches(save: Any) -> None:
    older = rollout()
    older["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.com/shop:1"
    manifest = save(rollout())
    assert explained(manifest, "--stable", save(older, name="s.yaml"))["classification"]["touches"] == ["Image"]
    template = save(older["spec"]["template"], name="t.yaml")
    assert explained(manifest, "--stable", template)["classification"]["touches"] == ["Image"]
    assert len(explained(manifest)["classification"]["touches"]) > 10


def test_an_off_limits_area_is_denied_whoever_approves(save: Any) -> None:
    deny = {"message": "the ledger is off-limits to AI", "guideline": "https://wiki.example.com/ledger"}
    rules = [{"name": "ledger", "when": {"areas": ["ledger"]}, "require": {"deny": deny}}]
    manifest = claiming(rollout(), origin="ai", areas="ledger")
    data = explained(save(manifest), "--policy", save(policy(rules=rules), name="p.yaml"))
    assert data["answer"] == "Denied"
    assert "approvals cannot lift this" in data["message"]
    assert "https://wiki.example.com/ledger" in data["next"][0]["action"]


def test_a_listed_agent_is_told_not_to_retry(save: Any) -> None:
    file = save(policy(preset="Memo", agents={"users": ["bot"]}), name="p.yaml")
    data = explained(save(rollout(), profile()), "--policy", file, "--submitter", "bot")
    assert data["answer"] == "EvidenceMissing"
    assert data["classification"]["agentSubmitter"] is True
    assert "do not retry, delete or recreate" in data["message"]
    assert [step["who"] for step in data["next"]][:2] == ["the agent", "the author"]


def test_a_claim_that_loosens_counts_only_with_its_subject(save: Any) -> None:
    manifest = claiming(rollout(), origin="human")
    bare = explained(save(manifest))
    assert [(c["field"], c["counts"]) for c in bare["claims"]] == [("Origin", False)]
    assert bare["classification"]["origin"] == "Unknown"
    assert explained(save(claiming(manifest, subject=IMAGE)))["classification"]["origin"] == "Human"


def test_an_unreadable_claim_is_named_and_counts_as_not_set(save: Any) -> None:
    data = explained(save(claiming(rollout(), origin="robot")))
    assert [p["annotation"] for p in data["problems"]] == ["provenance.rollwarden.dev/origin"]
    assert data["classification"]["origin"] == "Unknown"


def test_a_workload_ref_is_not_governed(save: Any) -> None:
    data = explained(save(rollout(template=None, workloadRef={"kind": "Deployment", "name": "shop"})))
    assert data["answer"] == "Unsupported"


def test_what_would_change_the_answer_is_asked_of_the_same_rules(save: Any) -> None:
    data = explained(save(claiming(rollout(), origin="ai"), profile("High")))
    changes = {one["if"]: one["then"] for one in data["wouldChange"]}
    assert "a named human who adopts" in changes["written by an agent"]


# -- plan and time --------------------------------------------------------------------------------------------------


def test_every_gate_says_what_it_needs_and_with_traffic_how_long(save: Any) -> None:
    file = save(claiming(rollout(replicas=20), origin="ai"), profile("High"))
    without = explained(file)["plan"]
    proofs = [gate for gate in without["gates"] if gate["kind"] == "Evidence"]
    assert proofs
    assert all(gate["neededRequests"] > 0 and gate["etaSeconds"] is None for gate in proofs)
    slow, quick = (explained(file, "--rps", rps)["plan"]["gates"][0]["etaSeconds"] for rps in ("20", "200"))
    assert slow > quick > 0
    assert explained(file, "--rps", "200")["plan"]["gates"][0]["neededRequests"] == proofs[0]["neededRequests"]


def test_gates_point_at_their_pause_and_the_owners_steps_stay_in_order(save: Any) -> None:
    plan = explained(save(claiming(rollout(), origin="ai"), profile()), "--rps", "100")["plan"]
    assert all(plan["steps"][gate["index"]] == {"pause": {}} for gate in plan["gates"])
    left = iter(plan["steps"])
    assert all(step in left for step in plan["ownerSteps"])


def test_a_stricter_objective_takes_more_requests(save: Any) -> None:
    def needed(target: str) -> int:
        indicators = [{"name": "errors", "type": "Errors", "objective": {"targetPercent": target}}]
        data = explained(save(rollout(), profile("High", indicators=indicators)))
        return int(data["plan"]["gates"][0]["neededRequests"])

    assert needed("99.9") > 5 * needed("99")


# -- what else is in the file, and options --------------------------------------------------------------------------


def test_namespaces_profiles_and_policies_of_the_same_file_count(save: Any) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "market", "labels": {"team": "pay"}}}
    pins = [{"name": "pay", "minimum": "Critical", "namespaceSelector": {"matchLabels": {"team": "pay"}}}]
    data = explained(save(namespace, policy(criticalityPins=pins), rollout()))
    assert data["classification"]["criticality"] == "Critical"
    assert data["classification"]["criticalityFrom"] == 'pin "pay"'
    pinned = explained(save(policy(criticalityPins=pins), rollout()), "--namespace-label", "team=pay")
    assert pinned["classification"]["criticality"] == "Critical"


def test_a_preset_can_be_named(save: Any) -> None:
    file = save(claiming(rollout(), origin="ai"))
    assert explained(file, "--policy", "preset:proportional")["next"][0]["who"] == "1 peer"
    assert explained(file, "--policy", "preset:memo")["next"][0]["who"] == "1 senior"


def test_a_policy_that_selects_other_namespaces_is_said_to_do_so(save: Any) -> None:
    other = policy(namespaceSelector={"matchLabels": {"team": "other"}})
    assert any("none of the given policies" in note for note in explained(save(other, rollout()))["notes"])


def test_observe_mode_is_said_to_hold_nothing(save: Any) -> None:
    notes = explained(save(rollout()), "--namespace-label", "rollwarden.dev/mode=observe")["notes"]
    assert any("mode is observe: nothing is held" in note for note in notes)


@pytest.mark.parametrize("word, said", [("Refuse", True), ("Supersede", False)])
def test_services_that_refuse_a_newer_template_are_noted(save: Any, word: str, said: bool) -> None:
    notes = explained(save(rollout(), profile(onNewTemplate=word)))["notes"]
    assert (
        any('is refused while a canary is under way (onNewTemplate: Refuse, ServiceProfile "shop")' in n for n in notes)
        is said
    )


def test_several_rollouts_are_items(save: Any) -> None:
    data = explained(save(rollout(), rollout(replicas=3)))
    assert [item["rollout"]["name"] for item in data["items"]] == ["shop", "shop"]


def test_stdin_is_read(save: Any) -> None:
    text = yaml.safe_dump(rollout())
    result = rollwarden("explain", "-", "-o", "yaml", stdin=text)
    assert result.code == 0
    assert yaml.safe_load(result.out)["rollout"] == {"name": "shop", "namespace": "market"}


def test_a_live_held_manifest_is_explained_by_its_owners_steps(save: Any) -> None:
    own = rollout()["spec"]["strategy"]["canary"]["steps"]
    held = rollout(strategy={"canary": {"steps": [{"setWeight": 0}, {"pause": {}}, *own]}})
    held["metadata"]["annotations"]["rollwarden.dev/hold"] = "held-3"
    assert explained(save(held))["plan"]["ownerSteps"] == own


# -- print ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("example", ["checkout.yaml", "mailer.yaml"])
def test_the_examples_read_well(monkeypatch: pytest.MonkeyPatch, example: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    result = rollwarden("explain", str(EXAMPLES / example), "--rps", "240")
    assert result.code == 0
    assert max(len(line) for line in result.out.splitlines()) <= width
    assert all(word in result.out for word in ("What it is", "The canary", "Next"))


def test_the_example_policy_is_usable() -> None:
    data = explained(str(EXAMPLES / "checkout.yaml"), "--policy", str(EXAMPLES / "policy.yaml"))
    assert "ai-in-payments" in data["decision"]["rules"]


def test_control_characters_of_a_manifest_do_not_reach_the_terminal(save: Any) -> None:
    manifest = claiming(rollout(), tools="evil\x1b]0;owned\x07‮tool")
    out = rollwarden("explain", save(manifest)).out
    assert not set("\x1b\x07‮") & set(out)


def test_square_brackets_are_no_markup(save: Any) -> None:
    assert "[bold]x[/bold]" in rollwarden("explain", save(claiming(rollout(), tools="[bold]x[/bold]"))).out


# -- bad input ------------------------------------------------------------------------------------------------------


def refused(result: Result, *said: str, code: int = 1) -> None:
    assert result.code == code
    assert result.err.startswith("error: ") or code == 2
    assert len(result.err.splitlines()) == 1 or code == 2
    assert "Traceback" not in result.err
    for words in said:
        assert words in result.err


def test_bad_input_is_one_sentence(save: Any, tmp_path: Path) -> None:
    good = save(rollout(), name="good.yaml")
    refused(rollwarden("explain", "nosuch.yaml"), "nosuch.yaml: there is no such file")
    refused(rollwarden("explain", str(tmp_path)), "Is a directory")
    refused(rollwarden("explain", save(profile())), "has no Rollout")
    refused(rollwarden("explain", "-"), "stdin: is empty")
    refused(rollwarden("explain", save(rollout(strategy=None))), 'Rollout "shop", spec.strategy')
    refused(rollwarden("explain", good, "--policy", "preset:strict"), "there are preset:memo, preset:proportional")
    refused(rollwarden("explain", good, "--policy", good), "has no GuardrailPolicy")
    refused(rollwarden("explain", good, "--profile", good), "has no ServiceProfile")
    refused(rollwarden("explain", good, "--rps", "0"), "--rps: is 0")
    refused(rollwarden("explain", good, "--rps", "inf"), "--rps: is inf")
    refused(rollwarden("explain", good, "--namespace-label", "x"), "write key=value")
    refused(rollwarden("explain", good, "--stable", save(profile(), name="p.yaml")), "has no Rollout and is no pod")
    refused(rollwarden("explain", "checkout", "--rps", "5"), "--rps does not apply")
    refused(rollwarden("explain"), "Missing argument", code=2)
    refused(rollwarden("explain", good, "-o", "xml"), "xml", code=2)
    refused(rollwarden("explian", good), "explian", code=2)


def test_two_indicators_of_one_name_are_refused(save: Any) -> None:
    indicators = [{"name": "errors", "type": "Errors", "objective": {"targetPercent": "99"}}] * 2
    refused(rollwarden("explain", save(rollout(), profile(indicators=indicators))), "same name")


# -- start-up -------------------------------------------------------------------------------------------------------


def test_offline_commands_do_not_load_what_talks_to_a_cluster() -> None:
    code = (
        "import sys; from rollwarden.cli import main; sys.argv = ['rollwarden', 'explain', sys.argv[1]]\n"
        "try: main.run()\n"
        "except SystemExit as ended: assert not ended.code, ended.code\n"
        "print([m for m in ('kubernetes', 'prometheus_api_client', 'requests', 'structlog') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(EXAMPLES / "mailer.yaml")], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_and_help() -> None:
    assert rollwarden("--version").out.startswith("rollwarden ")
    helped = rollwarden("--help").out
    for name in ("explain", "approve", "reject", "inbox", "status", "wait", "break-glass", "abort", "undo", "retry"):
        assert name in helped
