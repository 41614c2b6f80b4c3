"""Names as values of labels."""

from __future__ import annotations

import re

import pytest

from rollwarden.api.names import rollout_label

LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("checkout", "checkout"),
        ("a" * 63, "a" * 63),
        ("a" * 64, "a" * 63),
        ("a" * 62 + "-b", "a" * 62),
        ("a" * 60 + "-.-b", "a" * 60),
    ],
)
def test_rollout_label(name: str, label: str) -> None:
    assert rollout_label(name) == label
    assert LABEL.fullmatch(label)
