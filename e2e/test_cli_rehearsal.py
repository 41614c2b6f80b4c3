"""Rehearsals of break-glass, with no operator there: admission alone answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.desk import Ran, run
from e2e.install import install_rollwarden
from e2e.stage import JUNIOR, ON_CALL, Stage, annotations_of, canary, hold_of, rollout, steps_of

pytestmark = pytest.mark.e2e

OWN: list[JsonObject] = [{"setWeight": 20}, {"pause": {"duration": "1s"}}]


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[Stage]:
    """Two Rollouts that ran before the namespace was enforced: one gets a new template and is held."""
    install_rollwarden(control_plane)
    made = Stage(control_plane, "drill")
    for name in ("held", "idle"):
        made.client().create(made.path(), rollout(name, strategy=canary(*OWN)))
    for name in ("held", "idle"):
        made.healthy(name)
    made.enforce()
    made.new_template("held", "v2")
    made.settled("held")
    yield made
    made.close()


def drill(stage: Stage, user: str, name: str, *more: str) -> Ran:
    command = ("break-glass", name, "-m", "drill", "--rehearse", "-n", stage.namespace, *more)
    return run(stage.cp, user, *command)


def test_a_rehearsal_says_what_would_happen_and_writes_nothing(stage: Stage) -> None:
    before = stage.live("held")
    assert hold_of(before).startswith("held-")
    done = drill(stage, ON_CALL, "held", "-o", "json")
    assert done.code == 0, done.err
    assert done.json["wouldWork"]
    assert [check["name"] for check in done.json["checks"] if check["ok"]] == ["verb", "release"]
    would = done.json["would"]
    assert would["would run"].startswith("registry.example.com/shop:v2")
    assert would["steps"].startswith("20 %")
    assert "by a principal by 20" in would["owed"]
    spoken = drill(stage, ON_CALL, "held")
    assert "nothing is written" in spoken.said
    assert (
        f'it would work: kubectl rollwarden break-glass held -n {stage.namespace} -m "why it cannot wait"'
        in spoken.said
    )
    after = stage.live("held")
    assert hold_of(after) == hold_of(before)
    assert "rollwarden.dev/break-glass" not in annotations_of(after)
    assert (after["metadata"]["generation"], steps_of(after)) == (before["metadata"]["generation"], steps_of(before))


def test_where_nothing_is_held_a_new_template_is_tried(stage: Stage) -> None:
    before = stage.live("idle")
    done = drill(stage, ON_CALL, "idle", "-o", "json")
    assert done.code == 0, done.out
    assert done.json["would"]["tried on"].startswith("nothing is held now")
    assert stage.live("idle")["spec"]["template"] == before["spec"]["template"]


@pytest.mark.parametrize(
    ("user", "says"), [(JUNIOR, "you do not hold the verb break-glass"), ("admin", "a wildcard is no right")]
)
def test_who_could_not_do_it_learns_so_before_the_night(stage: Stage, user: str, says: str) -> None:
    done = drill(stage, user, "held", "-o", "json")
    assert (done.code, done.json["wouldWork"]) == (1, False)
    assert any(says in check["message"] for check in done.json["checks"] if not check["ok"])
    assert hold_of(stage.live("held")).startswith("held-")


def test_what_was_rehearsed_works(stage: Stage) -> None:
    done = run(stage.cp, ON_CALL, "break-glass", "held", "-m", "for real", "-n", stage.namespace)
    assert done.code == 0, done.err
    live = stage.live("held")
    assert hold_of(live).startswith("released-")
    assert steps_of(live) == OWN
