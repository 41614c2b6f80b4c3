"""The common-cause guard."""

import pytest

from rollwarden.judge import RollbackIntent, held_by_common_cause


def soft(*times: float) -> list[RollbackIntent]:
    """One change per time."""
    return [RollbackIntent(f"change-{index}", at, hard=False) for index, at in enumerate(times)]


@pytest.mark.parametrize(
    ("intents", "live", "held"),
    [
        pytest.param([], 5, set(), id="nobody rolls back"),
        pytest.param(soft(100, 110), 5, set(), id="two at once are allowed among few"),
        pytest.param(soft(90, 100, 110), 5, {"change-0", "change-1", "change-2"}, id="three of five hold"),
        pytest.param(soft(90, 100, 110), 15, set(), id="three of fifteen are 20 % and allowed"),
        pytest.param(soft(90, 100, 105, 110), 15, {f"change-{n}" for n in range(4)}, id="four of fifteen hold"),
        pytest.param(soft(-5, 100, 110), 5, set(), id="two minutes later it is another cause"),
        pytest.param(soft(100, 110, 500), 5, set(), id="the future does not count"),
        pytest.param(
            [*soft(90, 100), RollbackIntent("dead", 110, hard=True)],
            5,
            {"change-0", "change-1"},
            id="a hard rule counts but is never held",
        ),
        pytest.param(soft(90)[:1] * 5, 5, set(), id="one change that asks five times is one"),
    ],
)
def test_guard(intents: list[RollbackIntent], live: int, held: set[str]) -> None:
    assert held_by_common_cause(intents, live, 115.0) == held
