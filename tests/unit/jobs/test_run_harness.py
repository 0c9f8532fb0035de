"""A break of a served model never becomes a wrong answer: the harness waits, or it runs again.

Long because each kind of break is one short test of the same job.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.jobs import run_harness
from snakeval.jobs.served_models import Serving
from snakeval.ledger import beside
from snakeval.matrix.expand import expand
from snakeval.serving import client
from support.asking import complete
from support.configs import COMMAND, config

#: Asks four questions, and counts each request without a text as a wrong answer.
_HARNESS = """\
import json, pathlib, sys, urllib.request
url, place, results = sys.argv[1:]
hurry = pathlib.Path(place, "hurry")
patience = 0.3 if hurry.exists() else 60
with open(pathlib.Path(place, "ran"), "a") as ran:
    ran.write("x")
right = 0
for number in range(4):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": str(number)}]})
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=patience) as answer:
            right += bool(json.load(answer)["choices"][0]["message"]["content"])
    except Exception as error:
        print(f"no answer: {error}", file=sys.stderr)
pathlib.Path(results, "f").write_text(json.dumps({"v": right}))
"""
_SOUND = json.dumps({"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}]})
_ABORTED = json.dumps({"choices": [{"message": {"content": "4"}, "finish_reason": "abort"}]})


class Model(ThreadingHTTPServer):
    """A served model that answers the second request of all with *sick*, and breaks.

    Without *sick*, it hangs up then, and answers 502 until it is served again after *away* seconds.
    """

    daemon_threads = True

    def __init__(self, sick: str | None, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sick, self.status = sick, status
        self.lock, self.requests, self.sound = threading.Lock(), 0, 0
        self.is_well = True
        self.broken = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/chat/completions"

    def answer(self) -> tuple[int, str]:
        with self.lock:
            self.requests += 1
            if self.requests == 2:
                self.broken.set()
                self.is_well = self.sick is not None
                return self.status, self.sick or ""
            self.sound += self.is_well
        return (200, _SOUND) if self.is_well else (502, "")


class _Handler(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, text = self.server.answer()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if "<" in text else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Job:
    """An evaluation whose model the test serves; *heal* has it served again after a loss."""

    def __init__(
        self,
        place: Path,
        monkeypatch: pytest.MonkeyPatch,
        model: Model,
        *,
        heal: Callable[[], None] | None = None,
        is_noticed: bool = True,
        is_stale: bool = False,
    ) -> None:
        self.is_stale = is_stale
        self.place, self.model, self.heal, self.is_noticed = place, model, heal, is_noticed
        (place / "harness.py").write_text(_HARNESS)
        command = f"exec python3 {place}/harness.py {{{{ url }}}} {place} {{{{ results }}}}"
        benchmark = COMMAND | {"command": command, "metrics": {"file": "f", "values": {"v": "v"}}}
        endpoint = {"url": model.url, "model_id": "m"}
        rows = {"models": {"m": {"endpoint": endpoint}}, "benchmarks": {"b": benchmark}}
        (made,) = expand(config(place, {"runtime": "process", **rows}))
        # One try, so that what a sick server answers reaches the harness at once.
        self.evaluation = replace(made, transport=replace(made.transport, max_retries=0))
        self.directory = EvaluationDirectory(place / "run/m/b")
        monkeypatch.setattr(run_harness, "serve_models", self._serve)

    @contextmanager
    def _serve(
        self, evaluation: Any, directory: Any, head: int, stop: Event, log: Any, on_loss: Any
    ) -> Iterator[Serving]:
        serving, breaks = Serving(stop, log, on_loss), self.model.broken.is_set()
        if breaks:
            self.model.is_well = True
        served = client.Served(self.model.url, "process", "", (), "server.log")
        serving.servers = Pool({"m": served}, self if not breaks else None)

        def serve() -> client.Servers:
            assert self.heal is not None
            self.heal()
            return Pool({"m": served}, None)

        def lose() -> None:
            self.model.broken.wait(60)
            if not serving.has_left:
                serving.replace("it died", serve)

        thread = threading.Thread(target=lose)
        if self.heal is not None and not breaks:
            thread.start()
        with serving.passing_on():
            yield serving
        if thread.ident:
            self.model.broken.set()
            thread.join()

    def __call__(self) -> tuple[int, str]:
        return complete(self.evaluation, self.directory)

    @property
    def ran(self) -> int:
        return len((self.place / "ran").read_text())

    @property
    def right(self) -> float:
        done = self.directory.completion(self.evaluation.fingerprint)
        assert done is not None
        return done.metrics[0].value


class Pool(client.Servers):
    """Servers whose pool knows of the model's break."""

    def __init__(self, found: dict[str, client.Served], job: Job | None) -> None:
        super().__init__(found)
        self._job = job
        self.is_stale = job is not None and job.is_stale

    def why_broken(self, timeout: float = 0) -> str:
        known = self._job is not None and self._job.is_noticed and self._job.model.broken.is_set()
        return "the server answers HTTP 500" if known else ""


@pytest.fixture(autouse=True)
def surroundings(in_this_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snakeval.ledger.retries.FIRST_PAUSE", 0.01)


@pytest.fixture
def serve() -> Iterator[Callable[..., Model]]:
    models = []

    def start(sick: str | None, status: int = 200) -> Model:
        models.append(Model(sick, status))
        threading.Thread(target=models[-1].serve_forever, args=(0.05,), daemon=True).start()
        return models[-1]

    yield start
    for model in models:
        model.shutdown()
        model.server_close()


@pytest.mark.parametrize(
    ("sick", "status"),
    [
        ("<html>Bad gateway</html>", 200),
        ('{"choices": []}', 200),
        ('{"choices": [{"mess', 200),
        ('{"error": "the engine is dead"}', 200),
        (_ABORTED, 200),
        ("", 200),
        ("{}", 500),
        ("{}", 404),
    ],
)
def test_what_a_sick_server_answered_is_never_published(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    serve: Callable[..., Model],
    sick: str,
    status: int,
) -> None:
    job = Job(tmp_path, monkeypatch, serve(sick, status))
    assert job() == (0, "")
    assert (job.right, job.ran) == (4, 2)
    assert job.model.sound == 4, "a sound answer is requested once"


def test_sound_answers_of_other_weights_are_requested_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Model]
) -> None:
    job = Job(tmp_path, monkeypatch, serve(_SOUND), is_stale=True)
    assert job() == (0, "")
    assert (job.right, job.ran) == (4, 2)
    assert job.model.requests == 2 * 4


def test_after_a_break_results_count_only_if_the_gateway_wrote_its_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Model]
) -> None:
    """A full disk may keep an earlier summary, without the requests that had no answer."""
    job = Job(tmp_path, monkeypatch, serve("{}", 500))
    harness, summary = tmp_path / "harness.py", tmp_path / "run/m/b/requests/summary.json"
    harms = f"pathlib.Path({str(summary)!r}).unlink(); pathlib.Path({str(summary)!r}).mkdir()\n"
    once = f"if pathlib.Path({str(tmp_path)!r}, 'ran').read_text() == 'x': {harms}"
    harness.write_text(_HARNESS + once)
    assert job() == (0, "")
    assert (job.right, job.ran) == (4, 2)


@pytest.mark.parametrize("is_long", [True, False])
def test_a_harness_that_gave_up_while_its_gateway_stood_still_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Model], *, is_long: bool
) -> None:
    job = Job(tmp_path, monkeypatch, serve(_SOUND), is_noticed=False)
    if is_long:  # else the pause is shorter than the one that is noticed without an end in it
        monkeypatch.setattr(beside, "start", partial(_patient, beside.start))
    beat, hurry = tmp_path / "run/m/b/requests/gateway", tmp_path / "hurry"
    hurry.touch()
    stops = (
        "import os, signal, time\n"
        f"if pathlib.Path({str(hurry)!r}).exists():\n"
        f"    pid = json.loads(pathlib.Path({str(beat)!r}).read_text())['pid']\n"
        "    os.kill(pid, signal.SIGSTOP)\n"
        "right = 0\n"
    )
    goes_on = (
        f"if pathlib.Path({str(hurry)!r}).exists():\n"
        f"    pathlib.Path({str(hurry)!r}).unlink()\n"
        "    time.sleep(1)\n"
        "    os.kill(pid, signal.SIGCONT)\n"
    )
    text = _HARNESS.replace("right = 0\n", stops) + goes_on
    (tmp_path / "harness.py").write_text(text)
    assert job() == (0, "")
    assert (job.right, job.ran) == (4, 2)


def _patient(start: Callable[..., Any], config: dict[str, Any]) -> Any:
    """Start a gateway that notices a pause of half a second."""
    return start({**config, "paused": 0.5})


def test_without_a_break_a_harness_decides_what_an_odd_answer_is_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Model]
) -> None:
    job = Job(tmp_path, monkeypatch, serve("{}", 400), is_noticed=False)
    assert job() == (0, "")
    assert (job.right, job.ran) == (3, 1)


def test_a_break_without_a_lost_answer_does_not_run_the_harness_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Model]
) -> None:
    job = Job(tmp_path, monkeypatch, serve(_SOUND))
    assert job() == (0, "")
    assert (job.right, job.ran) == (4, 1)


def test_a_harness_waits_while_its_model_is_served_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Model]
) -> None:
    model = serve(None, 502)
    job = Job(tmp_path, monkeypatch, model, heal=lambda: setattr(model, "is_well", True))
    assert job() == (0, "")
    assert (job.right, job.ran) == (4, 1)


def test_a_harness_that_gave_up_while_its_model_was_away_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Model]
) -> None:
    """Its own time-out is over while the pool still loads the model, and it exits with 0."""
    model, results, hurry = serve(None, 502), tmp_path / "run/m/b", tmp_path / "hurry"
    hurry.touch()

    def heal() -> None:
        # The harness ends first: the restart takes longer than its patience.
        deadline = Event()
        while not any(results.rglob("artifacts/f")) and not deadline.wait(0.05):
            pass
        hurry.unlink()

    job = Job(tmp_path, monkeypatch, model, heal=heal)
    assert job() == (0, "")
    assert (job.right, job.ran) == (4, 2)


def test_a_key_that_an_endpoint_repeats_is_not_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Model]
) -> None:
    key = "sk-canary-0123456789"
    monkeypatch.setenv("MY_KEY", key)
    job = Job(tmp_path, monkeypatch, serve("{}", 404), is_noticed=False)
    transport = replace(job.evaluation.transport, api_key_name="MY_KEY")
    job.evaluation = replace(job.evaluation, transport=transport)
    # The gateway sends the key, and the harness prints what the endpoint answers.
    harness = tmp_path / "harness.py"
    harness.write_text(f"{_HARNESS}print('Incorrect API key provided: {key}')\n")
    assert job() == (0, "")
    log = job.directory.attempt_log(1).read_text()
    assert f"Incorrect API key provided: {'*' * len(key)}" in log
    assert key not in log


def test_what_takes_minutes_before_the_harness_is_also_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[str] = []
    log: Any = SimpleNamespace(tell=lambda event: told.append(event.detail))
    texts = ["pulling i:1", "i:1: 3 of 9 layers", "building the environment of i in /e", "built /e"]
    for text in texts:
        run_harness._prepares(log, text)
    assert told == texts
    assert capsys.readouterr().err.splitlines() == [texts[0], texts[2]]
