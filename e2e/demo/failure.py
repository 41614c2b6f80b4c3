"""What a scene says when something that must happen did not."""

from __future__ import annotations

Scene = str
"""A scene's letter, ``a`` to ``f``; empty for the demo as a whole."""


class DidNotHappen(Exception):
    """The text names what did not happen and what was seen instead."""


def must(happened: object, what: str) -> None:
    """Raises DidNotHappen unless ``happened``."""
    if not happened:
        raise DidNotHappen(what)
