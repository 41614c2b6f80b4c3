"""The health check of the Argo CD how-to, run as Argo CD runs it: Lua 5.1, no string, io or os library."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from lupa.lua51 import LuaRuntime  # type: ignore[import-untyped]  # it brings no types

from e2e.apiclient import JsonObject

GUIDE = Path(__file__).parent.parent / "docs" / "how-to" / "argo-cd.md"
WITHHELD = ("string", "io", "os", "math", "debug", "coroutine", "package", "require", "python")


@cache
def script() -> str:
    """The one Lua block of the how-to."""
    (found,) = re.findall(r"```lua\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return str(found)


def health(rollout: JsonObject) -> tuple[str, str]:
    """Status and message that Argo CD would show. Raises lupa.LuaError where the script fails."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.execute("getmetatable('').__index = nil")
    lua.globals()["obj"] = _table(lua, rollout)
    for library in WITHHELD:
        lua.globals()[library] = None
    answer = lua.execute(script())
    return str(answer["status"]), str(answer["message"])


def _table(lua: Any, value: Any) -> Any:
    """JSON as Lua tables; null is absent, as it is for Argo CD."""
    if isinstance(value, dict):
        return lua.table_from({k: _table(lua, v) for k, v in value.items() if v is not None})
    if isinstance(value, list):
        return lua.table_from([_table(lua, v) for v in value])
    return value
