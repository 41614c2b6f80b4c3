"""YAML and JSON files as plain data, with the reading that kubectl gives them, and bounds on what a file may be."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rollwarden.cli.errors import InputError

STDIN = "-"
MAX_BYTES = 16 * 1024 * 1024
MAX_VALUES = 500_000
"""Values in one file after its aliases are written out: a few kilobytes of nested aliases can stand for billions."""
MAX_DEPTH = 200

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Timestamps stay text, as they do for the API server."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in _Base.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Document:
    """One non-empty document of a file; ``where`` names both."""

    where: str
    value: dict[str, Any]


def read_documents(path: str) -> tuple[Document, ...]:
    """The non-empty documents of a file, ``-`` being stdin; a List's items count as documents. Raises InputError."""
    name = "stdin" if path == STDIN else path
    return tuple(_split(name, _parse(name, _read(path, name))))


def _read(path: str, name: str) -> str:
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1) if path == STDIN else _read_file(Path(path))
    except OSError as error:
        raise InputError(name, f"cannot be read ({error.strerror or error}); name a YAML or JSON file") from error
    if len(content) > MAX_BYTES:
        raise InputError(name, f"is larger than {MAX_BYTES // 1024 // 1024} MiB; name a file with manifests only")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(name, f"is not UTF-8 text (byte {error.start}); name a YAML or JSON file") from error


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _parse(name: str, text: str) -> Iterator[Any]:
    budget = [MAX_VALUES]
    try:
        for number, document in enumerate(yaml.load_all(text, _Loader), start=1):
            yield _plain(document, f"{name}, document {number}", budget, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(name, f"is not YAML{at}: {error.problem or error}; correct it there") from error
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(name, f"is not YAML: {what}; correct it") from error


def _plain(value: Any, where: str, budget: list[int], depth: int) -> Any:
    """JSON-like data only: names are text, numbers finite, nothing refers to itself."""
    budget[0] -= 1
    if budget[0] < 0:
        raise InputError(where, f"stands for more than {MAX_VALUES:,} values; write it without nested aliases")
    if depth > MAX_DEPTH:
        raise InputError(where, f"is nested more than {MAX_DEPTH} deep, or contains itself; write it flatter")
    if isinstance(value, dict):
        return {_key(key, where): _plain(item, where, budget, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, where, budget, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(where, f"has the number {value}; only finite numbers can be sent to a cluster")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise InputError(where, f"has a {type(value).__name__} that JSON cannot say; write it as text in quotes")


def _key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool | int | float) or key is None:
        return str(key).lower() if isinstance(key, bool) else str(key)
    raise InputError(where, f"has the key {key!r}; keys are text")


def _split(name: str, documents: Iterator[Any]) -> Iterator[Document]:
    for number, value in enumerate(documents, start=1):
        where = f"{name}, document {number}"
        if value is None:
            continue
        if not isinstance(value, dict):
            raise InputError(where, f"is {_article(value)}, not an object; a manifest begins with apiVersion and kind")
        items = value.get("items")
        if str(value.get("kind", "")).endswith("List") and isinstance(items, list):
            for index, item in enumerate(items):
                if not isinstance(item, dict):
                    raise InputError(f"{where}, items[{index}]", f"is {_article(item)}, not an object")
                yield Document(f"{where}, items[{index}]", item)
        else:
            yield Document(where, value)


def _article(value: object) -> str:
    kinds = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(type(value), "nothing")
