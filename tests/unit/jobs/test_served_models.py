"""The models that an evaluation asks while it runs."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event

import pytest

from snakeval.errors import EvaluationError
from snakeval.evaluation.events import Journal
from snakeval.jobs.attempt_log import attempt_log
from snakeval.jobs.evaluate import read
from snakeval.jobs.served_models import serve_models
from support.invocations import SERVER, matrix, serving
from support.made import begin


def test_an_evaluation_asks_no_server_of_another_definition_that_a_later_command_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    earlier = matrix(tmp_path, serving())
    earlier.save()
    models = {"m": {"deployment": SERVER | {"extra_args": "--hot"}}, "n": {"deployment": SERVER}}
    later = matrix(tmp_path, serving(models=models))
    later.save()
    assert later.run == earlier.run
    waits = earlier.invocation.evaluation("m", "b")
    directory = earlier.invocation.directory.evaluation(waits.id)
    evaluation = read(directory, waits.fingerprint)
    assert evaluation.identity.deployment["extra_args"] == "", "the job has its own definition"
    assert read(directory, later.invocation.evaluation("m", "b").fingerprint) != evaluation
    begin(directory, waits.fingerprint)
    with (
        attempt_log(directory, evaluation.id, Journal(directory.events, 1)) as log,
        pytest.raises(EvaluationError, match="another command has changed the deployment of m;"),
        serve_models(evaluation, directory, os.getpid(), Event(), log),
    ):
        pass
