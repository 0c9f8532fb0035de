"""A campaign of kills: whatever dies beside an evaluation, no answered request is asked again.

Each seed is one evaluation of a harness that asks each of its items K times, and one kill with
SIGKILL: of the harness, of the job, of the gateway, or of all three at once. Its moment comes from
the seed. Afterwards the same job runs until it ends with 0. The endpoint counts what arrives and
gives each request another answer. The evaluation is sound if

* after a kill of the harness or of the job, no request arrived that had been answered or was under
  way: as many arrived as the harness needs,
* after a kill of the gateway or of everything, at most those arrived again that were under way,
* the K answers to each item are K different ones,
* no process is left, and two jobs after the kill were enough.

``python tests/campaigns/kills.py --seconds 45`` plays the next seeds of ``kills.jsonl`` and appends
their results; ``--seed N`` plays one again. The harness is bash with curl. With ``--harness`` it is
the real lm-evaluation-harness (``repeats: 4``, ``do_sample``), or an image of the eval-factory.
``--docker`` runs it in a container. It ends with 1 if an evaluation is not sound.

Long because the endpoint, the harnesses, the kill and the verdict are read together.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from campaigns import seeds  # noqa: E402
from snakeval.config.load import load  # noqa: E402
from snakeval.evaluation.directory import EvaluationDirectory  # noqa: E402
from snakeval.ledger.summary import lives_here  # noqa: E402
from snakeval.matrix.expand import expand  # noqa: E402
from snakeval.runtimes.marked import marked  # noqa: E402
from support.configs import write  # noqa: E402

RESULTS = HERE / "kills.jsonl"
KINDS = ("harness", "job", "gateway", "everything")
HARNESSES = ("commands", "lm-eval", "eval-factory")
IMAGES = {
    "commands": "snakeval-testbed/python:3.11-slim",
    "eval-factory": "snakeval-testbed/eval-factory:26.3",
}
ITEMS, SAMPLES, IN_FLIGHT = 10, 4, 6
NEEDED = ITEMS * SAMPLES

#: Asks with bash and curl, several at a time, and keeps each answer in a file. Few images have
#: curl, so its work in them is that of Python.
_COMMANDS = f"""
set -eu
export ASK="import sys, urllib.request as web
request = web.Request(sys.argv[3], sys.argv[1].encode(), {{'Content-Type': 'application/json'}})
open(sys.argv[2], 'wb').write(web.urlopen(request, timeout=60).read())"
export URL={{{{ url }}}} OUT={{{{ results }}}}
seq 0 {NEEDED - 1} | xargs -P {IN_FLIGHT} -I NUMBER bash -euc '
  body="{{\\"model\\": \\"m\\", \\"temperature\\": 0.7, \\"messages\\": [{{\\"role\\": \\"user\\","
  body="$body \\"content\\": \\"item $((NUMBER / {SAMPLES}))\\"}}]}}"
  if command -v curl > /dev/null; then
    curl --silent --show-error --fail --max-time 60 --header "Content-Type: application/json" \\
      --data "$body" --output "$OUT/answer-NUMBER.json" "$URL"
  else
    python3 -c "$ASK" "$body" "$OUT/answer-NUMBER.json" "$URL"
  fi'
echo "{{\\"score\\": $(ls {{{{ results }}}} | grep -c answer)}}" > {{{{ results }}}}/score.json
"""
_TASK = """\
task: kills
dataset_path: json
dataset_kwargs: {data_files: {test: items.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "item {{number}}"
doc_to_target: "{{number}}"
repeats: %d
generation_kwargs: {do_sample: true, temperature: 0.7, max_gen_toks: 16, until: []}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


class Endpoint(http.server.ThreadingHTTPServer):
    """A model that gives each request another answer after a while."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.arrived: list[str] = []
        self.under_way = 0
        super().__init__(("127.0.0.1", 0), _Answers)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: the gateway was killed."""

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def log_message(self, *words: object) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        content = json.loads(body)["messages"][-1]["content"]
        endpoint = self.server
        with endpoint.lock:
            endpoint.arrived.append(str(content))
            endpoint.under_way += 1
            number = len(endpoint.arrived)
        time.sleep(0.05 + 0.1 * random.random())
        message = {"role": "assistant", "content": f"answer {number}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = json.dumps({"choices": [choice]}).encode()
        with endpoint.lock:
            endpoint.under_way -= 1
        with contextlib.suppress(OSError):  # the gateway was killed
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)


@dataclass
class Played:
    """One evaluation and its kill."""

    seed: int
    place: Path
    endpoint: Endpoint
    harness: str = "commands"
    docker: bool = False
    lm_eval: str = ""
    problems: list[str] = field(default_factory=list)
    jobs: int = 0
    under_way: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.kind = KINDS[self.seed % len(KINDS)]
        self.directory = EvaluationDirectory(self.place / "run/m/b")
        self.directory.private.mkdir(parents=True)
        rows = {
            "runtime": "docker" if self.docker else "process",
            "lease": {"heartbeat": 0.2, "stale": 2},
            "params": {"parallelism": IN_FLIGHT},
            "models": {"m": {"endpoint": {"url": self.endpoint.url, "model_id": "m"}}},
            "benchmarks": {"b": self._benchmark()},
        }
        (self.evaluation,) = expand(load([write(self.place, rows)])[0])
        self.directory.define(self.evaluation)

    def _benchmark(self) -> dict[str, Any]:
        image = {"image": IMAGES[self.harness]} if self.docker and self.harness in IMAGES else {}
        scores = {"metrics": {"file": "score.json", "values": {"score": "score"}}}
        if self.harness == "commands":
            return {"harness": "generic", "command": _COMMANDS, **scores, **image}
        files = {"files": str(self._written_task())}
        if self.harness == "eval-factory":
            own = {"task": "kills", "extra": {"args": "--include_path . --log_samples"}}
            return {"task": "lm-evaluation-harness.ifeval", "params": own, **files, **image}
        if self.docker:
            return {"harness": "lm-eval", "task": "kills", **files}
        asks = (
            f"PATH={Path(self.lm_eval).parent}:$PATH HF_HUB_OFFLINE=1 lm_eval run "
            "--model local-chat-completions --model_args model=m,base_url={{ url }},"
            f"num_concurrent={IN_FLIGHT},max_retries=1,timeout=600,tokenized_requests=False "
            "--apply_chat_template --tasks kills --include_path . --log_samples "
            "--output_path {{ results }} && echo '{\"score\": 1}' > {{ results }}/score.json"
        )
        return {"harness": "generic", "command": asks, **files, **scores}

    def _written_task(self) -> Path:
        task = self.place / "task"
        task.mkdir()
        items = "".join(json.dumps({"number": number}) + "\n" for number in range(ITEMS))
        (task / "items.jsonl").write_text(items)
        (task / "kills.yaml").write_text(_TASK % SAMPLES)
        return task

    def start(self) -> subprocess.Popen[str]:
        """Start the job."""
        self.jobs += 1
        record = self.directory.output
        words = [sys.executable, "-m", "snakeval.jobs.evaluate", record]
        return subprocess.Popen(
            [*words, "--fingerprint", self.evaluation.fingerprint],
            env={**os.environ, "SNAKEVAL_HOME": str(self.place / "home")},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kill(self, job: subprocess.Popen[str]) -> None:
        """Kill at a random moment."""
        moment = self.random.randint(1, NEEDED - 2)
        while len(self.endpoint.arrived) < moment:
            if job.poll() is not None:
                self.problems.append(f"the job ended before the kill: {job.communicate()[1]}")
                return
            time.sleep(0.002)
        time.sleep(self.random.random() * 0.1)
        self.under_way = self.endpoint.under_way
        gateway = lives_here(self.directory.requests / "gateway")
        beside: dict[str, list[int | None]] = {
            "harness": [],
            "job": [job.pid],
            "gateway": [gateway],
            "everything": [job.pid, gateway],
        }
        victims = beside[self.kind]
        if self.kind in ("harness", "everything") and not self.docker:
            victims += [pid for pid, _ in marked([self.directory.container_name])]
        for pid in victims:
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.kind in ("harness", "everything") and self.docker:
            # The container may have ended with the job.
            words = ["docker", "kill", "--signal", "KILL", self.directory.container_name]
            subprocess.run(words, capture_output=True, check=False, timeout=60)

    def finish(self, job: subprocess.Popen[str]) -> None:
        """Wait for the killed job, and run it again until it ends with 0."""
        while True:
            try:
                _, error = job.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                os.killpg(job.pid, signal.SIGKILL)
                self.problems.append("hangs: the job did not end within 120 s")
                return
            if job.returncode == 0:
                return
            if self.jobs == 3:
                self.problems.append(f"the third job failed: {error[-300:]}")
                return
            job = self.start()

    def judge(self) -> None:
        """Find what is not sound."""
        arrived = Counter(self.endpoint.arrived)
        extra = len(self.endpoint.arrived) - NEEDED
        if len(arrived) != ITEMS or min(arrived.values()) < SAMPLES:
            self.problems.append(f"too few requests: {dict(arrived)}")
        allowed = 0 if self.kind in ("harness", "job") else IN_FLIGHT
        if extra > allowed:
            self.problems.append(f"{extra} requests were asked again, {allowed} are allowed")
        for item, answers in self.answers().items():
            if len(answers) != SAMPLES or len(set(answers)) != SAMPLES:
                self.problems.append(f"item {item} has the answers {answers}")
        if lives_here(self.directory.requests / "gateway") is not None:
            self.problems.append("a gateway is left")
        if left := self._left():
            self.problems.append(f"is left: {left}")

    def _left(self) -> list[str]:
        name = self.directory.container_name
        if not self.docker:
            return [str(pid) for pid, _ in marked([name])]
        words = ["docker", "ps", "--all", "--quiet", "--filter", f"name={name}"]
        return subprocess.check_output(words, text=True, timeout=60).split()

    def answers(self) -> dict[str, list[str]]:
        """Return the answers that the last harness received, by item."""
        found: dict[str, list[str]] = {}
        if self.harness != "commands":
            for file in self.directory.artifacts.rglob("samples_*.jsonl"):
                for line in file.read_text().splitlines():
                    sample = json.loads(line)
                    found[str(sample["doc"]["number"])] = sample["resps"][0]
            return found
        for number in range(NEEDED):
            file = self.directory.artifacts / f"answer-{number}.json"
            if file.exists():
                text = json.loads(file.read_text())["choices"][0]["message"]["content"]
                found.setdefault(str(number // SAMPLES), []).append(text)
        return found

    def result(self, seconds: float) -> dict[str, Any]:
        """Return the line of the results."""
        return {
            "seed": self.seed,
            "kind": self.kind,
            "harness": self.harness,
            "runtime": "docker" if self.docker else "process",
            "under_way": self.under_way,
            "again": len(self.endpoint.arrived) - NEEDED,
            "jobs": self.jobs,
            "seconds": round(seconds, 1),
            "problems": self.problems,
        }


@contextlib.contextmanager
def serving() -> Iterator[Endpoint]:
    """Serve an endpoint."""
    with Endpoint() as endpoint:
        threading.Thread(target=endpoint.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield endpoint
        finally:
            endpoint.shutdown()


def play(seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Play one seed; return its result. The files of a sound one are removed."""
    began = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix=f"snakeval-kills-{seed}-"))
    with serving() as endpoint:
        played = Played(seed, place, endpoint, given.harness, given.docker, given.lm_eval)
        job = played.start()
        played.kill(job)
        played.finish(job)
        played.judge()
    if played.problems or given.seed is not None:
        print(f"files: {place}")
    else:
        shutil.rmtree(place)
    return played.result(time.monotonic() - began)


def main() -> int:
    """Play seeds; return 1 if an evaluation was not sound."""
    parser = seeds.parser(__doc__)
    parser.add_argument("--harness", choices=HARNESSES, default="commands", help="what asks")
    parser.add_argument("--docker", action="store_true", help="run the harness in its image")
    parser.add_argument("--lm-eval", default="lm_eval", help="the program, without --docker")
    given = parser.parse_args()
    if given.harness == "eval-factory" and not given.docker:
        parser.error("an eval-factory harness has an image; add --docker")
    return seeds.one_by_one(given, RESULTS, lambda seed: play(seed, given), "evaluations")


if __name__ == "__main__":
    sys.exit(main())
