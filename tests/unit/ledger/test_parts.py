"""The JSON objects of a stored answer."""

from __future__ import annotations

import json

from snakeval.ledger.parts import name_in, named, parts_of
from support.journals import Kept, said


def test_an_answer_names_its_model_once() -> None:
    assert name_in(Kept(1, said(model="m-2")).whole) == "m-2"
    assert name_in(Kept(1, {"choices": []}).whole) == ""
    assert named([{"model": ""}, {"model": 3}, {"model": "m"}], "model") == "m"


def test_an_answer_that_cannot_be_read_has_no_parts() -> None:
    coded = {"headers": [["Content-Type", "application/json"], ["Content-Encoding", "br"]]}
    assert parts_of(Kept(1, meta=coded).whole) == []
    assert parts_of(Kept(1, body=b"[1]").whole) == []
    assert parts_of(Kept(1, body=json.dumps(said()).encode()).whole) == [said()]
