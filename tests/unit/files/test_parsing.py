"""Tests that damaged texts raise one kind of error, and that a seal shows each changed byte."""

from __future__ import annotations

import pytest

from snakeval.files import (
    TwiceError,
    has_seal,
    json_object,
    json_value,
    sealed,
    yaml_value,
)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"1" * 5_000],
    ids=lambda text: f"{text[:5]!r}",
)
def test_a_damaged_json_text_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_value(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "!!int ''",
        "!!bool x",
        "!!timestamp x",
        "a: b: c",
        "2026-99-99",
        "!!float '_'",
    ],
    ids=lambda text: text[:12],
)
def test_a_damaged_yaml_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        yaml_value(text)


def test_unique_keys_of_yaml_may_be_those_of_a_merged_mapping() -> None:
    text = "a: {b: {c: &c {<<: &d {x: 1}, x: 2}}}\ne: {<<: *c, x: 3}\nf: {<<: [*c, *d]}"
    assert yaml_value(text, unique=True) == yaml_value(text)
    with pytest.raises(TwiceError, match="'x' twice"):
        yaml_value("a: {x: 1, y: 2, x: 1}", unique=True)


def test_each_changed_byte_of_a_sealed_text_is_damage() -> None:
    text = sealed({"score": 0.25, "name": "é", "parts": [1, {"a": None}]}).encode()
    found = json_object(text)
    assert has_seal(found)
    assert found["score"] == 0.25
    for place in range(len(text)):
        for bit in range(8):
            changed = bytearray(text)
            changed[place] ^= 1 << bit
            try:
                other = json_object(bytes(changed))
            except ValueError:
                continue
            # The name of the seal itself changed: readers that require a seal notice.
            assert not has_seal(other), bytes(changed)


def test_a_text_without_a_seal_is_an_object_without_one() -> None:
    assert not has_seal(json_object(b'{"score": 0.25}'))
