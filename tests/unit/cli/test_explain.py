"""`python -m snakeval.cli.explain`: the resolved value of each parameter, and where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from snakeval.cli.explain import main

CONFIG = {
    "params": {"temperature": 0.5, "parallelism": 2},
    "models": {
        "a": {"endpoint": {"url": "http://host/v1", "model_id": "a"}},
        "b": {"endpoint": {"url": "http://host/v1", "model_id": "b"}},
    },
    "benchmarks": {
        "ifeval": {
            "task": "lm-evaluation-harness.ifeval",
            "params": {"extra": {"num.fewshot": 3}},
            "per_model": {"b": {"temperature": None}},
        }
    },
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def explained(capsys: pytest.CaptureFixture[str], config: Path, name: str) -> dict[str, list[str]]:
    assert main(["--configfile", str(config), "--", name]) == 0
    lines = capsys.readouterr().out.splitlines()[1:-2]
    return {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines}


def test_each_parameter_has_its_layer_and_the_key_that_set_it(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    shown = explained(capsys, config, "a/ifeval")
    assert shown["temperature"] == ["0.5", f"run ({config}: params.temperature)"]
    assert shown["parallelism"] == ["2", f"run ({config}: params.parallelism)"]
    assert shown["task"] == ['"ifeval"', "catalogue"]
    key = "benchmarks.ifeval.params.extra.num.fewshot"
    assert shown["extra.num.fewshot"] == ["3", f"benchmark ({config}: {key})"]


def test_without_a_file_it_reads_the_configuration_of_the_directory(
    capsys: pytest.CaptureFixture[str], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.rename(config.with_name("evaluation.yaml"))
    monkeypatch.chdir(config.parent)
    assert main(["a/ifeval"]) == 0
    assert "evaluation.yaml: params.temperature" in capsys.readouterr().out


def test_a_benchmark_on_one_model_may_take_a_value_away(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    shown = explained(capsys, config, "b/ifeval")
    key = "benchmarks.ifeval.per_model.b.temperature"
    assert shown["temperature"] == ["null", f"benchmark on model ({config}: {key})"]


def test_an_unknown_evaluation_fails_and_the_nearest_is_suggested(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    assert main(["--configfile", str(config), "--", "a/ifevel"]) == 2
    assert "no evaluation 'a/ifevel'; did you mean 'a/ifeval'" in capsys.readouterr().err
