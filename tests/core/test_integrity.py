"""The witness of the admission policies: what counts as a difference, what is a gap, and what an upgrade is."""

from __future__ import annotations

from typing import Any

import pytest

from rollwarden.admission import Identities, render
from rollwarden.api.change import ChangeStatus
from rollwarden.api.enums import ApprovalSource, Decision, Phase
from rollwarden.api.names import MESSAGE
from rollwarden.core.approvals import answer
from rollwarden.core.decide import decide
from rollwarden.core.held import HELD_RULES
from rollwarden.core.integrity import (
    ENFORCEMENT_LAG,
    INTACT,
    UNWITNESSED,
    Edit,
    Guard,
    LiveMeta,
    LivePiece,
    Sight,
    Witnessed,
    decode_rows,
    doubt,
    encode_rows,
    fingerprint,
    sight_of,
    wanted_prints,
    witness,
)
from rollwarden.core.times import timestamp, unix
from tests.builders import NOW, argo_status, change, requirements, rollout, seen, stable_set, template, vote

POLICY = "ValidatingAdmissionPolicy.guard"
BINDING = "ValidatingAdmissionPolicyBinding.guard"
WANTED = {POLICY: "good-policy", BINDING: "good-binding"}
INSTALLED = timestamp(NOW - 1000)


def sight(print_: str, generation: int = 1, uid: str = "u", **fields: Any) -> Sight:
    return Sight(uid, generation, fields.pop("created", INSTALLED), print_, **fields)


GOOD = {POLICY: sight("good-policy"), BINDING: sight("good-binding")}


def looks(*scenes: dict[str, Sight], wanted: dict[str, str] | None = None, rows: Any = None) -> Witnessed:
    """The last of several looks, one every hundred seconds; each knows the rows of the one before."""
    found = Witnessed(rows or {}, INTACT)
    for number, live in enumerate(scenes):
        found = witness(wanted or WANTED, live, found.rows, NOW + 100 * number)
    return found


def of_policy(live: Sight | None) -> dict[str, Sight]:
    rest = {BINDING: GOOD[BINDING]}
    return rest if live is None else {**rest, POLICY: live}


TAMPERED = of_policy(sight("weak", 2))
RESTORED = of_policy(sight("good-policy", 3))

SINCE_INSTALLATION = unix(INSTALLED)


@pytest.mark.parametrize(
    "scenes, since",
    [
        pytest.param([GOOD], SINCE_INSTALLATION, id="never edited is good since its creation, whoever looked"),
        pytest.param([GOOD, GOOD], SINCE_INSTALLATION, id="an unchanged generation proves the time in between"),
        pytest.param([RESTORED], NOW + ENFORCEMENT_LAG, id="edited before anybody looked is good from now"),
        pytest.param([GOOD, TAMPERED, RESTORED], NOW + 200 + ENFORCEMENT_LAG, id="tampered and restored is a gap"),
        pytest.param([GOOD, RESTORED], NOW + 100 + ENFORCEMENT_LAG, id="a gap between two looks shows too"),
        pytest.param(
            [GOOD, of_policy(None), of_policy(sight("good-policy", 1, "v", created=timestamp(NOW + 150)))],
            NOW + 150 + ENFORCEMENT_LAG,
            id="deleted and recreated is a gap up to the new one's creation",
        ),
        pytest.param(
            [GOOD, of_policy(sight("good-policy", 1, "v", created=timestamp(NOW + 50)))],
            NOW + 50 + ENFORCEMENT_LAG,
            id="also when nobody saw it missing",
        ),
        pytest.param(
            [GOOD, of_policy(sight("good-policy", 2))], NOW + 100 + ENFORCEMENT_LAG, id="an edit to the same is none"
        ),
        pytest.param([TAMPERED, RESTORED], NOW + 100 + ENFORCEMENT_LAG, id="never good before is good from then on"),
    ],
)
def test_since_when_approvals_count(scenes: list[dict[str, Sight]], since: float) -> None:
    found = looks(*scenes)
    assert found.guard.intact
    assert found.guard.since == pytest.approx(since, abs=0.002)


NEXT = {**WANTED, POLICY: "next-policy"}
UPGRADED = of_policy(sight("next-policy", 2))


def test_an_upgrade_of_policies_and_operator_voids_nothing_in_either_order() -> None:
    before = looks(GOOD)
    policies_first = looks(UPGRADED, rows=before.rows)
    assert not policies_first.guard.intact
    assert looks(UPGRADED, wanted=NEXT, rows=policies_first.rows).guard == before.guard
    operator_first = looks(GOOD, wanted=NEXT, rows=before.rows)
    assert operator_first.guard == before.guard
    assert operator_first.outdated == (POLICY,)
    after = looks(UPGRADED, wanted=NEXT, rows=operator_first.rows)
    assert (after.guard, after.outdated) == (before.guard, ())


def test_a_policy_that_came_with_a_version_is_waited_for_and_voids_nothing() -> None:
    before = looks(GOOD)
    wanted = {**WANTED, "MutatingAdmissionPolicy.new": "new"}
    missing = looks(GOOD, wanted=wanted, rows=before.rows)
    assert missing.guard.flaw.startswith('policy "new" is missing; new revisions wait')
    arrived = {**GOOD, "MutatingAdmissionPolicy.new": sight("new", created=timestamp(NOW + 5))}
    assert looks(arrived, wanted=wanted, rows=missing.rows).guard == before.guard
    gone = looks(GOOD, wanted=wanted, rows=looks(arrived, wanted=wanted, rows=missing.rows).rows)
    again = {**arrived, "MutatingAdmissionPolicy.new": sight("new", uid="other", created=timestamp(NOW + 50))}
    found = looks(again, wanted=wanted, rows=gone.rows)
    assert found.guard.since == pytest.approx(NOW + 50 + ENFORCEMENT_LAG, abs=0.01)


def test_an_upgrade_does_not_hide_an_edit_before_it() -> None:
    """Two edits since the last good look: what stood in between nobody knows."""
    found = looks(of_policy(sight("next-policy", 3)), wanted=NEXT, rows=looks(GOOD).rows)
    assert found.guard.since == pytest.approx(NOW + ENFORCEMENT_LAG, abs=0.01)


def test_nothing_is_recorded_before_all_was_good_once() -> None:
    assert looks(TAMPERED).rows == {}
    assert set(looks(GOOD).rows) == set(WANTED)


def test_a_look_that_finds_nothing_new_writes_nothing_new() -> None:
    once = encode_rows(looks(GOOD).rows)
    assert encode_rows(looks(GOOD, GOOD, GOOD).rows) == once
    broken = looks(GOOD, TAMPERED)
    assert encode_rows(looks(TAMPERED, rows=broken.rows).rows) == encode_rows(broken.rows)
    assert broken.rows[POLICY].until == timestamp(NOW + 100)


def test_the_record_survives_and_what_cannot_be_read_proves_nothing() -> None:
    rows = looks(GOOD).rows
    assert decode_rows(encode_rows(rows)) == rows
    for text in ("", "{}", "[1]", '{"uid":"u","generation":1,"from":"yesterday"}'):
        forged = decode_rows({**encode_rows(rows), POLICY: text})
        found = looks(RESTORED, rows=forged)
        assert found.guard.since == pytest.approx(NOW + ENFORCEMENT_LAG, abs=0.01), text


@pytest.mark.parametrize(
    "live, sentence",
    [
        pytest.param(
            sight("weak", 2, edited="2025-11-20T03:02:11Z", editor="kubectl-edit"),
            'policy "guard" was changed with kubectl-edit at 2025-11-20 03:02 UTC (the audit log says by whom)',
            id="changed",
        ),
        pytest.param(sight("weak", 2), 'policy "guard" was changed', id="changed, and its managers taken out"),
        pytest.param(None, 'policy "guard" was deleted (noticed ', id="deleted"),
        pytest.param(
            sight("next", 2, editor="helm", labelled=True),
            'policy "guard" is of another version than this operator knows (written with helm)',
            id="another version",
        ),
    ],
)
def test_message_7(live: Sight | None, sentence: str) -> None:
    flaw = looks(GOOD, of_policy(live)).guard.flaw
    assert flaw.startswith(sentence)
    assert "; new revisions wait in enforced namespaces until the policies are as installed" in flaw
    assert flaw.endswith("Running services, scaling, aborts and rollbacks are not affected.")


def test_many_flaws_are_one_sentence() -> None:
    wanted = {f"ValidatingAdmissionPolicy.p{n}": "x" for n in range(9)}
    assert 'policy "p2" is missing and 6 more; new revisions wait' in witness(wanted, {}, {}, NOW).guard.flaw


def defaulted(spec: dict[str, Any]) -> dict[str, Any]:
    """As the API server gives a spec back."""
    scope = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
    result = dict(spec)
    for key in ("matchConstraints", "matchResources"):
        if key in spec:
            result[key] = {**scope, **spec[key]}
            if "resourceRules" in spec[key]:
                result[key]["resourceRules"] = [{**rule, "scope": "*"} for rule in spec[key]["resourceRules"]]
    return result


RENDERED = {f"{m['kind']} {m['metadata']['name']}": m["spec"] for m in render(Identities())}


@pytest.mark.parametrize("spec", RENDERED.values(), ids=RENDERED)
def test_what_the_api_server_fills_in_is_no_difference(spec: dict[str, Any]) -> None:
    assert fingerprint(defaulted(spec)) == fingerprint(spec)


WEAKER = [
    pytest.param({"validationActions": ["Audit"]}, id="not denied any more"),
    pytest.param({"matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}, id="namespaces narrowed"),
    pytest.param({"matchResources": {"objectSelector": {"matchLabels": {"a": "b"}}}}, id="objects narrowed"),
    pytest.param({"matchResources": {"excludeResourceRules": [{"resources": ["*"]}]}}, id="resources excluded"),
    pytest.param({"matchResources": {"matchPolicy": "Exact"}}, id="other versions let through"),
    pytest.param({"policyName": "harmless"}, id="bound to another policy"),
    pytest.param({"paramRef": {"name": "x"}}, id="given parameters"),
    pytest.param({"matchResources": 7}, id="nonsense"),
]


@pytest.mark.parametrize("edit", WEAKER)
def test_any_weakening_is_a_difference(edit: dict[str, Any]) -> None:
    spec = RENDERED["ValidatingAdmissionPolicyBinding rollwarden-guard-rollout"]
    assert fingerprint(defaulted(spec) | edit) != fingerprint(spec)


def test_every_piece_has_its_fingerprint_under_its_kind_and_name() -> None:
    prints = wanted_prints(render(Identities()))
    assert len(prints) == len(render(Identities()))
    other = wanted_prints(render(Identities(operator="someone-else")))
    assert (
        prints["ValidatingAdmissionPolicy.rollwarden-keep-changes"]
        != (other["ValidatingAdmissionPolicy.rollwarden-keep-changes"])
    )


def test_who_changed_a_piece_is_who_wrote_it_last_and_not_its_status() -> None:
    edits = (
        Edit(manager="helm", time="2025-11-01T00:00:00Z"),
        Edit(manager="kubectl-edit", time="2025-11-20T00:00:00Z"),
        Edit(manager="kube-controller-manager", time="2025-11-21T00:00:00Z", subresource="status"),
    )
    meta = LiveMeta(name="guard", uid="u", generation=2, managed_fields=edits)
    assert sight_of(LivePiece(metadata=meta, spec={})).editor == "kubectl-edit"


GAP = Guard(since=NOW - 10, last='binding "guard"')
WHEN = [pytest.param(NOW - 11, False, id="before"), pytest.param(NOW - 10, True, id="from then on")]


@pytest.mark.parametrize("at, counts", WHEN)
@pytest.mark.parametrize("source", ApprovalSource, ids=str)
def test_an_approval_of_before_the_end_of_a_gap_is_given_again(at: float, counts: bool, source: ApprovalSource) -> None:
    found = answer(vote(at=at, source=source), change(), requirements(), NOW, guard=GAP)
    assert (found.counts, found.reason) == (counts, "Counted" if counts else "GivenUnguarded")
    if not counts:
        assert 'binding "guard" was changed' in found.message and "approve it again" in found.message


def test_a_rejection_counts_whenever_it_was_given() -> None:
    no = vote(at=NOW - 100, decision=Decision.REJECT, reason="no")
    assert answer(no, change(), requirements(), NOW, guard=UNWITNESSED).counts


BROKEN = Guard(since=float("inf"), flaw='binding "guard" was deleted; new revisions wait.')


def held_outcome(**fields: Any) -> str:
    about = seen(guard=BROKEN, **fields)
    return next(outcome.rule for rule in HELD_RULES if (outcome := rule(about)) is not None)


def test_while_the_guard_is_broken_new_revisions_wait_and_returns_do_not() -> None:
    assert held_outcome() == "guard-not-intact"
    assert held_outcome(sets=(stable_set(digest=seen().digest),)) == "known-good"
    no = vote(decision=Decision.REJECT, reason="no")
    assert held_outcome(votes=(no,)) == "rejected"


def test_doubt_is_said_where_something_happened_without_its_guard() -> None:
    assert doubt(GAP, NOW) == ""
    assert 'binding "guard" was changed' in doubt(GAP, NOW - 20)
    assert BROKEN.flaw in doubt(BROKEN, NOW)


@pytest.mark.parametrize(
    "guard, rule",
    [
        pytest.param(BROKEN, "unguarded-template", id="while they are not intact"),
        pytest.param(GAP, "unguarded-template", id="before they were intact again"),
        pytest.param(Guard(since=NOW - 100), "finished", id="while the namespace was not enforced"),
    ],
)
def test_a_template_written_past_the_policies_is_said_and_is_not_known_good(guard: Guard, rule: str) -> None:
    live = rollout(hold="released-5", pod_template=template("shop:evil"), generation=9, status=argo_status())
    done = change(
        of=live, pod_template=template(), status=ChangeStatus(phase=Phase.COMPLETED, finished_at=timestamp(NOW - 50))
    )
    outcome = decide(seen(of=live, changes=(done,), sets=(stable_set(hold="released-5"),), guard=guard))
    assert outcome.rule == rule
    if rule == "unguarded-template":
        said = rollout(
            hold="released-5", pod_template=template("shop:evil"), generation=9, annotations={MESSAGE: outcome.sentence}
        )
        again = decide(seen(of=said, changes=(done,), sets=(stable_set(hold="released-5"),), guard=guard))
        assert (again.rule, again.writes) == (rule, ())
