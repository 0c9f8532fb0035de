"""A campaign of faults: whatever happens to a run, the same command completes it, once.

Each seed is one run of three evaluations and one fault: its kind is the next in turn, and its
moment, its victim and its length come from the seed. Afterwards the same command is given until it
ends with 0. The run is sound if

* no score that was reported as done was ever wrong (the true score is always 1),
* no evaluation that was finished before the fault ran again,
* no process, lease or traceback of snakeval is left,
* three commands after the fault were enough.

``python tests/campaigns/faults.py --seconds 45`` plays the next seeds of ``faults.jsonl`` and
appends their results; ``--seed N`` plays one again and prints all that happened. It ends with 1 if
a run is not sound.

Long because a fault, the moment it comes and the verdict on the run are read together.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from campaigns import parts  # noqa: E402
from support.workspace import REPOSITORY, Workspace  # noqa: E402

RESULTS = HERE / "faults.jsonl"
BENCHMARKS = ("a", "b", "c")
QUESTIONS = 8
STALE = 3.0
#: Names the processes of one run, in their environment.
MARK = "SNAKEVAL_CAMPAIGN"


@dataclass
class Played:
    """A run under way: its files, its processes, and what it logged."""

    seed: int
    place: Path
    deployed: bool
    manner: str
    said: list[str] = field(default_factory=list)
    #: Evaluations that were finished at some moment, and how often each had been started by then.
    finished: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    #: What the fault did, or nothing if it found no victim.
    did: str = ""
    #: How many commands after the first completed the run.
    commands: int = 0

    def __post_init__(self) -> None:
        self.log = self.place / "log"
        self.log.touch()
        self.work = Workspace.below(self.place, **self.config())

    def config(self, count: int = QUESTIONS) -> dict[str, Any]:
        """Return the configuration; another *count* of questions is another definition."""
        part = f"exec {sys.executable} {HERE / 'parts.py'}"
        served = {
            "kind": "generic",
            "command": f"{part} server {{{{ host }}}} {{{{ port }}}} "
            f"{{{{ served_model_name }}}} {self.log}",
        }
        model = (
            {"deployment": served}
            if self.deployed
            else {"endpoint": {"url": ENDPOINT, "model_id": "m"}}
        )
        command = f"{part} harness {{{{ url }}}} {{{{ results }}}} {self.log}"
        return {
            "output_dir": "results",
            "runtime": "process",
            "lease": {"heartbeat": 0.5, "stale": STALE},
            "models": {"m": model},
            "benchmarks": {
                name: {
                    "harness": "generic",
                    "command": f"{command} {name} {count} 0.15 {self.manner}",
                    "metrics": {"file": "score.json", "values": {"score": "score"}},
                }
                for name in BENCHMARKS
            },
        }

    # --- commands -------------------------------------------------------------------------

    def start(self, **more: str) -> subprocess.Popen[str]:
        """Start the command; *more* are environment variables of it and all its children."""
        command = self.work.command("--cores", "3", "--retries", "0")
        return subprocess.Popen(
            command,
            cwd=self.work.directory,
            env={**self.work.environment, MARK: self.mark, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self, head: subprocess.Popen[str]) -> int:
        """Wait for a command, and look at what it reported."""
        try:
            output, _ = head.communicate(timeout=150)
        except subprocess.TimeoutExpired:
            self.problems.append("hangs: a command did not end within 150 s")
            head.kill()
            for process in self.processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            output, _ = head.communicate()
        self.said.append(output)
        if of_snakeval(output):
            self.problems.append("traceback")
        self.look()
        return int(head.returncode)

    # --- what is known --------------------------------------------------------------------

    @property
    def mark(self) -> str:
        """The value of the variable that marks the processes of this run."""
        return self.place.name

    @property
    def lines(self) -> list[list[str]]:
        """What servers and harnesses logged."""
        return [line.split() for line in self.log.read_text().splitlines()]

    def count(self, *words: str) -> int:
        """Return how many lines begin with *words*."""
        return sum(line[: len(words)] == list(words) for line in self.lines)

    def look(self) -> None:
        """Note what is finished by now, and whether a score is wrong."""
        for record in self.work.directory.glob("results/*/m/*/evaluation.json"):
            try:
                metrics = json.loads(record.read_text())["metrics"]
            except (OSError, ValueError, KeyError):
                continue  # a fault damaged it; the runs that follow mend it
            name = record.parent.name
            self.finished.setdefault(name, self.count("started", name))
            if '"value": 1.0' not in json.dumps(metrics):
                self.problems.append(f"wrong score of {name}: {json.dumps(metrics)[:200]}")

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return the processes of the run that have all of *words* as arguments."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get(MARK) == self.mark
                arguments = process.cmdline()
                if (
                    ours
                    and process.status() != psutil.STATUS_ZOMBIE
                    and all(word in arguments for word in words)
                ):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def state_files(self) -> list[Path]:
        """Return every file of ours in the run's directory; logs and artifacts are not ours."""
        return sorted(
            path
            for path in self.work.directory.glob("results/**/*")
            if path.is_file()
            and not path.is_symlink()
            and not {"artifacts", "logs"} & {*path.parts}
            and path.suffix not in (".sh", ".html", ".md", ".csv", ".log")
        )


def of_snakeval(output: str) -> bool:
    """Whether *output* has a traceback through snakeval's code.

    Snakemake itself prints one if it cannot write a log to a full disk.
    """
    _, *tracebacks = output.split("Traceback (most recent call last)")
    return any(str(REPOSITORY / "workflow") in text.split("Elapsed time")[0] for text in tracebacks)


# --- faults: each does its harm, and returns when it is over --------------------------------------

Fault = Callable[[Played, random.Random, subprocess.Popen[str]], None]

ROLES = {
    "job": ("snakeval.jobs.evaluate",),
    "harness": (str(HERE / "parts.py"), "harness"),
    "server": (str(HERE / "parts.py"), "server"),
    "supervisor": ("snakeval.serving.supervisor",),
}


def _victim(
    run: Played, rng: random.Random, head: subprocess.Popen[str], role: str
) -> psutil.Process | None:
    if role == "head":
        return psutil.Process(head.pid) if head.poll() is None else None
    found = sorted(run.processes(*ROLES[role]), key=lambda process: process.pid)
    return rng.choice(found) if found else None


def kill(role: str) -> Fault:
    """Kill a process with SIGKILL."""

    def fault(run: Played, rng: random.Random, head: subprocess.Popen[str]) -> None:
        if process := _victim(run, rng, head, role):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                run.did = f"killed the {role}"

    return fault


def kill_everything(run: Played, rng: random.Random, head: subprocess.Popen[str]) -> None:
    """Kill all processes of the run at once, as a machine that loses its power does."""
    for process in [*run.processes(), psutil.Process(head.pid)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    run.did = "killed everything"


def pause(role: str) -> Fault:
    """Stop a process for some seconds; every other time the same command starts meanwhile."""

    def fault(run: Played, rng: random.Random, head: subprocess.Popen[str]) -> None:
        seconds, second = rng.uniform(0.5, 2.5 * STALE), rng.random() < 0.5
        process = _victim(run, rng, head, role)
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
            run.did = f"paused the {role} for {seconds:.1f} s" + second * ", same command meanwhile"
        other = run.start() if second else None
        time.sleep(seconds)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
        if other is not None:
            run.end(other)

    return fault


def damage(how: str) -> Fault:
    """Truncate a state file, or fill it with something else."""

    def fault(run: Played, rng: random.Random, head: subprocess.Popen[str]) -> None:
        files = run.state_files()
        if not files:
            return
        path = rng.choice(files)
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            harm = {
                "empty": b"",
                "half": content[: len(content) // 2],
                "garbage": rng.randbytes(200),
                "other": b'[{"a": null}]',
            }[how]
            path.write_bytes(harm)
            run.did = f"{how}: {path.relative_to(run.work.directory / 'results')}"

    return fault


def second_configuration(run: Played, rng: random.Random, head: subprocess.Popen[str]) -> None:
    """Start another configuration in the same output_dir, of which one evaluation differs."""
    other = Workspace(run.work.directory, run.work.home, run.config(QUESTIONS + 1))
    keep = rng.sample(BENCHMARKS, rng.randrange(1, 3))
    for name in keep:
        other.config["benchmarks"][name] = run.config()["benchmarks"][name]
    own = run.work.directory / "config.yaml"
    before = own.read_text()
    command = [w if w != "config.yaml" else "other.yaml" for w in other.command("--retries", "0")]
    (run.work.directory / "other.yaml").write_text(own.read_text())
    own.write_text(before)
    done = subprocess.run(
        command,
        cwd=run.work.directory,
        env={**run.work.environment, MARK: run.mark},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    run.said.append(done.stdout + done.stderr)
    run.did = f"kept {' and '.join(keep)}; exit code {done.returncode}"
    if of_snakeval(done.stdout + done.stderr):
        run.problems.append("traceback")


def same_command(run: Played, rng: random.Random, head: subprocess.Popen[str]) -> None:
    """Give the same command while the first is under way."""
    run.did = "gave the same command"
    run.end(run.start())


def jump(seconds: int) -> Fault:
    """Set the wall clock of all processes of the run, as an NTP step does."""

    def fault(run: Played, rng: random.Random, head: subprocess.Popen[str]) -> None:
        (run.place / "clock").write_text(f"{seconds:+d}\n")
        run.did = f"{seconds:+d} s"

    return fault


def nothing(run: Played, rng: random.Random, head: subprocess.Popen[str]) -> None:
    """Do nothing: the fault is in the environment of the command."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault; ``errno`` is the one with which writes fail."""

    fault: Fault
    errno: int = 0
    clock: bool = False
    deployed: bool | None = None

    def environment(self, run: Played, rng: random.Random) -> dict[str, str]:
        """Return what the first command and its children find in their environment."""
        if self.clock:
            (run.place / "clock").write_text("+0\n")
            return {
                "LD_PRELOAD": str(library("clock_fault")),
                "CLOCK_FAULT": str(run.place / "clock"),
            }
        if self.errno:
            (run.place / "turn").write_text(str(rng.randrange(250)))
            (run.place / "more").write_text(str(rng.choice([0, 0, 5, 40])))
            return {
                "LD_PRELOAD": str(library("io_fault")),
                "IO_FAULT_TURN": str(run.place / "turn"),
                "IO_FAULT_BELOW": str(run.work.directory / "results"),
                "IO_FAULT_ERRNO": str(self.errno),
                "IO_FAULT_LAST": (run.place / "more").read_text(),
            }
        return {}

    def failing(self, run: Played) -> int:
        """Return how many calls of *run* fail, one after the other."""
        return 1 + int((run.place / "more").read_text())


KINDS: Mapping[str, Kind] = {
    "the job is killed": Kind(kill("job")),
    "the server is killed": Kind(kill("server"), deployed=True),
    "a state file is empty": Kind(damage("empty")),
    "the job pauses": Kind(pause("job")),
    "the disk is full": Kind(nothing, errno=errno.ENOSPC),
    "the head is killed": Kind(kill("head")),
    "another configuration starts": Kind(second_configuration),
    "the clock jumps forward": Kind(jump(7200), clock=True),
    "the harness is killed": Kind(kill("harness")),
    "a state file is cut in half": Kind(damage("half")),
    "the pool pauses": Kind(pause("supervisor"), deployed=True),
    "writes fail with EIO": Kind(nothing, errno=errno.EIO),
    "everything is killed": Kind(kill_everything),
    "the same command starts again": Kind(same_command),
    "the clock jumps back": Kind(jump(-7200), clock=True),
    "the harness pauses": Kind(pause("harness")),
    "a state file holds garbage": Kind(damage("garbage")),
    "the pool is killed": Kind(kill("supervisor"), deployed=True),
    "writes fail with ESTALE": Kind(nothing, errno=errno.ESTALE),
    "the head pauses": Kind(pause("head")),
    "a state file is of another shape": Kind(damage("other")),
    "the server pauses": Kind(pause("server"), deployed=True),
    "writes fail with EROFS": Kind(nothing, errno=errno.EROFS),
}


def library(name: str) -> Path:
    """Build the library of a fault from its C source, and return its path."""
    source = HERE / f"{name}.c"
    place = Path(tempfile.gettempdir()) / f"snakeval-{name}-{source.stat().st_mtime_ns}.so"
    if not place.exists():
        draft = place.with_suffix(f".{os.getpid()}")
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(draft), str(source), "-ldl"]
        subprocess.run(command, check=True)
        draft.rename(place)
    return place


# --- one seed -------------------------------------------------------------------------------------


def play(seed: int, place: Path) -> Played:
    """Play one seed in the empty directory *place*."""
    rng = random.Random(seed)
    names = list(KINDS)
    kind = KINDS[names[seed % len(names)]]
    deployed = rng.random() < 0.5 if kind.deployed is None else kind.deployed
    run = Played(seed, place, deployed, rng.choice(["strict", "tolerant"]))
    head = run.start(**kind.environment(run, rng))
    _wait_for_a_moment(run, head, rng)
    run.look()
    kind.fault(run, rng, head)
    code, commands = run.end(head), 0
    if kind.errno and (calls := -int((run.place / "turn").read_text())) > 0:
        run.did = f"failed {min(calls, kind.failing(run))} calls"
    while code != 0 and commands < 4:
        commands += 1
        code = run.end(run.start())
    # One more: it has nothing to do, and nothing may run again because of it.
    code = run.end(run.start()) or code
    if commands > 3 or code != 0:
        run.problems.append(f"not complete after {commands} more commands")
    for name, started in run.finished.items():
        if run.count("started", name) > started:
            run.problems.append(f"{name} was finished and ran again")
    _nothing_is_left(run)
    run.commands = commands
    return run


def _wait_for_a_moment(run: Played, head: subprocess.Popen[str], rng: random.Random) -> None:
    """Wait until the run has come to a random point, before its first question or after."""
    if rng.random() < 0.25:
        time.sleep(rng.uniform(0.1, 4))
        return
    wanted = rng.randrange(1, len(BENCHMARKS) * QUESTIONS)
    until = time.monotonic() + 60
    while head.poll() is None and run.count("asked") < wanted and time.monotonic() < until:
        time.sleep(0.02)


def _nothing_is_left(run: Played) -> None:
    until = time.monotonic() + 60
    while (left := run.processes()) and time.monotonic() < until:
        time.sleep(0.2)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            run.problems.append(f"left: {' '.join(process.cmdline())[:150]}")
            process.kill()
    for lease in run.work.directory.glob("results/*/m/*/.snakeval/lease*"):
        if ".damaged-" in lease.name:  # what a repair keeps is no lease
            continue
        run.problems.append(f"left: {lease.name} of {lease.parent.parent.name}")


# --- the campaign ---------------------------------------------------------------------------------

ENDPOINT = ""


@contextlib.contextmanager
def endpoint(place: Path) -> Iterator[None]:
    """Serve the model of the runs that deploy none."""
    global ENDPOINT
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serving = threading.Thread(
        target=parts.server,
        args=("127.0.0.1", str(port), "m", str(place / "endpoint")),
        daemon=True,
    )
    serving.start()
    ENDPOINT = f"http://127.0.0.1:{port}/v1"
    yield


def next_seed() -> int:
    """Return the seed after the last of the file of results."""
    if not RESULTS.exists():
        return 0
    return 1 + max((json.loads(line)["seed"] for line in RESULTS.open()), default=-1)


def main() -> int:
    """Play seeds; return 1 if a run was not sound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0, help="begin no seed after so long")
    parser.add_argument("--count", type=int, default=0, help="play so many seeds")
    parser.add_argument("--seed", type=int, help="play this one, print everything, append nothing")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="snakeval-faults-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    unsound: list[str] = []
    played: Counter[str] = Counter()
    began = time.monotonic()
    with endpoint(root):
        seed = next_seed() if options.seed is None else options.seed
        while True:
            place = root / f"seed-{seed}-{os.getpid()}"
            place.mkdir()
            at = time.monotonic()
            run = play(seed, place)
            kind = list(KINDS)[seed % len(KINDS)]
            played[kind] += 1
            result = {
                "seed": seed,
                "kind": kind,
                "did": run.did,
                "deployed": run.deployed,
                "manner": run.manner,
                "commands": run.commands,
                "seconds": round(time.monotonic() - at, 1),
                "problems": sorted(set(run.problems)),
            }
            print(json.dumps(result), flush=True)
            unsound += [f"{seed}: {kind}: {p}" for p in result["problems"]]
            if options.seed is not None:
                print(*run.said, sep="\n--- next command\n")
                print(f"files: {place}")
                return 1 if unsound else 0
            with RESULTS.open("a") as file:
                file.write(json.dumps(result) + "\n")
            if not run.problems:
                shutil.rmtree(place)
            seed += 1
            enough = options.count and sum(played.values()) >= options.count
            if enough or (options.seconds and time.monotonic() - began > options.seconds):
                break
    print(f"{sum(played.values())} runs, {len(unsound)} problems", *unsound, sep="\n")
    return 1 if unsound else 0


if __name__ == "__main__":
    sys.exit(main())
