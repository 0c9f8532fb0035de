"""The texts of an answer, in each form that endpoints give it."""

from __future__ import annotations

import json

from snakeval.evaluation.choices import choices_of, name_in, named, parts_of
from support.journals import Kept, said


def test_the_chunks_of_a_stream_are_one_choice_for_each_index() -> None:
    chunks = [
        {"choices": [{"index": index, "delta": {"content": text}}]}
        for index, text in ((0, "a"), (1, "c"), (0, "b"))
    ]
    chunks.append({"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]})
    found = list(choices_of(chunks))
    assert [(each.text, each.finish) for each in found] == [("ab", ""), ("c", "length")]
    assert not any(each.is_odd for each in found)


def test_parts_of_a_content_are_one_odd_text() -> None:
    (found,) = choices_of([said([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])])
    assert (found.text, found.is_odd) == ("ab", True)


def test_an_answer_names_its_model_once() -> None:
    assert name_in(Kept(1, said(model="m-2")).whole) == "m-2"
    assert name_in(Kept(1, {"choices": []}).whole) == ""
    assert named([{"model": ""}, {"model": 3}, {"model": "m"}], "model") == "m"


def test_an_answer_that_cannot_be_read_has_no_parts() -> None:
    coded = {"headers": [["Content-Type", "application/json"], ["Content-Encoding", "br"]]}
    assert parts_of(Kept(1, meta=coded).whole) == []
    assert parts_of(Kept(1, body=b"[1]").whole) == []
    assert parts_of(Kept(1, body=json.dumps(said()).encode()).whole) == [said()]
