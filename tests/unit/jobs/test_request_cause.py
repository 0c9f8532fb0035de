"""The cause of a failure in what a gateway saw, and the rule by which it is chosen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.jobs.failure import failure_of
from snakeval.jobs.request_cause import cause_of, is_about_requests
from snakeval.ledger.counts import Counts
from snakeval.ledger.plain_text import one_line
from snakeval.matrix.expand import expand
from snakeval.runtimes import Outcome
from support.configs import changed, config

URL = "POST http://h:1/v1/chat/completions"
DEAD = {"kind": "5xx", "status": 500, "asked": URL, "message": "the engine is dead"}
SLOW = {"kind": "429", "status": 429, "asked": URL, "message": "slow down"}
TIMES = {"first": 0.0, "last": 59.0}


@pytest.fixture
def made(tmp_path: Path) -> Evaluation:
    (made,) = expand(config(tmp_path, changed("models", "m", "endpoint", "url", to="http://h:1")))
    return made


def noted(
    directory: Path,
    *faults: dict[str, Any],
    requests: int = 12,
    sound: int = 0,
    lost: int = 0,
    again: int = 0,
) -> EvaluationDirectory:
    """Write the summary of a gateway."""
    part = Counts().data(0) | {"requests": requests, "unanswered": lost, "faults": list(faults)}
    part["answers"]["asked"] = sound
    part["refused_again"] = part["answers"]["journal"] = again
    place = directory / "run/m/b/requests"
    place.mkdir(parents=True, exist_ok=True)
    (place / "summary.json").write_text(json.dumps({"upstreams": {"m": part}}))
    return EvaluationDirectory(directory / "run/m/b")


def test_the_cause_has_the_message_the_status_how_often_since_when_and_where(
    tmp_path: Path, made: Evaluation
) -> None:
    directory = noted(tmp_path, DEAD | TIMES | {"tries": 36, "ended": 12})
    cause = cause_of(made, directory)
    assert cause is not None
    assert cause.text == (
        "the endpoint fails: the engine is dead; see the endpoint's log (HTTP 500, 12 of 12 "
        f"requests, 36 tries, {URL}, 00:00:00 to 00:00:59 UTC)"
    )
    assert cause.is_whole


def test_refusals_that_come_from_the_journal_alone_name_the_way_to_the_endpoint(
    tmp_path: Path, made: Evaluation
) -> None:
    fault = {"kind": "refused", "status": 400, "asked": URL, "message": "too long", "ended": 12}
    for again, named in ((11, False), (12, True)):
        cause = cause_of(made, noted(tmp_path, fault | TIMES, again=again))
        assert cause is not None
        hint = (
            "too long; change its requests with endpoint.request; if the endpoint has changed,"
            " resume with --ask-again unhealthy (HTTP 400"
        )
        assert (hint in cause.text) is named
        assert cause.is_whole, "a refusal is no sound answer"
    other = fault | {"status": 404}
    cause = cause_of(made, noted(tmp_path, other | TIMES, again=12))
    assert cause is not None
    assert "--ask-again" not in cause.text


@pytest.mark.parametrize("length", [30, 100, 200, 300])
def test_the_cause_has_at_most_300_characters_and_its_hint_is_whole(
    tmp_path: Path, made: Evaluation, length: int
) -> None:
    long = f"POST http://{'h' * length}:1/v1/chat/completions"
    words = ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead. " * 9)[:300]
    fault = {"kind": "refused", "status": 400, "asked": long, "message": words, "ended": 12}
    cause = cause_of(made, noted(tmp_path, fault | TIMES))
    assert cause is not None
    assert len(cause.text) <= 300
    assert "; write endpoint.request: {rename: {max_tokens: max_completion_tokens}} (" in cause.text
    assert "12 of 12 requests" in cause.text
    assert "Unsupported parameter: 'max_tokens'" in cause.text


def test_the_fault_that_ended_most_requests_is_the_cause(tmp_path: Path, made: Evaluation) -> None:
    few, most = DEAD | {"ended": 2}, SLOW | {"ended": 9}
    models = {"kind": "refused", "status": 404, "asked": "GET http://h:1/v1/models", "message": "x"}
    directory = noted(tmp_path, models | {"ended": 90}, few, most)
    cause = cause_of(made, directory)
    assert cause is not None
    assert "slow down" in cause.text
    alone = cause_of(made, noted(tmp_path, models | {"ended": 1}, requests=0))
    assert alone is not None
    assert "(HTTP 404, once, GET http://h:1/v1/models, " in alone.text
    assert not alone.explains("ValueError: no split"), "no model was asked"
    assert alone.explains("requests.exceptions.HTTPError: 404")


def test_what_a_later_try_healed_is_no_cause(tmp_path: Path, made: Evaluation) -> None:
    assert cause_of(made, noted(tmp_path, SLOW | {"tries": 40}, sound=12)) is None
    assert cause_of(made, noted(tmp_path)) is None
    assert cause_of(made, EvaluationDirectory(tmp_path / "none")) is None


def test_what_a_harness_did_not_wait_for_is_the_cause(tmp_path: Path, made: Evaluation) -> None:
    cause = cause_of(made, noted(tmp_path, SLOW | {"tries": 40}, lost=4))
    assert cause is not None
    assert "HTTP 429, 40 times" in cause.text
    ended = cause_of(made, noted(tmp_path, SLOW | {"tries": 40}, DEAD | {"ended": 1}, lost=4))
    assert ended is not None
    assert "the engine is dead" in ended.text


@pytest.mark.parametrize(
    "damage", ["{", '{"upstreams": {"m": {"faults": 3}}}', '{"upstreams": []}', "[]"]
)
def test_a_damaged_summary_has_no_cause(tmp_path: Path, made: Evaluation, damage: str) -> None:
    directory = noted(tmp_path)
    (directory.requests / "summary.json").write_text(damage)
    assert cause_of(made, directory) is None


def test_a_damaged_note_is_passed_over(tmp_path: Path, made: Evaluation) -> None:
    cause = cause_of(made, noted(tmp_path, {"kind": "5xx", "ended": 99}, DEAD | {"ended": 1}))
    assert cause is not None
    assert "the engine is dead" in cause.text


@pytest.mark.parametrize(
    ("own", "about"),
    [
        ("aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected", True),
        ("API request failed! Status code: 502, x", True),
        ("urllib.error.HTTPError: HTTP Error 400: Bad Request", True),
        ("openai.APITimeoutError: Request timed out.", True),
        ("KeyError: 'choices'", True),
        ("ValueError: zip() argument 2 is shorter than argument 1", True),
        ("TypeError: 'NoneType' object is not subscriptable", True),
        ("ValueError: no split 'test'", False),
        ("KeyError: 'answer'", False),
        ("OSError: We couldn't connect to 'https://huggingface.co'", False),
        ("ZeroDivisionError: division by zero", False),
    ],
)
def test_errors_of_a_harness_that_are_about_requests(own: str, about: bool) -> None:
    assert is_about_requests(own) == about


@pytest.mark.parametrize(
    ("own", "sound", "begins", "poison"),
    [
        ("ValueError: no split", 0, "the endpoint fails: the engine is dead", False),
        ("KeyError: 'choices'", 9, "the endpoint fails: the engine is dead", False),
        (
            "ValueError: no split",
            9,
            "the harness exited with 1; ValueError: no split; also the endpoint fails (3 of 12 "
            "requests)",
            True,
        ),
    ],
)
def test_the_likelier_cause_comes_first(
    tmp_path: Path, made: Evaluation, own: str, sound: int, begins: str, poison: bool
) -> None:
    (tmp_path / "log").write_text(f"{own}\n")
    directory = noted(tmp_path, DEAD | TIMES | {"tries": 3, "ended": 3}, sound=sound)
    failure = failure_of(made, Outcome(1), tmp_path / "log", directory=directory)
    assert failure.reason.startswith(begins)
    assert failure.poison == poison
    long = failure_of(made, Outcome(1), _long(tmp_path), directory=directory)
    assert len(long.reason) <= 300


KINDS = (
    *("429", "503", "502", "5xx", "error", "broken", "timeout", "redirect", "refused", "page"),
    *("no choices", "no JSON", "nothing", "cut", "mistyped", "no index", "of a later version"),
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(KINDS),
    status=st.integers(0, 599),
    message=st.text(max_size=400),
    url=st.text(max_size=400),
    own=st.text(max_size=400),
    sound=st.booleans(),
)
def test_any_fault_is_one_line_of_at_most_300_characters(
    tmp_path: Path,
    made: Evaluation,
    kind: str,
    status: int,
    message: str,
    url: str,
    own: str,
    sound: bool,
) -> None:
    fault = {"kind": kind, "status": status, "asked": one_line(f"POST {url}", 200)}
    fault |= {"message": one_line(message), "ended": 3, "tries": 5}
    cause = cause_of(made, noted(tmp_path, fault, sound=9 * sound))
    assert cause is not None
    for text in (cause.text, cause.beside("the harness exited with 1", one_line(own))):
        assert len(text) <= 300
        assert text.isprintable()


def _long(directory: Path) -> Path:
    (directory / "long").write_text(f"ValueError: {'no split ' * 90}\n")
    return directory / "long"


def test_a_killed_harness_and_a_harness_without_a_gateway_keep_their_own_reason(
    tmp_path: Path, made: Evaluation
) -> None:
    (tmp_path / "log").write_text("ValueError: no split\n")
    directory = noted(tmp_path, DEAD | {"ended": 12})
    killed = failure_of(made, Outcome(137), tmp_path / "log", directory=directory)
    assert killed.reason.startswith("the harness was killed (SIGKILL)")
    off = replace(made, transport=replace(made.transport, ledger="off", offline=True))
    reason = failure_of(off, Outcome(1), tmp_path / "log", directory=directory).reason
    assert reason == "the harness exited with 1; ValueError: no split"


def test_another_model_of_the_evaluation_is_named(tmp_path: Path, made: Evaluation) -> None:
    directory = noted(tmp_path, DEAD | {"ended": 12})
    summary = directory.requests / "summary.json"
    summary.write_text(summary.read_text().replace('"m":', '"judge":'))
    cause = cause_of(made, directory)
    assert cause is not None
    assert cause.text.startswith("model judge: the endpoint fails: the engine is dead; see")
