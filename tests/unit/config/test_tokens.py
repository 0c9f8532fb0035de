"""A configuration with a token in any place fails, and nothing prints or saves the token."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from snakeval import cli
from snakeval.config.load import load, load_saved
from snakeval.errors import ConfigError
from support.configs import COMMAND, MODEL, VALID, write

TOKEN = "nvapi-Zq9_x-Kp3Zq9_x-Kp3Zq9_x-Kp3"
PASSWORD = "https://me:S3cr3tPassw0rd@host/x"
QUERY = "https://host/v1?api-version=1&api-key=S3cr3tPassw0rd"


def bench(**keys: Any) -> dict[str, Any]:
    return {"benchmarks": {"b": COMMAND | keys}}


PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "model_id": (
        {"models": {"m": {"endpoint": MODEL["endpoint"] | {"model_id": TOKEN}}}},
        "model_id",
    ),
    "model": ({"models": {TOKEN: MODEL}}, "c.yaml: models: looks"),
    "benchmark": ({"benchmarks": {TOKEN: COMMAND}}, "c.yaml: benchmarks: looks"),
    "name": ({"name": TOKEN}, "name"),
    "unknown": ({"token": TOKEN}, "token"),
    "unknown key": ({TOKEN: 1}, "c.yaml: looks"),
    "wrong type": ({"resources": {"cpus": TOKEN}}, "resources.cpus"),
    "set_env": (bench(set_env={"K": TOKEN}), "benchmarks.b.set_env.K"),
    "set_env, a list": (bench(set_env=[f"K={TOKEN}"]), "benchmarks.b.set_env.0"),
    "command": (
        bench(command=f"curl -H 'Authorization: Bearer {TOKEN}' x"),
        "benchmarks.b.command",
    ),
    "extra": ({"params": {"extra": {"a": [{"b": f"Bearer {TOKEN}"}]}}}, "params.extra.a.0.b"),
    "key of extra": ({"params": {"extra": {TOKEN: {"b": 1}}}}, "params.extra: looks"),
    "export": ({"export": {"wandb": {"project": "p", "tags": [TOKEN]}}}, "export.wandb.tags.0"),
    "requirements": (
        bench(requirements=[f"--index-url {PASSWORD}"]),
        "benchmarks.b.requirements.0",
    ),
    "tracking_uri": ({"export": {"mlflow": {"tracking_uri": PASSWORD}}}, "mlflow.tracking_uri"),
    "image": (bench(image=PASSWORD), "benchmarks.b.image"),
    "judge": ({"params": {"extra": {"judge": {"url": PASSWORD}}}}, "params.extra.judge.url"),
    "query": (
        {"models": {"m": {"endpoint": MODEL["endpoint"] | {"url": QUERY}}}},
        "models.m.endpoint.url: holds a URL with a secret in its parameter 'api-key'",
    ),
    "query of a command": (bench(command=f"curl '{QUERY}'"), "benchmarks.b.command"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_token_is_an_error_in_every_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    changes, where = PLACES[place]
    write(tmp_path, VALID | changes)
    assert cli.main(["run", "--config", "c.yaml", "--dry-run"]) == 2
    printed = capsys.readouterr()
    assert where in printed.err
    hints = "write the name of the variable (that holds it|as api_key_name)|export MLFLOW_"
    assert re.search(hints, printed.err)
    assert TOKEN not in printed.out + printed.err
    assert "S3cr3t" not in printed.out + printed.err
    saved = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not [path for path in saved if TOKEN in path.read_text() or "S3cr3t" in path.read_text()]


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["init", "new", "--base-url", QUERY], "evaluation.yaml: models.m.endpoint.url"),
        (["eval", "--base-url", QUERY], "these options: models.m.endpoint.url"),
        (["eval", "--base-url", PASSWORD], "these options: models.m.endpoint.url"),
        (
            ["eval", "--base-url", "http://h/v1", "-o", f"models.m.endpoint.url={QUERY}"],
            "-o models.m.endpoint.url: holds a URL with a secret",
        ),
    ],
)
def test_a_secret_in_the_url_of_an_option_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    where: str,
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert cli.main([*arguments, "--model-id", "m", "-t", "gsm8k"]) == 2
    printed = capsys.readouterr()
    assert where in printed.err
    assert "S3cr3t" not in printed.out + printed.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", [f"x: *{TOKEN}", f"x: !{TOKEN} 5", f"{TOKEN}: 1\n{TOKEN}: 2"])
def test_an_error_of_the_yaml_hides_a_token(tmp_path: Path, line: str) -> None:
    file = write(tmp_path, VALID)
    file.write_text(f"{file.read_text()}{line}\n")
    with pytest.raises(ConfigError, match=r"c\.yaml, line") as found:
        load([file])
    assert TOKEN not in str(found.value)


def test_a_run_that_saved_a_token_loads_again(tmp_path: Path) -> None:
    file = write(tmp_path, VALID | bench(set_env={"K": TOKEN}))
    config, _ = load_saved(file, {})
    assert config.benchmarks["b"].set_env == {"K": TOKEN}


@pytest.mark.parametrize("arguments", [[TOKEN], ["run", f"--{TOKEN}"], ["kill", TOKEN]])
def test_a_wrong_command_line_hides_a_token(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert "***" in printed.err
    assert TOKEN not in printed.out + printed.err
