"""`snakeval cache`: what is kept, and what may be removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.run.heads import enter
from support.made import Made, snakeval

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a current environment, two others, and downloaded data."""
    home = tmp_path / "home"
    monkeypatch.setenv("SNAKEVAL_HOME", str(home))
    for name in ("new", "old", "used"):
        (home / "envs/lm-eval-1" / name).mkdir(parents=True)
        (home / "envs/lm-eval-1" / name / "file").write_bytes(b"x" * 10_000)
    (home / "envs/lm-eval-1/current").symlink_to("new")
    (home / "cache/huggingface").mkdir(parents=True)
    used = home / "envs/lm-eval-1/used"
    monkeypatch.setattr("snakeval.runtimes.builds.used_environments", lambda: iter([str(used)]))
    return home


def printed(capsys: Capture, *words: str) -> Any:
    said = snakeval(capsys, "cache", *words, "--json")
    assert said.exit_code == 0, said
    return json.loads(said.out)


def test_the_list_says_what_is_in_use(cache: Path, capsys: Capture) -> None:
    rows = printed(capsys, "ls")
    assert [(Path(row["path"]).name, row["in use"]) for row in rows] == [
        ("new", True), ("old", False), ("used", True), ("huggingface", None),
    ]  # fmt: skip
    assert rows[0]["bytes"] >= 10_000
    assert snakeval(capsys, "cache", "ls").out.count("just now") == 4


def test_only_what_nothing_uses_is_removed(cache: Path, capsys: Capture) -> None:
    envs = cache / "envs/lm-eval-1"
    wanted = [str(envs / "old")]
    assert printed(capsys, "clean", "-n")["removed"] == wanted
    assert (envs / "old").exists()
    assert printed(capsys, "clean")["removed"] == wanted
    assert {path.name for path in envs.iterdir()} == {"new", "used", "current"}
    assert (cache / "cache/huggingface").exists()


def test_all_keeps_what_a_process_uses(cache: Path, capsys: Capture) -> None:
    said = snakeval(capsys, "cache", "clean", "--all")
    assert len(said.out.splitlines()) == 3
    assert {path.name for path in (cache / "envs/lm-eval-1").iterdir()} == {"used"}
    assert list((cache / "cache").iterdir()) == []


def test_all_fails_while_a_run_may_be_active(cache: Path, tmp_path: Path, capsys: Capture) -> None:
    run = Made(tmp_path, "b")
    enter(run.directory, ["snakemake"])
    said = snakeval(capsys, "cache", "clean", "--all")
    assert (said.exit_code, "run 0123abcd may be active" in said.err) == (2, True)
    assert (cache / "envs/lm-eval-1/old").exists()


def test_what_cannot_be_removed_is_an_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def rmtree(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", rmtree)
    said = snakeval(capsys, "cache", "clean")
    assert said.exit_code == 2
    assert said.err.endswith("envs/lm-eval-1/old: cannot be removed (Permission denied)\n")


def test_cache_ls_reports_an_empty_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "none"))
    assert snakeval(capsys, "cache", "ls").err == "The cache is empty.\n"
    assert snakeval(capsys, "cache", "clean").out == ""
