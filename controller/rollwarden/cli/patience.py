"""Writes that the API server cannot take yet are tried again for some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from rollwarden.cli.session import say_warning
from rollwarden.kube.errors import ServerUnavailable, TooManyRequests

RETRY_SECONDS = 15.0
PAUSE_SECONDS = 0.5
NOT_YET = 503

T = TypeVar("T")


def patiently(write: Callable[[], T], *, seconds: float = RETRY_SECONDS) -> T:
    """``write`` once more while the server answers 503 or 429: it has done nothing then.

    A new kind is refused so for some seconds after its definition was installed, as long as no admission policy knows
    its schema. Other failures, and no answer at all, leave at once: the write may have happened.
    """
    deadline = time.monotonic() + seconds
    told = False
    while True:
        try:
            return write()
        except (ServerUnavailable, TooManyRequests) as error:
            refused = isinstance(error, TooManyRequests) or error.code == NOT_YET
            if not refused or time.monotonic() >= deadline:
                raise
            if not told:
                say_warning(f"{error.message}; trying again for {seconds:.0f} s")
                told = True
            time.sleep(min(error.after or PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))
