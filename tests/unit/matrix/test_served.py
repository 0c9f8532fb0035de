"""How a harness asks a model: the part of the definition that describes the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.requests import answer_identity
from snakeval.jobs.gateway import upstreams
from snakeval.matrix.expand import expand
from support.configs import COMMAND, MODEL, config

CHANGES = {"drop": ["stop"]}


def made(directory: Path, request: Any = None, **more: Any) -> Evaluation:
    """Expand one evaluation, whose endpoint has *request*."""
    endpoint = MODEL["endpoint"] | ({"request": request} if request else {})
    rows = {"models": {"m": {"endpoint": endpoint}}, "benchmarks": {"b": COMMAND}}
    (found,) = expand(config(directory, rows | more))
    return found


def judged(directory: Path, request: Any = None) -> Evaluation:
    """Expand one evaluation, whose judge has *request*."""
    judge = {"url": "http://judge/v1", "model_id": "j"} | ({"request": request} if request else {})
    benchmark = COMMAND | {"auxiliary": ["judge"]}
    return made(directory, auxiliary={"judge": {"endpoint": judge}}, benchmarks={"b": benchmark})


def test_changes_to_requests_are_part_of_the_definition(tmp_path: Path) -> None:
    plain, changed = made(tmp_path), made(tmp_path, CHANGES)
    assert plain.fingerprint == made(tmp_path, {"drop": []}).fingerprint
    assert changed.fingerprint not in (plain.fingerprint, *plain.older)
    assert changed.fingerprint == made(tmp_path, {"drop": ["stop", "stop"]}).fingerprint
    assert (bool(plain.older), changed.older) == (True, ())
    assert changed.identity.changes(json.loads(json.dumps(plain.identity.as_dict()))) == [
        "request.drop: None → ['stop']"
    ]
    assert Evaluation.from_json(changed.to_json()).fingerprint == changed.fingerprint


def test_changes_to_a_judge_s_requests_are_part_of_the_definition(tmp_path: Path) -> None:
    plain, changed = judged(tmp_path), judged(tmp_path, CHANGES)
    assert changed.fingerprint not in (plain.fingerprint, *plain.older)
    assert not {plain.fingerprint, *plain.older} & {changed.fingerprint, *changed.older}
    asked = upstreams(changed, {})
    assert (asked["judge"]["request"], asked["m"]["request"]) == (CHANGES, {})


def test_the_gateway_makes_the_changes_and_keeps_other_answers_for_them(tmp_path: Path) -> None:
    plain, changed = (
        upstreams(each, {})["m"] for each in (made(tmp_path), made(tmp_path, CHANGES))
    )
    assert (plain["request"], changed["request"]) == ({}, CHANGES)
    assert plain["identity"] != changed["identity"]
    model = {"model_id": "m", "endpoint_url": "http://h"}
    assert answer_identity(model) == answer_identity(model | {"request": {}})


@pytest.mark.parametrize("mode", ["off", "memory"])
def test_changes_without_a_gateway_are_an_error(tmp_path: Path, mode: str) -> None:
    if mode == "memory":
        assert made(tmp_path, CHANGES, ledger=mode).transport.ledger == mode
        return
    with pytest.raises(ConfigError) as error:
        made(tmp_path, CHANGES, ledger=mode)
    assert str(error.value) == (
        "models.m.endpoint.request: requires the ledger's gateway, which changes the requests; "
        "remove it, or set ledger: on"
    )
