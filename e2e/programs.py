"""The programs of the local control plane: which ones, which version, and where a suitable one is found.

Order of preference: the environment variable ``ROLLWARDEN_<PROGRAM>`` (taken as it is), what was built before in the
user cache, a program on PATH whose version fits. Building what is missing is in ``build.py``, how each is started in
``components.py``.

Versions are said once, in ``tools/<module>/go.mod``.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).parent / "tools"

Version = tuple[int, int, int]


class ProgramError(Exception):
    """A program cannot be had; the text says which one and what to do."""


@dataclass(frozen=True)
class Program:
    """One Go program: ``folder`` is its module under ``tools/``, ``package`` the main package to build.

    ``module`` is the Go module whose required version is the program's own; empty for the programs written here,
    whose version is the hash of their source. ``version_arguments`` make it say its version.
    """

    name: str
    folder: str
    package: str
    what: str
    module: str = ""
    tags: str = ""
    version_variable: str = ""
    version_arguments: tuple[str, ...] = ()

    @property
    def environment_variable(self) -> str:
        return "ROLLWARDEN_" + self.name.upper().replace("-", "_")

    @property
    def version(self) -> str:
        """``v1.36.3``, or ``src-<hash>`` for a program written here."""
        folder = TOOLS / self.folder
        if not self.module:
            return "src-" + _digest(*(p.read_text() for p in sorted(folder.glob("*.*"))))
        return required_version((folder / "go.mod").read_text(), self.module)

    @property
    def link_flags(self) -> str:
        return f"-s -w -X {self.version_variable}={self.version}" if self.version_variable else "-s -w"

    @property
    def cache_path(self) -> Path:
        """Where the built binary is kept; the name changes with the version, the module file, flags and machine."""
        recipe = _digest((TOOLS / self.folder / "go.mod").read_text(), self.tags, self.link_flags)
        machine = f"{platform.system().lower()}-{platform.machine()}"
        return cache_root() / "bin" / f"{self.name}-{self.version}-{machine}-{recipe}"


def _kubernetes(name: str, what: str) -> Program:
    return Program(
        name=name,
        folder="kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        what=what,
        module="k8s.io/kubernetes",
        version_variable="k8s.io/component-base/version.gitVersion",
        version_arguments=("version", "--client") if name == "kubectl" else ("--version",),
    )


PROGRAMS: tuple[Program, ...] = (
    Program("sampleservice", "sampleservice", ".", "the HTTP service every pod runs"),
    Program("loadgen", "loadgen", ".", "the load generator"),
    Program(
        name="etcd",
        folder="etcd",
        package="go.etcd.io/etcd/server/v3",
        what="the API server's store",
        module="go.etcd.io/etcd/server/v3",
        version_arguments=("--version",),
    ),
    _kubernetes("kube-apiserver", "the Kubernetes API"),
    _kubernetes("kube-controller-manager", "ReplicaSets, EndpointSlices, garbage collection, service accounts"),
    _kubernetes("kube-scheduler", "binds pods to the node"),
    _kubernetes("kubectl", "the command line people use"),
    Program(
        name="rollouts-controller",
        folder="argo-rollouts",
        package="github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
        what="Argo Rollouts",
        module="github.com/argoproj/argo-rollouts",
        version_arguments=("--version",),
    ),
    Program(
        name="prometheus",
        folder="prometheus",
        package="github.com/prometheus/prometheus/cmd/prometheus",
        what="scrapes the pods",
        module="github.com/prometheus/prometheus",
        tags="remove_all_sd,enable_kubernetes_sd",
        version_arguments=("--version",),
    ),
)
BY_NAME: Mapping[str, Program] = {p.name: p for p in PROGRAMS}


def cache_root() -> Path:
    """``$XDG_CACHE_HOME/rollwarden`` (``~/.cache/rollwarden`` by default)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "rollwarden"


def required_version(go_mod: str, module: str) -> str:
    """The version ``go_mod`` requires of ``module``; a ``replace`` line is not a requirement."""
    match = re.search(rf"^(?:require )?\s*{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if match is None:
        raise ProgramError(f"the go.mod has no requirement for {module}; add 'require {module} vX.Y.Z'")
    return match.group(1)


def parse_version(text: str) -> Version | None:
    """The first ``X.Y.Z`` in what a program says about itself, or None."""
    match = re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def released_as(program: Program) -> Version:
    """The version the program says of itself: Prometheus 3.11.3 is the Go module v0.311.3, the others agree."""
    version = parse_version(program.version)
    if version is None:
        raise ProgramError(f"{program.name}: {program.version!r} in its go.mod is not vX.Y.Z")
    if program.name == "prometheus":
        return (version[1] // 100, version[1] % 100, version[2])
    return version


def fits(found: Version, wanted: Version) -> bool:
    """Same major and minor version: what the control plane was tried with."""
    return found[:2] == wanted[:2]


@dataclass(frozen=True)
class Found:
    """Where a program is, or, when ``path`` is None, why it has to be built."""

    path: Path | None
    reason: str


def find(program: Program) -> Found:
    """Looks in the environment, in the cache, on PATH. Raises ProgramError for a variable that names no program."""
    named = os.environ.get(program.environment_variable)
    if named:
        if not os.access(named, os.X_OK):
            raise ProgramError(f"{program.environment_variable}={named} is not an executable file; correct or unset it")
        return Found(Path(named), f"named by {program.environment_variable}")
    if program.cache_path.exists():
        return Found(program.cache_path, "built before")
    if not program.module:
        return Found(None, "written here")
    on_path = shutil.which(program.name)
    if on_path is None:
        return Found(None, "not on PATH")
    said = _say_version(on_path, program)
    wanted = released_as(program)
    if said is not None and fits(said, wanted):
        return Found(Path(on_path), "on PATH")
    version = ".".join(map(str, said)) if said else "of unknown version"
    return Found(None, f"{on_path} is {version}, needs {wanted[0]}.{wanted[1]}")


def _say_version(path: str, program: Program) -> Version | None:
    try:
        done = subprocess.run(
            [path, *program.version_arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # a program that cannot even say its version is not a suitable one
    return parse_version(done.stdout + done.stderr)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:10]
