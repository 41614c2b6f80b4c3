"""The selector grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.prometheus.errors import SelectorError
from rollwarden.prometheus.selectors import RESERVED_LABELS, Matcher, Selector, parse_selector

NAMES = st.from_regex(r"[A-Za-z_:][A-Za-z0-9_:]{0,30}", fullmatch=True)
LABELS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(
    lambda label: label not in RESERVED_LABELS
)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SELECTORS = st.builds(
    Selector,
    NAMES,
    st.lists(st.builds(Matcher, LABELS, st.sampled_from(["=", "!=", "=~", "!~"]), VALUES), max_size=4).map(tuple),
)


@given(SELECTORS)
def test_text_of_any_selector_parses_to_itself(selector: Selector) -> None:
    """Rendering and parsing are inverse, whatever quotes, backslashes or line ends the values hold."""
    assert parse_selector(str(selector)) == selector


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused_with_a_sentence(text: str) -> None:
    """No input raises anything but SelectorError."""
    try:
        parse_selector(text)
    except SelectorError as error:
        assert "expected" in str(error)


ACCEPTED = {
    "a bare metric": ("http_requests_total", Selector("http_requests_total")),
    "a recording rule's name": ("job:errors:total", Selector("job:errors:total")),
    "empty braces": ("up{}", Selector("up")),
    "one matcher": ('m{code=~"5.."}', Selector("m", (Matcher("code", "=~", "5.."),))),
    "spaces anywhere": (
        ' m { a = "1" , b !~ "x|y" } ',
        Selector("m", (Matcher("a", "=", "1"), Matcher("b", "!~", "x|y"))),
    ),
    "escapes": (r'm{a="q\"b\\n\n"}', Selector("m", (Matcher("a", "=", 'q"b\\n\n'),))),
    "braces and commas inside a value": ('m{a="},{"}', Selector("m", (Matcher("a", "=", "},{"),))),
}


@pytest.mark.parametrize(("text", "selector"), ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(text: str, selector: Selector) -> None:
    """The grammar reads what people write."""
    assert parse_selector(text) == selector


REFUSED = {
    "nothing": ("", "expected a metric name at character 1, found the end"),
    "a function": ("rate(m[5m])", "expected the end"),
    "a range": ("m[5m]", "expected the end"),
    "an operator": ("m / n", "expected the end"),
    "a second selector": ('m{a="1"} or n', "expected the end"),
    "an offset": ("m offset 5m", "expected the end"),
    "only braces": ('{__name__="m"}', "expected a metric name"),
    "a name matcher": ('m{__name__="n"}', "write the metric's name before the brace"),
    "a pod matcher": ('m{pod!~"web-canary.*"}', "Rollwarden adds the pods itself"),
    "a namespace matcher": ('m{namespace="x"}', "Rollwarden adds the namespace itself"),
    "single quotes": ("m{a='1'}", "expected a value in double quotes at character 5"),
    "an unclosed string": ('m{a="1}', "expected a value in double quotes"),
    "an unclosed brace": ('m{a="1"', 'expected ","'),
    "no operator": ('m{a "1"}', "expected =, !=, =~ or !~"),
    "a foreign escape": (r'm{a="\d"}', "expected a value in double quotes"),
    "a trailing comma": ('m{a="1",}', "expected a label name"),
    "a breakout attempt": ('m{a="1"}) or vector(0', "expected the end"),
    "a comment": ("m # x", "expected the end"),
    "too long": ("m" * 2000, "has 2000 characters"),
}


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, says: str) -> None:
    """The sentence says what was expected and where."""
    with pytest.raises(SelectorError) as caught:
        parse_selector(text)
    assert says in str(caught.value)
