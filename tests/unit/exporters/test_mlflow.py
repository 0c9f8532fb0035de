"""`mlflow`: a real tracking server, asked with the library's client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from snakeval import exporters
from snakeval.evaluation.record import Metric
from snakeval.exporters.delivery import Delivery, deliver
from support.limits import HUNG
from support.made import Made, completion
from support.sampled import Sampled
from support.servers import answering

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

pytestmark = pytest.mark.exporters


@pytest.fixture
def server(mlflow_url: str) -> str:
    return mlflow_url


def connected(url: str) -> MlflowClient:
    """The library's client; every process that collects tests would wait for its import."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=url)


def sent(run: Made | Sampled, url: str, **options: Any) -> Delivery:
    values = {"tracking_uri": url, "experiment_name": run.path.parent.name, **options}
    return deliver(run.directory, "named", "mlflow", exporters.find("mlflow", values), print)


def everything(run: Made | Sampled, url: str) -> list[Run]:
    """The runs of the test's experiment."""
    client = connected(url)
    experiment = client.get_experiment_by_name(run.path.parent.name)
    return list(client.search_runs([experiment.experiment_id]))


def runs(run: Made, url: str) -> dict[str, Run]:
    """The runs of the test's experiment, by name; no two of one name."""
    found = everything(run, url)
    assert len({each.info.run_name for each in found}) == len(found)
    return {each.info.run_name: each for each in found}


def files(each: Run, url: str, path: str = "") -> list[str]:
    client = connected(url)
    return [
        name
        for entry in client.list_artifacts(each.info.run_id, path)
        for name in (files(each, url, entry.path) if entry.is_dir else [entry.path])
    ]


def test_an_evaluation_is_a_run_with_scores_params_tags_and_files(run: Made, server: str) -> None:
    assert not sent(run, server, artifacts="results*", tags={"team": "nlp"}).undelivered
    found = runs(run, server)
    assert set(found) == {"m/good", "m/bad", "m/to_do"}
    good = found["m/good"]
    assert good.data.metrics["good/acc"] == 0.1234567890123456
    assert good.data.metrics["good/acc_stderr"] == 0.05
    assert good.data.params["fingerprint"] == run.evaluations["good"].fingerprint
    assert good.data.params["model_id"] == "m"
    assert (good.data.tags["team"], good.data.tags["snakeval.complete"]) == ("nlp", "true")
    assert files(good, server) == ["artifacts/results_1.json", "results.csv"]


def test_a_series_is_a_run_with_the_steps_of_the_training(training: Sampled, server: str) -> None:
    def histories() -> dict[str, list[tuple[int, float]]]:
        return {
            each.data.tags["snakeval.key"]: sorted(
                (metric.step, metric.value)
                for metric in connected(server).get_metric_history(each.info.run_id, "b/b/acc")
            )
            for each in everything(training, server)
            if each.data.tags.get("snakeval.series") == "run7"
        }

    key = f"{training.path.name}/run7"
    for _ in range(2):
        assert not sent(training, server).undelivered
    assert histories() == {key: [(200, 0.5), (1000, 1.0)]}
    training.complete("run7@3000/b", [0, 0])
    sent(training, server)
    assert histories() == {key: [(200, 0.5), (1000, 1.0), (3000, 0.0)]}
    training.complete("run7@200/b", [0, 0])
    sent(training, server)
    assert histories() == {
        key: [(200, 0.0), (1000, 1.0), (3000, 0.0)], "": [(200, 0.5), (1000, 1.0), (3000, 0.0)],
    }  # fmt: skip


def test_hostile_names_of_metrics_and_parameters_arrive(run: Made, server: str) -> None:
    names = ["=cmd|' /C calc'!A0", "../../x", "a//b", ".", "/abs", "b/", "a\n=1", "\ud800"]
    place = run.done("good")
    metrics = tuple(Metric("good", name, 0.5) for name in names)
    record = completion(run.evaluations["good"], place, metrics)
    extra = {"params": {"extra": {"=1 (x)": 1, "..": 2}}}
    place.complete(replace(record, identity={**record.identity, **extra}))
    assert not sent(run, server).undelivered
    good = runs(run, server)["m/good"]
    assert len(good.data.metrics) == len(names)
    assert {"1", "2"} <= {*good.data.params.values()}


def test_a_failed_or_missing_evaluation_is_marked(run: Made, server: str) -> None:
    sent(run, server)
    found = runs(run, server)
    bad, to_do = found["m/bad"], found["m/to_do"]
    assert (bad.info.status, bad.data.tags["snakeval.reason"]) == ("FAILED", "no such data set")
    assert (to_do.info.status, to_do.data.tags["snakeval.status"]) == ("SCHEDULED", "pending")
    assert found["m/good"].info.status == "FINISHED"


def test_a_second_export_creates_no_duplicate(run: Made, server: str) -> None:
    for _ in range(2):
        assert not sent(run, server, artifacts="results*").undelivered
    good = runs(run, server)["m/good"]
    history = connected(server).get_metric_history(good.info.run_id, "good/acc")
    assert [metric.value for metric in history] == [0.1234567890123456]


def test_a_missing_result_later_updates_the_same_run(run: Made, server: str) -> None:
    sent(run, server)
    before = runs(run, server)["m/to_do"]
    run.done("to_do", Metric("to_do", "acc", 0.5))
    sent(run, server)
    after = runs(run, server)["m/to_do"]
    assert after.info.run_id == before.info.run_id
    assert after.info.status == "FINISHED"
    assert after.data.metrics["to_do/acc"] == 0.5
    assert after.data.params["model_id"] == "m"


def test_a_changed_definition_is_a_new_run_and_the_old_one_stays(run: Made, server: str) -> None:
    sent(run, server)
    old = runs(run, server)["m/good"]
    evaluation = run.evaluations["good"]
    run.evaluations["good"] = replace(
        evaluation, identity=replace(evaluation.identity, model_id="m-2")
    )
    changed = run.evaluations["good"].fingerprint
    run.plan = [replace(i, fingerprint=changed) if i.benchmark == "good" else i for i in run.plan]
    run.save()
    run.done("good", Metric("good", "acc", 0.75))
    sent(run, server, run_name="after")
    client = connected(server)
    old = client.get_run(old.info.run_id)
    assert old.data.tags["snakeval.superseded"].endswith("/m/good")
    assert old.data.metrics["good/acc"] == 0.1234567890123456
    found = client.search_runs(
        [old.info.experiment_id], f"params.fingerprint = '{changed}'", max_results=5
    )
    assert [each.data.metrics["good/acc"] for each in found] == [0.75]


def test_the_next_export_repairs_a_duplicate_of_two_simultaneous_ones(
    run: Made, server: str
) -> None:
    sent(run, server)
    good = runs(run, server)["m/good"]
    client = connected(server)
    key = good.data.tags["snakeval.key"]
    other = client.create_run(
        good.info.experiment_id, tags={"snakeval.key": key}, run_name="the other"
    )
    sent(run, server)
    found = client.search_runs([good.info.experiment_id], f"tags.`snakeval.key` = '{key}'")
    assert [each.info.run_id for each in found] == [good.info.run_id]
    assert client.get_run(other.info.run_id).data.tags["snakeval.superseded"] == key


def test_with_per_run_the_whole_run_is_one_entry(run: Made, server: str) -> None:
    sent(run, server, per="run", artifacts="results*", description="a note")
    ((name, whole),) = runs(run, server).items()
    assert name == f"named {run.path.name}"
    assert whole.data.metrics["m/good/good/acc"] == 0.1234567890123456
    assert whole.data.tags["snakeval.partial"].startswith("partial: 1 of 3 evaluations are done")
    assert whole.data.tags["mlflow.note.content"] == "a note"
    assert files(whole, server) == ["m/good/artifacts/results_1.json", "results.csv"]


def test_many_scores_are_sent_in_several_batches(run: Made, server: str) -> None:
    run.done("good", *(Metric("good", f"m{number}", number / 2000) for number in range(1700)))
    assert not sent(run, server).undelivered
    assert len(runs(run, server)["m/good"].data.metrics) >= 1700


# --- a server that does not take it --------------------------------------------------------


@contextmanager
def refusing(*statuses: int) -> Iterator[tuple[str, list[str]]]:
    """Answer with each of *statuses* in turn, and with the last one from then on."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = statuses[min(len(asked), len(statuses) - 1)]
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with answering(Handler) as url:
        yield url, asked


@contextmanager
def losing(server: str, path: str) -> Iterator[tuple[str, list[str]]]:
    """Pass requests on to *server*, and lose the first answer to *path*."""
    lost: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            headers = {"Content-Type": self.headers.get("Content-Type") or "text/plain"}
            there = HTTPConnection(urlsplit(server).netloc, timeout=HUNG)
            with closing(there):
                there.request(self.command, self.path, body, headers)
                answer = there.getresponse()
                content = answer.read()
            if self.path.endswith(path) and not lost:
                lost.append(self.path)
                return  # closes the connection
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_PATCH = do_POST

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with answering(Handler) as url:
        yield url, lost


def reasons(result: Delivery) -> set[str]:
    assert len(result.undelivered) == 3
    return set(result.undelivered.values())


def test_wrong_credentials_are_one_sentence_without_a_retry(run: Made) -> None:
    with refusing(401) as (url, asked):
        (reason,) = reasons(sent(run, url))
        assert reason.startswith("the server refuses the credentials (401); export MLFLOW_TRACKING")
        assert len(asked) == 1


def test_a_quota_error_is_retried_and_reported(
    run: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    with refusing(429) as (url, _):
        (reason,) = reasons(sent(run, url, attempts=2))
    assert "429" in reason
    assert "again in 1 s" in capsys.readouterr().out


def test_a_lost_answer_creates_no_second_run(run: Made, server: str) -> None:
    with losing(server, "/runs/create") as (url, lost):
        assert not sent(run, url).undelivered
    assert lost
    assert len(runs(run, server)) == 3


def test_no_network_is_one_sentence(run: Made) -> None:
    (reason,) = reasons(sent(run, "http://127.0.0.1:1", attempts=1))
    assert reason == "the server: it cannot be reached: [Errno 111] Connection refused"
