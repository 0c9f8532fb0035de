"""What an evaluation asks of Lepton, and what becomes of what comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.executors.base import Fate, Stage
from snakeval.executors.lepton import Notes, jobs
from snakeval.executors.lepton.notes import Noted
from snakeval.executors.lepton.stop import close, stopping
from snakeval.matrix.expand import deployments, expand
from snakeval.run.directory import RunDirectory
from support.configs import COMMAND, MODEL, config
from support.made import begin

#: Any user of an image may write there.
RESULTS = "/tmp/snakeval/results"
SERVED = {"deployment": {"kind": "generic", "image": "server", "command": "serve {{ port }}"}}


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    benchmark = {**COMMAND, "image": "harness:1", "env": {"HF_TOKEN": "MY_TOKEN"}}
    models = {"m": MODEL, "s": SERVED}
    return expand(config(tmp_path, {"models": models, "benchmarks": {"b": benchmark}}))[0]


@pytest.fixture
def directory(tmp_path: Path, evaluation: Evaluation) -> EvaluationDirectory:
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    directory.private.mkdir(parents=True)
    directory.spec.write_text(evaluation.to_json())
    return directory


def prepared(directory: EvaluationDirectory, evaluation: Evaluation) -> dict[str, Any]:
    assert jobs.prepare(directory, evaluation.fingerprint) == 0
    return dict(json.loads(directory.remote_job.read_text()))


def came_back(directory: EvaluationDirectory, text: str) -> dict[str, str]:
    """Put files where the newest prepared job sends them; return what the plugin reports."""
    (place,) = json.loads(directory.remote_job.read_text())["outputs"]
    Path(place).mkdir()
    (Path(place) / "f").write_text(text)
    log = directory.path.parent / "job.log"
    log.write_text("it said\n")
    return {"LEPTON_LOG": str(log), "LEPTON_SECONDS": "7", "LEPTON_EXIT_CODE": "0"}


def test_a_job_is_the_harness_in_its_image_with_secrets_by_name(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    job = prepared(directory, evaluation)
    assert job["image"] == "harness:1"
    assert job["command"].startswith(f"mkdir -p {RESULTS} && cd {RESULTS} && exec ")
    assert job["secrets"] == {"HF_TOKEN": "MY_TOKEN"}
    assert list(job["outputs"].values()) == [RESULTS]
    assert RESULTS not in job["inputs"].values()
    assert job["first"][0] == f"{RESULTS}/{evaluation.identity.metrics['file']}"
    assert job["never"] == [f"{RESULTS}/cache/*"]


def test_what_comes_back_becomes_the_record_and_is_adopted_from_then_on(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    prepared(directory, evaluation)
    told = came_back(directory, '{"v": 0.5}')
    assert jobs.collect(directory, evaluation.fingerprint, told) == 0
    done = directory.completion(evaluation.fingerprint)
    assert done is not None
    assert (done.metrics[0].value, done.seconds, done.attempt) == (0.5, 7, 1)
    assert directory.log.read_text() == "it said\n"
    assert jobs.prepare(directory, evaluation.fingerprint) == jobs.DONE_ALREADY


def test_what_a_failed_job_wrote_goes_along_with_the_next_attempt(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    prepared(directory, evaluation)
    told = came_back(directory, "half") | {"LEPTON_EXIT_CODE": "3", "LEPTON_PROBLEM": "it failed"}
    with pytest.raises(EvaluationError, match="the harness exited with 3; it said"):
        jobs.collect(directory, evaluation.fingerprint, told)
    artifacts = directory.newest_artifacts
    assert (artifacts / "f").read_text() == "half"
    job = prepared(directory, evaluation)
    assert job["inputs"][str(artifacts.resolve())] == RESULTS


def test_a_problem_of_the_platform_is_the_reason_unchanged(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    told = {"LEPTON_PROBLEM": "its image cannot be pulled", "LEPTON_EXIT_CODE": ""}
    with pytest.raises(EvaluationError, match=r"^its image cannot be pulled$"):
        jobs.collect(directory, evaluation.fingerprint, told)


def test_results_of_another_definition_are_neither_sent_nor_mixed(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    begin(directory, "0" * 64)
    (directory.artifacts / "old").touch()
    assert RESULTS not in prepared(directory, evaluation)["inputs"].values()
    told = came_back(directory, '{"v": 1}')
    assert jobs.collect(directory, evaluation.fingerprint, told) == 0
    assert [p.name for p in directory.artifacts.iterdir()] == ["f"]
    assert (directory.attempts / "1" / "artifacts" / "old").exists()


@pytest.fixture
def changed(tmp_path: Path) -> Evaluation:
    """The same evaluation after its benchmark was changed."""
    benchmark = {**COMMAND, "image": "harness:2"}
    settings = {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}
    return expand(config(tmp_path, settings))[0]


def test_what_comes_back_of_another_definition_is_no_result_and_no_resume_point(
    directory: EvaluationDirectory, evaluation: Evaluation, changed: Evaluation
) -> None:
    prepared(directory, evaluation)
    told = came_back(directory, '{"v": 0.25}')
    directory.spec.write_text(changed.to_json())
    with pytest.raises(EvaluationError, match="its definition was changed"):
        jobs.collect(directory, evaluation.fingerprint, told)
    assert RESULTS not in prepared(directory, changed)["inputs"].values()
    with pytest.raises(EvaluationError, match="the job lost its node"):
        jobs.collect(directory, changed.fingerprint, {"LEPTON_PROBLEM": "the job lost its node"})
    assert [p for p in directory.artifacts.rglob("*") if p.is_file()] == []
    assert RESULTS not in prepared(directory, changed)["inputs"].values()


def test_what_came_back_too_late_is_resumed_when_its_definition_returns(
    directory: EvaluationDirectory, evaluation: Evaluation, changed: Evaluation
) -> None:
    prepared(directory, evaluation)
    came_back(directory, "half")
    directory.spec.write_text(changed.to_json())
    prepared(directory, changed)
    directory.spec.write_text(evaluation.to_json())
    (sent,) = [
        source
        for source, target in prepared(directory, evaluation)["inputs"].items()
        if target == RESULTS
    ]
    assert (Path(sent) / "f").read_text() == "half"


def test_files_of_a_job_of_an_earlier_release_name_no_definition_and_stay_apart(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    prepared(directory, evaluation)
    old = directory.private / "arrived"
    old.mkdir()
    (old / "f").write_text("of whatever definition")
    with pytest.raises(EvaluationError, match="the job lost its node"):
        jobs.collect(directory, evaluation.fingerprint, {"LEPTON_PROBLEM": "the job lost its node"})
    assert [p for p in directory.artifacts.rglob("*") if p.is_file()] == []


def test_an_evaluation_of_a_served_model_asks_its_endpoint_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = {**COMMAND, "image": "harness", "command": "ask {{ url }} ${{ api_key_name|raw }}"}
    settings = {"models": {"s": SERVED}, "benchmarks": {"b": benchmark}}
    (evaluation,) = expand(config(tmp_path, settings))
    run = RunDirectory(tmp_path / "run")
    directory = run.evaluation(evaluation.id)
    directory.private.mkdir(parents=True)
    directory.spec.write_text(evaluation.to_json())
    with pytest.raises(EvaluationError, match="no endpoint serves s"):
        Notes(run).ready("s")
    monkeypatch.delenv("LEPTON_WORKSPACE_ID", raising=False)
    monkeypatch.setenv("LEPTON_CACHE_DIR", str(tmp_path))
    # It would create the endpoint again, which another Snakemake may have deleted.
    with pytest.raises(EvaluationError, match="no Lepton workspace or no token is known"):
        jobs.prepare(directory, evaluation.fingerprint)
    Notes(run).write(Noted("s", "snakeval-s-1", "https://x.example/v1/chat/completions"))
    job = prepared(directory, evaluation)
    assert "https://x.example/v1/chat/completions" in job["command"]
    assert job["secrets"]["API_KEY"] == "snakeval-s-1"


def test_a_harness_without_an_image_fails(tmp_path: Path) -> None:
    settings = {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND}}
    (evaluation,) = expand(config(tmp_path, settings))
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    with pytest.raises(EvaluationError, match="Lepton runs containers; add `image`"):
        jobs.job(evaluation, directory, "run", {}, {})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"min_replicas": 3, "max_replicas": 2}, "max_replicas below min_replicas"),
        ({"target_qpm": 9, "target_gpu_utilization": 9}, "keep one"),
        ({"min_replicas": 0}, "greater than 0"),
        ({"shape": "gpu"}, "shape"),
    ],
)  # fmt: skip
def test_bad_options_of_an_endpoint_fail_with_the_reason(
    tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    model = {"deployment": {**SERVED["deployment"], "lepton": options}}
    with pytest.raises(ConfigError, match=says):
        config(tmp_path, {"models": {"s": model}, "benchmarks": {"b": COMMAND}})


def test_options_of_an_endpoint_change_no_fingerprint(tmp_path: Path) -> None:
    def fingerprints(**options: Any) -> tuple[set[str], set[str]]:
        model = {"deployment": {**SERVED["deployment"], "lepton": options}}
        made = config(tmp_path, {"models": {"s": model}, "benchmarks": {"b": COMMAND}})
        return {e.fingerprint for e in expand(made)}, {d.id for d in deployments(made).values()}

    assert fingerprints()[0] == fingerprints(max_replicas=4, target_qpm=9)[0]
    assert fingerprints()[1] != fingerprints(max_replicas=4, target_qpm=9)[1]


def test_without_the_library_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    run = RunDirectory(tmp_path)
    Notes(run).write(Noted("s", "snakeval-s-1"))
    told: list[str] = []
    close(run, told.append)
    assert "pip install 'snakeval[lepton]'" in told[0]
    (left,) = stopping(run).looks[Stage.LEFT]()
    assert left.fate is Fate.UNKNOWN
    assert left.text.startswith(
        "endpoint snakeval-s-1 of Lepton, perhaps: Lepton needs its library: "
    )


def test_a_second_collection_adopts_the_first_ones_result(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    prepared(directory, evaluation)
    job = json.loads(directory.remote_job.read_text())
    assert jobs.collect(directory, evaluation.fingerprint, came_back(directory, '{"v": 0.5}')) == 0
    directory.remote_job.write_text(json.dumps(job))  # as the other head wrote it
    for told in (
        came_back(directory, "") | {"LEPTON_LOG": ""},
        {"LEPTON_PROBLEM": "it completed, but its files did not come back"},
    ):
        assert jobs.collect(directory, evaluation.fingerprint, told) == jobs.DONE_ALREADY
    assert [p.name for p in directory.artifacts.iterdir()] == ["f"]
    assert (directory.artifacts / "f").read_text() == '{"v": 0.5}'
    done = directory.completion(evaluation.fingerprint)
    assert done is not None
    assert (done.attempt, done.metrics[0].value) == (1, 0.5)


def test_a_job_without_files_publishes_no_earlier_attempt(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    prepared(directory, evaluation)
    told = came_back(directory, '{"v": 1}') | {"LEPTON_PROBLEM": "it lost its node"}
    with pytest.raises(EvaluationError):
        jobs.collect(directory, evaluation.fingerprint, told)
    with pytest.raises(EvaluationError, match="its files did not come back"):
        jobs.collect(directory, evaluation.fingerprint, {})
    assert directory.completion(evaluation.fingerprint) is None


def test_an_image_without_root_can_write_to_all_paths_of_snakeval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f").write_text("1")
    monkeypatch.chdir(tmp_path)
    benchmark = {**COMMAND, "image": "harness:1", "files": "data"}
    given = {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}
    evaluation = expand(config(tmp_path, given))[0]
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    directory.private.mkdir(parents=True)
    directory.spec.write_text(evaluation.to_json())
    job = prepared(directory, evaluation)
    paths = [*job["inputs"].values(), *job["outputs"].values()]
    assert "/tmp/snakeval/snakeval/files" in paths
    assert all(path.startswith("/tmp/snakeval/") for path in paths)
    assert job["command"].startswith(f"mkdir -p {RESULTS} && cd /tmp/snakeval/snakeval/files && ")


def test_links_of_a_harness_on_lepton_to_its_own_results_stay_links_after_publication(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    prepared(directory, evaluation)
    told = came_back(directory, '{"v": 0.5}')
    (place,) = json.loads(directory.remote_job.read_text())["outputs"]
    (Path(place) / "newest").symlink_to(f"{RESULTS}/f")
    assert jobs.collect(directory, evaluation.fingerprint, told) == 0
    assert (directory.artifacts / "newest").read_text() == '{"v": 0.5}'
