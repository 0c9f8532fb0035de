"""A campaign of kills beside a training that ``snakeval follow`` evaluates.

Each seed is a training of :mod:`campaigns.series_training`, which writes, overwrites and deletes
checkpoints, a follower, and kills with SIGKILL at random moments: of the follower, of a head, of
the job of an evaluation, or of all at once. After the death of a follower the same command starts
again, until it has evaluated everything and ends. The stand-in server's answers depend on the
digest of the weights that it loaded, and it notes what it loads and answers. A seed is sound if

* each checkpoint that is whole in the end has one point for each benchmark, with the score of its
  latest content,
* no half-written checkpoint has a point, and no server was to load one,
* no answered request was asked again, so each distinct content was evaluated once,
* a checkpoint that disappeared after it was ready is reported, or its results stay,
* no process is left.

With ``--shared swap`` or ``--shared adapters``, one server holds all checkpoints of a head, and is
killed too.

``python tests/campaigns/series.py --seconds 45`` plays the next seeds of ``series.jsonl`` and
appends their results; ``--seed N`` plays one again. ``--checkpoints``, ``--benchmarks`` and
``--kills`` choose the size, ``--slurm`` runs the jobs in Slurm.

Long because the kills and the verdict on what followers and servers noted are read together.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from campaigns import seeds  # noqa: E402
from campaigns.series_configuration import ITEMS, command, configuration  # noqa: E402
from snakeval.run.directory import RunDirectory  # noqa: E402
from snakeval.run.heads import followers, heads  # noqa: E402
from support import digest_server, weights_server  # noqa: E402

RESULTS = HERE / "series.jsonl"
KINDS = ("follower", "head", "job", "everything")
#: The longest time of a seed, in seconds, besides that of its checkpoints.
_LONGEST = 600.0
#: How many followers may end with a failure.
_MOST = 40


class Played:
    """One seed."""

    def __init__(self, seed: int, place: Path, given: argparse.Namespace) -> None:
        self.seed, self.place, self.given = seed, place, given
        self.random = random.Random(f"kills of {seed}")
        self.problems: list[str] = []
        self.kills: Counter[str] = Counter()
        self.follower: subprocess.Popen[bytes] | None = None
        self.starts = self.before = 0
        self.ledger = place / "served.jsonl"
        self.output = place / "follow.log"
        self.environment = {**os.environ, "SNAKEVAL_HOME": str(place / "home")}
        self.kinds = (*KINDS, "server") if given.shared else KINDS
        self.names = [f"b{number}" for number in range(given.benchmarks)]
        data = configuration(place, self.ledger, self.names, given.shared)
        (place / "evaluation.yaml").write_text(yaml.safe_dump(data))

    # --- the play ---------------------------------------------------------------------------

    def play(self) -> None:
        """Train, follow and kill."""
        words = [sys.executable, str(HERE / "series_training.py"), str(self.place)]
        words += [str(self.seed), str(self.given.checkpoints)]
        words += ["adapters"] if self.given.shared == "adapters" else []
        training = subprocess.Popen(words, cwd=self.place)
        each = self.given.longest * self.given.checkpoints
        until = time.monotonic() + _LONGEST + each
        try:
            self.start()
            due = self.moment()
            while time.monotonic() < until and self.starts < _MOST + self.given.kills:
                time.sleep(0.05)
                code = self.follower.poll() if self.follower else None
                if code == 0 and training.poll() is not None:
                    break
                if code is not None:
                    self.start()
                if not self.has_begun:
                    due = max(due, time.monotonic() + self.random.uniform(0, 2))
                if self.kills.total() < self.given.kills and time.monotonic() >= due:
                    self.kill(self.random.choice(self.kinds))
                    due = self.moment()
            else:
                self.problems.append(f"no end after {self.starts} starts: {self.said()[-600:]}")
        finally:
            training.kill()
            self.stop()
        self.judge()

    @property
    def has_begun(self) -> bool:
        """Whether the follower works; on a busy machine, kills would only meet its start."""
        with contextlib.suppress(FileNotFoundError), self.output.open("rb") as log:
            log.seek(self.before)
            return b" follows " in log.read()
        return False

    def moment(self) -> float:
        """Return when the next kill is due."""
        return time.monotonic() + self.random.uniform(1, 12)

    def start(self) -> None:
        """Start the follower, always with the same command."""
        self.starts += 1
        self.before = self.output.stat().st_size if self.output.exists() else 0
        words = command(self.place, slurm=self.given.slurm)
        with self.output.open("ab") as log:
            self.follower = subprocess.Popen(
                words,
                cwd=self.place,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, kind: str) -> None:
        """Kill one of a kind, if there is one, or one of each."""
        run = self.run
        victims: list[int] = []
        if kind in ("follower", "everything") and self.follower:
            victims.append(self.follower.pid)
        if run is not None and kind in ("head", "everything"):
            victims += self.some([head.pid for head in heads(run)], kind)
        if run is not None and kind in ("job", "everything"):
            holders = [holder.pid for each in run.evaluations() if (holder := each.holder())]
            victims += self.some(holders, kind)
        if self.given.shared and kind in ("server", "everything"):
            servers = [p.pid for p in self.living() if weights_server.__file__ in p.cmdline()]
            victims += self.some(servers, kind)
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if victims:
            self.kills[kind] += 1

    def some(self, pids: list[int], kind: str) -> list[int]:
        """Return one of the processes, or all."""
        return pids if kind == "everything" else [self.random.choice(pids)] if pids else []

    def stop(self) -> None:
        """End what is left of an unsound play."""
        if self.run is not None and self.follower and self.follower.poll() is None:
            words = [sys.executable, "-m", "snakeval", "kill", self.run.id]
            subprocess.run(words, env=self.environment, cwd=self.place, check=False, timeout=120)

    @property
    def run(self) -> RunDirectory | None:
        """The only run, once it has started."""
        found = [path for path in self.place.glob("results/*") if RunDirectory.id_of(path.name)]
        return RunDirectory(found[0]) if found else None

    def said(self) -> str:
        """Return all that followers printed."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    # --- the judgement ----------------------------------------------------------------------

    def judge(self) -> None:
        """Find what is not sound."""
        run = self.run
        if run is None:
            self.problems.append("there is no run")
            return
        there = self.contents()
        points: dict[tuple[str, str], list[Any]] = {}
        for row in run.read_table() or []:
            if row["status"] == "done":
                points.setdefault((row["model"], row["benchmark"]), []).append(row["value"])
        for model, digest in there.items():
            for name in self.names:
                found = points.get((model, name), [])
                wanted = [] if digest is None else [digest_server.score(digest, name, ITEMS)]
                if found != wanted:
                    self.problems.append(f"{model}/{name} has {found}, and should have {wanted}")
        self.judge_gone(run, there)
        written = digest_server.read(self.ledger)
        if written.half:
            self.problems.append(f"half-written weights were loaded: {written.half}")
        again = {asked: n for asked, n in Counter(written.asked).items() if n > 1}
        if again:
            self.problems.append(f"asked again: {again}")
        if left := list(self.left()):
            self.problems.append(f"is left: {left}")

    def judge_gone(self, run: RunDirectory, there: dict[str, str | None]) -> None:
        """Check that each checkpoint that was ready and disappeared is reported."""
        said = self.said()
        plan = [item for item in run.plan() if item.model not in there]
        for model in set(re.findall(r"(run7@\d+) is ready", said)) - there.keys():
            mine = [item for item in plan if item.model == model]
            stays = bool(mine) and all(
                item.left_out.startswith("gone")
                or run.evaluation(item.id).why_incomplete(item.fingerprint) is None
                for item in mine
            )
            if not stays and f"{model} is gone" not in said:
                self.problems.append(f"{model} disappeared without a report")

    def contents(self) -> dict[str, str | None]:
        """Return the digest of each checkpoint that is there; None of a half-written one."""
        found: dict[str, str | None] = {}
        for path in sorted(self.place.glob("train/step-*")):
            model = f"run7@{path.name.removeprefix('step-')}"
            try:
                found[model] = digest_server.digest_of(path)
            except (OSError, ValueError):
                found[model] = None
        return found

    def left(self) -> Iterator[str]:
        """Yield the processes of this seed that do not end within 20 s, and end them."""
        until = time.monotonic() + 20
        while (living := list(self.living())) and time.monotonic() < until:
            time.sleep(0.2)
        for process in living:
            with contextlib.suppress(psutil.Error):
                yield shown(process)
                process.kill()

    def living(self) -> Iterator[psutil.Process]:
        """Yield the living processes that work in the directory of this seed."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_mine = process.environ().get("SNAKEVAL_HOME") == str(self.place / "home")
                if is_mine and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def shared(self) -> dict[str, Any]:
        """Return how the server was shared, and how often it started."""
        engines = len(list(self.place.glob("results/*/*/deployment/server-*.log")))
        return {"shared": self.given.shared, "engines": engines}

    def result(self) -> dict[str, Any]:
        """Return the line of the results."""
        written = digest_server.read(self.ledger)
        run = self.run
        return {
            "seed": self.seed,
            **({"executor": "slurm"} if self.given.slurm else {}),
            **(self.shared() if self.given.shared else {}),
            "checkpoints": self.given.checkpoints,
            "benchmarks": self.given.benchmarks,
            "kills": dict(self.kills),
            "starts": self.starts,
            "contents": len({digest for digest, _ in written.asked}),
            "asked": len(written.asked),
            "followers_left": len(followers(run)) if run else 0,
            "problems": self.problems,
        }


def shown(process: psutil.Process) -> str:
    """Return a process as a line of the results has it."""
    return f"{process.pid} {' '.join(process.cmdline())[:200]}"


def main() -> int:
    """Play seeds; return 1 if one was not sound."""
    parser = seeds.parser(__doc__)
    parser.add_argument("--checkpoints", type=int, default=4, help="how many are written")
    parser.add_argument("--benchmarks", type=int, default=2, help="of each checkpoint")
    parser.add_argument("--kills", type=int, default=3, help="how many kills")
    parser.add_argument(
        "--longest", type=float, default=60.0, help="the longest time of a checkpoint, in seconds"
    )
    parser.add_argument("--shared", choices=("swap", "adapters"), help="one server for all")
    parser.add_argument("--slurm", action="store_true", help="run the jobs in Slurm")
    given = parser.parse_args()

    def play(seed: int) -> dict[str, Any]:
        place = Path(tempfile.mkdtemp(prefix=f"snakeval-series-{seed}-"))
        began = time.monotonic()
        played = Played(seed, place, given)
        played.play()
        result = {**played.result(), "seconds": round(time.monotonic() - began, 1)}
        if played.problems or given.seed is not None:
            print(f"files: {place}")
        else:
            shutil.rmtree(place)
        return result

    return seeds.one_by_one(given, RESULTS, play, "trainings")


if __name__ == "__main__":
    sys.exit(main())
