"""The ``rollwarden`` command: its commands, and what an error looks like."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rollwarden import __version__
from rollwarden.cli import errors
from rollwarden.cli.session import say_error

INTERRUPTED = 130

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
LOOK, DECIDE, URGENT, SET_UP = "Look", "Decide", "Emergencies", "Run and set up"

COMMANDS = {
    "explain": ("explain", "explain_command", LOOK),
    "status": ("status", "status_command", LOOK),
    "inbox": ("inbox", "inbox_command", LOOK),
    "wait": ("wait", "wait_command", LOOK),
    "approve": ("approve", "approve_command", DECIDE),
    "reject": ("approve", "reject_command", DECIDE),
    "retry": ("approve", "retry_command", DECIDE),
    "review": ("review", "review_command", DECIDE),
    "break-glass": ("rescue", "break_glass_command", URGENT),
    "abort": ("rescue", "abort_command", URGENT),
    "undo": ("rescue", "undo_command", URGENT),
    "controller": ("controller", "controller_command", SET_UP),
    "crds": ("crds", "crds_command", SET_UP),
    "replay": ("replay", "replay_command", SET_UP),
    "policy": ("policytest", "policy_app", SET_UP),
}
"""Name → its module beside this one, its function or its group of commands, and where the help lists it."""


class _Commands(TyperGroup):
    """Imports a command's module when it is used: what works offline never loads the Kubernetes client."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, function, panel = COMMANDS[cmd_name]
        one = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=HELP_OPTIONS)
        command = getattr(importlib.import_module(f"rollwarden.cli.{module}"), function)
        if isinstance(command, typer.Typer):
            group = typer.main.get_group(command)
            group.name, group.rich_help_panel = cmd_name, panel
            return group
        one.command(cmd_name, rich_help_panel=panel)(command)
        return typer.main.get_command(one)


app = typer.Typer(
    cls=_Commands,
    name="rollwarden",
    help="Holds, judges and rolls back changes on top of Argo Rollouts. Every command acts as you, the caller.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP_OPTIONS,
)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"rollwarden {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def _program() -> str:
    name = Path(sys.argv[0]).name
    return "kubectl rollwarden" if name.startswith("kubectl-") else "rollwarden"


def run() -> None:
    """The entry point. What a person can put right ends in one sentence on stderr; anything else is a bug."""
    try:
        app(prog_name=_program())
    except errors.CommandError as error:
        say_error(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has stopped; what is left to flush at exit has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    run()
