"""Files as plain data: the reading kubectl gives them, and a sentence for whatever is not one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollwarden.cli.errors import InputError
from rollwarden.cli.yamlfile import MAX_BYTES, read_documents


def read(tmp_path: Path, text: str | bytes) -> list[dict[str, object]]:
    file = tmp_path / "f.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return [document.value for document in read_documents(str(file))]


def test_documents_are_split_and_empty_ones_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, "---\n---\na: 1\n---\n# nothing\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


def test_json_is_read_as_well(tmp_path: Path) -> None:
    assert read(tmp_path, '{"a": [1, true, null]}') == [{"a": [1, True, None]}]


def test_the_items_of_a_list_are_documents(tmp_path: Path) -> None:
    assert read(tmp_path, "kind: RolloutList\nitems: [{a: 1}, {b: 2}]") == [{"a": 1}, {"b": 2}]


def test_timestamps_stay_text(tmp_path: Path) -> None:
    assert read(tmp_path, "at: 2025-01-02T03:04:05Z\nday: 2025-01-02") == [
        {"at": "2025-01-02T03:04:05Z", "day": "2025-01-02"}
    ]


def test_keys_are_text_as_json_has_them(tmp_path: Path) -> None:
    assert read(tmp_path, "7: a\ntrue: b") == [{"7": "a", "true": "b"}]


BAD: dict[str, tuple[str | bytes, str]] = {
    "a tab where YAML has none": ("a:\n\t- b", "is not YAML at line 2"),
    "a template that was not rendered": ("a: {{ .Values.b }}\n", "is not YAML at line 1"),
    "a tag that makes Python objects": ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "a list at the top": ("[1, 2]", "document 1: is a list"),
    "text at the top": ("just words", "document 1: is text"),
    "an item that is no object": ("kind: List\nitems: [3]", "items[0]: is a number"),
    "not a number": ("a: .nan", "has the number nan"),
    "bytes": ("a: !!binary aGk=", "has a bytes that JSON cannot say"),
    "a set": ("a: !!set {b, c}", "has a set that JSON cannot say"),
    "a key that is a list": ("? [a]\n: b", "is not YAML at line 1"),
    "something that contains itself": ("a: &x [*x]", "contains itself"),
    "aliases that stand for billions": (
        "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
        "stands for more than",
    ),
    "too deep for the parser": ("[" * 5000, "is not YAML"),
    "nested too deep": ("a: " + "[" * 300 + "]" * 300, "nested more than"),
    "a date that cannot be": ("a: !!timestamp 2025-13-45", "is not YAML"),
    "not UTF-8": (b"a: \xff\xfe", "is not UTF-8 text (byte 3)"),
    "a control character": ("a: \x01", "is not YAML"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_manifest_ends_in_a_sentence_that_names_the_file(tmp_path: Path, name: str) -> None:
    text, said = BAD[name]
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert said in str(error.value)
    assert "f.yaml" in str(error.value)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Is a directory"):
        read_documents(str(tmp_path))


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.touch(mode=0o000)
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    with pytest.raises(InputError, match="Permission denied"):
        read_documents(str(file))


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is larger than 16 MiB"):
        read(tmp_path, b"#" * (MAX_BYTES + 1))
