"""Runs the command line in this process, as its entry point does."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from unittest.mock import patch

from rollwarden.cli import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def rollwarden(*arguments: str, stdin: str = "") -> Result:
    """Exit code and what was printed; anything but SystemExit is an error of the test."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["rollwarden", *arguments]),
        patch.object(sys, "stdout", out),
        patch.object(sys, "stderr", err),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()))),
    ):
        code: object = 0
        try:
            main.run()
        except SystemExit as ended:
            code = ended.code or 0
    assert isinstance(code, int), code
    return Result(code, out.getvalue(), err.getvalue())
