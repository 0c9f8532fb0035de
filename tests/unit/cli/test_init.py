"""`snakeval init`: what it writes runs; it asks in a terminal, and never writes over a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import snakeval
from snakeval import cli
from snakeval.cli import init
from snakeval.config.config import Config
from snakeval.config.load import load
from snakeval.matrix.expand import expand

ALL = ("--base-url", "http://host/v1", "--model-id", "org/m", "--benchmark", "gsm8k")
FILE = Path("evaluation.yaml")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(file: Path = FILE) -> Config:
    return load([file])[0]


def test_what_it_writes_is_a_configuration_that_says_how_it_runs() -> None:
    more = ("--benchmark", "lm-eval.ifeval", "--limit", "5", "--api-key-name", "MY_KEY")
    assert cli.main(["init", *ALL, *more]) == 0
    config = written()
    assert [e.id for e in expand(config)] == ["org-m/gsm8k", "org-m/lm-eval.ifeval"]
    assert config.params.limit_samples == 5
    endpoint = config.models["org-m"].endpoint
    assert endpoint is not None
    assert endpoint.api_key_name == "MY_KEY"
    assert "snakeval run evaluation.yaml --dry-run" in FILE.read_text()


def test_former_names_of_its_options_still_work() -> None:
    former = ("--endpoint", "http://host/v1", "--model", "org/m", "--task", "gsm8k")
    assert cli.main(["init", *former, "--limit-samples", "5"]) == 0
    assert cli.main(["init", *ALL, "--limit", "5", "--output", "other.yaml"]) == 0
    assert written().model_copy(update={"name": "other"}) == written(Path("other.yaml"))


def test_options_that_are_not_set_are_comments() -> None:
    assert cli.main(["init", *ALL]) == 0
    text = FILE.read_text()
    assert "# limit_samples: 10" in text
    assert "# api_key_name: MY_API_KEY" in text
    assert yaml.safe_load(text)["benchmarks"] == {"gsm8k": {"task": "lm-eval.gsm8k"}}


@pytest.mark.parametrize("model", ["a: b", "it's", "#1", "日本", "no", "1e3", '"'])
def test_any_model_id_is_written_so_that_it_is_read_again(model: str) -> None:
    assert cli.main(["init", *ALL, "--model-id", model]) == 0
    (only,) = written().models.values()
    assert only.endpoint is not None
    assert only.endpoint.model_id == model


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "--base-url, --model-id, --benchmark: not given; this is no terminal to ask in"),
        (ALL[:4], "--benchmark: not given"),
        ((*ALL, "--benchmark", "gsm9k"), "--benchmark gsm9k: no such task; did you mean 'gsm8k'"),
        ((*ALL, "--benchmark", "gsm8k"), "--benchmark gsm8k: is given twice"),
        ((*ALL, "--type", "embedding"), "asks a chat or completions endpoint, and the model has"),
        ((*ALL, "--benchmark", "humaneval_instruct"), "several harnesses have it; write one of"),
        ((*ALL, "--base-url", "host:8000"), "evaluation.yaml: models.org-m.endpoint.url: is not "),
        ((*ALL, "--api-key-name", "sk-1"), "is not the name of an environment variable"),
        ((*ALL, "--output", "/dev/null/x.yaml"), "/dev/null/x.yaml: cannot be written"),
    ],
)
def test_bad_input_is_a_sentence_and_nothing_is_written(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    assert cli.main(["init", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert not [*place.iterdir()]


def test_a_file_that_is_there_stays_without_force(capsys: pytest.CaptureFixture[str]) -> None:
    FILE.write_text("mine")
    assert cli.main(["init", *ALL]) == 2
    assert "evaluation.yaml: is there already" in capsys.readouterr().err
    assert FILE.read_text() == "mine"
    assert cli.main(["init", *ALL, "--force"]) == 0
    assert written().models


def test_in_a_terminal_it_asks_for_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "_is_terminal", lambda: True)
    answers = "http://host/v1\nm\ncompletions\n\ngsm9k\nhellaswag, gsm8k\n"
    result = CliRunner().invoke(init.command, [], input=answers)
    assert result.exit_code == 0, result.output
    assert "--benchmark gsm9k: no such task" in result.output
    config = written()
    assert list(config.benchmarks) == ["hellaswag", "gsm8k"]
    assert config.models["m"].type == "completions"


def test_in_a_terminal_it_asks_nothing_where_all_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "_is_terminal", lambda: True)
    result = CliRunner().invoke(init.command, ALL, input="")
    assert result.exit_code == 0, result.output


# --- a directory ----------------------------------------------------------------------------


def test_a_new_directory_has_what_plain_snakemake_reads(place: Path) -> None:
    assert cli.main(["init", "first"]) == 0
    made = place / "first"
    evaluations = expand(load([made / "evaluation.yaml"])[0])
    assert [e.id for e in evaluations] == [
        *("careful/letters", "careful/arithmetic", "sloppy/letters", "sloppy/arithmetic")
    ]
    assert "include: snakeval.snakefile()" in (made / "Snakefile").read_text()
    assert Path(snakeval.snakefile()).name == "Snakefile"
    settings = yaml.safe_load((made / "profiles/default/config.yaml").read_text())
    assert settings["keep-incomplete"] is True


def test_in_the_current_directory_no_other_is_entered(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init", "."]) == 0
    assert "  cd " not in capsys.readouterr().out
    assert cli.main(["init", "first"]) == 0
    assert "  cd first\n" in capsys.readouterr().out


def test_a_new_directory_without_benchmarks_has_the_quizzes_for_the_users_endpoint(
    place: Path,
) -> None:
    assert cli.main(["init", *ALL[:4], "mine"]) == 0
    config = load([place / "mine/evaluation.yaml"])[0]
    assert [e.id for e in expand(config)] == ["org-m/letters", "org-m/arithmetic"]
    assert config.runtime == "process"
    assert cli.main(["init", *ALL[:4], "--type", "completions", "other"]) == 2


def test_a_new_directory_can_have_an_endpoint_of_the_users(place: Path) -> None:
    assert cli.main(["init", *ALL, "first"]) == 0
    assert list(load([place / "first/evaluation.yaml"])[0].models) == ["org-m"]


def test_files_that_are_there_stay_without_force(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "first").mkdir()
    (place / "first/Snakefile").write_text("mine")
    assert cli.main(["init", "first"]) == 2
    assert "first/Snakefile: is there already" in capsys.readouterr().err
    assert [path.name for path in (place / "first").iterdir()] == ["Snakefile"]
