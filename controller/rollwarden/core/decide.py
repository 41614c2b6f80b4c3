"""What happens next to one Rollout: an ordered list of small rules, the first that speaks decides.

The list is the documentation. Each rule is a pure, total function ``Seen -> Outcome | None``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ..api import names
from ..api.change import Change
from ..api.enums import Mode, Phase
from . import messages
from .attempt import new_attempt, seed_known_good, tidy
from .held import HELD_RULES, set_message
from .integrity import doubt
from .observe import OBSERVE_RULES
from .released import RELEASED_RULES, abort_of_unknown_set, aborted_while_held
from .seen import Seen
from .status import write_status
from .times import unix_or_never
from .writes import Emit, Outcome, PatchRollout, Write, annotation, remove, test

Rule = Callable[[Seen], Outcome | None]


def decide(seen: Seen) -> Outcome:
    """The outcome of the first rule that speaks."""
    for rule in _rules_for(seen):
        outcome = rule(seen)
        if outcome is not None:
            return outcome
    return Outcome("nothing-to-do")


def _rules_for(seen: Seen) -> Iterable[Rule]:
    if seen.mode is Mode.OFF:
        return ()
    if seen.mode is Mode.OBSERVE and not _under_way(seen):
        return (unsupported, recreated, *OBSERVE_RULES)
    return RULES


def _under_way(seen: Seen) -> bool:
    """An attempt from when the namespace was still enforced: it is brought to its end."""
    change = seen.change
    if change is None:
        return seen.hold.startswith(names.HELD)
    governed = seen.hold.startswith((names.HELD, names.RELEASED))
    return governed and not change.status.phase.final and not seen.strayed


def unsupported(seen: Seen) -> Outcome | None:
    """A Rollout whose template lives elsewhere (workloadRef) cannot be read, so its new revisions stay held.

    Said where people look, once per attempt; a hold that break-glass ended leaves no sentence behind.
    """
    if seen.rollout.spec.workload_ref is None:
        return None
    meta, sentence = seen.rollout.metadata, messages.workload_ref(seen)
    said = meta.annotations.get(names.MESSAGE)
    writes: tuple[Write, ...] = ()
    if seen.hold.startswith(names.HELD) and said != sentence:
        writes = (set_message(seen, sentence), Emit("Warning", "WorkloadRefUnsupported", sentence))
    elif said is not None and not seen.hold.startswith(names.HELD):
        ops = (
            test("/metadata/uid", meta.uid),
            test(annotation(names.MESSAGE), said),
            remove(annotation(names.MESSAGE)),
        )
        writes = (PatchRollout(ops, purpose="it is not held any more"),)
    return Outcome("workload-ref-unsupported", sentence, writes)


def recreated(seen: Seen) -> Outcome | None:
    """A Rollout of this name was deleted before: what was live of it ends, the new one inherits nothing."""
    gone = decide_gone(seen.changes, seen.now, seen.rollout.metadata.uid)
    return replace(gone, requeue=0) if gone.writes else None


def ungoverned(seen: Seen) -> Outcome | None:
    """No template was written since the namespace is enforced: what runs is known good."""
    if seen.hold:
        return None
    return seed_known_good(seen) or Outcome("no-new-template")


def unguarded_template(seen: Seen) -> Outcome | None:
    """What was written past policies that were not intact runs unjudged: it is said, and never taken for known good."""
    change = seen.change
    if change is None or change.status.phase is not Phase.COMPLETED or seen.hold.startswith(names.HELD):
        return None
    said = doubt(seen.guard, unix_or_never(change.status.finished_at)) if seen.strayed else ""
    if not said:
        return None
    sentence = messages.unguarded_template(seen) + said
    if seen.rollout.metadata.annotations.get(names.MESSAGE) == sentence:
        return Outcome("unguarded-template", sentence)
    writes = (set_message(seen, sentence), Emit("Warning", "UnguardedTemplate", sentence))
    return Outcome("unguarded-template", sentence, writes)


def finished(seen: Seen) -> Outcome | None:
    """A final Change asks for nothing more; a rollback keeps its ReplicaSet locked, a completion marks it."""
    change = seen.change
    if change is None or not change.status.phase.final:
        return None
    if change.status.phase is Phase.COMPLETED and not seen.hold.startswith(names.HELD):
        return seed_known_good(seen) or Outcome("finished", change.status.message)
    if change.status.phase in (Phase.ROLLED_BACK, Phase.DENIED, Phase.REJECTED):
        return None
    return Outcome("finished", change.status.message)


def _while_held(seen: Seen) -> Outcome | None:
    rules = (aborted_while_held, abort_of_unknown_set, *HELD_RULES)
    return _first(rules, seen) if seen.hold.startswith(names.HELD) else None


def _while_released(seen: Seen) -> Outcome | None:
    return _first(RELEASED_RULES, seen) if seen.hold.startswith(names.RELEASED) else None


def _first(rules: Iterable[Rule], seen: Seen) -> Outcome | None:
    return next((outcome for rule in rules if (outcome := rule(seen)) is not None), None)


RULES: tuple[Rule, ...] = (
    unsupported,
    recreated,  # the Changes of a Rollout that is gone end
    ungoverned,  # nothing held, nothing released: only mark what is stable
    new_attempt,  # a template was written: a Change for it
    tidy,  # earlier attempts are superseded, their ReplicaSets locked, stable marked
    unguarded_template,  # what no attempt let through is nothing to return to
    finished,  # done with this attempt
    _while_held,  # denied, quarantined, evidence, approvals, release
    _while_released,  # aborted, promoted, regression, gates
)


def decide_gone(changes: Iterable[Change], now: float, uid: str = "") -> Outcome:
    """The Rollout was deleted, or recreated under another uid: its live Changes are abandoned."""
    writes = tuple(
        write
        for change in changes
        if not change.status.phase.final and change.spec.rollout.uid != uid
        for write in write_status(
            change,
            now,
            phase=Phase.ABANDONED,
            reason="RolloutDeleted",
            waiting_for="",
            message=f'rollout "{change.spec.rollout.name}" was deleted while this change was {change.status.phase}',
        )
    )
    return Outcome("rollout-deleted", writes=writes, critical=bool(writes))
