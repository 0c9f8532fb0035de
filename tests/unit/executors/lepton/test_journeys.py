"""How journals reach a job of Lepton and return."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.executors.lepton.journeys import bring, forget, journey, send
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from support.configs import COMMAND, MODEL, config


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    settings = {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND | {"image": "i"}}}
    return expand(config(tmp_path, settings))[0]


@pytest.fixture
def directory(tmp_path: Path, evaluation: Evaluation) -> EvaluationDirectory:
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    (directory.requests / "m").mkdir(parents=True)
    return directory


@pytest.fixture
def mount(tmp_path: Path) -> dict[str, str]:
    return {
        "LEPTON_TRANSPORT": "mount",
        "LEPTON_MOUNT": "/mnt/x",
        "LEPTON_MOUNT_LOCAL": str(tmp_path / "volume"),
    }


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_gateway_works_on_the_volume_with_the_journals_of_before(
    directory: EvaluationDirectory, evaluation: Evaluation, mount: dict[str, str]
) -> None:
    (directory.requests / "m/0001.journal").write_text("one")
    (directory.requests / "summary.json").write_text("of the last gateway")
    way = journey(evaluation, directory, mount)
    send(directory, way)
    assert way.volume is not None
    assert way.there == "/mnt/x/" + str(way.volume).partition("/volume/")[2]
    assert texts(way.volume / "m") == {"0001.journal": "one"}
    assert not bring(directory, evaluation.fingerprint, way)
    (way.volume / "m/0002.journal").write_text("two")
    (way.volume / "summary.json").write_text("{}")
    assert bring(directory, evaluation.fingerprint, way)
    assert texts(directory.requests / "m") == {"0001.journal": "one", "0002.journal": "two"}
    forget(directory, evaluation.fingerprint, way)
    assert not way.volume.exists()


def test_a_journal_that_grew_replaces_its_beginning(
    directory: EvaluationDirectory, evaluation: Evaluation, mount: dict[str, str]
) -> None:
    way = journey(evaluation, directory, mount)
    send(directory, way)
    assert way.volume is not None
    (way.volume / "m").mkdir(exist_ok=True)
    # A gateway that lives has zeros behind its last answer.
    (way.volume / "m/0001.journal").write_text("half\0\0\0\0\0\0")
    bring(directory, evaluation.fingerprint, way)
    (way.volume / "m/0001.journal").write_text("half, whole")
    bring(directory, evaluation.fingerprint, way)
    assert texts(directory.requests / "m") == {"0001.journal": "half, whole"}
    (way.volume / "m/0001.journal").write_text("ha")
    bring(directory, evaluation.fingerprint, way)
    assert texts(directory.requests / "m") == {"0001.journal": "half, whole"}


def test_a_journal_of_another_gateway_with_the_same_name_gets_a_name_of_its_own_once(
    directory: EvaluationDirectory, evaluation: Evaluation, mount: dict[str, str]
) -> None:
    way = journey(evaluation, directory, mount)
    send(directory, way)
    (directory.requests / "m/0001.journal").write_text("mine")
    assert way.volume is not None
    (way.volume / "m").mkdir(exist_ok=True)
    (way.volume / "m/0001.journal").write_text("other")
    for _ in range(2):
        bring(directory, evaluation.fingerprint, way)
    assert texts(directory.requests / "m") == {"0001.journal": "mine", "0002.journal": "other"}


def test_through_a_bucket_the_journals_go_and_return_with_the_files(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    way = journey(evaluation, directory, {"LEPTON_TRANSPORT": "s3"})
    assert way.keeps
    assert set(way.inputs.values()) == set(way.outputs.values()) == {way.there}
    assert list(way.inputs) == [str(directory.requests)]


@pytest.mark.parametrize("told", [{"LEPTON_TRANSPORT": "log"}, {}])
def test_through_the_log_only_the_counts_return(
    directory: EvaluationDirectory, evaluation: Evaluation, told: dict[str, str]
) -> None:
    way = journey(evaluation, directory, told)
    assert not way.keeps
    assert not way.inputs
    assert [Path(path).name for path in way.outputs] == ["summary.json"]
    assert "do not return through its log" in way.says
