"""The gateway beside a harness: replays, keys and its switch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from snakeval.demo.server import DemoServer, serve
from snakeval.evaluation import requests
from snakeval.jobs import gateway
from snakeval.matrix.expand import expand
from support.asking import KEY, Asking
from support.configs import COMMAND, config

pytestmark = pytest.mark.usefixtures("in_this_process")


def asked(server: DemoServer) -> int:
    found: int = server.stats()["requests"]
    return found


def test_an_answered_request_is_not_asked_again(tmp_path: Path, server: DemoServer) -> None:
    job = Asking(tmp_path, server.url, count=4, same=2, dies=2)
    code, reason = job()
    assert (code, asked(server)) == (1, 4)
    assert "an answer is missing" in reason
    job.lives()
    assert job() == (0, "")
    assert asked(server) == 8, "two questions of four were left, each twice"
    counts = requests.read(job.directory)["m"]
    assert (counts.requests, counts.replayed, counts.answered) == (8, 4, 8)
    assert counts.not_asked_again == 0


def test_equal_requests_have_different_seeds(tmp_path: Path, server: DemoServer) -> None:
    job = Asking(tmp_path, server.url, count=1, same=3)
    assert job() == (0, "")
    sent = [one.answer.meta.get("sent", {}).get("seed") for one in job.stored]
    assert sent == [None, 8, 9]
    assert {one.request()["seed"] for one in job.stored} == {7}, "the key holds the harness's body"


def test_another_model_of_one_name_replays_nothing(tmp_path: Path, server: DemoServer) -> None:
    job = Asking(tmp_path, server.url, dies=2)
    job()
    with serve() as other:
        job.redefine(other.url)
        assert job() == (0, "")
        assert asked(other) == 3
    assert asked(server) == 2


def test_a_harness_gets_a_token_instead_of_the_key(tmp_path: Path, locked: DemoServer) -> None:
    job = Asking(tmp_path, locked.url, key="MY_KEY")
    assert job() == (0, "")
    assert KEY not in job.environ.values()
    assert len(job.environ["API_KEY"]) == 32
    assert job.environ["MY_KEY"] == job.environ["API_KEY"]
    everything = b"".join(
        path.read_bytes() for path in job.directory.path.rglob("*") if path.is_file()
    )
    assert KEY.encode() not in everything


def test_a_benchmark_can_hand_the_key_out(tmp_path: Path, locked: DemoServer) -> None:
    job = Asking(tmp_path, locked.url, key="MY_KEY", env=("MY_KEY",))
    assert job() == (0, "")
    assert job.environ["MY_KEY"] == KEY
    assert job.environ["API_KEY"] != KEY


def test_memory_stores_nothing(tmp_path: Path, locked: DemoServer) -> None:
    job = Asking(tmp_path, locked.url, key="MY_KEY", ledger="memory")
    assert job() == (0, "")
    assert job.stored == []
    assert job.environ["API_KEY"] != KEY
    assert requests.read(job.directory)["m"].requests == 3
    assert [path.name for path in job.directory.requests.iterdir()] == ["summary.json"]


def test_off_asks_the_endpoint_directly(tmp_path: Path, locked: DemoServer) -> None:
    job = Asking(tmp_path, locked.url, key="MY_KEY", ledger="off")
    assert job() == (0, "")
    assert job.environ["API_KEY"] == KEY
    assert not job.directory.requests.exists()


@pytest.mark.parametrize(("which", "again"), [("all", 3), ("unhealthy", 1), ("last", 3)])
def test_stored_answers_are_requested_again_once(
    tmp_path: Path, server: DemoServer, which: str, again: int
) -> None:
    job = Asking(tmp_path, server.url, dies=2)
    job()
    job.redefine(server.url, dies=2, ask_again=f"{which} first-command")
    before = asked(server)
    job()
    assert asked(server) - before == again - 1, "and it dies before the third"
    job()
    assert asked(server) - before == again - 1, "a repeated attempt drops nothing again"


def test_offline_answers_come_from_the_journal_alone(tmp_path: Path, server: DemoServer) -> None:
    job = Asking(tmp_path, server.url, dies=2)
    job()
    job.redefine(server.url, dies=2, offline=True)
    job.lives()
    code, reason = job()
    assert (code, asked(server)) == (1, 2)
    counts = json.loads((job.directory.requests / "summary.json").read_text())["upstreams"]["m"]
    assert counts["missed"] == 1
    assert "POST /v1/chat/completions" in counts["misses"][0]
    assert "no answer to at least 1 request: POST /v1/chat/completions" in reason


@pytest.mark.parametrize("ledger", ["memory", "off"])
def test_offline_asks_no_endpoint_if_there_is_no_journal(
    tmp_path: Path, server: DemoServer, ledger: str
) -> None:
    job = Asking(tmp_path, server.url, ledger=ledger, offline=True)
    code, reason = job()
    assert code == 1
    assert reason.startswith(f"no journal can answer, since its ledger is {ledger}")
    assert asked(server) == 0


def test_a_failure_from_the_journal_alone_names_the_way_out(
    tmp_path: Path, server: DemoServer
) -> None:
    job = Asking(tmp_path, server.url, dies=2)
    job()
    _, reason = job()
    assert "all answers came from the journal" in reason
    assert "--ask-again last" in reason


def test_a_refusal_of_the_endpoint_is_no_answer_from_the_journal(tmp_path: Path) -> None:
    with serve(fail_status=400, fail_every=2) as server:
        jobs = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            jobs.append(Asking(tmp_path / name, server.url, count=1)())
    (_, (code, reason)) = jobs
    assert code == 1
    assert "Failing on purpose; change its requests with endpoint.request (HTTP 400" in reason
    assert "1 of 1 requests, POST http" in reason
    assert "journal" not in reason


@pytest.mark.parametrize(
    ("params", "limits", "window"),
    [
        ({}, {}, (4, 32)),
        ({"parallelism": 16}, {}, (16, 16)),
        ({"parallelism": 16}, {"concurrency": 2}, (1, 1)),
        ({}, {"concurrency": 6}, (3, 3)),
        ({"parallelism": "auto"}, {"concurrency": 10}, (4, 5)),
    ],
)
def test_evaluations_share_what_their_endpoint_allows(
    tmp_path: Path, params: dict[str, Any], limits: dict[str, Any], window: tuple[int, int]
) -> None:
    endpoint = {"url": "http://host/v1", "model_id": "m", "limits": limits}
    rows = {
        "models": {"m": {"endpoint": endpoint}},
        "benchmarks": {"a": COMMAND, "b": COMMAND},
        "params": params,
    }
    evaluation = expand(config(tmp_path, rows))[0]
    options = gateway.upstreams(evaluation, {})["m"]
    assert (options["start"], options["ceiling"]) == window
    assert gateway.slots(evaluation) == window[1]


def test_evaluations_share_the_rates_that_their_endpoint_states(tmp_path: Path) -> None:
    limits = {"requests_per_minute": 60, "tokens_per_minute": 1000}
    endpoint = {"url": "http://host/v1", "model_id": "m", "limits": limits}
    rows = {"models": {"m": {"endpoint": endpoint}}, "benchmarks": {"a": COMMAND, "b": COMMAND}}
    options = gateway.upstreams(expand(config(tmp_path, rows))[0], {})["m"]
    assert (options["requests_per_minute"], options["tokens_per_minute"]) == (30, 500)


def test_the_gateway_knows_which_harness_reads_only_the_exact_form(tmp_path: Path) -> None:
    rows = {
        "models": {"m": {"endpoint": {"url": "http://host/v1", "model_id": "m"}}},
        "benchmarks": {"any": COMMAND, "exact": {"task": "lm-eval.ifeval"}},
    }
    found = {e.benchmark: gateway.upstreams(e, {})["m"] for e in expand(config(tmp_path, rows))}
    assert {name: each["exact"] for name, each in found.items()} == {"any": False, "exact": True}


@pytest.mark.parametrize(
    ("limits", "window"),
    [({}, (8, 64)), ({"concurrency": 2}, (2, 2)), ({"concurrency": 20}, (8, 20))],
)
def test_a_judge_has_a_window_of_its_own(
    tmp_path: Path, limits: dict[str, Any], window: tuple[int, int]
) -> None:
    judge = {"endpoint": {"url": "http://judge/v1", "model_id": "j", "limits": limits}}
    rows = {
        "models": {"m": {"endpoint": {"url": "http://host/v1", "model_id": "m"}}},
        "auxiliary": {"judge": judge},
        "benchmarks": {"b": COMMAND | {"auxiliary": ["judge"]}},
        "params": {"parallelism": 4},
    }
    options = gateway.upstreams(expand(config(tmp_path, rows))[0], {})
    assert (options["judge"]["start"], options["judge"]["ceiling"]) == window
    assert (options["m"]["start"], options["m"]["ceiling"]) == (4, 4)


@pytest.mark.parametrize("kind", ["pipe", "directory", "loop", "file"])
def test_what_is_no_file_of_the_ledger_never_stops_an_evaluation(
    tmp_path: Path, server: DemoServer, kind: str
) -> None:
    job = Asking(tmp_path, server.url, count=2)
    requests = job.directory.requests
    places = [requests / "m/0001.journal", requests / "gateway", requests / "summary.json"]
    if kind == "file":
        places = [requests / "m"]
    for path in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "loop":
            path.symlink_to(path.name)
        else:
            path.touch()
    assert job() == (0, "")
    assert len(job.stored) == 2
    assert (requests / "summary.json").is_file()
    for path in places:
        assert os.path.lexists(f"{path}.damaged-1")


def test_a_file_in_the_place_of_the_requests_is_moved_aside(
    tmp_path: Path, server: DemoServer
) -> None:
    job = Asking(tmp_path, server.url, count=2)
    job.directory.requests.parent.mkdir(parents=True)
    job.directory.requests.touch()
    assert job() == (0, "")
    assert len(job.stored) == 2


def test_the_summary_of_another_gateway_does_not_count(tmp_path: Path) -> None:
    job = Asking(tmp_path, "http://127.0.0.1:9")
    job.directory.requests.mkdir(parents=True)
    summary = job.directory.requests / "summary.json"
    summary.write_text(json.dumps({"upstreams": {"m": {"unanswered": 0}}, "ended": 5}))
    assert requests.unanswered(job.directory, 5) == 0
    assert requests.unanswered(job.directory, 6) is None
