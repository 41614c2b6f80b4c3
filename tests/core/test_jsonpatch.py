"""The model's JSON Patch does what the API server's does, as far as the operator relies on it."""

from __future__ import annotations

from typing import Any

import pytest

from .model.jsonpatch import PatchFailed, apply_patch

DOCUMENT: dict[str, Any] = {"metadata": {"annotations": {"a/b": "1", "c~d": "2"}}, "spec": {"steps": [1, 2]}}


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        pytest.param(
            {"op": "add", "path": "/metadata/annotations/a~1b", "value": "x"},
            {"a/b": "x", "c~d": "2"},
            id="a slash in a key is ~1",
        ),
        pytest.param({"op": "remove", "path": "/metadata/annotations/c~0d"}, {"a/b": "1"}, id="a tilde in a key is ~0"),
        pytest.param(
            {"op": "test", "path": "/metadata/annotations/none", "value": None},
            {"a/b": "1", "c~d": "2"},
            id="an absent key is null",
        ),
    ],
)
def test_patches_annotations(op: dict[str, Any], expected: dict[str, str]) -> None:
    assert apply_patch(DOCUMENT, [op])["metadata"]["annotations"] == expected


@pytest.mark.parametrize(
    "op",
    [
        pytest.param({"op": "test", "path": "/metadata/annotations/a~1b", "value": "9"}, id="another value"),
        pytest.param({"op": "test", "path": "/spec/steps/0", "value": True}, id="true is not 1"),
        pytest.param({"op": "remove", "path": "/metadata/annotations/none"}, id="nothing to remove"),
        pytest.param({"op": "add", "path": "/status/abort", "value": True}, id="no parent to add to"),
        pytest.param({"op": "replace", "path": "/spec", "value": {}}, id="an operation the operator does not use"),
    ],
)
def test_refuses_the_whole_patch(op: dict[str, Any]) -> None:
    first = {"op": "add", "path": "/spec/steps/-", "value": 3}
    with pytest.raises(PatchFailed):
        apply_patch(DOCUMENT, [first, op])
    assert DOCUMENT["spec"]["steps"] == [1, 2], "nothing of it was applied"
