"""The attack table ``attacks.yaml`` as frozen values, and its summary for people.

``python -m e2e.attacks`` writes the summary into ``docs/threat-model.md``, between its two markers. What plays the
rows against a real control plane is in ``attack_stage.py`` and beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

TABLE = Path(__file__).with_name("attacks.yaml")
DOCUMENT = Path(__file__).parent.parent / "docs" / "threat-model.md"
BEGIN = "<!-- attack table: written by python -m e2e.attacks -->"
END = "<!-- end of the attack table -->"

Outcome = Literal["refused", "put back", "held", "stamped", "admitted", "not counted"]
"""refused: with the words seen. put back: the write succeeds and changes nothing that counts. held: a new attempt waits
at no pods. stamped: an approval is recorded, in its sender's name. admitted: it takes effect. not counted: an approval
is recorded, and the operator's answer says why it does not count."""

Fact = Literal[
    "no new pod", "stable serves", "canary stays", "canary goes", "new revision runs", "abort stands", "object stays"
]
"""What can be required of the cluster after a row; ``attack_facts.py`` says how each is seen."""


class Frozen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value of the table; a key it does not know is an error that names it."""


class Identity(Frozen, frozen=True):
    """Who asks: a user of ``identities.py``, or a service account (``namespace/name``, or of the namespace at hand)."""

    means: str
    user: str = ""
    account: str = ""


class Phase(Frozen, frozen=True):
    """Where the Rollout stands when a row starts; ``then`` must hold afterwards unless the row says otherwise."""

    means: str
    then: tuple[Fact, ...] = ()


class Step(Frozen, frozen=True):
    """One request: a verb and what it is on, such as ``rollouts/{name}/status``; ``other:approvals`` is in another
    namespace. ``who`` and ``impersonate`` differ from the row's identity; ``dry`` leaves no trace."""

    patch: str = ""
    json: str = ""
    create: str = ""
    replace: str = ""
    apply: str = ""
    delete: str = ""
    body: Any = None
    who: str = ""
    impersonate: str = ""
    dry: bool = False

    @property
    def verb(self) -> str:
        """The one verb that is given; ValueError unless there is exactly one."""
        given = [verb for verb in ("patch", "json", "create", "replace", "apply", "delete") if getattr(self, verb)]
        if len(given) != 1:
            raise ValueError(f"a step has one verb, this one has {given or 'none'}: {self}")
        return given[0]

    @property
    def on(self) -> str:
        return str(getattr(self, self.verb))


class Row(Frozen, frozen=True):
    """One attack. The outcome is that of the last step; the ones before it must succeed.

    ``reach`` says why what is admitted is out of reach.
    """

    id: str
    who: str
    phase: str
    do: tuple[Step, ...]
    outcome: Outcome
    says: str = ""
    then: tuple[Fact, ...] | None = None
    reach: str = ""

    @property
    def alone(self) -> bool:
        """Whether it gets a Rollout that no other row touches."""
        return self.outcome not in ("refused", "put back")


class Section(Frozen, frozen=True):
    title: str
    rows: tuple[Row, ...]


class Table(Frozen, frozen=True):
    identities: dict[str, Identity]
    phases: dict[str, Phase]
    sections: tuple[Section, ...]

    def rows(self) -> Iterator[Row]:
        for section in self.sections:
            yield from section.rows


def read(path: Path = TABLE) -> Table:
    """The table; msgspec.ValidationError or ValueError names what is wrong in it."""
    table = msgspec.yaml.decode(path.read_text(), type=Table)
    seen: set[str] = set()
    for row in table.rows():
        for problem in _problems(row, table):
            raise ValueError(f"{path.name}, {row.id!r}: {problem}")
        if row.id in seen:
            raise ValueError(f"{path.name}: there are two rows {row.id!r}")
        seen.add(row.id)
    return table


def _problems(row: Row, table: Table) -> Iterator[str]:
    asked = {row.who, *(step.who for step in row.do if step.who)}
    for name in sorted(asked - table.identities.keys()):
        yield f"no identity {name!r}; there are {', '.join(table.identities)}"
    if row.phase not in table.phases:
        yield f"no phase {row.phase!r}; there are {', '.join(table.phases)}"
    if not row.do:
        yield "it does nothing"
    if row.outcome in ("refused", "not counted") and not row.says:
        yield f"{row.outcome}, but not in which words"
    for step in row.do:
        assert step.verb  # raises for none and for two


def summary(table: Table) -> str:
    """Markdown: who is who, where a row starts, and a table per section."""
    rows = list(table.rows())
    lines = [f"{len(rows)} rows, each a request to the real API server.", "", "| who | is |", "| --- | --- |"]
    lines += [f"| {name} | {identity.means} |" for name, identity in table.identities.items()]
    lines += ["", "| phase | means |", "| --- | --- |"]
    lines += [f"| {name} | {phase.means} |" for name, phase in table.phases.items()]
    for section in table.sections:
        lines += ["", f"### {section.title}", "", "| attack | by | phase | outcome | words seen |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        lines += [_line(row) for row in section.rows]
    lines += ["", "### Tried, and out of reach", ""]
    lines += [f"- {row.id} ({row.who}): {row.reach}." for row in rows if row.reach]
    return "\n".join(lines)


def _line(row: Row) -> str:
    outcome = f"**{row.outcome}**: out of reach" if row.reach else row.outcome
    return "| " + " | ".join(_cell(text) for text in (row.id, row.who, row.phase, outcome, row.says)) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def placed(document: str, text: str) -> str:
    """``document`` with ``text`` between the markers; ValueError when they are not there."""
    head, begun, rest = document.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"no place for the attack table: it goes between the lines {BEGIN!r} and {END!r}")
    return f"{head}{BEGIN}\n{text}\n{END}{tail}"


def main() -> None:
    DOCUMENT.write_text(placed(DOCUMENT.read_text(), summary(read())))


if __name__ == "__main__":
    main()
