"""The attack table, row by row, on the real API server and Argo's real controller."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from e2e.attack_facts import await_quiet, missing
from e2e.attack_play import Scene
from e2e.attack_shop import AttackShop
from e2e.attack_stage import WORKERS, AttackStage
from e2e.attacks import Row, read
from e2e.controlplane import ControlPlane
from e2e.install import install_rollwarden
from e2e.processes import ManagedProcess

pytestmark = pytest.mark.e2e

TABLE = read()
ROWS = {row.id: row for row in TABLE.rows()}
ANSWERED = {row.id: row for row in ROWS.values() if row.phase == "waiting"}
ADMISSION = {row.id: row for row in ROWS.values() if row.id not in ANSWERED}


def _grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by their Rollout: one of their own where they may change it, else one for all rows of the phase."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for number, row in enumerate(rows):
        groups[f"a{number}" if row.alone else "all-" + row.phase.replace(" ", "-")].append(row)
    return groups


def _played(stage: AttackStage | AttackShop, row: Row, scene: Scene) -> str:
    try:
        return stage.player.play(row, scene)
    except Exception as error:  # noqa: BLE001 - told of this row, and the others are played all the same
        return f"{type(error).__name__}: {error}"


def _play_all(
    stage: AttackStage | AttackShop, groups: Mapping[str, list[Row]], scenes: Mapping[str, Scene]
) -> dict[str, str]:
    """By row, what is wrong with its outcome or afterwards; empty where all is as the table says."""
    found: dict[str, str] = {}

    def play(name: str) -> None:
        for row in groups[name]:
            found[row.id] = _played(stage, row, scenes[name])

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(play, groups))
        list(pool.map(partial(await_quiet, stage), groups))
        stage.catch_up()
        pairs = [(name, row) for name, rows in groups.items() for row in rows]
        problems = pool.map(lambda pair: missing(stage, TABLE, pair[1], scenes[pair[0]]), pairs)
        for (_, row), problem in zip(pairs, problems, strict=True):
            found[row.id] = found[row.id] or problem
    return found


@pytest.fixture(scope="module")
def wrong(control_plane: ControlPlane) -> Iterator[dict[str, str]]:
    install_rollwarden(control_plane)
    stage = AttackStage(control_plane, "attacks", TABLE)
    groups = _grouped(ADMISSION.values())
    yield _play_all(stage, groups, stage.prepare({name: rows[0].phase for name, rows in groups.items()}))
    stage.close()


@pytest.fixture(scope="module")
def wrongly_answered(control_plane: ControlPlane, operator: ManagedProcess) -> Iterator[dict[str, str]]:
    shop = AttackShop(control_plane, TABLE)
    groups = _grouped(ANSWERED.values())
    yield _play_all(shop, groups, shop.prepare(groups))
    shop.close()


@pytest.mark.parametrize("row", ADMISSION)
def test_row(wrong: dict[str, str], row: str) -> None:
    if wrong[row]:
        pytest.fail(wrong[row], pytrace=False)


@pytest.mark.parametrize("row", ANSWERED)
def test_row_answered_by_the_operator(wrongly_answered: dict[str, str], operator: ManagedProcess, row: str) -> None:
    if wrongly_answered[row]:
        pytest.fail(wrongly_answered[row], pytrace=False)
