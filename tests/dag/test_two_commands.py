"""Commands that share an output directory: which run each has, and what it may see of others.

Every rule holds for `snakeval run`, for plain `snakemake` and for their dry runs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from snakeval.run.directory import RunDirectory
from support import forks
from support.command import says
from support.configs import MODEL
from support.limits import HUNG
from support.workspace import REPOSITORY, Workspace

SNAKEMAKE = ("snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "2")
PROFILE = ("--profile", str(REPOSITORY / "profiles" / "local"))
#: A command for the configuration in a file.
COMMANDS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "snakemake": lambda file: (*SNAKEMAKE, *PROFILE, "--configfile", file),
    "snakeval run": lambda file: ("snakeval", "run", "--config", file),
}
each_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())


class Place:
    """A working directory with the configurations of several people."""

    def __init__(self, directory: Path) -> None:
        self.work = Workspace.below(directory)
        self.path = self.work.directory

    def write(self, file: str, benchmarks: dict[str, Any], **more: Any) -> str:
        place = self.path / file
        place.parent.mkdir(parents=True, exist_ok=True)
        models = {"m": MODEL}
        output = {"output_dir": str(self.path / "results"), "ledger": "off"}
        content = {"runtime": "process", "models": models, "benchmarks": benchmarks, **output}
        place.write_text(yaml.safe_dump(content | more, sort_keys=False))
        return file

    def starts(self, *words: str) -> subprocess.Popen[str]:
        return forks.Process(
            [sys.executable, "-m", *words],
            cwd=self.path,
            env=self.work.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def runs(self, *words: str) -> tuple[int, str]:
        process = self.starts(*words)
        output, _ = process.communicate(timeout=HUNG)
        assert "Traceback" not in output, output
        return process.returncode, output

    @property
    def files(self) -> dict[Path, float]:
        """All files here with their times, but Snakemake's own and those of evaluations.

        The process of a run writes its own file again every some seconds.
        """
        return {
            path: 0 if path.parent.name == "heads" else path.stat().st_mtime_ns
            for place in (self.path, self.work.home)
            for path in place.rglob("*")
            if not {".snakemake", "composed", "m"} & {*path.parts}
        }

    def scores(self, run: Path) -> dict[str, float]:
        frame = pd.read_csv(run / "results.csv")
        return dict(zip(frame["benchmark"], frame["value"], strict=True))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def until(is_so: Callable[[], bool], seconds: float = HUNG) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@each_command
def test_another_configuration_with_the_same_name_sees_no_score_of_the_first(
    place: Place, command: Callable[[str], tuple[str, ...]]
) -> None:
    go = place.path / "go"
    first = place.write("first.yaml", {"b": says(0.1, waits_for=go)})
    second = place.write("second.yaml", {"b": says(0.9)})
    running = place.starts(*command(first))
    until(lambda: bool([*place.path.glob("results/*/m/b/.snakeval/lease")]))
    before = place.files
    for more in (("-n",), ()):
        code, output = place.runs(*command(second), *more)
        assert code == 2, output
        assert "m/b" in output
        assert "run=new" in output
    assert place.files == before, "a refused command wrote something"
    new = (
        ("--config", "run=new")
        if command is COMMANDS["snakemake"]
        else ("--", *("--config", "run=new"))
    )
    code, output = place.runs(*command(second), *new)
    assert code == 0, output
    assert "0.9" in output
    go.touch()
    output, _ = running.communicate(timeout=HUNG)
    assert running.returncode == 0, output
    assert "0.1" in output
    assert "0.9000" not in output  # the elapsed time may have 0.9
    runs = place.work.runs
    assert len({RunDirectory(run).id for run in runs}) == 2
    # Runs that began in the same second are in no order.
    assert sorted(place.scores(run)["b"] for run in runs) == [0.1, 0.9]


@each_command
def test_configurations_without_a_common_evaluation_have_runs_of_their_own(
    place: Place, command: Callable[[str], tuple[str, ...]]
) -> None:
    for file, benchmark in (("a.yaml", "b"), ("b.yaml", "c")):
        code, output = place.runs(*command(place.write(file, {benchmark: says(0.5)})))
        assert code == 0, output
    # Runs that began in the same second are in no order.
    scores = sorted(map(str, map(place.scores, place.work.runs)))
    assert scores == [str({"b": 0.5}), str({"c": 0.5})]


@each_command
def test_another_checkout_of_the_same_configuration_joins_the_run(
    place: Place, command: Callable[[str], tuple[str, ...]]
) -> None:
    count = place.path / "count"
    once = says(0.5) | {"command": f"echo x >> {count}; " + says(0.5)["command"]}
    for file in ("checkout-1/c.yaml", "checkout-2/c.yaml"):
        code, output = place.runs(*command(place.write(file, {"b": once})))
        assert code == 0, output
    place.write("checkout-3/c.yaml", {"b": once, "c": says(0.7)})
    code, output = place.runs(*command("checkout-3/c.yaml"))
    assert code == 0, output
    assert place.scores(place.work.run) == {"b": 0.5, "c": 0.7}
    assert (place.path / "count").read_text() == "x\n"


def test_two_commands_at_one_run_share_its_work_and_print_the_tables_of_their_own_plans(
    place: Place,
) -> None:
    go, count = place.path / "go", place.path / "count"
    waits = says(0.1, waits_for=go)
    waits["command"] = f"echo x >> {count}; {waits['command']}"
    command = COMMANDS["snakemake"]
    first = place.starts(*command(place.write("1/c.yaml", {"b": waits, "old": says(0.3)})))
    until(lambda: bool([*place.path.glob("results/*/m/b/.snakeval/lease")]))
    second = place.starts(*command(place.write("2/c.yaml", {"b": waits, "new": says(0.7)})))
    until(lambda: bool([*place.path.glob("results/*/m/new/evaluation.json")]))
    run = RunDirectory(place.work.run)
    assert [item.benchmark for item in run.plan()] == ["b", "old", "new"], "both work at it"
    go.touch()
    outputs = [process.communicate(timeout=HUNG)[0] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], outputs
    tables = [
        {line.split("|")[2].strip() for line in output.splitlines() if line.startswith("| m ")}
        for output in outputs
    ]
    assert tables == [{"b", "old"}, {"b", "new"}]
    assert count.read_text() == "x\n", "one of them evaluates, and the other waits"


@pytest.mark.parametrize("offset", [0.0, 0.4])
@each_command
def test_the_same_command_twice_in_its_first_second_joins_one_run(
    place: Place, command: Callable[[str], tuple[str, ...]], offset: float
) -> None:
    slow = says(0.5)["command"]
    counts = says(0.5) | {"command": f"echo x >> {place.path}/count; sleep 1; {slow}"}
    file = place.write("c.yaml", {"b": counts})
    started = [place.starts(*command(file))]
    time.sleep(offset)
    started.append(place.starts(*command(file)))
    for process in started:
        output, _ = process.communicate(timeout=HUNG)
        # `snakeval run` may find the other one at work already.
        assert process.returncode == 0 or "already works" in output, output
    assert place.scores(place.work.run) == {"b": 0.5}
    assert (place.path / "count").read_text() == "x\n"


@each_command
def test_a_dry_run_writes_nothing_and_shows_what_the_command_would_do(
    place: Place, command: Callable[[str], tuple[str, ...]]
) -> None:
    file = place.write("c.yaml", {"b": says(0.5)})
    before = place.files
    code, output = place.runs(*command(file), "-n")
    assert code == 0, output
    assert "(new): 1 evaluation" in output
    assert place.files == before


def test_a_start_replaces_a_damaged_plan_though_nothing_else_is_to_be_done(place: Place) -> None:
    command = COMMANDS["snakemake"](place.write("c.yaml", {"b": says(0.5)}))
    assert place.runs(*command)[0] == 0
    plan = RunDirectory(place.work.run).plan_file
    whole = plan.read_text()
    for damage in ("{", None):
        plan.unlink() if damage is None else plan.write_text(damage)
        code, output = place.runs(*command)
        assert code == 0, output
        assert plan.read_text() == whole
    assert "Nothing to be done" in place.runs(*command)[1]
