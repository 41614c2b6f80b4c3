"""An Explanation in print: for people, and as the JSON whose names stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rollwarden.api.change import Base, Claim, Classification, Plan, PlannedGate, Requirements
from rollwarden.api.enums import GateKind, Origin, Touch
from rollwarden.cli.explanation import Answer, Explanation, RuleAsk
from rollwarden.cli.freezes import freezes_data, show_freezes
from rollwarden.cli.nextstep import NextStep, next_data
from rollwarden.cli.plain import plain
from rollwarden.cli.session import clean, facts, heading, styled
from rollwarden.cli.steps import owned_positions, spoken_path, spoken_step
from rollwarden.core.approvals import spoken_slots
from rollwarden.core.digest import images
from rollwarden.core.messages import spoken_origin
from rollwarden.core.plan import spoken_plan
from rollwarden.core.times import spoken

MOST_STEPS = 30
"""Steps printed for people; JSON has all of them."""

VISIBLE_DIFFERENCE = 0.5
"""Percentage points by which an exposure differs from its weight before that is said."""

_BADGES = {
    Answer.RELEASED: ("released at once", "bold green"),
    Answer.KNOWN_GOOD: ("released at once", "bold green"),
    Answer.APPROVALS_MISSING: ("held for approval", "bold yellow"),
    Answer.EVIDENCE_MISSING: ("held for evidence", "bold yellow"),
    Answer.FROZEN: ("frozen", "bold cyan"),
    Answer.DENIED: ("denied", "bold red"),
    Answer.UNSUPPORTED: ("not governed", "bold"),
}


def as_data(explanation: Explanation) -> dict[str, Any]:
    """The JSON form. Names may be added; none is taken away or changes its meaning."""
    meta = explanation.question.rollout.metadata
    decision = explanation.decision
    return {
        "rollout": {"name": meta.name, "namespace": meta.namespace},
        "answer": explanation.answer.value,
        "message": explanation.message,
        "next": next_data(explanation.next),
        "classification": plain(explanation.classification),
        "claims": plain(explanation.classified.claims),
        "problems": [{"annotation": p.annotation, "message": p.sentence} for p in explanation.classified.problems],
        "decision": {
            "policies": plain(decision.policies),
            "rules": list(decision.rules),
            "requirements": plain(decision.requirements),
            "asks": [{"policy": a.policy, "rule": a.rule, "asks": a.asks} for a in explanation.asks],
        },
        "freezes": freezes_data(decision.requirements.freezes, explanation.question.now),
        "plan": plan_data(explanation.plan, explanation.base),
        "wouldChange": [{"if": one.were, "then": one.then} for one in explanation.what_ifs],
        "notes": list(explanation.notes),
    }


def plan_data(plan: Plan | None, base: Base) -> dict[str, Any]:
    own = plain(base.steps) or []
    if plan is None:
        return {"steps": own, "gates": [], "ownerSteps": own, "notes": []}
    return {
        "steps": plain(plan.steps) or [],
        "gates": plain(plan.gates),
        "ownerSteps": own,
        "notes": list(plan.notes),
    }


def show(explanation: Explanation, console: Console) -> None:
    meta = explanation.question.rollout.metadata
    badge, style = _BADGES[explanation.answer]
    title = Text.assemble((clean(explanation.question.name), "bold"), "  ")
    if meta.namespace:
        title.append(f"in {clean(meta.namespace)}  ", "dim")
    title.append(badge, style)
    console.print(title)
    console.print(styled(explanation.message))
    template = explanation.question.rollout.spec.template
    console.print(heading("What it is"))
    console.print(facts(classification_rows(explanation.classification, images(template), explanation)))
    show_claims(console, explanation.classified.claims, [p.sentence for p in explanation.classified.problems])
    if explanation.answer is not Answer.UNSUPPORTED:
        show_needs(console, explanation.asks, explanation.decision.requirements, explanation.contact)
        show_freezes(console, explanation.decision.requirements.freezes, explanation.question.now)
    if explanation.plan is not None:
        show_plan(console, explanation.plan, explanation.base)
    if explanation.what_ifs:
        console.print(heading("What would change the answer"))
        console.print(facts((one.were, one.then) for one in explanation.what_ifs))
    show_notes(
        console, [note for note in explanation.notes if not explanation.plan or note not in explanation.plan.notes]
    )
    show_next(console, explanation.next)


def classification_rows(
    c: Classification, image_names: Sequence[str], explanation: Explanation | None = None
) -> Iterator[tuple[str, RenderableType]]:
    yield "origin", spoken_origin(c) + (", said by nobody" if c.origin is Origin.UNKNOWN else "")
    if c.share is not None:
        yield "AI's share", f"{c.share} %"
    if c.authors:
        yield "authors", ", ".join(f"{author.name} ({author.level.lower})" for author in c.authors)
    submitter = explanation.question.submitter if explanation else ""
    if submitter:
        yield "submitter", submitter + (" (listed as an AI agent)" if c.agent_submitter else "")
    yield "criticality", spoken_criticality(c)
    yield "touches", spoken_touches(c.touches)
    if c.areas:
        yield "areas", ", ".join(c.areas)
    if c.commits:
        yield "commits", ", ".join(c.commits)
    if image_names:
        yield "images", ", ".join(dict.fromkeys(image_names))


def spoken_criticality(c: Classification) -> str:
    source = c.criticality_from
    if not source or source.startswith("nobody"):
        return f"{c.criticality.lower}, as nobody says otherwise" if source else c.criticality.lower
    return f"{c.criticality.lower}, from {source}"


def spoken_touches(touches: Sequence[Touch]) -> str:
    if len(touches) == len(Touch):
        return "everything"
    return ", ".join(str(touch) for touch in touches) or "nothing that runs"


def show_claims(console: Console, claims: Sequence[Claim], problems: Sequence[str]) -> None:
    if not claims and not problems:
        return
    console.print(heading("What it claims"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=2)
    table.add_column(overflow="fold", ratio=3)
    for claim in claims:
        verdict = Text("counts", "green") if claim.counts else styled(claim.note or "does not count", "yellow")
        if claim.counts and claim.note:
            verdict = styled(f"counts: {claim.note}", "green")
        table.add_row(styled(str(claim.about).lower(), "dim"), styled(claim.value), verdict)
    console.print(Padding(table, (0, 0, 0, 2)))
    for problem in problems:
        console.print(Padding(styled(problem, "yellow"), (0, 0, 0, 2)))


def show_needs(console: Console, asks: Sequence[RuleAsk], requirements: Requirements, contact: str) -> None:
    console.print(heading("What it needs, and which rule says so"))
    rows: list[tuple[str, RenderableType]] = [
        (f'"{ask.rule}"' + (f" of {ask.policy}" if ask.policy else ""), ask.asks) for ask in asks
    ]
    if not rows:
        rows = [("no rule matches", "nobody's approval")]
    console.print(facts(rows))
    if requirements.approvals:
        of = f" of {contact}" if contact else ""
        lasting = f"; an approval lasts {spoken(requirements.approval_ttl)}" if requirements.approval_ttl else ""
        together = f"Together: {spoken_slots(requirements.approvals)}{of}, not an author{lasting}."
        console.print(Padding(styled(together), (0, 0, 0, 2)))


def show_plan(console: Console, plan: Plan, base: Base) -> None:
    console.print(heading("The canary"))
    planned = spoken_plan(plan) if plan.gates else f"{spoken_path(plan.steps)}, the owner's own steps, watched"
    console.print(facts([("yours", spoken_path(base.steps)), ("planned", planned)]))
    steps = plan.steps or ()
    if not plan.gates or not steps:
        return
    own = owned_positions(steps, base.steps or ()) or frozenset()
    gates = {gate.index: gate for gate in plan.gates}
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for index, step in enumerate(steps[:MOST_STEPS]):
        mark = Text("yours", "dim") if index in own else Text("added", "cyan")
        gate = gates.get(index)
        said = styled(spoken_gate(gate)) if gate and index not in own else styled(spoken_step(step))
        table.add_row(str(index), mark, said)
    console.print(Padding(table, (0, 0, 0, 2)))
    if len(steps) > MOST_STEPS:
        console.print(Text(f"  … and {len(steps) - MOST_STEPS} more steps; -o json has all of them", "dim"))
    for note in plan.notes:
        console.print(Padding(styled(note), (0, 0, 0, 2)))


def spoken_gate(gate: PlannedGate) -> str:
    if gate.kind is GateKind.BAKE:
        return f"bake: {spoken(gate.min_soak)} at 100 %, still able to return to stable at once"
    exposure, really = f"{gate.weight} %", float(gate.exposure_percent or gate.weight)
    if abs(really - gate.weight) >= VISIBLE_DIFFERENCE:
        exposure += f" (really {really:.1f} % of the pods)"
    text = f"gate at {exposure}"
    if gate.needed_requests:
        text += f": proof from about {gate.needed_requests:,} canary requests"
    if gate.eta_seconds is None:
        return text + (f", at least {spoken(gate.min_soak)}" if gate.min_soak else "")
    text += f", about {spoken(gate.eta_seconds)}"
    if gate.max_seconds and gate.eta_seconds > gate.max_seconds:
        text += f", longer than its maximum of {spoken(gate.max_seconds)}"
    return text


def show_notes(console: Console, notes: Sequence[str]) -> None:
    if notes:
        console.print(heading("Notes"))
        for note in notes:
            console.print(Padding(styled(note), (0, 0, 0, 2)))


def show_next(console: Console, steps: Sequence[NextStep]) -> None:
    if steps:
        console.print(heading("Next"))
        console.print(facts((step.who, styled(step.action, "bold")) for step in steps))
