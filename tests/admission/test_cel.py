"""The pieces of CEL text, and how a policy takes the variables it needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.admission.cel import allowed, literal, sentence, strings, variables_of
from rollwarden.admission.patches import pointer
from rollwarden.admission.policy import reachable


@given(st.text(alphabet="ab'\\ {}"))
def test_a_literal_ends_where_it_should(text: str) -> None:
    quoted = literal(text)
    assert quoted[0] == quoted[-1] == "'"
    assert quoted[1:-1].replace("\\'", "").replace("\\\\", "").count("'") == 0
    assert quoted[1:-1].replace("\\'", "'").replace("\\\\", "\\") == text or "\\" in text


@pytest.mark.parametrize(
    "template, expected",
    [
        ("plain", "'plain'"),
        ("{name} waits", "name.x + ' waits'"),
        ("who: {name}", "'who: ' + name.x"),
        ("{name}{name}", "name.x + name.x"),
        ("Argo's {name}.", r"'Argo\'s ' + name.x + '.'"),
        ("", "''"),
    ],
)
def test_a_sentence_joins_text_and_expressions(template: str, expected: str) -> None:
    assert sentence(template, name="name.x") == expected


def test_a_sentence_with_an_unknown_part_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        sentence("{nobody} waits", name="x")


def test_a_list_of_strings() -> None:
    assert strings(("a", "b")) == "['a', 'b']"


def test_a_check_names_its_object_only_when_it_has_one() -> None:
    assert allowed("tiers", "approve", "ns", "t") == (
        "authorizer.group('rollwarden.dev').resource('tiers').namespace(ns).name(t).check('approve').allowed()"
    )
    assert ".name(" not in allowed("sentinels", "never-granted", "ns")


def test_a_pointer_escapes_its_key() -> None:
    assert pointer("rollwarden.dev/a~b") == "/metadata/annotations/rollwarden.dev~1a~0b"


LIBRARY = {"a": "1", "b": "variables.a", "c": "2", "d": "variables.b + variables.c"}


def test_variables_are_taken_with_what_they_need_in_the_librarys_order() -> None:
    assert list(reachable(["variables.d"], LIBRARY)) == ["a", "b", "c", "d"]
    assert list(reachable(["variables.b", "true"], LIBRARY)) == ["a", "b"]
    assert reachable(["true"], LIBRARY) == {}


def test_an_undefined_variable_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        reachable(["variables.z"], LIBRARY)


def test_the_variables_of_an_expression() -> None:
    assert variables_of("variables.aB && object.x == variables.c[0]") == ["aB", "c"]
