"""Random faults while runs are under way: every run completes, and nothing is computed twice.

The short form is one fault of each kind. ``SNAKEVAL_CAMPAIGN=100`` makes it a hundred, and
``SNAKEVAL_CAMPAIGN_SEED`` another hundred; the figures are printed.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import pytest

from snakeval.demo.ledger import digest
from support.engine import engine
from support.limits import HUNG
from support.served import Served, kill_9
from support.workspace import REPOSITORY

MODELS = ("careful", "sloppy")
BENCHMARKS, QUESTIONS = 6, 5
ENGINE = REPOSITORY / "tests" / "testbed" / "engine.sh"


def served(directory: Path, disk: Path) -> Served:
    """Twelve evaluations of two deployed models; results on a disk that can be filled."""
    directory.mkdir()
    made = Served(directory, "docker", *MODELS)
    made.work.config["output_dir"] = str(disk / directory.name)
    for number in range(BENCHMARKS):
        made.asks(f"b{number}", seed=number, count=QUESTIONS, pause=0.05)
    return made


def answers(made: Served) -> Counter[str]:
    """How often the questions of each evaluation were answered."""
    recorded = made.recorded.answers
    counted: Counter[str] = Counter()
    for model in MODELS:
        for seed in range(BENCHMARKS):
            for number in range(QUESTIONS):
                prompt = f"What is {10 + seed} + {3 + number}? [{seed}/{number}]"
                counted[f"{model}/b{seed}"] += recorded[model, digest(model, prompt)]
    assert counted.total() == sum(recorded.values()), "questions that nobody should ask"
    return counted


def finished(made: Served, disk: Path) -> set[str]:
    places = (disk / made.work.directory.parent.name).glob("*/*/b*/evaluation.json")
    return {f"{place.parent.parent.name}/{place.parent.name}" for place in places}


# --- faults: each returns what undoes it ------------------------------------------------------


def _nothing() -> None:
    """There is nothing to undo."""


def _kill_process(*words: str) -> Callable[[Served, Path, random.Random], Callable[[], None]]:
    def kill(made: Served, disk: Path, rng: random.Random) -> Callable[[], None]:
        if found := made.named(*words):
            with contextlib.suppress(ProcessLookupError):  # a job that ends just now
                kill_9(rng.choice(found) if words[0] == "snakeval.jobs.evaluate" else found[0])
        return _nothing

    return kill


def _kill_container(label: str) -> Callable[[Served, Path, random.Random], Callable[[], None]]:
    def kill(made: Served, disk: Path, rng: random.Random) -> Callable[[], None]:
        found = [c["Id"] for c in made.containers() if label in c["Labels"]]
        if found:
            subprocess.run(["docker", "kill", rng.choice(sorted(found))], capture_output=True)
        return _nothing

    return kill


def _restart_engine(made: Served, disk: Path, rng: random.Random) -> Callable[[], None]:
    with engine(alone=True):
        for what in ("stop", "start"):
            subprocess.run(["bash", ENGINE, what], check=True, capture_output=True, timeout=HUNG)
    return _nothing


def _fill_disk(made: Served, disk: Path, rng: random.Random) -> Callable[[], None]:
    fill = disk / "fill"
    # Without a buffer: what is left in one raises the error again when the file is closed.
    with fill.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        file.writelines(repeat(bytes(1 << 16)))
    return lambda: fill.unlink()


def _break_endpoint(made: Served, disk: Path, rng: random.Random) -> Callable[[], None]:
    made.trouble.touch()
    return lambda: made.trouble.unlink()


FAULTS = {
    "kill -9 of the head": _kill_process("--snakefile"),
    "kill -9 of a job": _kill_process("snakeval.jobs.evaluate", "evaluation.json"),
    "kill -9 of the supervisor": _kill_process("snakeval.serving.supervisor"),
    "kill of a harness's container": _kill_container("snakeval.evaluation"),
    "kill of a server's container": _kill_container("snakeval.server"),
    "restart of the engine": _restart_engine,
    "full disk": _fill_disk,
    "HTTP 500 for a while": _break_endpoint,
}


@dataclass
class Figures:
    faults: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    answered: int = 0
    repeated: int = 0
    survived: int = 0
    loads: int = 0
    seconds: float = 0

    def __str__(self) -> str:
        kinds = "".join(f"\n  {count:3} x {kind}" for kind, count in sorted(self.faults.items()))
        total = self.faults.total()
        return (
            f"{total} faults in {total} runs of {len(MODELS) * BENCHMARKS} evaluations:{kinds}\n"
            f"{self.survived} runs completed in spite of it, the others after "
            f"{(self.commands - total) / max(1, total - self.survived):.2f} more commands\n"
            f"{self.answered} questions answered, {self.repeated} of them again (asked by a "
            "harness that was interrupted before it had kept the answer); of finished "
            "evaluations none\n"
            f"{self.loads} model loads ({len(MODELS) * total} without faults); "
            f"{self.seconds / max(1, total):.1f} s a run"
        )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.root
@pytest.mark.images
@pytest.mark.restarts_engine
def test_after_any_fault_the_same_command_completes_the_run_and_reruns_no_finished_evaluation(
    tmp_path: Path, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(int(os.environ.get("SNAKEVAL_CAMPAIGN_SEED", "2026")))
    count = int(os.environ.get("SNAKEVAL_CAMPAIGN", len(FAULTS)))
    kinds = [kind for _ in range(-(-count // len(FAULTS))) for kind in FAULTS][:count]
    rng.shuffle(kinds)
    undisturbed = served(tmp_path / "undisturbed", disk)
    done = undisturbed.work.snakemake("--cores", "4")
    assert done.exit_code == 0, done.output
    scores = _scores(undisturbed, disk)
    assert set(answers(undisturbed).values()) == {QUESTIONS}

    figures = Figures()
    for number, kind in enumerate(kinds):
        began = time.monotonic()
        made = served(tmp_path / f"run{number}", disk)
        head = made.work.start("--cores", "4")
        moment = _wait_for_a_moment(made, head, rng)
        undo = FAULTS[kind](made, disk, rng)
        lasting = undo is not _nothing
        if lasting:
            time.sleep(rng.uniform(0.5, 3))
            undo()
        output, _ = head.communicate(timeout=HUNG)
        before, complete = answers(made), finished(made, disk)
        commands = 1
        again = head.returncode
        said = output
        while again != 0:
            assert commands < 5, f"{kind} {moment}: not done after {commands} commands\n{said}"
            following = made.work.snakemake("--cores", "4")
            commands, again, said = commands + 1, following.exit_code, following.output
        context = f"{kind} {moment}:\n{output}"
        assert "Traceback" not in output + said, context + said
        assert _scores(made, disk) == scores, context
        after = answers(made)
        assert {name: after[name] for name in complete} == {
            name: before[name] for name in complete
        }, f"a finished evaluation was computed again; {context}"
        made.nothing_is_left()
        assert not [*(disk / f"run{number}").glob("*/*/*/.snakeval/lease*")], context
        figures.faults[kind] += 1
        figures.commands += commands
        figures.survived += commands == 1
        figures.answered += after.total()
        figures.repeated += after.total() - QUESTIONS * BENCHMARKS * len(MODELS)
        figures.loads += made.recorded.loads.total()
        figures.seconds += time.monotonic() - began
        with capsys.disabled():
            seconds = time.monotonic() - began
            print(f"\n{number + 1}: {kind} {moment}: {commands} commands, {seconds:.0f} s", end="")
        shutil.rmtree(disk / f"run{number}")
        shutil.rmtree(tmp_path / f"run{number}")
    with capsys.disabled():
        print(f"\n{figures}")


def _wait_for_a_moment(made: Served, head: subprocess.Popen[str], rng: random.Random) -> str:
    """Wait until the run has come to a random point, before its models are served or after."""
    total = len(MODELS) * BENCHMARKS * QUESTIONS
    if rng.random() < 0.2:
        seconds = rng.uniform(0.3, 3)
        time.sleep(seconds)
        return f"after {seconds:.1f} s"
    wanted = rng.randrange(1, total - 8)
    while head.poll() is None and sum(made.recorded.answers.values()) < wanted:
        time.sleep(0.02)
    return f"after {wanted} of {total} answers"


def _scores(made: Served, disk: Path) -> dict[str, float]:
    (run,) = (disk / made.work.directory.parent.name).iterdir()
    return made.scores(run)
