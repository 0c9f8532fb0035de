"""Tests that data of another type than a dataclass has is an error with the field's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from snakeval.evaluation.plain import build, require_types


@dataclass(frozen=True, slots=True)
class Part:
    name: str


@dataclass(frozen=True, slots=True)
class Whole:
    text: str
    whole: int = 0
    number: float = 0.0
    flag: bool = False
    maybe: int | None = None
    texts: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str, bool], ...] = ()
    seconds: Mapping[int, float] = field(default_factory=dict)
    part: Part | None = None
    anything: Any = None


def test_data_becomes_the_dataclass_and_lists_become_tuples() -> None:
    data = {
        "text": "t", "whole": 1, "number": 2, "flag": True, "maybe": None, "texts": ["a"],
        "mounts": [["a", "b", True]], "seconds": {1: 0.5}, "part": {"name": "p"}, "anything": [[]],
    }  # fmt: skip
    made = Whole("t", 1, 2, True, None, ("a",), (("a", "b", True),), {1: 0.5}, Part("p"), [[]])
    assert build(Whole, data) == made
    assert build(Whole, made) is made


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "Whole: not keys and values"),
        ({}, "Whole: .*text"),
        ({"text": "t", "other": 1}, "Whole: unknown field 'other'"),
        ({"text": 1}, "Whole.text: not a text"),
        ({"text": "t", "whole": True}, "Whole.whole: not a whole number"),
        ({"text": "t", "whole": 1.0}, "Whole.whole: not a whole number"),
        ({"text": "t", "whole": 10**400}, "Whole.whole: not a whole number"),
        ({"text": "t", "number": float("nan")}, "Whole.number: not a number"),
        ({"text": "t", "number": "1"}, "Whole.number: not a number"),
        ({"text": "t", "flag": 1}, "Whole.flag: not true or false"),
        ({"text": "t", "maybe": []}, "Whole.maybe: "),
        ({"text": "t", "texts": "ab"}, "Whole.texts: not a list"),
        ({"text": "t", "texts": [None]}, "Whole.texts: not a text"),
        ({"text": "t", "mounts": [["a", "b"]]}, "Whole.mounts: not 3 values"),
        ({"text": "t", "seconds": []}, "Whole.seconds: not keys and values"),
        ({"text": "t", "seconds": {1: "x"}}, "Whole.seconds: not a number"),
        ({"text": "t", "part": {"name": 1}}, "Whole.part: "),
    ],
)
def test_other_data_is_an_error_with_the_name_of_the_field(data: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        build(Whole, data)


def test_only_the_values_that_are_there_are_checked() -> None:
    require_types(Whole, {"whole": 1, "other": []})
    with pytest.raises(ValueError, match=r"Whole.texts: not a list"):
        require_types(Whole, {"texts": "ab"})
