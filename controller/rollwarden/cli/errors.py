"""The errors a command ends with.

CommandError      one sentence on stderr: what, where, what to do; exit code 1
└── InputError    a file or a value that cannot be used
"""

from __future__ import annotations


class CommandError(Exception):
    exit_code = 1


class InputError(CommandError):
    """``where`` is the file, document and field; the sentence begins with it."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}" if where else what)
