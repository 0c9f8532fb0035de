"""The package of docs/examples/snakeval-example, installed by pip, with all five of its parts.

What needs no other process finds the package in this one: see :mod:`support.packages`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.processes import process_lives
from support import forks
from support.configs import write
from support.limits import HUNG
from support.made import snakeval
from support.packages import EXAMPLE
from support.packages import example as visible_example
from support.served import wait_for

PROFILE = str(EXAMPLE / "profile")
#: Lets a command find the package in a directory, as this process does.
SEES = """
import sys
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakeval import plugins
sys.path.append({site!r})
plugins.installed.cache_clear()
ExecutorPluginRegistry().collect_plugins()
"""
#: What the harness prints last before it waits at its gate.
LAST = "asked: repeat 2"


@dataclass
class Installed:
    """An environment with the package, and a directory with its configuration."""

    python: Path
    directory: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            "SNAKEVAL_HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.directory / "own"),
        }

    def snakeval(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), "-m", "snakeval", *words], cwd=self.directory, text=True,
            env=self.environment, capture_output=True, timeout=HUNG, check=False,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.python), "-m", "snakeval", *words], cwd=self.directory, text=True,
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @property
    def run(self) -> Path:
        (found,) = (self.directory / "results").glob("[0-9]*")
        return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment: of this one it sees the packages, and pip installs the example in it."""
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin/python"
    (site,) = place.glob("lib/python*/site-packages")
    # As site directories, so that an editable installation of snakeval is found, too.
    shared = sysconfig.get_paths()["purelib"]
    (site / "shared.pth").write_text(f"import site; site.addsitedir({shared!r})\n")
    source = place / "source"
    shutil.copytree(EXAMPLE, source)  # building leaves files beside the sources
    installed = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps",
         "--no-build-isolation", "--no-index", str(source)],
        capture_output=True, text=True, timeout=HUNG, check=False,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    return python


@pytest.fixture
def example(python: Path, tmp_path: Path) -> Installed:
    work = tmp_path / "work"
    work.mkdir()
    shutil.copytree(EXAMPLE / "profile", work / "profile")
    config = yaml.safe_load((EXAMPLE / "config.yaml").read_text())
    gate = {"params": {"extra": {"gate": str(tmp_path / "gate")}}}
    config["benchmarks"]["sums"] |= gate
    config["lease"] = {"heartbeat": 1, "stale": 10}
    (work / "config.yaml").write_text(yaml.safe_dump(config))
    return Installed(python, work, tmp_path / "home")


def test_its_parts_run_are_watched_killed_resumed_and_exported(
    example: Installed,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = example.start("run", "--config", "config.yaml", "--profile", "profile")
    try:
        of = example.directory.glob
        wait_for(lambda: [*of("results/[0-9]*/parrot/words/evaluation.json")], "words is not done")
        asked = "results/[0-9]*/parrot/sums/logs/attempt-1.log"
        wait_for(lambda: any(LAST in log.read_text() for log in of(asked)), "sums does not run")
        monkeypatch.setenv("SNAKEVAL_HOME", str(example.home))
        with visible_example(tmp_path / "site"):
            said = status(capsys, example.run)
            sums = said["parrot/sums"]
            assert (sums["state"], said["parrot/words"]["state"]) == ("running", "done")
            assert (sums["scheduler"], sums["runtime"]) == ("Spool", "nice")
            ours = os.getpriority(os.PRIO_PROCESS, 0)
            niceness = os.getpriority(os.PRIO_PROCESS, sums["pid"])
            assert niceness == min(19, ours + 5)  # execution.spool.niceness

            logs = snakeval(capsys, "logs", f"{example.run}/parrot/sums")
            assert LAST in logs.out
            assert f"its Spool job's: {example.directory}/.snakemake/spool/" in logs.err

            killed = snakeval(capsys, "kill", str(example.run))
            assert killed.exit_code == 0, killed.out + killed.err
            assert f"Ends Spool job {sums['job']} runs" in killed.out
            assert "stopped, 1 of 2 done" in killed.out
            head.communicate(timeout=HUNG)
            assert not process_lives(sums["pid"])
            assert status(capsys, example.run)["parrot/sums"]["state"] == "interrupted"
    finally:
        head.kill()

    (tmp_path / "gate").touch()
    resumed = example.snakeval("resume", str(example.run))
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    lines = (example.directory / "results.txt").read_text().splitlines()
    scores = {words[0].partition("/parrot/")[2]: words[1] for words in map(str.split, lines)}
    assert scores == {"sums": "sums/right=0.5", "words": "words/right=1"}


def status(capsys: pytest.CaptureFixture[str], run: Path) -> dict[str, dict[str, Any]]:
    (view,) = json.loads(snakeval(capsys, "status", str(run), "--json").out)
    return {f"{each['model']}/{each['benchmark']}": each for each in view["evaluations"]}


def test_errors_know_them_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load((EXAMPLE / "config.yaml").read_text())
    with visible_example(tmp_path / "site"):
        for path, value, sentence in (
            (("execution", "spool"), {"niceness": 50}, "spool.niceness: input should be less"),
            (("execution",), {"spol": {}}, "execution.spol: unknown key 'spol'"),
            (("benchmarks", "words", "harness"), "question", "did you mean 'questions'"),
            (
                ("models", "parrot", "deployment", "kind"),
                "parot",
                "no deployment kind 'parot'; did you mean 'parrot'?",
            ),
            (
                ("models", "parrot", "deployment", "tensor_parallel_size"),
                2,
                "models.parrot.deployment: kind parrot has no tensor_parallel_size",
            ),
            (("models", "parrot", "deployment", "spol"), {}, "unknown key 'spol'"),
            (("export",), {"line": {}}, "line: no such destination; did you mean 'lines'?"),
        ):
            changed = json.loads(json.dumps(config))
            place = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
            wrong = write(tmp_path, changed, "wrong.yaml")
            said = snakeval(capsys, "run", "--config", str(wrong), "--profile", PROFILE, "-n")
            assert (said.exit_code, sentence in said.err) == (2, True), said.err


def test_the_launchers_shape_has_the_same_model(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))  # `ls models` names those of runs
    shutil.copytree(EXAMPLE / "profile", tmp_path / "profile")
    site = tmp_path / "site"
    with visible_example(site):
        plan = forks.finished(
            [sys.executable, "-m", "snakeval", "run", "--config", str(EXAMPLE / "launcher.yaml"),
             "--profile", "profile", "-n"],
            cwd=tmp_path,
            env=forks.with_first(os.environ, tmp_path / "first", SEES.format(site=str(site))),
            timeout=HUNG,
        )  # fmt: skip
        assert plan.returncode == 0, plan.stdout + plan.stderr
        said = yaml.safe_load(plan.stdout.partition("\n\n")[0].partition("\nBuilding DAG")[0])
        assert said["models"]["parrot"]["deployment"]["kind"] == "parrot"
        launcher = ("--config", str(EXAMPLE / "launcher.yaml"))
        (served,) = json.loads(snakeval(capsys, "ls", "models", *launcher, "--json").out)
        assert (served["model"], served["served"]) == ("parrot", "deployment, parrot")
        options = ("--profile", PROFILE, "-o", "deployment=parot", "-n")
        wrong = snakeval(capsys, "run", *launcher, *options)
    assert wrong.exit_code == 2
    assert "no parot in deployment; did you mean 'parrot'?" in wrong.err
