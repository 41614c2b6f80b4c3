"""``crds``: the CustomResourceDefinitions of this version."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from rollwarden.api.crds import all_definitions
from rollwarden.cli.errors import CommandError

WIDTH = 120


def definition_files() -> dict[str, str]:
    """File name → the YAML of one definition, as ``crds/`` has it."""
    return {
        name: yaml.safe_dump(definition, sort_keys=False, width=WIDTH) for name, definition in all_definitions().items()
    }


def crds_command(
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Write one file each into this directory.", metavar="DIR")
    ] = None,
) -> None:
    """Print the CustomResourceDefinitions: rollwarden crds | kubectl apply --server-side -f -"""
    files = definition_files()
    if directory is None:
        sys.stdout.write("---\n".join(files.values()))
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text)
    except OSError as error:
        raise CommandError(f"{directory}: cannot be written ({error.strerror}); name another directory") from error
    sys.stdout.writelines(f"{directory / name}\n" for name in files)
