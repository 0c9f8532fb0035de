"""A campaign of budgets: whatever dies, a run spends its budget and no more, and continues.

Each seed is a run of one to three evaluations at once, whose harness asks 24 requests, 4 at a time.
The budget (tokens, requests or money) is a random part of what they need. Up to three kills with
SIGKILL hit a harness, a job or a gateway at random moments. Every evaluation that did not end runs
again, until each is done or stopped by the budget. Then the run continues with ten times the
budget. The endpoint counts what arrives. Some answers have no count of their tokens, and cost what
their request allows. The run is sound if

* at most the budget was spent, and what was in flight, and a slice for each gateway,
* an evaluation that the budget stopped says so, and little was left,
* with the greater budget each evaluation ends with 0, and no answered request is asked again,
* only requests that were in flight when a gateway was killed arrived twice,
* no gateway is left.

``python tests/campaigns/budgets.py --seconds 45`` plays the next seeds of ``budgets.jsonl`` and
appends their results; ``--seed N`` plays one again. It ends with 1 if a run is not sound.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from campaigns import seeds  # noqa: E402
from snakeval.config.load import load  # noqa: E402
from snakeval.evaluation.definition import Evaluation  # noqa: E402
from snakeval.ledger.budget import MONEY, REQUESTS, TOKENS, BudgetFile  # noqa: E402
from snakeval.ledger.reading import stored  # noqa: E402
from snakeval.ledger.summary import lives_here  # noqa: E402
from snakeval.matrix.expand import expand  # noqa: E402
from snakeval.run.directory import RunDirectory  # noqa: E402
from snakeval.runtimes.marked import marked  # noqa: E402
from support.configs import COMMAND, write  # noqa: E402
from support.servers import JsonHandler, answering  # noqa: E402

RESULTS = HERE / "budgets.jsonl"
KINDS = (TOKENS, REQUESTS, MONEY)
WHAT = ("harness", "job", "gateway")
ITEMS, IN_FLIGHT, MOST = 24, 4, 60
PRICES = {"input": 1000.0, "output": 5000.0}
ROUNDS = 8  # of jobs, after which a run must have ended
HARNESS = """\
import json, pathlib, sys, urllib.request
from concurrent.futures import ThreadPoolExecutor
url, name, results = sys.argv[1:]
def ask(number):
    message = {"role": "user", "content": f"{name} {number}"}
    data = {"model": "m", "messages": [message], "max_tokens": MOST}
    request = urllib.request.Request(url, json.dumps(data).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]
with ThreadPoolExecutor(IN_FLIGHT) as pool:
    answers = list(pool.map(ask, range(ITEMS)))
pathlib.Path(results, "f").write_text(json.dumps({"v": len(set(answers))}))
"""


def tokens_of(item: str) -> tuple[int, int] | None:
    """Return the tokens of an item's prompt and answer; None if the endpoint does not say them."""
    number = zlib.crc32(item.encode())
    return None if number % 7 == 0 else (5 + number % 16, 1 + number // 16 % MOST)


def cost_of(item: str, kind: str) -> float:
    """Return what a request costs, also without a count."""
    prompt, completion = tokens_of(item) or (0, MOST)
    paid = (prompt * PRICES["input"] + completion * PRICES["output"]) / 1e6
    return {TOKENS: float(prompt + completion), REQUESTS: 1.0, MONEY: paid}[kind]


class Endpoint(JsonHandler):
    """A model that answers after a while, and counts."""

    arrived: list[str]

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the gateway was killed
            super().handle()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        item = asked["messages"][-1]["content"]
        self.arrived.append(item)
        time.sleep(0.01 + 0.05 * random.random())
        message = {"role": "assistant", "content": f"{item}, answer {len(self.arrived)}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        named = zip(("prompt_tokens", "completion_tokens"), tokens_of(item) or (), strict=False)
        usage = {"usage": found} if (found := dict(named)) else {}
        self.reply(200, {"object": "chat.completion", "choices": [choice], **usage})


class Played:
    """One run, its kills, and its continuation."""

    def __init__(self, seed: int, place: Path) -> None:
        self.random, self.place = random.Random(seed), place
        self.kind = KINDS[seed % len(KINDS)]
        self.names = [f"b{number}" for number in range(self.random.randint(1, 3))]
        items = [f"{name} {number}" for name in self.names for number in range(ITEMS)]
        self.needed = sum(cost_of(item, self.kind) for item in items)
        part = self.random.uniform(0.1, 0.95) * self.needed
        self.budget = part if self.kind == MONEY else float(max(1, int(part)))
        moments = sorted(self.random.randint(1, len(items) - 1) for _ in range(3))
        self.kills = [(at, self.random.choice(WHAT)) for at in moments[: self.random.randint(0, 3)]]
        self.killed: list[str] = []
        self.lost = self.rounds = 0
        self.arrived: list[str] = []
        self.problems: list[str] = []
        self.run = RunDirectory(place / "run")
        begin = f"MOST, ITEMS, IN_FLIGHT = {MOST}, {ITEMS}, {IN_FLIGHT}\n"
        (place / "harness.py").write_text(begin + HARNESS)

    def define(self, url: str, budget: float) -> dict[str, Evaluation]:
        """Write what the jobs read; return the evaluations by their benchmarks."""
        begin = f"exec {sys.executable} {self.place}/harness.py"
        command = begin + " {{ url }} NAME {{ results }}"
        rows = {
            "runtime": "process",
            "lease": {"heartbeat": 0.2, "stale": 2},
            "params": {"parallelism": IN_FLIGHT},
            "models": {"m": {"endpoint": {"url": f"{url}/v1", "model_id": "m"}, "prices": PRICES}},
            "benchmarks": {
                name: COMMAND | {"command": command.replace("NAME", name)} for name in self.names
            },
            "budget": {self.kind: budget if self.kind == MONEY else int(budget)},
        }
        made = {e.benchmark: e for e in expand(load([write(self.place, rows)])[0])}
        for evaluation in made.values():
            directory = self.run.evaluation(evaluation.id)
            directory.private.mkdir(parents=True, exist_ok=True)
            directory.define(evaluation)
        return made

    def play(self) -> None:
        """Run with the budget, then with a greater one."""
        with answering(Endpoint, arrived=self.arrived) as url:
            stopped = self.jobs(self.define(url, self.budget))
            spent, accounts = self.judge(stopped)
            kept = self.kept()
            before = len(self.arrived)
            self.kills = []
            if left := self.jobs(self.define(url, 10 * self.needed)):
                self.problems.append(f"not done with a greater budget: {left}")
        again = [item for item in self.arrived[before:] if item in kept]
        if again:
            self.problems.append(f"answered and asked again: {again}")
        twice = len(self.arrived) - len(set(self.arrived))
        if twice > self.lost or len(set(self.arrived)) != ITEMS * len(self.names):
            self.problems.append(f"{twice} arrived twice, {self.lost} were in flight")
        self.result = {"spent": round(spent, 6), "gateways": accounts, "stopped": len(stopped)}

    def kept(self) -> set[str]:
        """Return the items whose answers are in a journal."""
        places = [self.run.evaluation(f"m/{name}").requests for name in self.names]
        return {one.request()["messages"][-1]["content"] for p in places for one in stored(p)}

    def judge(self, stopped: dict[str, str]) -> tuple[float, int]:
        """Compare what arrived with the budget; return it, and how many gateways there were."""
        file = BudgetFile(self.run.budget, {self.kind: self.budget})
        file.refresh()
        spent = sum(cost_of(item, self.kind) for item in self.arrived)
        dearest = max((cost_of(item, self.kind) for item in self.arrived), default=0.0)
        gateways = len(file.accounts)
        slices = gateways * file.slice_of(self.kind)
        ending = 0 if self.kind == REQUESTS else IN_FLIGHT * len(self.names)
        allowed = self.budget + (self.lost + ending) * dearest + slices
        if spent > allowed * (1 + 1e-9):
            self.problems.append(f"{spent} spent of {self.budget}, {allowed} are allowed")
        least = self.budget - slices - IN_FLIGHT * dearest * gateways
        if stopped and spent < least:
            self.problems.append(f"stopped when {spent} of {self.budget} were spent")
        if not stopped and spent < self.needed:
            self.problems.append("done without its answers")
        return spent, gateways

    def jobs(self, evaluations: dict[str, Evaluation]) -> dict[str, str]:
        """Run jobs until each is done or stopped by the budget; return the reasons of these."""
        todo, stopped = list(evaluations), {}
        for number in range(ROUNDS):
            if not todo:
                break
            self.rounds += 1
            jobs = {name: self.start(evaluations[name], number) for name in todo}
            self.kill_while(jobs)
            todo = []
            for name, job in jobs.items():
                reason = self.run.evaluation(f"m/{name}").failure_reason()
                if job.returncode == 1 and "the run's budget of " in reason:
                    stopped[name] = reason
                elif job.returncode != 0:
                    todo.append(name)
        if todo:
            log = (self.place / f"{todo[0]}.log").read_text(errors="replace")[-600:]
            self.problems.append(f"neither done nor stopped: {todo}: {log}")
        for name in evaluations:
            if lives_here(self.run.evaluation(f"m/{name}").requests / "gateway") is not None:
                self.problems.append(f"a gateway of {name} is left")
        return stopped

    def start(self, evaluation: Evaluation, number: int) -> subprocess.Popen[bytes]:
        """Start the job of an evaluation."""
        record = self.run.evaluation(evaluation.id).output
        words = [sys.executable, "-m", "snakeval.jobs.evaluate", record]
        with (self.place / f"{evaluation.benchmark}.log").open("a") as log:
            return subprocess.Popen(
                [*words, "--fingerprint", evaluation.fingerprint],
                cwd=self.place,
                env={**os.environ, "SNAKEVAL_HOME": str(self.place / "home")},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill_while(self, jobs: dict[str, subprocess.Popen[bytes]]) -> None:
        """Kill at the moments of the seed, until all jobs have ended."""
        until = time.monotonic() + 120
        while any(job.poll() is None for job in jobs.values()):
            if time.monotonic() > until:
                self.problems.append("hangs")
                for job in jobs.values():
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(job.pid, signal.SIGKILL)
                break
            if self.kills and len(self.arrived) >= self.kills[0][0]:
                alive = [name for name, job in jobs.items() if job.poll() is None]
                if alive:
                    self.kill(self.random.choice(alive), self.kills.pop(0)[1], jobs)
            time.sleep(0.003)
        for job in jobs.values():
            job.wait(30)

    def kill(self, name: str, what: str, jobs: dict[str, subprocess.Popen[bytes]]) -> None:
        """Kill a part of an evaluation."""
        directory = self.run.evaluation(f"m/{name}")
        found: list[int] = []
        if what == "job":
            found = [jobs[name].pid]
        elif what == "gateway":
            pid = lives_here(directory.requests / "gateway")
            found = [] if pid is None else [pid]
            # It may have received answers that it had not kept.
            self.lost += IN_FLIGHT * bool(found)
        else:
            found = [pid for pid, _ in marked([directory.container_name])]
        for pid in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
        if found:
            self.killed.append(what)


def play(seed: int) -> dict[str, Any]:
    """Play one seed; return its line. Files of a sound run are removed."""
    began = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix=f"snakeval-budgets-{seed}-"))
    played = Played(seed, place)
    played.play()
    if played.problems:
        print(f"files: {place}")
    else:
        shutil.rmtree(place)
    return {
        "seed": seed,
        "kind": played.kind,
        "evaluations": len(played.names),
        "needed": round(played.needed, 6),
        "budget": round(played.budget, 6),
        **played.result,
        "killed": played.killed,
        "rounds": played.rounds,
        "seconds": round(time.monotonic() - began, 1),
        "problems": played.problems,
    }


def main() -> int:
    """Play seeds; return 1 if a run was not sound."""
    return seeds.one_by_one(seeds.parser(__doc__).parse_args(), RESULTS, play, "runs")


if __name__ == "__main__":
    sys.exit(main())
