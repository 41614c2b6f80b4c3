"""One canary at a time where a service asks for it: on the real API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.apiclient import ApiError
from e2e.controlplane import ControlPlane
from e2e.governed import AGENT, GovernedStage, about
from e2e.stage import ADMIN, CI, ON_CALL, PREFIX, hold_of, pods, refusal

pytestmark = pytest.mark.e2e

PHRASE = "checkout-1f2e3d4c-42 is at 25 %, about 12 min left"
SAID = (
    f'"checkout" takes no new template while a canary is under way ({PHRASE}): apply it again then;'
    " to return to stable at once: kubectl rollwarden abort checkout -n train"
)
TO_AGENTS = "This is a deliberate hold, not a failure"


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[GovernedStage]:
    stage = GovernedStage(control_plane, "train", **about("checkout", "high", live="true"), **about("other", "high"))
    for name in ("checkout", "other"):
        stage.owned(name)
    stage.tell({"train.checkout": PHRASE})
    stage.wait("the train to be read", lambda: _refused(stage))
    yield stage
    stage.close()


def _refused(stage: GovernedStage) -> bool:
    body = {"spec": {"template": pods("checkout", "probe")}}
    try:
        stage.client(CI).request(
            "PATCH", stage.path("checkout"), body, "application/merge-patch+json", query={"dryRun": "All"}
        )
    except ApiError as error:
        return "takes no new template" in error.message
    return False


@pytest.mark.parametrize("user", [CI, ADMIN, AGENT])
def test_a_new_template_waits_outside(stage: GovernedStage, user: str) -> None:
    before = stage.live("checkout")
    said = refusal(lambda: stage.new_template("checkout", "v2", user))
    assert SAID in said
    assert (TO_AGENTS in said) == (user == AGENT)
    assert stage.live("checkout") == before


def test_all_else_goes_on(stage: GovernedStage) -> None:
    stage.new_template("other", "v2")
    stage.scale("checkout", 5)
    stage.merge("checkout", {"spec": {"replicas": 3}, "metadata": {"labels": {"x": "y"}}})


def test_a_reason_alone_is_not_break_glass(stage: GovernedStage) -> None:
    reason = {"metadata": {"annotations": {PREFIX + "break-glass": "INC-1"}}}
    refusal(lambda: stage.merge("checkout", {**reason, "spec": {"template": pods("checkout", "v3")}}, CI))


def test_break_glass_passes_and_the_end_lets_on(stage: GovernedStage) -> None:
    reason = {"metadata": {"annotations": {PREFIX + "break-glass": "INC-2"}}}
    live = stage.merge("checkout", {**reason, "spec": {"template": pods("checkout", "v4")}}, ON_CALL)
    assert hold_of(live).startswith("released-")
    assert SAID in refusal(lambda: stage.new_template("checkout", "v5", ON_CALL)), "the reason counts once"
    stage.tell({"train.checkout": None})
    stage.wait("the end of the train", lambda: not _refused(stage))
    assert hold_of(stage.new_template("checkout", "v5")).startswith("held-")


def test_an_abort_ends_the_train_at_once(stage: GovernedStage) -> None:
    """Also while nobody writes the map."""
    stage.tell({"train.checkout": PHRASE})
    stage.wait("the train to be read", lambda: _refused(stage))
    stage.status("checkout", {"abort": True})
    assert hold_of(stage.new_template("checkout", "v6")).startswith("held-")
