"""Builds what the local control plane lacks: ``python -m e2e.build`` (also called by whatever starts one).

Each program is an ordinary Go module tool dependency (``tools/*/go.mod``), built once into the user cache, atomically,
one at a time under a file lock, so that two runs do not build the same thing twice. Argo's own manifests come from
its Go module and are cached beside it as JSON, because parsing 40,000 lines of YAML takes longer than applying them.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from e2e.programs import BY_NAME, TOOLS, Program, ProgramError, cache_root, find
from e2e.toolchain import Say, find_go

PROGRESS_SECONDS = 15.0


def to_stderr(line: str) -> None:
    """Progress goes to standard error, so that what a command prints stays usable."""
    print(line, file=sys.stderr, flush=True)


def ensure(names: Iterable[str] = tuple(BY_NAME), say: Say = to_stderr) -> dict[str, Path]:
    """The path of each program by name, building what is missing. Raises ProgramError."""
    paths: dict[str, Path] = {}
    missing: list[Program] = []
    for program in (BY_NAME[name] for name in names):
        path = find(program).path
        if path is None:
            missing.append(program)
        else:
            paths[program.name] = path
    if missing:
        say(f"to build, once, into {cache_root() / 'bin'}: {', '.join(p.name for p in missing)}")
        go = find_go(say)
        paths.update({p.name: _build_unless_done(go, p, say) for p in missing})
    return paths


def argo_manifests(say: Say = to_stderr) -> list[dict[str, Any]]:
    """Every object of Argo Rollouts' own ``manifests/install.yaml``, of the version in ``tools/argo-rollouts``."""
    program = BY_NAME["rollouts-controller"]
    cached = cache_root() / "manifests" / f"argo-rollouts-{program.version}.json"
    with _locked(cached, say):
        if not cached.exists():
            source = module_directory(program, say) / "manifests" / "install.yaml"
            objects = [o for o in yaml.load_all(source.read_text(), Loader=yaml.CSafeLoader) if o]
            _replace(cached, json.dumps(objects).encode())
    loaded: list[dict[str, Any]] = json.loads(cached.read_bytes())
    return loaded


def module_directory(program: Program, say: Say = to_stderr) -> Path:
    """Where Go keeps the source of ``program``'s module; downloads it when it is not there yet."""
    go = find_go(say)
    for command in (["mod", "download", program.module], ["list", "-m", "-f", "{{.Dir}}", program.module]):
        done = subprocess.run(
            [str(go), *command],
            cwd=TOOLS / program.folder,
            env=_go_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ProgramError(f"go {' '.join(command)} failed: {done.stderr.strip()[-800:]}")
    return Path(done.stdout.strip())


def _build_unless_done(go: Path, program: Program, say: Say) -> Path:
    with _locked(program.cache_path, say):
        found = find(program)  # another run may have built it while this one waited for the lock
        if found.path is not None:
            return found.path
        _build(go, program, found.reason, say)
        return program.cache_path


def _build(go: Path, program: Program, reason: str, say: Say) -> None:
    target = program.cache_path
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    command = [str(go), "build", "-v", "-buildvcs=false", "-trimpath", "-ldflags", program.link_flags]
    if program.tags:
        command += ["-tags", program.tags]
    command += ["-o", str(partial), program.package]
    say(f"building {program.name} {program.version}: {program.what} ({reason})")
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=TOOLS / program.folder,
        env=_go_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = _follow(process, program.name, started, say)
        if process.wait() != 0:
            raise ProgramError(f"building {program.name} failed in {TOOLS / program.folder}:\n" + "\n".join(lines))
        partial.replace(target)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        partial.unlink(missing_ok=True)
    say(f"built {program.name} in {time.monotonic() - started:.0f} s")


def _follow(process: subprocess.Popen[str], name: str, started: float, say: Say) -> list[str]:
    """Says every 15 s how far the build is; returns the last lines Go wrote, which hold the error if there is one."""
    last: deque[str] = deque(maxlen=40)
    compiled = 0

    def read(stream: IO[str]) -> None:
        nonlocal compiled
        for line in stream:
            last.append(line.rstrip())
            compiled += not line.startswith("go: ")

    assert process.stderr is not None
    reader = threading.Thread(target=read, args=(process.stderr,), daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(PROGRESS_SECONDS)
        if reader.is_alive():
            now = last[-1] if last else "starting"
            say(f"  {name}: {time.monotonic() - started:.0f} s, {compiled} packages compiled, now: {now}")
    return list(last)


def _go_environment() -> dict[str, str]:
    return {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    """Holds an exclusive lock beside ``path``; says so when another run holds it. The system frees it if we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that is making {path.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Builds everything and prints where each program is."""
    try:
        paths = ensure()
        argo_manifests()
    except ProgramError as error:
        to_stderr(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        to_stderr("stopped; what was built so far is kept")
        return 130
    for name, path in paths.items():
        print(f"{name:24} {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
