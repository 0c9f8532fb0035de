"""`run.sh` by hand, through the gateway and without it, with a bash and curl command as harness."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from snakeval.dag.by_hand import run_script
from snakeval.demo.server import DemoServer, serve
from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.jobs import by_hand
from snakeval.jobs.container import container
from snakeval.matrix.expand import expand
from snakeval.runtimes import process
from support.asking import KEY, complete
from support.configs import COMMAND, config
from support.limits import HUNG

#: Asks two questions with the key in the environment, and prints the key as a careless harness.
ASKS = """
for number in 1 2; do
  curl -sS --fail -H "Authorization: Bearer $API_KEY" -H 'Content-Type: application/json' \
    -d '{"model": "careful", "messages": [{"role": "user", "content": "What is '$number'?"}]}' \
    {{ url }} || exit 7
done > {{ results }}/answers
echo "the key is $API_KEY"
env > {{ results }}/environ
echo '{"v": 1}' > {{ results }}/f
"""

pytestmark = [
    pytest.mark.usefixtures("in_this_process"),
    pytest.mark.skipif(not shutil.which("curl"), reason="no curl here"),
]


class ByHand:
    """An evaluation with its `run.sh`."""

    def __init__(self, directory: Path, url: str, **changes: Any) -> None:
        self.directory = EvaluationDirectory(directory / "2026-01-02-03-04-05-0123abcd/m/b")
        benchmark = COMMAND | {"command": ASKS, "metrics": {"file": "f", "values": {"v": "v"}}}
        endpoint = {"url": f"{url}/v1", "model_id": "careful", "api_key_name": "MY_KEY"}
        rows = {
            "runtime": "process",
            "models": {"m": {"endpoint": endpoint}},
            "benchmarks": {"b": benchmark},
            **changes,
        }
        self.evaluation: Evaluation
        (self.evaluation,) = expand(config(directory, rows))
        self.directory.define(self.evaluation)
        runtime = process.connect()
        spec = container(self.evaluation, self.directory, runtime, "run", {})
        self.script = run_script(self.evaluation, self.directory, spec, runtime)
        self.directory.write_script(self.script)

    def __call__(self, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", self.directory.script],
            cwd="/",
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=HUNG,
        )

    @property
    def written(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.directory.by_hand.iterdir()}


@pytest.fixture
def model() -> Iterator[DemoServer]:
    with serve(api_key=KEY) as each:
        yield each


def asked(server: DemoServer) -> int:
    count: int = server.stats()["requests"]
    return count


def test_it_works_through_the_gateway_and_without_it(model: DemoServer, tmp_path: Path) -> None:
    work = ByHand(tmp_path, model.url)
    assert KEY not in work.script
    done = work()
    assert (done.returncode, asked(model)) == (0, 2), done.stderr
    through = work.written
    assert KEY not in done.stdout + done.stderr + "".join(through.values())
    assert "the key is " in done.stdout
    assert not work.directory.requests.exists(), "the evaluation's own counts do not change"

    assert work().returncode == 0
    assert asked(model) == 2, "its own answers are stored"
    assert work.written["answers"] == through["answers"]

    done = work(SNAKEVAL_LEDGER="off")
    assert (done.returncode, asked(model)) == (0, 4), done.stderr
    assert f"the key is {KEY}" in done.stdout
    assert KEY not in "".join(p.read_text() for p in (tmp_path / "home").rglob("*") if p.is_file())
    assert {*work.written} == {*through}


def test_stored_answers_of_the_evaluation_answer_first(model: DemoServer, tmp_path: Path) -> None:
    work = ByHand(tmp_path, model.url)
    assert complete(work.evaluation, work.directory) == (0, "")
    assert asked(model) == 2
    before = {p: p.read_bytes() for p in work.directory.requests.rglob("*") if p.is_file()}
    with (tmp_path / "out").open("wb") as out:
        assert by_hand.run(work.directory, {}, Event(), out) == 0
    assert asked(model) == 2
    after = {p: p.read_bytes() for p in work.directory.requests.rglob("*") if p.is_file()}
    assert after == before


def test_a_key_that_an_endpoint_repeats_is_not_printed(tmp_path: Path) -> None:
    secret = b"sk-canary-0123456789"
    with (tmp_path / "out").open("wb") as out, by_hand._blotted(out, [secret]) as log:
        log.write(b'{"error": "wrong key sk-canary-')
        log.flush()
        log.write(b'0123456789"}\nlast line without end sk-canary-0123456789')
    written = (tmp_path / "out").read_bytes()
    assert secret not in written
    assert written.endswith(b"last line without end " + b"*" * len(secret))


def test_what_cannot_start_names_the_switch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand.signal, "signal", lambda *arguments: None)
    assert by_hand.main([str(tmp_path / "none")]) == 1
    assert "SNAKEVAL_LEDGER=off" in capsys.readouterr().err


def test_a_gateway_that_dies_is_a_failure(
    model: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = ByHand(tmp_path, model.url)
    ran = process.Process.run

    def kill(self: process.Process, spec: Any, log: Any, stop: Event) -> Any:
        os.kill(gateways[0].gateway.pid, 9)
        assert stop.wait(HUNG)
        return ran(self, spec, log, stop)

    gateways: list[Any] = []
    made = by_hand.container

    def note(*arguments: Any) -> Any:
        gateways.extend(arguments[6:])
        return made(*arguments)

    monkeypatch.setattr(process.Process, "run", kill)
    monkeypatch.setattr(by_hand, "container", note)
    with (
        (tmp_path / "out").open("wb") as out,
        pytest.raises(EvaluationError, match="the gateway ended"),
    ):
        by_hand.run(work.directory, {}, Event(), out)


@pytest.mark.parametrize("changes", [{"ledger": "off"}, {"benchmarks": {"b": COMMAND}}])
def test_a_script_without_a_gateway_asks_directly(changes: Any, tmp_path: Path) -> None:
    endpoint = {"endpoint": {"url": "http://host/v1", "model_id": "m"}}
    work = ByHand(tmp_path, "http://host", models={"m": endpoint}, **changes)
    assert "SNAKEVAL_LEDGER" not in work.script


def test_a_server_of_the_person_is_asked_and_not_waited_for_long(tmp_path: Path) -> None:
    work = ByHand(tmp_path, "http://host")
    transport = replace(work.evaluation.transport, servers=("m",))
    served = replace(work.evaluation, transport=transport)
    url = "http://127.0.0.1:8000/v1/chat/completions"
    runtime = process.connect()
    spec = container(served, work.directory, runtime, "run", {"m": url})
    script = run_script(served, work.directory, spec, runtime, {"m": url, "other": "http://o"})
    assert f'snakeval.jobs.by_hand "$here" --served m {url}\n' in script
    assert "other" not in script
    found = by_hand._upstreams(served, {"m": url})["m"]
    assert (found["url"], found["served"], found["deadline"]) == (url, True, 60)
    if shellcheck := shutil.which("shellcheck"):
        work.directory.write_script(script)
        subprocess.run([shellcheck, "--severity", "warning", work.directory.script], check=True)
