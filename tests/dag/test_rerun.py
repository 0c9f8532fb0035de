"""The rerun contract: the same command finishes a run and reruns no finished evaluation."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from snakeval.demo.server import DemoServer, serve
from snakeval.executors.lepton.api import Platform
from snakeval.executors.lepton.endpoints import Endpoints
from snakeval.run.directory import RunDirectory
from support.lepton import free_port, served, standin
from support.served import wait_for
from support.workspace import Workspace

SUM, PRODUCT = "What is 966 + 991?", "What is 12 * 34?"
ALL = {"one/sum", "one/product", "two/sum", "two/product"}


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, server: DemoServer) -> Workspace:
    """Two models on two benchmarks, all done."""
    directory = tmp_path_factory.mktemp("first")
    work = Workspace(directory, tmp_path_factory.mktemp("home"))
    endpoint = {"url": f"{server.url}/v1", "model_id": "careful"}
    work.config = {
        "runtime": "process",
        "models": {name: {"endpoint": dict(endpoint)} for name in ("one", "two")},
        "benchmarks": {
            "sum": work.ask("sum", SUM),
            "product": work.ask("product", PRODUCT),
        },
    }
    done = work.snakemake()
    assert (done.exit_code, done.evaluated) == (0, ALL), done.output
    assert list(work.table()["value"]) == [1957, 408] * 2
    return work


@pytest.fixture
def work(first: Workspace, server: DemoServer, tmp_path: Path) -> Workspace:
    """A copy of the finished run, with the server's counts at nought."""
    copy = first.copy(tmp_path)
    server.ledger.reset()
    return copy


Change = Callable[[Workspace], Any]


def endpoint(work: Workspace, model: str) -> dict[str, Any]:
    found: dict[str, Any] = work.config["models"][model]["endpoint"]
    return found


def benchmark(work: Workspace, name: str) -> dict[str, Any]:
    found: dict[str, Any] = work.config["benchmarks"][name]
    return found


def add_benchmark(work: Workspace) -> None:
    work.config["benchmarks"]["another"] = work.ask("another", SUM)


def add_model(work: Workspace) -> None:
    work.config["models"]["three"] = work.config["models"]["one"]


@pytest.mark.parametrize("metadata", ["with its metadata", "without its metadata"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda work: None, set()),
        (add_benchmark, {"one/another", "two/another"}),
        (add_model, {"three/sum", "three/product"}),
        (
            lambda work: benchmark(work, "sum").update(params={"temperature": 0.5}),
            {"one/sum", "two/sum"},
        ),
        (
            lambda work: benchmark(work, "sum").update(per_model={"two": {"top_p": 0.5}}),
            {"two/sum"},
        ),
        (lambda work: work.question("sum", "What is 1 + 1?"), {"one/sum", "two/sum"}),
        (lambda work: benchmark(work, "sum").update(command="true"), {"one/sum", "two/sum"}),
        (
            lambda work: endpoint(work, "one").update(model_id="sloppy"),
            {"one/sum", "one/product"},
        ),
        (
            lambda work: endpoint(work, "one").update(url="http://127.0.0.1:1/v1"),
            {"one/sum", "one/product"},
        ),
        (
            lambda work: work.config.update(
                params={"parallelism": 9, "request_timeout": 9, "max_retries": 9},
                resources={"cpus": 1, "mem_mb": 100, "runtime": 5},
                runtime="auto",
                network="bridge",
            ),
            set(),
        ),
    ],
    ids=[
        "nothing", "another benchmark", "another model", "a parameter of a benchmark",
        "a parameter of a benchmark on one model", "a benchmark's prompt", "a command",
        "a model's id", "a model's url", "what can change no score",
    ],
)  # fmt: skip
def test_a_change_reruns_only_the_affected_evaluations(
    work: Workspace, change: Change, expected: set[str], metadata: str
) -> None:
    if metadata == "without its metadata":
        shutil.rmtree(work.directory / ".snakemake")
    change(work)
    plan = work.snakemake("-n")
    assert (plan.exit_code, plan.evaluated) == (0, expected), plan.output
    assert plan.nothing_to_do == (not expected)


def tree(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_dry_run_writes_nothing(work: Workspace) -> None:
    add_benchmark(work)
    before = tree(work.directory / "results")
    assert work.snakemake("-n").evaluated == {"one/another", "two/another"}
    assert tree(work.directory / "results") == before


def test_a_second_run_sends_no_request_and_changes_no_file(
    work: Workspace, server: DemoServer
) -> None:
    before = tree(work.run)
    assert work.snakemake().nothing_to_do
    assert tree(work.run) == before
    assert server.stats()["requests"] == 0


def test_a_changed_parameter_archives_the_old_result_and_its_return_restores_it(
    work: Workspace, server: DemoServer
) -> None:
    benchmark(work, "sum")["params"] = {"extra": {"offset": 1}}
    done = work.snakemake()
    assert (done.exit_code, done.evaluated) == (0, {"one/sum", "two/sum"}), done.output
    assert list(work.table()["value"]) == [1958, 408] * 2
    assert server.stats()["answered"] == 0, "the requests are the same, and the ledger has them"
    (old,) = (work.run / "one" / "sum").glob("attempts/1/artifacts/answer.json")
    assert "1957" in old.read_text()

    del benchmark(work, "sum")["params"]
    assert work.snakemake().exit_code == 0
    assert list(work.table()["value"]) == [1957, 408] * 2
    assert server.stats()["answered"] == 0
    (other,) = (work.run / "one" / "sum").glob("attempts/*/artifacts/answer.json")
    assert "1958" in other.read_text()


def test_a_changed_prompt_or_model_never_gets_an_old_answer(
    work: Workspace, server: DemoServer
) -> None:
    work.question("sum", "What is 20 + 22?")
    endpoint(work, "two")["model_id"] = "sloppy"
    done = work.snakemake()
    assert (done.exit_code, done.evaluated) == (0, ALL - {"one/product"}), done.output
    assert work.table().loc["one/sum", "value"] == 42
    assert server.stats()["models"] == {"careful": 1, "sloppy": 2}
    assert server.stats()["repeated"] == 0


def test_another_server_is_another_model(work: Workspace, server: DemoServer) -> None:
    with serve() as other:
        endpoint(work, "one")["url"] = f"{other.url}/v1"
        assert work.snakemake().evaluated == {"one/sum", "one/product"}
        assert other.stats()["answered"] == 2
    assert server.stats()["requests"] == 0


def test_limit_samples_starts_another_run_and_keeps_the_first(work: Workspace) -> None:
    full = work.run
    before = tree(full)
    work.config["params"] = {"limit_samples": 10}
    assert work.snakemake("--config", "models=one").evaluated == {"one/sum", "one/product"}
    assert len(work.runs) == 2
    assert tree(full) == before
    del work.config["params"]
    assert work.snakemake("-n").nothing_to_do


def test_forced_evaluations_reuse_their_results_without_a_request(
    work: Workspace, server: DemoServer
) -> None:
    finished = work.table()["finished"]
    done = work.snakemake("--forceall")
    assert (done.exit_code, done.evaluated) == (0, ALL), done.output
    assert server.stats()["requests"] == 0
    assert work.table()["finished"].equals(finished)
    assert "exited with 0" in (work.run / "one/sum/logs/harness.log").read_text()


def test_a_deleted_record_reuses_the_result_and_a_damaged_artifact_reruns(
    work: Workspace, server: DemoServer
) -> None:
    for name in ("one/sum", "one/product"):
        (work.run / name / "evaluation.json").unlink()
    (work.run / "one/product/artifacts/answer.json").write_text("{")
    done = work.snakemake()
    assert (done.exit_code, done.evaluated) == (0, {"one/sum", "one/product"}), done.output
    assert server.stats()["answered"] == 0, "the harness reran, and the ledger answered"
    assert list(work.table()["value"]) == [1957, 408] * 2


def test_a_subset_runs_alone_and_the_next_run_adds_the_rest(
    first: Workspace, server: DemoServer, tmp_path: Path
) -> None:
    work = first.copy(tmp_path)
    shutil.rmtree(work.directory / "results")
    assert work.snakemake("--config", "models=one", "benchmarks=sum").evaluated == {"one/sum"}
    target = f"{work.run.relative_to(work.directory)}/two/sum/evaluation.json"
    only = work.snakemake(target)
    assert only.evaluated == {"two/sum"}, only.output
    # What was not asked for is in the table, too, as what it is.
    assert work.table()["status"].to_dict() == {
        "one/sum": "done", "two/sum": "done", "one/product": "pending",
        "two/product": "pending",
    }  # fmt: skip
    until = work.snakemake("--until", "evaluate", "--config", "models=two")
    assert until.evaluated == {"two/product"}
    assert work.snakemake().evaluated == {"one/product"}
    assert set(work.table()["status"]) == {"done"}


def test_a_removed_benchmark_is_on_the_disk_but_not_in_the_table(work: Workspace) -> None:
    del work.config["benchmarks"]["sum"]
    done = work.snakemake()
    assert (done.exit_code, done.evaluated) == (0, set()), done.output
    assert set(work.table().index) == {"one/product", "two/product"}
    assert (work.run / "one/sum/evaluation.json").exists()


def test_run_new_starts_a_run_and_run_id_resumes_an_old_one(
    work: Workspace, server: DemoServer
) -> None:
    old = work.run
    assert work.snakemake("--config", "run=new", "models=one").evaluated == {
        "one/sum",
        "one/product",
    }
    assert server.stats()["answered"] == 2
    assert len(work.runs) == 2
    assert work.snakemake("-n", "--config", f"run={old.name}").nothing_to_do
    assert work.snakemake("-n").evaluated == {"two/sum", "two/product"}


def test_only_a_failed_evaluation_reruns(work: Workspace) -> None:
    add_benchmark(work)
    command = work.config["benchmarks"]["another"]["command"]
    work.config["benchmarks"]["another"]["command"] = "echo fatal: out of coffee >&2; exit 3"
    work.config["benchmarks"]["late"] = work.ask("late", SUM)
    failed = work.snakemake("--config", "models=one")
    assert failed.exit_code == 1
    assert failed.evaluated == {"one/another", "one/late"}
    assert "one/another failed: the harness exited with 3; fatal: out of coffee" in failed.output
    table = work.table()
    assert table.loc["one/late", "status"] == "done"
    assert table.loc["one/another", "status"] == "failed"
    assert "out of coffee" in table.loc["one/another", "reason"]
    assert "out of coffee" in (work.run / "one/another/logs/harness.log").read_text()

    work.config["benchmarks"]["another"]["command"] = command
    mended = work.snakemake("--config", "models=one")
    assert (mended.exit_code, mended.evaluated) == (0, {"one/another"}), mended.output
    assert work.table().loc["one/another", "status"] == "done"
    assert not (work.run / "one/another/failure.json").exists()
    old = work.run / "one/another/logs/attempt-1.log"
    assert "out of coffee" in old.read_text()


def test_a_start_without_jobs_deletes_an_endpoint_that_an_earlier_start_left(
    work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standin(monkeypatch) as lepton:
        endpoints = Endpoints(RunDirectory(work.run), Platform())
        endpoints.serve(served(tmp_path, free_port()), Event(), lambda text: None)
        done = work.snakemake()
        assert (done.exit_code, done.evaluated) == (0, set()), done.output
        assert "deleted endpoint snakeval-m-" in done.output
        wait_for(lambda: not lepton.workspace.endpoints.all, "its end")
