"""Numbers in texts that anybody may have written."""

from __future__ import annotations

MOST_DIGITS = 18


def whole_number(text: str) -> int | None:
    """At most 18 of the digits 0 to 9; None for any other text, such as other alphabets' digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None
