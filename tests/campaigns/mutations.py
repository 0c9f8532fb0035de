"""A campaign of damage: no state file and no configuration, however damaged, confuses snakeval.

Each seed changes one file of a run, an artifact, or the configuration: its bytes, a value in it, or
what it is (absent, a directory, a link to nothing, a pipe). Then some of snakeval's readers look at
it: commands in this process, or with ``--commands`` the Snakemake command itself. A reader is sound
if

* it ends with a result or with a sentence, never with a traceback,
* it ends within ten seconds of its own time and a minute of the clock, since machines are busy,
* it reports no evaluation as done with another score than the true one.

A record of format 1, of version 0bdcd8f, holds no digest of its own content. If a seed damages such
a record, the last rule does not cover the scores of its evaluation.

``python tests/campaigns/mutations.py --seconds 45`` plays the next seeds of ``mutations.jsonl`` and
appends one line with their figures; ``--seed N`` plays one again and prints what the readers said.
It ends with 1 if a reader was not sound.

Long because a damage, its readers and the verdict on them are read together.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import yaml

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from campaigns import seeds  # noqa: E402
from snakeval import cli  # noqa: E402
from snakeval.config.load import load  # noqa: E402
from snakeval.dag.invocation import Invocation  # noqa: E402
from snakeval.dag.reruns import Reruns  # noqa: E402
from snakeval.errors import ConfigError  # noqa: E402
from snakeval.harnesses import generic  # noqa: E402
from snakeval.results import table as results  # noqa: E402
from snakeval.run.directory import RunDirectory  # noqa: E402
from snakeval.serving import weights  # noqa: E402
from support.workspace import Workspace  # noqa: E402

RESULTS = HERE / "mutations.jsonl"
OLD_RUN = HERE.parent / "data/run_of_0bdcd8f"
#: Of the processor in this process, and of the clock; a command has more.
SECONDS, CLOCK_SECONDS, COMMAND_SECONDS = 10, 60, 300
GATE = "while [ ! -e '{}' ]; do sleep 0.1; done"


class Hang(BaseException):
    """A reader did not end in time. No handler of errors catches it."""


# --- the run that is damaged ----------------------------------------------------------------------


@dataclass
class Corpus:
    """Two runs with finished, failed and interrupted evaluations, and what they measured."""

    place: Path
    work: Workspace
    scores: dict[tuple[str, str, str], float | None] = field(default_factory=dict)
    weights: str = ""
    #: Sorted, and found once: a reader may add caches, which no later seed may depend on.
    files: tuple[Path, ...] = ()

    @property
    def home(self) -> Path:
        """The home of snakeval that knows the runs."""
        return self.work.home

    @property
    def runs(self) -> list[Path]:
        """The directories of the runs."""
        return sorted((self.work.directory / "results").iterdir())

    @property
    def checkpoint(self) -> Path:
        """A checkpoint, whose digests the home keeps."""
        return self.place / "checkpoint"

    def weigh(self) -> str:
        """Return the digest of the checkpoint."""
        with mock.patch.dict(os.environ, {"SNAKEVAL_HOME": str(self.home)}):
            return weights.weigh(self.checkpoint, lambda line: None)

    def find_files(self) -> None:
        """Find every state file and artifact; logs, pages and scripts are none."""
        found = [
            path
            for root in (*self.runs, self.home)
            for path in root.rglob("*")
            if path.is_file()
            and not path.is_symlink()
            and not {"logs", "report", "cache", "envs"} & {*path.relative_to(root).parts}
            and path.suffix not in (".sh", ".html", ".md", ".csv", ".log")
        ]
        self.files = tuple(sorted(found))

    def truth(self, damaged: Path) -> dict[tuple[str, str, str], float | None]:
        """Return the true scores; None for what *damaged* alone knows.

        A record of format 1 has no seal: nothing else knows its values and the names of its
        metrics. The name ``*`` stands for those.
        """
        known = {**self.scores}
        is_record = damaged.name == "evaluation.json" and damaged.parent.name != ".snakeval"
        if is_record or damaged.name.startswith("completion-"):
            content = json.loads(damaged.read_bytes())
            if content["format"] == 1:
                for run, name, _ in self.scores:
                    if name == f"{content['model']}/{content['benchmark']}":
                        known[run, name, "*"] = None
        return known


def scored(command: str) -> dict[str, Any]:
    """Return a benchmark whose *command* writes its score."""
    metrics = {"file": "score.json", "values": {"score": "score"}}
    return {"harness": "generic", "command": command, "metrics": metrics}


def workspace(place: Path, port: int, benchmarks: Mapping[str, Any]) -> Workspace:
    """Return a workspace of a model at *port*, whose leases of dead processes end soon."""
    return Workspace.below(
        place,
        name="mutations",
        runtime="process",
        output_dir="results",
        lease={"heartbeat": 0.5, "stale": 5},
        models={"m": {"endpoint": {"url": f"http://127.0.0.1:{port}/v1", "model_id": "m"}}},
        benchmarks=benchmarks,
    )


def corpus(place: Path) -> Corpus:
    """Make the runs in the empty directory *place*: one of this version, one of 0bdcd8f."""
    gate = place / "gate"
    score = "echo '{\"score\": 0.25}' > {{ results }}/score.json"
    benchmarks = {
        "good": scored(score),
        "fine": scored(score),
        "bad": scored("exit 3"),
        "slow": scored(f"touch {gate}.waits; {GATE.format(gate)}"),
    }
    work = workspace(place, 1, benchmarks)
    head = work.start("--retries", "0", "--cores", "4")
    until = time.monotonic() + 120
    done = [f"results/*/m/{name}/evaluation.json" for name in ("good", "fine")]
    while not (
        (place / "gate.waits").exists() and all([*work.directory.glob(path)] for path in done)
    ):
        if time.monotonic() > until or head.poll() is not None:
            raise SystemExit(f"the run does not begin\n{head.communicate(timeout=5)[0]}")
        time.sleep(0.1)
    os.killpg(head.pid, signal.SIGKILL)
    head.communicate()
    subprocess.run(["pkill", "-f", str(gate)], check=False)
    shutil.copytree(OLD_RUN / "results", work.directory / "results", dirs_exist_ok=True)
    for path in (OLD_RUN / "home/runs").iterdir():
        data = json.loads(path.read_text())
        data["directory"] = str(work.directory / "results" / path.stem)
        (work.home / "runs" / path.name).write_text(json.dumps(data))
    shutil.copy(OLD_RUN / "home/durations.json", work.home / "durations.json")
    made = Corpus(place, work)
    for run in made.runs:
        made.scores |= reported(run)
        results.write(RunDirectory(run))
    assert made.scores, "nothing is done in the corpus"
    made.checkpoint.mkdir()
    for name in ("config.json", "model-1.safetensors", "model-2.safetensors"):
        (made.checkpoint / name).write_text(name)
        os.utime(made.checkpoint / name, (10**9, 10**9))  # only settled files are kept
    made.weights = made.weigh()
    made.find_files()
    gate.touch()  # a command that completes the run does not wait for it
    return made


def reported(run: Path) -> dict[tuple[str, str, str], float]:
    """Return the scores that the table of *run* reports as done."""
    frame = results.table(RunDirectory(run))
    done = frame[frame["status"] == "done"]
    return {
        (run.name, f"{row.model}/{row.benchmark}", str(row.metric)): float(row.value)
        for row in done.itertuples()
    }


# --- damage ---------------------------------------------------------------------------------------

VALUES: Sequence[Any] = (
    *(None, True, -1, 0, 2**70, 1e308, "", "x" * 5000, "\ud800", "a\x1b[31mb", "/../..", [], {}),
    *([[[[]]]], {"a": None}, [None], float("nan"), "2026-13-45T99:99:99+00:00", "\u202e"),
)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return *content* with some damage."""
    kinds: list[Callable[[bytes, random.Random], bytes]] = [_bytes, _bytes, _structure, _structure]
    return rng.choice([*kinds, _other])(content, rng)


def _bytes(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 3, 20])):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at:at] = rng.randbytes(rng.randrange(1, 4))
            case 2:
                del data[at : at + rng.randrange(1, 30)]
            case 3:
                data[at:at] = data[at : at + rng.randrange(1, 200)]
            case _:
                del data[at:]
    return bytes(data)


def _structure(content: bytes, rng: random.Random) -> bytes:
    """Replace, remove or rename a value somewhere in a JSON or YAML text."""
    text = content.decode()
    lines = text.splitlines()
    try:
        value = json.loads(text)
        write: Callable[[Any], str] = json.dumps
    except ValueError:
        try:  # a journal of events: one JSON a line
            at = rng.randrange(len(lines))
            value = json.loads(lines[at])
            rest = [*lines[:at]], [*lines[at + 1 :]]

            def write(changed: Any) -> str:
                return "\n".join([*rest[0], json.dumps(changed), *rest[1]])
        except (ValueError, IndexError):
            value = yaml.safe_load(text)
            write = yaml.safe_dump
    places = list(_places(value))
    if not places:
        return json.dumps(rng.choice(VALUES)).encode()
    where, key = rng.choice(places)
    match rng.randrange(4):
        case 0:
            del where[key]
        case 1 if isinstance(where, dict):
            where[f"{key}x"] = where.pop(key)
        case 2:
            where[key] = [where[key]]
        case _:
            where[key] = rng.choice(VALUES)
    return write(value).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


UNREADABLE = b"a file that the user may not read"


@contextlib.contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Let nobody read a file: permissions do not keep root out, so opening it raises the error."""

    def guarded(opening: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, *arguments: Any, **options: Any) -> Any:
            if isinstance(file, str | os.PathLike) and os.path.abspath(file) == str(path):  # noqa: PTH100
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(file))
            return opening(file, *arguments, **options)

        return opened

    with (
        mock.patch.object(os, "open", guarded(os.open)),
        mock.patch.object(io, "open", guarded(io.open)),
        mock.patch.object(builtins, "open", guarded(open)),
    ):
        yield


def replaced(path: Path, rng: random.Random) -> bytes:
    """Replace a file by something that is no file, or by nothing; return what that is."""
    path.unlink()
    match rng.randrange(6):
        case 0:
            path.mkdir()
            return b"a directory"
        case 1:
            path.symlink_to("nothing")
            return b"a link to nothing"
        case 2:
            path.symlink_to(path.name)
            return b"a link to itself"
        case 3:
            os.mkfifo(path)
            return b"a pipe"
        case 4:
            path.touch()
            return UNREADABLE
        case _:
            return b"nothing"


def _other(content: bytes, rng: random.Random) -> bytes:
    return rng.choice(
        [
            b"",
            b"\0" * 100,
            b"null",
            b"[]",
            b"{}",
            b'""',
            b"[" * 100_000,
            b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
            b"\xff\xfe{\0}\0",
            b"<html>",
            b"&a [*a]",
            rng.randbytes(300),
            b"1" * 5_000,
        ]
    )


# --- readers --------------------------------------------------------------------------------------


def weigh(made: Corpus, run: Path) -> str:
    """Return the digest of the checkpoint, from what the home keeps of it."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            found = made.weigh()
        except ConfigError as error:
            return str(error)
    assert found == made.weights, f"the weights have another digest: {found}"
    return said.getvalue()


def run_command(*words: str) -> Callable[[Corpus, Path], str]:
    """Return a reader: a command of snakeval in this process."""

    def read(made: Corpus, run: Path) -> str:
        said = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape")
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = cli.main([word.format(run=run) for word in words])
        said.flush()
        printed = said.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]
        return f"exit code {code}\n{printed}"

    return read


def plan(made: Corpus, run: Path) -> str:
    """Find what is missing, as the Snakefile does."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            config, selection, _ = load([made.work.directory / "config.yaml"], {})
            invocation = Invocation(config, selection)
        except ConfigError as error:
            return str(error)
        reruns = Reruns(invocation, head=True, force=lambda targets: None)
        missing = reruns.missing()
        stale = [reruns.why_stale(evaluation) for evaluation in reruns.changed]
    return f"{missing}\n{stale}\n{said.getvalue()}"


def scores(made: Corpus, run: Path) -> str:
    """Read the table, and compare it with the truth."""
    return _compared(made, run, made.scores)


def newer(made: Corpus, run: Path) -> str:
    """Read the table with a newer parser, which reads the artifacts again."""
    before, there = generic.PARSER_VERSION, {*run.glob("*/*/.snakeval/*")}
    generic.PARSER_VERSION = before + 1
    try:
        return scores(made, run)
    finally:
        generic.PARSER_VERSION = before
        for cache in {*run.glob("*/*/.snakeval/*")} - there:
            cache.unlink()


def _compared(made: Corpus, run: Path, truth: Mapping[Any, float | None]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            found = reported(run)
        except ConfigError as error:
            return str(error)
    unknown = {key[:2] for key in truth if key[2] == "*"}
    wrong = {
        key: value
        for key, value in found.items()
        if key[:2] not in unknown and truth.get(key, "none") not in (value, None)
    }
    if wrong:
        raise AssertionError(f"wrong scores are reported as done: {wrong}")
    return f"{found}\n{said.getvalue()}"


READERS: Sequence[tuple[str, Callable[[Corpus, Path], str], int]] = (
    ("table", scores, 12),
    ("newer table", newer, 6),
    ("status", run_command("status", "{run}", "--json"), 12),
    ("plan", plan, 12),
    ("logs", run_command("logs", "{run}"), 3),
    ("verify", run_command("verify", "{run}"), 5),
    ("ls runs", run_command("ls", "runs"), 3),
    ("compare", run_command("compare", "{run}", "2026-11-29-09-12-50-b9f2448f"), 3),
    ("report", run_command("report", "{run}"), 1),
)


def command(made: Corpus, run: Path) -> str:
    """Give the Snakemake command, which repairs and completes the run."""
    done = made.work.snakemake("--retries", "0")
    if "Traceback (most recent call last)" in done.output:
        raise AssertionError(f"traceback\n{done.output}")
    said = scores(made, run)
    return f"exit code {done.exit_code}\n{done.output}\n{said}"


# --- one seed -------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_longer_than(own: float, clock: float) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise Hang(f"no end within {clock if number == signal.SIGALRM else own:.0f} s")

    timers = {signal.SIGALRM: signal.ITIMER_REAL, signal.SIGPROF: signal.ITIMER_PROF}
    before = {number: signal.signal(number, end) for number in timers}
    signal.setitimer(signal.ITIMER_REAL, clock)
    signal.setitimer(signal.ITIMER_PROF, own)
    try:
        yield
    finally:
        for number, timer in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def play(made: Corpus, seed: int, *, by_command: bool, show: bool = False) -> tuple[str, list[str]]:
    """Damage a file, let readers look, and mend it; return the file and what was not sound."""
    rng = random.Random(seed)
    own = made.work.directory / "config.yaml"
    path = own if seed % 4 == 0 else rng.choice(made.files)
    original = path.read_bytes()
    (now,) = (run for run in made.runs if "b9f2448f" not in run.name)
    run = next((run for run in made.runs if path.is_relative_to(run)), now)
    kept = own.read_bytes()
    problems = []
    true = made.scores
    made.scores = made.truth(path)
    if path != own and rng.random() < 0.15:
        content = replaced(path, rng)
    else:
        content = damaged(original, rng)
        path.write_bytes(content)
    if by_command:
        readers: list[tuple[str, Callable[[Corpus, Path], str]]] = [("snakemake", command)]
    elif path == own:
        readers = [("plan", plan)]
    elif path.is_relative_to(made.home / "weights"):
        readers = [("weights", weigh)]
    else:
        weights = [weight for *_, weight in READERS]
        readers = [(name, read) for name, read, _ in rng.choices(READERS, weights, k=2)]
    where = str(path.relative_to(made.place))
    try:
        for name, read in readers:
            try:
                with (
                    unreadable(path) if content is UNREADABLE else contextlib.nullcontext(),
                    no_longer_than(SECONDS, COMMAND_SECONDS if by_command else CLOCK_SECONDS),
                ):
                    said = read(made, run)
                if "Traceback (most recent call last)" in said:
                    problems.append(f"{seed}: {name}: prints a traceback")
            except (Exception, Hang) as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                at = f"{Path(last.filename).name}:{last.lineno}"
                problems.append(f"{seed}: {name}: {type(error).__name__} at {at}: {error!s:.200}")
                said = traceback.format_exc()
            if show:
                print(f"--- {name} after damage to {where}\n{content[:3000]!r}\n{said}")
    finally:
        made.scores = true
        _mend(path, original, own, kept)
    return where, problems


def _mend(path: Path, original: bytes, own: Path, kept: bytes) -> None:
    for aside in (path, *path.parent.glob(f"{path.name}.damaged-*")):
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside)
        else:
            aside.unlink(missing_ok=True)
    path.write_bytes(original)
    own.write_bytes(kept)


def main() -> int:
    """Play seeds; return 1 if a reader was not sound."""
    options = seeds.options(__doc__, "give the Snakemake command")
    root = Path(tempfile.mkdtemp(prefix="snakeval-mutations-"))
    place = root / "pristine"
    place.mkdir()
    made = corpus(place)
    os.environ["SNAKEVAL_HOME"] = str(made.home)
    os.chdir(made.work.directory)
    if options.seed is not None:
        _, problems = play(made, options.seed, by_command=options.commands, show=True)
        print(*problems, sep="\n")
        return 1 if problems else 0

    def next_one(seed: int) -> tuple[str, list[str]]:
        if options.commands:  # the command changes the run, so each seed has a copy
            copy = Corpus(place, made.work, made.scores, made.weights, made.files)
            saved = root / "saved"
            shutil.copytree(place, saved, symlinks=True)
            where, problems = play(copy, seed, by_command=True)
            shutil.rmtree(place)
            saved.rename(place)
            os.chdir(made.work.directory)
        else:
            where, problems = play(made, seed, by_command=False)
        name = re.split(r"[-.]|\d", Path(where).name)[0]
        return name, [f"{where}: {problem}" for problem in problems]

    code = seeds.campaign(options, RESULTS, next_one, "mutations")
    shutil.rmtree(root)
    return code


if __name__ == "__main__":
    sys.exit(main())
