"""The configuration of a re-score: which evaluations it keeps, and with which images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.cli.launch.rescored import narrow
from snakeval.config.source import Source, merge
from snakeval.errors import ConfigError
from snakeval.run.target import find
from support.configs import COMMAND, MODEL, write
from support.invocations import invocation

IMAGE = "registry:5000/team/harness:26.03"
CONTENT: dict[str, Any] = {
    "models": {"m": MODEL, "n": MODEL},
    "benchmarks": {
        "b": COMMAND | {"image": IMAGE},
        "c": COMMAND | {"image": "other"},
        "bare": COMMAND,
        "r": COMMAND | {"image": IMAGE, "repeats": 2},
    },
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a run of `CONTENT`."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    made = invocation(tmp_path, CONTENT)
    made.run.start()
    made.directory.write_plan(made.planned)
    for each in made.everything:
        made.directory.evaluation(each.id).define(each)
    return str(made.directory.path)


def narrowed(run: str, *names: str, **images: str) -> Source:
    chosen = [find(f"{run}/{name}") for name in names] or [find(run)]
    source = merge([write(Path(run), CONTENT)])
    narrow(source, chosen, **images)
    return source


def test_a_whole_run_keeps_its_configuration(run: str) -> None:
    assert narrowed(run).data == CONTENT


def test_only_the_chosen_evaluations_stay(run: str) -> None:
    assert narrowed(run, "m/b", "n/c").data["include"] == ["m/b", "n/c"]
    assert narrowed(run, "m").data["include"] == ["m/b", "m/c", "m/bare", "m/r"]
    assert narrowed(run, "m/r-r2").data["include"] == ["m/r"], "repeats stay together"


def test_another_image_is_for_the_evaluations_of_one_image(run: str) -> None:
    found = narrowed(run, "m/b", "m/r", image="mine:1").data["benchmarks"]
    assert [found[name].get("image") for name in CONTENT["benchmarks"]] == [
        *("mine:1", "other", None, "mine:1")
    ]
    with pytest.raises(ConfigError, match=rf"--image: b has {IMAGE}, c has other; choose"):
        narrowed(run, "m/b", "m/c", image="mine:1")


def test_a_version_is_the_tag_of_each_image(run: str) -> None:
    found = narrowed(run, "m/b", "m/c", version="26.05").data["benchmarks"]
    assert found["b"]["image"] == "registry:5000/team/harness:26.05"
    assert found["c"]["image"] == "other:26.05"


def test_what_has_no_image_has_no_other(run: str) -> None:
    with pytest.raises(ConfigError, match="--harness-version: bare has no image; choose other"):
        narrowed(run, version="26.05")
    with pytest.raises(ConfigError, match="each names an image; remove one"):
        narrowed(run, "m/b", image="mine:1", version="26.05")
    source = merge([write(Path(run), CONTENT | {"runtime": "process"})])
    with pytest.raises(ConfigError, match="--image: the run has runtime: process, which starts no"):
        narrow(source, [find(f"{run}/m/b")], image="mine:1")
