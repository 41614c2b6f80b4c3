"""Whatever is nested too deep is replaced; everything else is read exactly as it came."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.kube.client import decode
from rollwarden.kube.deep import DEEPEST, bounded
from rollwarden.kube.errors import Call
from rollwarden.kube.resources import ROLLOUTS
from rollwarden.kube.watch import event_of

CALL = Call("list", ROLLOUTS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=20,
)


def nested(levels: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * levels + closing * levels).encode()


def depth(value: object) -> int:
    if isinstance(value, list | dict):
        return 1 + max((depth(v) for v in (value.values() if isinstance(value, dict) else value)), default=0)
    return 0


@given(VALUES)
def test_shallow_values_are_left_alone(value: object) -> None:
    content = json.dumps(value).encode()
    assert bounded(content) is content or json.loads(bounded(content)) == value


@pytest.mark.parametrize("levels", [DEEPEST, DEEPEST + 1, 1_000, 9_000])
def test_depth_is_bounded(levels: int) -> None:
    found = json.loads(bounded(b'{"a":"[{\\"","deep":' + nested(levels - 1) + b',"b":[1]}'))
    assert depth(found) <= DEEPEST
    assert (found["a"], found["b"]) == ('[{"', [1])


def test_different_values_stay_different() -> None:
    one, other = (bounded(nested(500) + tail) for tail in (b"", b" "))
    assert one.strip() == other.strip()
    assert bounded(nested(500)) != bounded(nested(501))


def test_brackets_in_texts_are_no_levels() -> None:
    content = json.dumps({"a": "[" * 5000 + "\\" + '"'}).encode()
    assert bounded(content) == content


def test_a_page_and_a_watch_survive_one_deep_object() -> None:
    deep = b'{"metadata":{"name":"deep"},"x":' + nested(5000) + b"}"
    page = decode(CALL, b'{"items":[{"n":1},' + deep + b"]}", dict[str, list[msgspec.Raw]])
    assert msgspec.json.decode(page["items"][1])["metadata"] == {"name": "deep"}
    event = event_of(CALL, b'{"type":"ADDED","object":' + deep + b"}")
    assert msgspec.json.decode(event.raw)["metadata"] == {"name": "deep"}


def test_large_values_are_quick() -> None:
    began = time.perf_counter()
    bounded(b"[" * 500_000 + b"]" * 500_000)
    bounded(b'["' + b"\\\\" * 500_000 + b'"' + b"[" * 1000)
    bounded(b'"' + b"[{" * 500_000 + b'"')
    assert time.perf_counter() - began < 5
