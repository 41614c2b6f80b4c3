"""What the reader sees: blocks of lines with the time since the start and the scene they belong to, never interleaved.

Colours on a terminal, plain text elsewhere; never wider than the terminal, and 100 columns where there is none.
"""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from e2e.demo.failure import Scene

PLAIN_COLUMNS = 100
MOST_COLUMNS = 120
MARGIN = 9
TABLE_HEAD = re.compile(r"[A-Z]+( [A-Z]+)*(\s{2,}[A-Z]+( [A-Z]+)*)+\s*")
COLOURS = {"a": "green", "b": "cyan", "c": "magenta", "d": "yellow", "e": "red", "f": "blue"}


class Narrator:
    """Thread-safe. ``letter`` is the scene that speaks; empty for the demo itself."""

    def __init__(self) -> None:
        self.width = min(shutil.get_terminal_size().columns, MOST_COLUMNS) if sys.stdout.isatty() else PLAIN_COLUMNS
        self._console = Console(highlight=False, width=self.width)
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._muted = False

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def mute(self) -> None:
        """Says nothing more: the reader pressed Ctrl-C."""
        self._muted = True

    def say(self, sentence: str, letter: Scene = "", style: str = "") -> None:
        """One paragraph."""
        self._block(letter, [(line, style) for line in self._wrapped(sentence)])

    def command(self, who: str, command: Sequence[str], output: str, letter: Scene = "") -> None:
        """What a person typed, and what came back; a table that is too wide is cut at its right."""
        prompt = f"{who.partition('@')[0]}$ "
        lines = [(line, "bold") for line in self._wrapped(prompt + " ".join(map(_typed, command)), "    ")]
        lines += [(line, "dim") for line in self._output(output.strip("\n").splitlines())]
        self._block(letter, lines)

    def heading(self, title: str) -> None:
        with self._lock:
            self._print(Text(""))
            self._print(Text(f"── {title} ".ljust(self.width, "─"), style="bold"))

    def lines(self, lines: Iterable[str], style: str = "") -> None:
        """As they are, without time or scene."""
        with self._lock:
            for line in lines:
                self._print(Text(line, style=style))

    def table(self, table: Table) -> None:
        with self._lock:
            self._console.print(table)

    def _output(self, lines: Sequence[str]) -> list[str]:
        table = list(itertools.takewhile(str.strip, lines)) if lines and TABLE_HEAD.fullmatch(lines[0]) else []
        most = self.width - MARGIN - 2
        cut = [line if len(line) <= most else f"{line[: most - 1]}…" for line in _squeezed(table)]
        rest = [one for line in lines[len(table) :] for one in self._wrapped(line.rstrip(), "    ", "  ")]
        return [f"  {line}" for line in cut] + rest

    def _wrapped(self, text: str, hanging: str = "", indent: str = "") -> list[str]:
        # a line of a table keeps its spaces; only what is too long is folded
        width = self.width - MARGIN
        if len(indent + text) <= width:
            return [(indent + text).rstrip()]
        return textwrap.wrap(
            text,
            width,
            initial_indent=indent,
            subsequent_indent=indent + hanging,
            break_on_hyphens=False,
            drop_whitespace=True,
            replace_whitespace=False,
        ) or [""]

    def _block(self, letter: Scene, lines: Sequence[tuple[str, str]]) -> None:
        with self._lock:
            stamp = f"{self.seconds:4.0f}s "
            for number, (line, style) in enumerate(lines):
                head = Text()
                head.append(stamp if number == 0 else " " * len(stamp), style="dim")
                head.append(f"{letter or ' '}  ", style=f"bold {COLOURS.get(letter, '')}".strip())
                head.append(line, style=style)
                self._print(head)

    def _print(self, text: Text) -> None:
        if not self._muted:
            self._console.print(text, soft_wrap=True)


def _squeezed(lines: Sequence[str]) -> list[str]:
    """A table as kubectl prints it, its columns two spaces apart and no wider than what stands in them."""
    if not lines:
        return []
    starts = [match.start() for match in re.finditer(r"(?<=\s\s)\S|^\S", lines[0])]
    ends = [*starts[1:], None]
    rows = [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _typed(word: str) -> str:
    return word if word and not set(word) & set(" \"'$`\\|&;<>(){}") else shlex.quote(word)
