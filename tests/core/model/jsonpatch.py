"""JSON Patch (RFC 6902) as far as the operator uses it: ``test``, ``add``, ``remove``, on plain JSON."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

Json = Any


class PatchFailed(Exception):
    """A test did not hold, or a path is not there; nothing of the patch was applied."""


def apply_patch(document: Json, ops: Sequence[Mapping[str, Any]]) -> Json:
    """``document`` after all of ``ops``, or PatchFailed; the document itself is left alone."""
    result = copy.deepcopy(document)
    for op in ops:
        *parents, last = _tokens(op["path"])
        holder = _walk(result, parents, op["path"])
        match op["op"]:
            case "test":
                _test(holder, last, op)
            case "add":
                _add(holder, last, copy.deepcopy(op["value"]), op["path"])
            case "remove":
                _remove(holder, last, op["path"])
            case other:
                raise PatchFailed(f"the operator never writes {other}")
    return result


def _tokens(path: str) -> list[str]:
    if not path.startswith("/"):
        raise PatchFailed(f'"{path}" is not a pointer below the document')
    return [token.replace("~1", "/").replace("~0", "~") for token in path[1:].split("/")]


def _walk(document: Json, tokens: Sequence[str], path: str) -> Json:
    for token in tokens:
        document = _child(document, token, path)
    return document


def _child(holder: Json, token: str, path: str) -> Json:
    if isinstance(holder, dict) and token in holder:
        return holder[token]
    if isinstance(holder, list) and token.isdigit() and int(token) < len(holder):
        return holder[int(token)]
    raise PatchFailed(f"{path}: nothing at {token}")


def _test(holder: Json, token: str, op: Mapping[str, Any]) -> None:
    """The API server takes an absent path for null, nothing else."""
    there = holder.get(token) if isinstance(holder, dict) else _child(holder, token, op["path"])
    if there != op["value"] or type(there) is not type(op["value"]):
        raise PatchFailed(f"test {op['path']}: {there!r} is not {op['value']!r}")


def _add(holder: Json, token: str, value: Json, path: str) -> None:
    if isinstance(holder, dict):
        holder[token] = value
    elif isinstance(holder, list):
        holder.insert(len(holder) if token == "-" else int(token), value)
    else:
        raise PatchFailed(f"{path}: nothing to add to")


def _remove(holder: Json, token: str, path: str) -> None:
    _child(holder, token, path)
    del holder[token if isinstance(holder, dict) else int(token)]
