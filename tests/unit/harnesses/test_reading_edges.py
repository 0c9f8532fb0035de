"""What harnesses write that no program expects: damage is a reason, and sound scores stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.errors import EvaluationError
from snakeval.evaluation import trees
from snakeval.evaluation.definition import Evaluation
from snakeval.harnesses.reading import read_metrics, read_samples, read_scores
from snakeval.harnesses.values import NoSuchFile, WrongPlace
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from support.configs import COMMAND, MODEL, config

NAN = float("nan")
TIME = "2026-11-24T10-00-00.000001"


def evaluation(directory: Path, **benchmark: Any) -> Evaluation:
    rows = {"b": {"harness": "lm-eval", "task": "t"} | benchmark}
    return expand(config(directory, {"models": {"m": MODEL}, "benchmarks": rows}))[0]


def generic(directory: Path, **values: str) -> Evaluation:
    metrics = {"file": "r.json", "values": values}
    return evaluation(directory, **COMMAND | {"task": None, "metrics": metrics})


def of_nemo(directory: Path) -> Evaluation:
    return evaluation(directory, harness="lm-evaluation-harness", task="ifeval")


def results(artifacts: Path, scores: dict[str, Any], **more: Any) -> Path:
    file = artifacts / "m" / f"results_{TIME}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"results": {"t": scores}, **more}))
    return file


# --- a key twice ---------------------------------------------------------------------------------


def twice(tmp_path: Path, text: str, harness: str) -> None:
    artifacts = tmp_path / "a"
    artifacts.mkdir()
    made = {"lm-eval": evaluation, "nemo": of_nemo}.get(harness, lambda _: generic(_, acc="acc"))
    if harness == "lm-eval":
        results(artifacts, {"acc,none": 1.0}).write_text(text)
    else:
        (artifacts / {"nemo": "results.yml"}.get(harness, "r.json")).write_text(text)
    read_scores(made(tmp_path), artifacts)


@pytest.mark.parametrize(
    ("harness", "text", "key"),
    [
        ("generic", '{"acc": 0.1, "acc": 0.9}', "acc"),
        ("generic", '{"acc": 0.1, "more": {"a": [{"b": 1, "b": 2}]}}', "b"),
        ("lm-eval", '{"results": {"t": {"acc,none": 0.1, "acc,none": 0.9}}}', "acc,none"),
        ("lm-eval", '{"results": {"t": {"acc,none": 0.1}}, "results": {}}', "results"),
        ("nemo", "results: {tasks: {t: {}}}\nresults: {tasks: {}}", "results"),
    ],
)
def test_two_values_of_one_key_are_the_reason_and_no_score(
    tmp_path: Path, harness: str, text: str, key: str
) -> None:
    with pytest.raises(EvaluationError, match=rf"is not a results file: it has the key '{key}' tw"):
        twice(tmp_path, text, harness)


def test_one_value_that_is_written_twice_is_a_score(tmp_path: Path) -> None:
    twice(tmp_path, '{"acc": 0.5, "seen": {"1": {"a": 1}, "1": {"a": 1}}}', "generic")


# --- one metric of several that cannot be read ---------------------------------------------------


def test_a_nan_of_lm_eval_leaves_the_sound_metric(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    results(tmp_path / "a", {"exact_match,first": 1.0, "shaky,first": NAN, "odd,none": "N/A"})
    found = read_scores(made, tmp_path / "a")
    assert [(m.metric, m.value) for m in found.metrics] == [("exact_match", 1.0)]
    assert [(u["task"], u["metric"], u["filter"]) for u in found.unscored] == [
        ("t", "shaky", "first"), ("t", "odd", ""),
    ]  # fmt: skip
    assert found.unscored[0]["reason"].startswith("t: shaky,first is nan")


def test_a_nan_of_an_eval_factory_leaves_the_sound_metric(tmp_path: Path) -> None:
    made = of_nemo(tmp_path)
    scores = {name: {"scores": {name: {"value": v}}} for name, v in (("a", 0.5), ("b", NAN))}
    (tmp_path / "results.yml").write_text(
        yaml.safe_dump({"results": {"tasks": {"ifeval": {"metrics": scores}}}})
    )
    found = read_scores(made, tmp_path)
    assert [m.metric for m in found.metrics] == ["a"]
    assert [u["metric"] for u in found.unscored] == ["b"]


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "null", '"x"', "true", "[1]", "1" + "0" * 400])
def test_a_bad_value_of_a_command_leaves_the_sound_metric(tmp_path: Path, bad: str) -> None:
    made = generic(tmp_path, good="g", bad="b")
    (tmp_path / "r.json").write_text(f'{{"g": 0.5, "b": {bad}}}')
    found = read_scores(made, tmp_path)
    assert [(m.metric, m.value) for m in found.metrics] == [("good", 0.5)]
    assert [u["metric"] for u in found.unscored] == ["bad"]


def test_without_a_sound_metric_the_first_error_is_the_reason(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"g": NaN, "b": null}')
    with pytest.raises(EvaluationError, match="is nan") as found:
        read_metrics(generic(tmp_path, good="g", bad="b"), tmp_path)
    assert not isinstance(found.value, WrongPlace)


# --- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "name", "filter_name"),
    [
        (["pass@1,k=2,first", "pass@1,k=2_stderr,first"], "pass@1,k=2", "first"),
        (["a,b,none"], "a,b", ""),
        (["a,b"], "a", "b"),
    ],
)
def test_a_metric_with_a_comma_is_split_at_the_last_one(
    tmp_path: Path, keys: list[str], name: str, filter_name: str
) -> None:
    results(tmp_path / "a", dict.fromkeys(keys, 0.25))
    (metric,) = read_metrics(evaluation(tmp_path), tmp_path / "a")
    assert (metric.metric, metric.filter) == (name, filter_name)
    assert metric.stderr == (0.25 if len(keys) > 1 else None)


def test_a_filter_with_a_comma_is_found_by_the_names_of_metrics(tmp_path: Path) -> None:
    better = {"higher_is_better": {"t": {"acc": True}}}
    results(tmp_path / "a", {"acc,first,strict": 0.5}, **better)
    (metric,) = read_metrics(evaluation(tmp_path), tmp_path / "a")
    assert (metric.metric, metric.filter, metric.higher_is_better) == ("acc", "first,strict", True)


def test_an_invalid_byte_in_samples_is_a_reason(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    place = RunDirectory(tmp_path / "run").evaluation("m/b")
    results(place.artifacts, {"acc,none": 0.5})
    samples = place.artifacts / "m" / f"samples_t_{TIME}.jsonl"
    samples.write_bytes(b'{"doc_id": 1, "metrics": [], "target": "\xff"}\n')
    place.define(made)
    with pytest.raises(EvaluationError, match=r"utf-8.*0xff|not UTF-8"):
        list(read_samples(place))


# --- links ---------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "r.json").write_text('{"acc": 0.9}')
    (folder / "results.yml").write_text(
        yaml.safe_dump(
            {"results": {"tasks": {"t": {"metrics": {"a": {"scores": {"a": {"value": 1}}}}}}}}
        )
    )
    results(folder, {"acc,none": 0.9})
    return folder


def test_a_link_out_of_the_artifacts_is_no_artifact(tmp_path: Path, outside: Path) -> None:
    place = tmp_path / "artifacts"
    place.mkdir()
    (place / "own").write_text("1")
    (place / "link").symlink_to(outside / "r.json")
    (place / "folder").symlink_to(outside)
    (place / "up").symlink_to("../host/r.json")
    (place / "within").symlink_to("own")
    assert [entry["path"] for entry in trees.manifest(place)] == ["own", "within"]
    assert trees.sizes(place) == {"own": 1, "within": 1}


@pytest.mark.parametrize("through", ["file", "folder"])
def test_no_score_comes_from_outside_the_artifacts(
    tmp_path: Path, outside: Path, through: str
) -> None:
    place = tmp_path / "artifacts"
    place.mkdir()
    if through == "folder":
        (place / "m").symlink_to(outside / "m")
        (place / "sub").symlink_to(outside)
    else:
        (place / "m").mkdir()
        (place / "m" / f"results_{TIME}.json").symlink_to(outside / "m" / f"results_{TIME}.json")
        (place / "sub").mkdir()
        (place / "sub" / "r.json").symlink_to(outside / "r.json")
    (place / "results.yml").symlink_to(outside / "results.yml")
    with pytest.raises(EvaluationError, match="without writing results"):
        read_metrics(evaluation(tmp_path), place)
    with pytest.raises(EvaluationError, match=r"no results\.yml"):
        read_metrics(of_nemo(tmp_path), place)
    metrics = {"file": "**/r.json", "values": {"acc": "acc"}}
    for pattern in ("*/r.json", "sub/r.json"):
        made = evaluation(tmp_path, **COMMAND | {"metrics": metrics | {"file": pattern}})
        with pytest.raises(NoSuchFile):
            read_metrics(made, place)


def test_a_link_inside_the_artifacts_is_scored(tmp_path: Path) -> None:
    (tmp_path / "newest").mkdir()
    (tmp_path / "newest" / "x.json").write_text('{"acc": 0.5}')
    (tmp_path / "r.json").symlink_to("newest/x.json")
    assert read_metrics(generic(tmp_path, acc="acc"), tmp_path)[0].value == 0.5


# --- names of models -----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["x" * 256, "/data/" + "checkpoint/" * 24, "é" * 130])
@pytest.mark.parametrize("harness", ["lm-eval", "lm-evaluation-harness"])
def test_a_name_too_long_for_the_harness_s_directory_is_an_error_before_the_run(
    tmp_path: Path, model: str, harness: str
) -> None:
    from snakeval.errors import ConfigError

    content = {
        "models": {"m": {"endpoint": {"url": "http://h/v1", "model_id": model}}},
        "benchmarks": {"b": {"harness": harness, "task": "ifeval"}},
    }
    with pytest.raises(ConfigError, match="255 is the most"):
        expand(config(tmp_path, content))
    content["benchmarks"]["b"] = COMMAND  # type: ignore[index]
    assert len(expand(config(tmp_path, content))) == 1, "other harnesses have no such directory"
