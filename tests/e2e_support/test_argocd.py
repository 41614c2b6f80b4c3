"""The health check that the Argo CD how-to gives, by what stands on a Rollout."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.argocd import health

WAITS = 'rollout "checkout" is held at 0 new pods: it needs 1 senior'


def live(phase: str = "", hold: str = "", *, observed: int = 7, status: Any = None, **notes: str) -> dict[str, Any]:
    """Generation 7; ``notes`` are annotations of the operator's."""
    marks = {"hold": hold} if hold else {}
    return {
        "metadata": {
            "generation": 7,
            "annotations": {f"rollwarden.dev/{k}": v for k, v in (marks | notes).items()},
        },
        "status": {"phase": phase, "observedGeneration": str(observed), "pauseConditions": None, **(status or {})},
    }


INVALID = {"conditions": [{"type": "Progressing", "status": "False"}, {"type": "InvalidSpec", "status": "True"}]}


@pytest.mark.parametrize(
    ("rollout", "expected"),
    [
        pytest.param({}, ("Progressing", "Argo Rollouts has not reported a phase yet"), id="an empty object"),
        pytest.param({"metadata": {"generation": 1}}, ("Progressing", None), id="created this moment"),
        pytest.param(live("Paused", "held-6", message=WAITS), ("Suspended", WAITS), id="held, and why"),
        pytest.param(live("Healthy", "held-6", observed=6), ("Suspended", None), id="held before Argo has seen it"),
        pytest.param(live("Progressing", "held-0"), ("Suspended", None), id="a first revision that is held"),
        pytest.param(
            live("Paused", "released-6", change="checkout-1f2e3d4c-6", status={"message": "CanaryPauseStep"}),
            ("Progressing", "change checkout-1f2e3d4c-6 is under way: CanaryPauseStep"),
            id="a canary at a gate",
        ),
        pytest.param(live("Healthy", "released-6"), ("Healthy", ""), id="done"),
        pytest.param(live("Healthy", "released-6", observed=6), ("Progressing", None), id="done before this spec"),
        pytest.param(
            live("Degraded", "aborted-6", message="rolled back", status={"abort": True}, change="c"),
            ("Degraded", "rolled back"),
            id="rolled back",
        ),
        pytest.param(
            live("Degraded", "released-6", change="c", status={"abort": True, "message": "RolloutAborted"}),
            ("Degraded", "RolloutAborted"),
            id="aborted this moment",
        ),
        pytest.param(live("Paused", "held-6", message=WAITS, status=INVALID), ("Degraded", ""), id="invalid for Argo"),
        pytest.param(live("Paused"), ("Suspended", ""), id="its owner's own pause"),
        pytest.param(live("Degraded", status={"message": "timed out"}), ("Degraded", "timed out"), id="not ours"),
        pytest.param(live("Healthy", "heldback"), ("Healthy", ""), id="a hold value of no form of ours"),
    ],
)
def test_health(rollout: dict[str, Any], expected: tuple[str, str | None]) -> None:
    status, message = health(rollout)
    assert status == expected[0]
    assert expected[1] in (None, message)
