"""Small pieces of CEL text. Nothing here knows what a policy is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

VARIABLE = re.compile(r"\bvariables\.([A-Za-z]+)")
PLACE = re.compile(r"\{(\w+)\}")


def literal(text: str) -> str:
    """``text`` as a CEL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def strings(items: Iterable[str]) -> str:
    """A CEL list of string literals."""
    return "[" + ", ".join(literal(item) for item in items) + "]"


def mapping(entries: Mapping[str, str]) -> str:
    """A CEL map from literal keys to expressions."""
    return "{" + ", ".join(f"{literal(key)}: {value}" for key, value in entries.items()) + "}"


def sentence(template: str, **parts: str) -> str:
    """A message expression: ``template`` with each ``{part}`` replaced by the value of that part's CEL expression.

    KeyError if the template names a part that is not given.
    """
    pieces = PLACE.split(template)
    texts, names = pieces[::2], pieces[1::2]
    terms = [literal(texts[0])]
    for name, text in zip(names, texts[1:], strict=True):
        terms += [parts[name], literal(text)]
    return " + ".join(term for term in terms if term != "''") or "''"


def both(*conditions: str) -> str:
    """All conditions hold."""
    return " && ".join(f"({condition})" for condition in conditions)


def either(*conditions: str) -> str:
    """At least one condition holds."""
    return " || ".join(f"({condition})" for condition in conditions)


def negated(condition: str) -> str:
    return f"!({condition})"


def variables_of(expression: str) -> list[str]:
    """Names of the policy variables that ``expression`` reads."""
    return VARIABLE.findall(expression)


def allowed(resource: str, verb: str, namespace: str, name: str = "") -> str:
    """The requester holds ``verb`` on a virtual resource of our group; ``namespace`` and ``name`` are CEL."""
    named = f".name({name})" if name else ""
    check = f".namespace({namespace}){named}.check({literal(verb)}).allowed()"
    return f"authorizer.group('rollwarden.dev').resource({literal(resource)}){check}"
