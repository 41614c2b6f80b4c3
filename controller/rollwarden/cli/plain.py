"""API values as plain data for ``-o json`` and ``-o yaml``: every field is there, also one that has its default."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec


def plain(value: Any) -> Any:
    """Structs by their names on the wire; words as written in the API."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return {field.encode_name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return value
