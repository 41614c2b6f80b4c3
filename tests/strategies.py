"""Hypothesis strategies for the values of the API and of the core, and how much of them a run tries."""

from __future__ import annotations

import os

THOROUGH = "HYPOTHESIS_PROFILE"
"""The environment variable that makes property tests try 20 times as much: ``HYPOTHESIS_PROFILE=ci``."""


def examples(few: int) -> int:
    """How many examples a property test tries: ``few`` for everybody, more in CI."""
    return few * 20 if os.environ.get(THOROUGH) == "ci" else few
