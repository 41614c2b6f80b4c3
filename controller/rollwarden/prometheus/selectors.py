"""The selectors a ServiceProfile may name: `metric` or `metric{label op "value", ...}`, and nothing more.

A strict subset of PromQL, so that a selector can be put inside a larger query without changing its meaning: no
functions, ranges, offsets, `or`, or name matchers. Regular expressions are RE2; Prometheus judges them itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rollwarden.prometheus.errors import SelectorError

MAX_SELECTOR_LENGTH = 1024
_METRIC = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r"=~|!~|!=|=")
_STRING = re.compile(r'"((?:[^"\\\n]|\\[\\"n])*)"')
_SPACE = re.compile(r"[ \t\r\n]*")
_UNESCAPE = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
RESERVED_LABELS = {
    "namespace": "Rollwarden adds the namespace itself",
    "pod": "Rollwarden adds the pods itself",
    "__name__": "write the metric's name before the brace",
}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher; `operator` is =, !=, =~ or !~, `value` is unescaped."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed selector; `str()` is PromQL that parses to the same value."""

    metric: str
    matchers: tuple[Matcher, ...] = ()

    def __str__(self) -> str:
        return self.metric if not self.matchers else f"{self.metric}{{{','.join(map(str, self.matchers))}}}"


def quoted(text: str) -> str:
    """`text` as a PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def parse_selector(text: str) -> Selector:
    """The selector's value. Raises SelectorError with the position (counted from 1) and what was expected there."""
    if len(text) > MAX_SELECTOR_LENGTH:
        raise SelectorError(f"the selector has {len(text)} characters; at most {MAX_SELECTOR_LENGTH} are read")
    return _Reader(text).selector()


class _Reader:
    """One pass over a selector's text, left to right."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def selector(self) -> Selector:
        metric = self._take(_METRIC, "a metric name")
        matchers = self._matchers() if self._next_is("{") else ()
        if self._at < len(self._text):
            raise self._error("the end: functions, ranges and operators cannot be used here")
        return Selector(metric, matchers)

    def _matchers(self) -> tuple[Matcher, ...]:
        self._expect("{")
        matchers: list[Matcher] = []
        while not self._next_is("}"):
            if matchers:
                self._expect(",")
            matchers.append(self._matcher())
        self._expect("}")
        return tuple(matchers)

    def _matcher(self) -> Matcher:
        at = self._at
        label = self._take(_LABEL, "a label name")
        if label in RESERVED_LABELS:
            self._at = at
            raise self._error(f'no matcher on "{label}": {RESERVED_LABELS[label]}')
        operator = self._take(_OPERATOR, "=, !=, =~ or !~")
        literal = self._take(_STRING, "a value in double quotes")
        value = re.sub(r'\\[\\"n]', lambda found: _UNESCAPE[found.group()], literal[1:-1])
        return Matcher(label, operator, value)

    def _next_is(self, character: str) -> bool:
        return self._text.startswith(character, self._at)

    def _expect(self, character: str) -> None:
        if not self._next_is(character):
            raise self._error(f'"{character}"')
        self._at += 1
        self._skip()

    def _take(self, pattern: re.Pattern[str], wanted: str) -> str:
        self._skip()
        found = pattern.match(self._text, self._at)
        if found is None:
            raise self._error(wanted)
        self._at = found.end()
        self._skip()
        return found.group()

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _error(self, wanted: str) -> SelectorError:
        rest = self._text[self._at : self._at + 20]
        found = f'"{rest}"' if rest else "the end"
        where = f"at character {self._at + 1}"
        return SelectorError(f'selector "{self._text}": expected {wanted} {where}, found {found}')
