"""`--json` of each command: it exists, and what it prints has the published type."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator

from snakeval import cli
from snakeval.cli import schemas
from snakeval.evaluation.record import Metric
from snakeval.files import home
from snakeval.ledger.journal import Journal
from snakeval.ledger.records import Answer
from support.configs import COMMAND, write
from support.made import Made, snakeval
from support.sampled import Sampled
from support.stored import stored_run

Capture = pytest.CaptureFixture[str]
PUBLISHED = Path(__file__).parents[3] / "docs/json.schema.json"
EVAL = ("--base-url", "http://host/v1", "--model-id", "org/m", "-t", "gsm8k")
#: A series without a checkpoint.
TRAINED = {
    "models": {
        "run7": {
            "checkpoints": {"pattern": "step-{step}"},
            "deployment": {"kind": "generic", "command": "serve"},
        }
    },
    "benchmarks": {"b": COMMAND},
}
#: The words after each command; RUN, OTHER, SERIES and STORED are the ids of runs.
WORDS: dict[str, tuple[str, ...]] = {
    "run": ("c.yaml",),
    "follow": ("trained.yaml", "--until", "0s"),
    "eval": EVAL,
    "resume": ("STORED",),
    "rescore": ("STORED", "-n"),
    "status": ("RUN",),
    "logs": ("RUN/m/b",),
    "requests": ("RUN/m/b",),
    "kill": ("RUN",),
    "clean": ("RUN", "--requests", "-n"),
    "results": ("RUN",),
    "report": ("RUN",),
    "curve": ("SERIES",),
    "compare": ("RUN", "OTHER"),
    "verify": ("RUN",),
    "export": ("RUN",),
    "ls tasks": ("ifeval",),
    "ls models": ("--config", "c.yaml"),
    "ls runs": (),
    "ls runtimes": (),
    "ls profiles": (),
    "info": ("lm-eval.gsm8k",),
    "init": ("new",),
    "doctor": (),
    "profiles install": (),
    "cache ls": (),
    "cache clean": (),
    "completion": ("fish",),
    "help": ("ls", "runs"),
}


def commands(group: click.Group, above: str = "") -> dict[str, click.Command]:
    """Return the commands of *group* and of the groups in it, by their names."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        assert each is not None
        whole = f"{above} {name}".strip()
        found |= commands(each, whole) if isinstance(each, click.Group) else {whole: each}
    return found


def validate(name: str, data: object) -> None:
    """Check *data* against the published schema, which a new key violates here."""
    published = closed(json.loads(PUBLISHED.read_text(encoding="utf-8")))
    wanted = {"$defs": published["$defs"], **published["properties"][name]}
    Draft202012Validator(wanted).validate(data)


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if "properties" in schema else {}
    return more | {name: closed(each) for name, each in schema.items()}


def test_the_published_schema_is_that_of_the_code() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == schemas.text(), (
        "python -m snakeval.cli.schemas > docs/json.schema.json"
    )
    Draft202012Validator.check_schema(closed(json.loads(schemas.text())))


def test_each_command_has_json_and_a_schema() -> None:
    found = commands(cli.app)
    assert set(found) == set(WORDS)
    assert set(found) == set(schemas.DATA) - {"error", "results of several runs"}
    for name, each in found.items():
        assert any("--json" in parameter.opts for parameter in each.params), name


@pytest.fixture
def runs(place: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the ids of two runs with a score, and of one whose answers are stored."""
    programs = place / "bin"  # no container engine, but those that a plugin of Snakemake asks for
    programs.mkdir()
    for name in ("which", "bash", "sh"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    for name in ("MODEL_KEY", "JUDGE_KEY"):
        monkeypatch.setenv(name, "x")
    for number in (3, 4):
        run = Made(place, "b", name=f"2026-01-0{number}-03-04-05-{number}0000000")
        run.done("b", Metric("m", "acc", 0.5, stderr=0.05, n=40, higher_is_better=True))
        asyncio.run(keep(run["b"].requests / "m"))
    (home() / "envs/lm-eval-1/half").mkdir(parents=True)
    write(place, TRAINED, "trained.yaml")
    stored = stored_run(place / "work")
    series = Sampled(place, {"r@1": {"b": [1, 0]}, "r@2": {"b": None}, "base": {"b": [1, 1]}})
    return {
        "SERIES": series.directory.id,
        "RUN": "30000000",
        "OTHER": "40000000",
        "STORED": stored.run.id,
    }


async def keep(directory: Path) -> None:
    """Put one answer into a journal."""
    journal = Journal(directory, "identity")
    meta: dict[str, Any] = {
        "status": 200, "reason": "OK", "headers": [], "method": "POST", "time": 1.0,
        "path": "/v1/chat/completions", "whole": 0.5, "empty": 0, "finish": ["stop"],
        "tokens": {"completion": 3},
    }  # fmt: skip
    body = {"choices": [{"message": {"content": "an answer"}}]}
    await journal.append(b"k" * 16, 0, Answer(meta, b'{"n": 1}', json.dumps(body).encode()))
    journal.close()


@pytest.mark.parametrize("name", WORDS)
def test_what_a_command_prints_has_its_type(
    name: str, runs: dict[str, str], capsys: Capture
) -> None:
    words = [
        "/".join(runs.get(part, part) for part in word.split("/"))
        if word.split("/")[0] in runs
        else word
        for word in WORDS[name]
    ]
    said = snakeval(capsys, *name.split(), *words, "--json")
    assert said.exit_code in (0, 1), said
    data = json.loads(said.out)
    assert data, "an empty list shows nothing"
    validate(name, data)


def test_results_of_several_runs_and_errors_have_their_types(
    runs: dict[str, str], capsys: Capture
) -> None:
    several = snakeval(capsys, "results", runs["RUN"], runs["OTHER"], "--json")
    validate("results of several runs", json.loads(several.out))
    for words in (["run", "none.yaml"], ["status", "none"], ["ls", "runs", "--none"], ["init"]):
        said = snakeval(capsys, *words, "--json")
        assert said.exit_code == 2
        validate("error", json.loads(said.out))
