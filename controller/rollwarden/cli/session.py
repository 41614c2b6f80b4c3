"""What commands share: options for the cluster and for the output, and the two consoles."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDE = 120


class Output(Enum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Session:
    """The shared options of one invocation. ``namespace`` None: the context's own."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None
    output: Output = Output.TABLE

    @property
    def is_table(self) -> bool:
        return self.output is Output.TABLE

    def write(self, value: Any) -> None:
        """``value`` as JSON or YAML."""
        if self.output is Output.YAML:
            import yaml

            sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=WIDE))
        else:
            sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _no_color(given: bool) -> bool:
    if given:
        os.environ["NO_COLOR"] = "1"
    return given


_OUTPUT = Annotated[Output, typer.Option("--output", "-o", help="How to print.", show_choices=True)]
_NO_COLOR = Annotated[bool, typer.Option("--no-color", help="No colours; so does NO_COLOR=1.", callback=_no_color)]
_CLUSTER = {
    "kubeconfig": Annotated[
        Path | None, typer.Option("--kubeconfig", help="Default: $KUBECONFIG, then ~/.kube/config.", metavar="FILE")
    ],
    "context": Annotated[str | None, typer.Option("--context", help="The kubeconfig's context.")],
    "namespace": Annotated[str | None, typer.Option("--namespace", "-n", help="Default: the context's own.")],
}
_PRINTING = {"output": _OUTPUT, "no_color": _NO_COLOR}
_DEFAULTS: dict[str, Any] = {"output": Output.TABLE, "no_color": False}


def with_session(command: Callable[..., None], *, cluster: bool = True) -> Callable[..., None]:
    """Gives a command whose first parameter is a Session the shared options, and makes the Session from them."""
    shared = {**(_CLUSTER if cluster else {}), **_PRINTING}
    own = inspect.signature(command, eval_str=True)
    parameters = list(own.parameters.values())[1:]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=kind)
        for name, kind in shared.items()
    ]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        given = {name: values.pop(name) for name in shared}
        given.pop("no_color")
        command(Session(**given), **values)

    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = own.replace(parameters=[*keyword, *options])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*keyword, *options]}
    del run.__wrapped__
    return run


def stdout() -> Console:
    """Tables and sentences. Where no terminal says how wide it is, wide enough not to break most sentences."""
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDE
    return Console(highlight=False, markup=False, emoji=False, width=width)


def stderr() -> Console:
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def say_error(sentence: str) -> None:
    """One line on stderr, whatever the width."""
    console = stderr()
    console.print(Text.assemble(("error: ", "bold red"), clean(sentence)), soft_wrap=True)


def say_warning(sentence: str) -> None:
    stderr().print(Text.assemble(("warning: ", "yellow"), clean(sentence)), soft_wrap=True)


def clean(text: object) -> str:
    """Text of other people's without what a terminal would act on: control characters and line breaks."""
    return "".join(" " if c in "\n\t\r" else "\N{REPLACEMENT CHARACTER}" if _controls(c) else c for c in str(text))


def plural(number: int, noun: str) -> str:
    """``1 change``, ``3 changes``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _controls(character: str) -> bool:
    # Cf holds the bidirectional overrides, which show a line in another order than it is written in.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")


def styled(text: object, style: str = "") -> Text:
    return Text(clean(text), style=style)


def facts(rows: Iterable[tuple[str, RenderableType]]) -> RenderableType:
    """``label  value`` lines; the value wraps beside its label."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(label, styled(value) if isinstance(value, str) else value)
    return Padding(grid, (0, 0, 0, 2))


def listing(*headers: str) -> Table:
    """A table without frames, as kubectl prints them."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")
