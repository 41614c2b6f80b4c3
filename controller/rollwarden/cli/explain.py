"""``explain``: what would happen to a manifest, or what happens to a change in the cluster, and which rule says so."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rollwarden.api.change import PolicyRef
from rollwarden.cli.errors import CommandError, InputError
from rollwarden.cli.explain_view import as_data, show
from rollwarden.cli.explanation import Explanation, Question, explain
from rollwarden.cli.manifests import Manifests, RolloutFile, labels_of, read_manifests, read_stable_template
from rollwarden.cli.session import Session, stdout, with_session
from rollwarden.cli.yamlfile import STDIN
from rollwarden.core.policy import Policy
from rollwarden.core.presets import PRESETS

PRESET = "preset:"


@with_session
def explain_command(
    session: Session,
    target: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A manifest, - for stdin, or a change or Rollout.")
    ],
    policy: Annotated[
        list[str] | None,
        typer.Option(help="GuardrailPolicy manifests, or preset:memo, preset:proportional. Default: preset:memo."),
    ] = None,
    profile: Annotated[list[str] | None, typer.Option(help="ServiceProfile manifests.", metavar="FILE")] = None,
    stable: Annotated[
        str | None, typer.Option(help="The Rollout (or pod template) that runs now.", metavar="FILE")
    ] = None,
    submitter: Annotated[str, typer.Option(help="Who would apply it.", metavar="USER")] = "",
    namespace_label: Annotated[
        list[str] | None, typer.Option(help="A label of the namespace, repeatable.", metavar="KEY=VALUE")
    ] = None,
    rps: Annotated[
        float | None, typer.Option(help="The service's requests per second, for the time that the gates take.")
    ] = None,
) -> None:
    """What would happen to this change, which rule says so, what it takes and how long.

    Offline on a manifest; on a name, the change in the cluster.
    """
    if target == STDIN or Path(target).exists():
        given = Given(policy or [], profile or [], stable, submitter, namespace_label or [], rps, session.namespace)
        _print(session, [explain_file(one, given) for one in _questions(target, given)])
        return
    if _looks_like_a_file(target):
        raise InputError(target, "there is no such file; name a manifest, or a change or Rollout in the cluster")
    offline = {"--policy": policy, "--profile": profile, "--stable": stable, "--submitter": submitter, "--rps": rps}
    if unusable := [name for name, value in offline.items() if value]:
        raise CommandError(
            f"{target} is no file, so it is looked up in the cluster, where {unusable[0]} does not apply: "
            "name a manifest, or leave the option out"
        )
    from rollwarden.cli.explain_live import explain_live

    explain_live(session, target)


def _looks_like_a_file(target: str) -> bool:
    return "/" in target or target.lower().endswith((".yaml", ".yml", ".json"))


class Given:
    """The offline options, read."""

    def __init__(
        self,
        policies: Sequence[str],
        profiles: Sequence[str],
        stable: str | None,
        submitter: str,
        labels: Sequence[str],
        rps: float | None,
        namespace: str | None,
    ) -> None:
        if rps is not None and not 0 < rps < float("inf"):
            raise InputError("--rps", f"is {rps:g}; it must be a number of requests per second above 0")
        self.presets = tuple(_preset(name) for name in policies if name.startswith(PRESET))
        self.files = read_manifests([name for name in policies if not name.startswith(PRESET)])
        self.profiles = read_manifests(profiles)
        self.stable = stable
        self.submitter = submitter
        self.labels = dict(_label(text) for text in labels)
        self.rps = rps
        self.namespace = namespace
        _demand(self.files.policies or not self.files.documents, policies, "GuardrailPolicy", "--policy")
        _demand(self.profiles.profiles or not self.profiles.documents, profiles, "ServiceProfile", "--profile")


def _demand(found: object, paths: Sequence[str], kind: str, option: str) -> None:
    if not found:
        raise InputError(", ".join(paths), f"has no {kind} of rollwarden.dev/v1alpha1, which {option} needs")


def _preset(name: str) -> Policy:
    wanted = name.removeprefix(PRESET).strip().lower()
    spec = next((spec for known, spec in PRESETS.items() if known.lower() == wanted), None)
    if spec is None:
        known = ", ".join(f"{PRESET}{one.lower()}" for one in PRESETS)
        raise InputError("--policy", f'"{name}" is no preset; there are {known}')
    return Policy(PolicyRef(name=f"{PRESET}{wanted}"), spec)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InputError("--namespace-label", f'"{text}" is no label; write key=value')
    return key, value


def _questions(target: str, given: Given) -> list[tuple[RolloutFile, Question]]:
    manifests = read_manifests([target])
    name = "stdin" if target == STDIN else target
    if not manifests.rollouts:
        what = "is empty" if not manifests.documents else "has no Rollout (apiVersion argoproj.io/v1alpha1)"
        raise InputError(name, f"{what}; name a file with at least one")
    return [(one, _question(one, manifests, given)) for one in manifests.rollouts]


def _question(file: RolloutFile, manifests: Manifests, given: Given) -> Question:
    meta = file.rollout.metadata
    objects = (*given.files.policies, *manifests.policies)
    policies = tuple(
        Policy(PolicyRef(name=p.metadata.name, generation=p.metadata.generation), p.spec, p.status.history)
        for p in objects
    )
    namespace = meta.namespace or given.namespace or ""
    labels = {"kubernetes.io/metadata.name": namespace} if namespace else {}
    return Question(
        rollout=file.rollout,
        policies=(*given.presets, *policies),
        profiles=(*given.profiles.profiles, *manifests.profiles),
        namespace_labels=labels | labels_of(manifests.namespaces, namespace) | given.labels,
        stable_template=None if given.stable is None else read_stable_template(given.stable, meta.name),
        submitter=given.submitter,
        rps=given.rps,
        now=time.time(),
    )


def explain_file(asked: tuple[RolloutFile, Question], given: Given) -> Explanation:
    file, question = asked
    try:
        return explain(question)
    except ValueError as error:
        raise InputError(file.where, str(error)) from error


def _print(session: Session, explanations: Sequence[Explanation]) -> None:
    if not session.is_table:
        data = [as_data(one) for one in explanations]
        session.write(data[0] if len(data) == 1 else {"items": data})
        return
    console = stdout()
    for number, one in enumerate(explanations):
        if number:
            console.rule(style="dim")
        show(one, console)
