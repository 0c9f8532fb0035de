"""Marks of results whose definition needs a look."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion
from snakeval.harnesses.several import MAY_BE_EQUAL
from snakeval.matrix.expand import expand
from snakeval.results.marks import BY_STAT, BY_TAG, EARLIER, Definitions, marks
from snakeval.results.table import table, to_markdown
from support.configs import COMMAND, MODEL, config
from support.made import Made, completion, snakeval


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


@pytest.fixture
def directory(tmp_path: Path) -> EvaluationDirectory:
    found = EvaluationDirectory(tmp_path / "m/b")
    found.private.mkdir(parents=True)
    return found


def done(
    tmp_path: Path,
    directory: EvaluationDirectory,
    *,
    runtime: str = "docker",
    benchmark: dict[str, Any] = COMMAND,
    format: int = 2,
    **identity: Any,
) -> Completion:
    """A completion of a benchmark with changes of its identity."""
    (made,) = expand(config(tmp_path, {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}))
    made = replace(made, identity=replace(made.identity, format=format, **identity))
    found = completion(made, directory)
    return replace(found, runtime=runtime, adapter=made.identity.adapter, metrics=())


DIGEST = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"image": "i:1", "image_digest": DIGEST}, []),
        ({"image": "i:1"}, [BY_TAG]),
        ({"image": "i:1", "runtime": "process"}, []),
        ({"image": "i:1", "format": 1}, [EARLIER]),
        ({"deployment": {"weights": "stat:1"}}, [BY_STAT]),
        ({"deployment": {"weights": "sha256:1"}}, []),
    ],
)
def test_a_definition_that_stands_on_less_than_its_content_is_marked(
    tmp_path: Path, directory: EvaluationDirectory, identity: dict[str, Any], expected: list[str]
) -> None:
    assert marks(directory, done(tmp_path, directory, **identity)) == expected


LM_EVAL = {"harness": "lm-eval", "task": "t"}


@pytest.mark.parametrize(
    ("record", "repeats", "expected"),
    [
        ({"format": 1}, 3, [EARLIER, MAY_BE_EQUAL]),
        ({"format": 1}, 1, [EARLIER]),
        ({"params": {"seed": 7}}, 3, [MAY_BE_EQUAL]),
        ({"params": {"extra": {"gen_kwargs": {"seed": 7}}}}, 3, [MAY_BE_EQUAL]),
        ({"params": {}}, 3, []),
    ],
)
def test_several_samples_with_one_seed_are_marked(
    tmp_path: Path,
    directory: EvaluationDirectory,
    record: dict[str, Any],
    repeats: int,
    expected: list[str],
) -> None:
    results = directory.artifacts / "m/results_1.json"
    results.parent.mkdir(parents=True)
    results.write_text(json.dumps({"configs": {"t": {"repeats": repeats}}}))
    found = done(tmp_path, directory, runtime="process", benchmark=LM_EVAL, **record)
    assert marks(directory, found) == expected
    results.write_text("damaged")
    assert marks(directory, found) == expected, "it is read once"


def test_a_row_of_two_definitions_is_marked_with_their_difference(
    tmp_path: Path, directory: EvaluationDirectory
) -> None:
    def of(**identity: Any) -> Completion:
        return done(tmp_path, directory, **identity)

    definitions = Definitions()
    for model, record in {
        "a": of(image="i:1", image_digest=DIGEST, model_id="a"),
        "b": of(image="mirror/i:1", image_digest=DIGEST, model_id="b", params={"top_p": None}),
        "c": of(image="i:1", image_digest="sha256:" + "2" * 64, model_id="c"),
        "d": of(image="i:1", image_digest=DIGEST, params={"temperature": 0.5}),
        "e": of(image="i:1", format=1),
    }.items():
        definitions.add(model, "b", record)
    definitions.add("a", "other", of(params={"temperature": 1.0}))
    assert definitions.mixed() == {
        ("c", "b"): "defined differently than a: image",
        ("d", "b"): "defined differently than a: params.temperature",
    }


def test_the_table_and_verify_mark_results_of_format_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Made(tmp_path, "b", "c")
    older = run.evaluations["b"].in_format_1
    run.evaluations["b"] = older
    run.plan[0] = replace(run.plan[0], fingerprint=older.fingerprint)
    run.save()
    run["b"].define(older)
    for name in "bc":
        run.done(name)
    frame = table(run.directory)
    assert [*frame["marks"].fillna("")] == [EARLIER, ""]
    assert f"done ({EARLIER})" in to_markdown(frame)
    assert f"1 of them have the {EARLIER}" in snakeval(capsys, "verify", str(run.path)).err
