"""The ledger travels with a job of Lepton, on a stand-in for the service."""

from __future__ import annotations

import json
import os
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from standin import StandIn

from snakeval.ledger.reading import stored
from snakeval.run.directory import RunDirectory
from support.limits import HUNG
from support.on_lepton import OnLepton
from support.s3 import bucket
from support.served import wait_for
from support.servers import JsonHandler, answering
from support.workspace import Done

pytestmark = pytest.mark.images

PYTHON, BUSYBOX = "snakeval-testbed/python:3.11-slim", "snakeval-testbed/busybox:latest"
KEY = "sk-canary-of-lepton"
#: Each of four questions three times, so that an attempt needs twelve answers.
QUESTIONS, SAMPLES = 4, 3
_ASK = """\
python3 - {{ url }} <<'PYTHON' > {{ results }}/answers.json
import json, os, sys, urllib.request
answers = []
for number in range(12):
    message = {"role": "user", "content": f"question {number % 4}"}
    headers = {"Content-Type": "application/json"}
    headers["Authorization"] = "Bearer " + os.environ["API_KEY"]
    body = json.dumps({"model": "m", "messages": [message]}).encode()
    with urllib.request.urlopen(urllib.request.Request(sys.argv[1], body, headers)) as answer:
        answers.append(json.load(answer)["choices"][0]["message"]["content"])
print(json.dumps({"count": len(set(answers)), "token": os.environ["API_KEY"]}))
PYTHON
"""


class Asked:
    """What the endpoint was asked; it holds the request number `stops` until `go` is set."""

    def __init__(self) -> None:
        self.questions: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.stops = 0
        self.stopped, self.go = threading.Event(), threading.Event()

    @property
    def total(self) -> int:
        return sum(self.questions.values())


class Endpoint(JsonHandler):
    """Answers each request with its number."""

    asked: Asked

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.keys.add(self.headers.get("Authorization", ""))
        self.asked.questions[body["messages"][0]["content"]] += 1
        number = self.asked.total
        if number == self.asked.stops:
            self.asked.stopped.set()
            self.asked.go.wait(60)
        message = {"role": "assistant", "content": f"answer {number}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.reply(200, {"model": "m", "choices": [choice]})


class Work(OnLepton):
    """A workspace whose job asks an endpoint, and a volume or a bucket for its files."""

    asked: Asked
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = MappingProxyType({})

    def command(self, *options: str) -> list[str]:
        return super().command(*self.options, *options)

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.variables}

    @property
    def answers(self) -> list[Any]:
        return list(stored(RunDirectory(self.run).evaluation("m/b").requests))

    @property
    def log(self) -> str:
        return (self.run / "m/b/logs/harness.log").read_text()


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    asked = Asked()
    with StandIn("docker") as standin, answering(Endpoint, asked=asked) as url:
        standin.workspace.secrets["MY_KEY"] = KEY
        benchmark = {
            "harness": "generic",
            "image": PYTHON,
            "command": _ASK,
            "metrics": {"file": "answers.json", "values": {"count": "count"}},
        }
        endpoint = {"url": f"{url}/v1", "model_id": "m", "api_key_name": "MY_KEY"}
        work = Work.below(
            tmp_path, models={"m": {"endpoint": endpoint}}, benchmarks={"b": benchmark}
        )
        work.standin, work.asked = standin, asked
        yield work


@contextmanager
def volume(work: Work) -> Iterator[None]:
    here = work.standin.workspace.volume("node-nfs:shared") / "files"
    here.mkdir()
    work.options = (
        *("--lepton-mount", f"node-nfs:shared/files=/mnt/{uuid.uuid4().hex}"),
        *("--lepton-mount-local", str(here)),
    )
    yield
    assert [path for path in here.rglob("*") if path.is_file()] == []


@pytest.fixture
def mounted(work: Work) -> Iterator[Work]:
    with volume(work):
        yield work


def finish(head: Any) -> Done:
    output, _ = head.communicate(timeout=HUNG)
    return Done(head.returncode, output)


def is_whole(work: Work) -> bool:
    """Whether the harness received twelve different answers, and the journal has them."""
    return set(work.table()["value"]) == {12.0} and len(work.answers) == QUESTIONS * SAMPLES


def test_the_gateway_asks_with_the_key_and_the_harness_has_a_token(mounted: Work) -> None:
    done = mounted.snakemake()
    assert done.exit_code == 0, done.output
    assert is_whole(mounted)
    assert mounted.asked.keys == {f"Bearer {KEY}"}
    assert mounted.asked.questions == {f"question {n}": SAMPLES for n in range(QUESTIONS)}
    token = json.loads((mounted.run / "m/b/artifacts/answers.json").read_text())["token"]
    assert len(token) == 32
    files = [path for path in mounted.directory.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY in path.read_text(errors="replace")]


@pytest.mark.parametrize("how", ["killed", "preempted"])
def test_after_a_kill_no_answered_request_is_asked_again(mounted: Work, how: str) -> None:
    mounted.asked.stops = 7
    head = mounted.start()
    assert mounted.asked.stopped.wait(HUNG)
    (job,) = mounted.standin.jobs
    if how == "killed":
        job.workload.stop(0)
    else:
        mounted.standin.workspace.jobs.preempt(job)
    mounted.asked.go.set()
    done = finish(head)
    assert done.exit_code == 0, done.output
    assert is_whole(mounted)
    # The one that was in flight was asked twice.
    assert mounted.asked.total == QUESTIONS * SAMPLES + 1


def test_after_ctrl_c_the_same_command_asks_no_answered_request_again(mounted: Work) -> None:
    mounted.asked.stops = 7
    head = mounted.start()
    assert mounted.asked.stopped.wait(HUNG)
    os.killpg(head.pid, signal.SIGINT)
    mounted.asked.go.set()
    assert finish(head).exit_code != 0
    wait_for(lambda: mounted.standin.alive == [], "the end of the job")
    done = mounted.snakemake()
    assert done.exit_code == 0, done.output
    assert is_whole(mounted)
    # The gateway kept the answer that was in flight, if it had the time.
    assert mounted.asked.total <= QUESTIONS * SAMPLES + 1


def test_the_journal_returns_through_a_bucket_also_from_a_failed_job(work: Work) -> None:
    benchmark = work.config["benchmarks"]["b"]
    fails = "test -e {{ results }}/../requests/m/0001.journal || fails=1\n"
    benchmark["command"] = fails + _ASK + 'test -z "${fails:-}" || exit 3\n'
    with bucket(work.directory.parent) as s3:
        work.variables = s3.variables
        work.options = ("--lepton-s3-prefix", s3.prefix, "--lepton-s3-endpoint-url", s3.url)
        done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert [job.state for job in work.standin.jobs] == ["Failed", "Completed"]
    assert is_whole(work)
    assert work.asked.total == QUESTIONS * SAMPLES


def test_the_journal_never_returns_through_the_log_which_says_so(work: Work) -> None:
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert set(work.table()["value"]) == {12.0}
    assert "answers of this job do not return through its log" in work.log
    assert work.answers == []
    (summary,) = (work.run / "m/b/requests").glob("summary.json")
    assert json.loads(summary.read_text())["upstreams"]["m"]["requests"] == QUESTIONS * SAMPLES


def test_an_image_without_python_runs_without_the_ledger_and_the_log_says_so(work: Work) -> None:
    work.config["benchmarks"]["b"] |= {
        "image": BUSYBOX,
        "command": 'echo "{\\"count\\": 12}" > {{ results }}/answers.json; echo {{ url }}',
    }
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert "no Python 3.9, so the harness asks its models itself" in work.log
    assert "/v1/chat/completions" in work.log
    assert "127.0.0.1:1/" not in work.log
