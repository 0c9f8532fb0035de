"""A campaign of damage that each command of snakeval meets, as a process of its own.

Each seed damages the plan, the configuration, a table, the events or the requests of a run, and
gives one command: ``status``, ``results``, ``report``, ``run``, ``resume``, ``logs``, ``verify``,
``export`` or ``compare``. 45 seeds in a row are each pair of the two. The command is sound if

* it ends by itself within five minutes, without a traceback,
* neither it nor the run's table then reports a score as done that is not the true one (a damaged
  configuration may define another evaluation, which has its own),
* no finished evaluation starts again, except if its configuration has another meaning.

``python tests/campaigns/mutated_commands.py --count 45`` plays the next seeds of the kind ``by each
command`` of ``mutations.jsonl`` and appends one line; ``--seed N`` plays one again and prints it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from campaigns import mutations, seeds  # noqa: E402
from snakeval.errors import ConfigError  # noqa: E402
from support import forks  # noqa: E402
from support.workspace import Workspace  # noqa: E402

SECONDS = 300
PARTS = str(HERE / "parts.py")
#: What is damaged -> patterns of its files below the directory of the corpus.
DAMAGED: Mapping[str, Sequence[str]] = {
    "plan": ("work/results/*/.snakeval/plan.json", "work/results/*/.snakeval/run.json"),
    "configuration": ("work/config.yaml", "work/results/*/config.yaml"),
    "tables": ("work/results/*/results.*",),
    "events": ("work/results/*/**/events.jsonl",),
    "requests": ("work/results/*/*/*/requests/**/*",),
}
COMMANDS: Sequence[Sequence[str]] = (
    ("status", "{run}", "--json"),
    ("results", "{run}", "--format", "json"),
    ("report", "{run}"),
    ("run", "config.yaml", "--", "--cores", "2", "--retries", "0"),
    ("resume", "{id}", "--", "--cores", "2", "--retries", "0"),
    ("logs", "{run}"),
    ("verify", "{run}"),
    ("export", "{run}", "--dest", "local"),
    ("compare", "{run}", "{other}"),
)


@dataclass
class Damaged:
    """A finished run, a run of an earlier version, and what they measured."""

    place: Path
    work: Workspace
    log: Path
    scores: dict[tuple[str, str, str], float]
    run: Path

    @property
    def started(self) -> list[str]:
        """The names of the harnesses that started."""
        lines = self.log.read_text().splitlines()
        return sorted(line.split()[1] for line in lines if line.startswith("started"))

    def files(self, what: str) -> list[Path]:
        """Return the files of one kind, in order."""
        found = {path for pattern in DAMAGED[what] for path in self.place.glob(pattern)}
        return sorted(path for path in found if path.is_file() and not path.is_symlink())


def _ask(log: Path, name: str) -> dict[str, Any]:
    asks = f"{{{{ url }}}} {{{{ results }}}} {log} {name} 3 0 strict"
    return mutations.scored(f"{sys.executable} {PARTS} harness {asks}")


def corpus(place: Path, port: int, log: Path) -> Damaged:
    """Make the runs: two evaluations finish, and one fails."""
    log.touch()
    sound = {name: _ask(log, name) for name in ("good", "fine")}
    work = mutations.workspace(place, port, {**sound, "bad": mutations.scored("exit 3")})
    done = work.snakemake("--retries", "0")
    (run,) = work.runs
    shutil.copytree(mutations.OLD_RUN / "results", work.directory / "results", dirs_exist_ok=True)
    made = Damaged(place, work, log, {}, run)
    for each in work.runs:
        made.scores |= mutations.reported(each)
    assert len(mutations.reported(run)) == 2, done.output
    return made


def play(made: Damaged, seed: int, *, show: bool = False) -> tuple[str, list[str]]:
    """Damage a file, give a command, and judge it; return what it was and what was not sound."""
    rng = random.Random(f"commands {seed}")
    what = list(DAMAGED)[seed % len(DAMAGED)]
    words = COMMANDS[seed // len(DAMAGED) % len(COMMANDS)]
    path = rng.choice(made.files(what))
    if what != "configuration" and rng.random() < 0.15:
        content = mutations.replaced(path, rng)
    else:
        content = _damaged(path.read_bytes(), rng)
        path.write_bytes(content)
    others = [run for run in made.work.runs if run != made.run]
    known = {"run": str(made.run), "id": made.run.name[-8:], "other": str(others[0])}
    before = made.started
    code, said = _give(made, [word.format(**known) for word in words])
    problems = _unsound(made, code, said)
    again = list(made.started)
    for name in before:
        again.remove(name)
    if again and what != "configuration":
        problems.append(f"finished evaluations start again: {again}")
    name = f"{words[0]} after damage to {what}"
    if show:
        where = path.relative_to(made.place)
        print(f"--- {name}: {where}\n{content[:3000]!r}\nexit code {code}\n{said}")
    return name, [f"{seed}: {name}: {path.name}: {problem}" for problem in problems]


def _damaged(content: bytes, rng: random.Random) -> bytes:
    try:
        return mutations.damaged(content, rng)
    except (ValueError, yaml.YAMLError):  # a table in CSV or Markdown has no structure
        return content[: rng.randrange(len(content) + 1)] + rng.randbytes(rng.randrange(9))


def _give(made: Damaged, words: list[str]) -> tuple[int | None, str]:
    """Give a command; return its exit code, which is None if it did not end, and its output."""
    process = forks.Process(
        [sys.executable, "-m", "snakeval", *words],
        cwd=made.work.directory,
        env=made.work.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        return None, said
    return process.returncode, said


def _unsound(made: Damaged, code: int | None, said: str) -> list[str]:
    problems = []
    if code is None:
        problems.append(f"does not end within {SECONDS} s")
    elif code not in (0, 1, 2, 3):
        problems.append(f"ends with {code}: {said[-300:]}")
    if "Traceback (most recent call last)" in said:
        problems.append(f"prints a traceback: {said[-300:]}")
    true = {(model_benchmark, value) for (_, model_benchmark, _), value in made.scores.items()}
    finished = {name for name, _ in true}
    for row in _rows(said):
        name = f"{row.get('model')}/{row.get('benchmark')}"
        done = "done" in (row.get("status"), row.get("state"))
        if done and name == "m/bad":
            problems.append(f"reports {name} as done")
        if (
            done
            and name in finished
            and row.get("value") is not None
            and (name, row["value"]) not in true
        ):
            problems.append(f"reports a wrong score of {name}: {row['value']}")
    for run in made.work.runs:
        try:
            found = mutations.reported(run)
        except ConfigError:
            continue
        known = {key: value for key, value in found.items() if key in made.scores}
        wrong = {key: value for key, value in known.items() if made.scores[key] != value}
        if wrong:
            problems.append(f"the table has wrong scores: {wrong}")
    return problems


def _rows(said: str) -> list[dict[str, Any]]:
    """Return the evaluations of which a command printed JSON."""
    try:
        found = json.loads(said)
    except ValueError:
        return []
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return [each for row in rows for each in row.get("evaluations", [row])]


def main() -> int:
    """Play seeds; return 1 if a command was not sound."""
    options = seeds.parser(__doc__).parse_args()
    root = Path(tempfile.mkdtemp(prefix="snakeval-mutated-"))
    place, saved = root / "place", root / "saved"
    place.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    served = [sys.executable, PARTS, "server", "127.0.0.1", str(port), "m", str(root / "server")]
    with subprocess.Popen(served) as server:
        try:
            until = time.monotonic() + 60
            while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < until:
                time.sleep(0.1)
            made = corpus(place, port, root / "log")
            os.environ["SNAKEVAL_HOME"] = str(made.work.home)
            shutil.copytree(place, saved, symlinks=True)

            def next_one(seed: int, *, show: bool = False) -> tuple[str, list[str]]:
                found = play(made, seed, show=show)
                shutil.rmtree(place)
                shutil.copytree(saved, place, symlinks=True)
                return found

            if options.seed is not None:
                _, problems = next_one(options.seed, show=True)
                print(*problems, sep="\n")
                return 1 if problems else 0
            kind = "by each command"
            return seeds.campaign(options, mutations.RESULTS, next_one, "commands", kind=kind)
        finally:
            server.terminate()
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
