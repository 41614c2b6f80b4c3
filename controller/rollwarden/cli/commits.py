"""Commits as people write them: which changes carry one, when a short form names two, and changes by commit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rollwarden.api.change import Change
from rollwarden.cli.changes import by_urgency, short_name
from rollwarden.cli.errors import CommandError, InputError

LEAST = 7
"""Digits of a commit below which it names nothing: any change could claim so short a one."""
_SHA = re.compile(rf"[0-9a-f]{{{LEAST},64}}")


def read_sha(text: str) -> str:
    """A commit in full or shortened, in lower case. InputError says the form."""
    sha = text.strip().lower()
    if not _SHA.fullmatch(sha):
        raise InputError("--commit", f'is "{text}"; write {LEAST} or more hex digits, as git log --oneline shows them')
    return sha


def carried(change: Change, sha: str) -> tuple[str, ...]:
    """The commits the change's claims name that ``sha`` may mean; either of the two may be the shortened one."""
    named = (commit.lower() for commit in change.spec.classification.commits)
    return tuple(c for c in named if c.startswith(sha) or (len(c) >= LEAST and sha.startswith(c)))


def carrying(changes: Iterable[Change], sha: str) -> list[Change]:
    """The changes that carry the commit. CommandError where a shortened one means several."""
    found = [(change, carried(change, sha)) for change in changes]
    named = {commit for _, commits in found for commit in commits}
    whole = sorted(c for c in named if not any(other != c and other.startswith(c) for other in named))
    if len(whole) > 1:
        spoken = "; ".join(f"{c} ({', '.join(_carriers(found, c))})" for c in whole)
        raise CommandError(f"{sha} is short for {len(whole)} commits: {spoken}; write more of the one you mean")
    return [change for change, commits in found if commits]


def _carriers(found: Iterable[tuple[Change, tuple[str, ...]]], commit: str) -> list[str]:
    return [f"{change.metadata.namespace}/{short_name(change)}" for change, commits in found if commit in commits]


@dataclass(frozen=True, slots=True)
class Group:
    """Changes that one commit is decided for; ``commit`` is empty where nobody named one."""

    commit: str
    changes: tuple[Change, ...]


def grouped(changes: Iterable[Change]) -> tuple[Group, ...]:
    """Each change under the commit it shares with most others; the most urgent group first, and in it the most urgent
    change."""
    urgent = sorted(changes, key=by_urgency)
    whole = _whole(commit for change in urgent for commit in _commits(change))
    named = [(change, tuple(dict.fromkeys(whole[c] for c in _commits(change)))) for change in urgent]
    shared = Counter(commit for _, commits in named for commit in commits)
    groups: dict[str, list[Change]] = {}
    for change, commits in named:
        groups.setdefault(max(commits, key=lambda c: shared[c], default=""), []).append(change)
    return tuple(Group(commit, tuple(members)) for commit, members in groups.items())


def _whole(commits: Iterable[str]) -> dict[str, str]:
    """Each commit to its longest form among them, where no two of these differ."""
    named = sorted(set(commits), key=len, reverse=True)
    longest: dict[str, str] = {}
    for short in named:
        longer = [c for c in named if c.startswith(short)]
        longest[short] = longer[0] if all(longer[0].startswith(c) for c in longer) else short
    return longest


def _commits(change: Change) -> tuple[str, ...]:
    """Those that ``approve --commit`` would take."""
    return tuple(c.lower() for c in change.spec.classification.commits if _SHA.fullmatch(c.lower()))
