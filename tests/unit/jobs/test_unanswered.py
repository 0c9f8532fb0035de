"""The reason of an evaluation whose journals lacked answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.jobs.unanswered import how_again, how_to_resume, why_unanswered
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from support.configs import VALID, config

NAME = "2026-01-02-03-04-05-0123abcd"


def why(
    directory: Path, *misses: str, missed: int = 0, offline: bool = True, exit_code: int = 0
) -> tuple[str, list[str]]:
    """Return the reason, and what was said."""
    (made,) = expand(config(directory, VALID))
    evaluation = replace(made, transport=replace(made.transport, offline=offline))
    place = RunDirectory(directory / NAME).evaluation("m/b")
    place.requests.mkdir(parents=True, exist_ok=True)
    upstream = {"misses": list(misses), "missed": missed or len(misses)}
    text = json.dumps({"upstreams": {"m": upstream}})
    (place.requests / "summary.json").write_text(text)
    said: list[str] = []
    return why_unanswered(evaluation, place, said.append, exit_code), said


def test_the_reason_counts_the_requests_and_names_the_first(tmp_path: Path) -> None:
    begin = "offline, and the journal has no answer to "
    hint = "; `snakeval resume 0123abcd` asks the model"
    assert why(tmp_path, "POST /v1 (1)") == (
        f"{begin}1 request: POST /v1 (1){hint}",
        ["not in the journal: POST /v1 (1)"],
    )
    many, _ = why(tmp_path, "POST /a", "POST /b", missed=30)
    assert many == f"{begin}30 requests, first POST /a{hint}"
    died, said = why(tmp_path, "POST /a", "POST /b", exit_code=1)
    assert died == f"{begin}at least 2 requests, first POST /a{hint}"
    assert said == ["not in the journal: POST /a", "not in the journal: POST /b"]


@pytest.mark.parametrize(
    ("misses", "offline"), [((), True), (("GET /v1/models",), True), (("POST /a",), False)]
)
def test_no_request_that_only_reads_and_no_evaluation_that_asks_has_it(
    tmp_path: Path, misses: tuple[str, ...], offline: bool
) -> None:
    assert why(tmp_path, *misses, offline=offline) == ("", [])


def test_the_reason_of_a_re_score_says_how_to_ask_and_is_short(tmp_path: Path) -> None:
    RunDirectory(tmp_path / NAME).rescore.parent.mkdir(parents=True)
    RunDirectory(tmp_path / NAME).write_rescore({"origin": "/runs/other"})
    hint = "; `snakeval resume 0123abcd -- --config ask=true` asks the model"
    assert why(tmp_path, "POST /a")[0].endswith(f"1 request: POST /a{hint}")
    long, _ = why(tmp_path, f"POST /a: {'x' * 400}")
    assert len(long) == 300
    assert long.endswith(f"xx…{hint}")


@pytest.mark.parametrize(
    ("rescore", "offline", "online", "again", "resume"),
    [
        (False, False, (), "run the same command to request them again", "the same command"),
        (False, True, (), "`snakeval resume 0123abcd` asks the model", "the same command"),
        (
            True,
            True,
            (),
            "`snakeval resume 0123abcd -- --config ask=true` asks the model",
            "`snakeval resume 0123abcd`",
        ),
        (
            True,
            True,
            ("m",),
            "`snakeval resume 0123abcd` requests them again",
            "`snakeval resume 0123abcd`",
        ),
    ],
)
def test_the_same_command_is_no_advice_where_it_asks_nothing_or_makes_another_run(
    tmp_path: Path, rescore: bool, offline: bool, online: tuple[str, ...], again: str, resume: str
) -> None:
    (made,) = expand(config(tmp_path, VALID))
    evaluation = replace(made, transport=replace(made.transport, offline=offline, online=online))
    run = RunDirectory(tmp_path / NAME)
    if rescore:
        run.rescore.parent.mkdir(parents=True)
        run.write_rescore({"origin": "/runs/other"})
    place = run.evaluation("m/b")
    assert how_again(evaluation, place, "m") == again
    assert how_to_resume(place) == resume
