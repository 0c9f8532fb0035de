"""A campaign of faulty answers: no fault of an endpoint becomes a score in silence.

A cell is one fault of :mod:`campaigns.answer_fault_endpoint` and one harness, which asks 10 items
four times. All cells of a harness are one ``snakeval run``, whose models are the faults. The
generic harness takes a request without an answer for a wrong answer, as many do. A cell is

* ``healed``: the evaluation is done, its score is that without faults, and the fault is counted,
* ``warned``: it is done, and its row and the last lines of the run have the warning,
* ``failed``: it is not done, and the exit code is 1,
* ``not applicable``: the harness makes no request that can have the fault,
* ``silent``: anything else, which is a defect.

``python tests/campaigns/answer_faults.py --harness generic`` plays the cells of a harness that
``answer_faults.jsonl`` does not have; ``--again`` plays all, and ``--fault NAME`` some. The harness
``eval-factory`` runs in its image, and so requires the Docker engine of the test bed. ``--table``
prints the table of docs/health.md. ``--clean 300`` judges runs without a fault, which no rule may
flag. It ends with 1 if a cell is silent, or a clean run is flagged.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from campaigns import kill_harnesses  # noqa: E402
from campaigns.answer_fault_clean import judge_clean_runs  # noqa: E402
from campaigns.answer_fault_endpoint import FAULTS, FaultyEndpoint, serving  # noqa: E402
from support.configs import write  # noqa: E402

RESULTS = Path(__file__).with_suffix(".jsonl")
#: ``loglikelihood`` is lm-eval with the probabilities of four choices for each item.
HARNESSES = ("lm-eval", "loglikelihood", "eval-factory", "generic", "inspect")
#: Faults that only some requests can have -> the benchmark that makes them.
SPECIAL = {"no-logprobs": "logprobs", "no-echo": "echo", "truncated-stream": "stream"}
#: Faults that the likelihood of a given text cannot have.
OF_TEXTS = ("cut", "empty", "null-with-reasoning", "parts", "one-answer", "truncated-stream")
NOT_APPLICABLE = "not applicable"
#: What each benchmark of a harness is; the rest of the cells are not applicable.
KINDS: dict[str, dict[str, str]] = {
    "lm-eval": {"plain": "lm-eval"},
    "loglikelihood": {"plain": "loglikelihood"},
    "eval-factory": {"plain": "eval-factory"},
    "generic": {"plain": "generic", "logprobs": "generic", "stream": "generic"},
    "inspect": {"plain": "inspect", "logprobs": "inspect"},
}
#: Asks ITEMS x SAMPLES, and takes whatever it cannot read for a wrong answer.
_GENERIC = """\
import json, pathlib, sys, urllib.request
from concurrent.futures import ThreadPoolExecutor
url, results, kind = sys.argv[1:]

def ask(number):
    content = f"item {number // %d}"
    data = {"model": "m", "temperature": 0.7, "seed": 7}
    data["messages"] = [{"role": "user", "content": content}]
    if kind != "plain":
        data[kind] = True
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(data).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            body = answer.read().decode()
        if kind == "stream":
            events = [line[6:] for line in body.splitlines() if line.startswith("data: {")]
            deltas = [json.loads(event)["choices"][0]["delta"] for event in events]
            return "".join(delta.get("content", "") for delta in deltas)
        return json.loads(body)["choices"][0]["message"]["content"]
    except Exception as error:
        return repr(error)

with ThreadPoolExecutor(%d) as threads:
    answers = list(threads.map(ask, range(%d)))
score = sum("right" in str(answer) for answer in answers)
pathlib.Path(results, "answers.json").write_text(json.dumps(answers))
pathlib.Path(results, "score.json").write_text(json.dumps({"score": score}))
"""


def kind_of(harness: str, fault: str) -> str:
    """Return the benchmark of a harness whose requests can have the fault, or an empty text."""
    if harness == "loglikelihood":
        return "" if fault in OF_TEXTS else "plain"
    kind = SPECIAL.get(fault, "plain")
    return kind if kind in KINDS[harness] else ""


def row(harness: str, kind: str, place: Path) -> dict[str, Any]:
    """Return the benchmark of a harness that makes one kind of requests."""
    place.mkdir(parents=True)
    name = KINDS[harness][kind]
    if name != "generic":
        made = kill_harnesses.rows(name, place, docker=harness == "eval-factory")
        if name == "loglikelihood":
            made["endpoint_types"] = ["completions"]
        if (name, kind) == ("inspect", "logprobs"):
            made["command"] = made["command"].replace(" --seed", " --logprobs true --seed")
        return made
    (place / "task").mkdir()
    sizes = kill_harnesses.SAMPLES, kill_harnesses.IN_FLIGHT, kill_harnesses.NEEDED
    (place / "task/ask.py").write_text(_GENERIC % sizes)
    return {
        "harness": "generic",
        "command": f"exec python3 ask.py {{{{ url }}}} {{{{ results }}}} {kind}",
        "files": str(place / "task"),
        "metrics": {"file": "score.json", "values": {"score": "score"}},
    }


def configuration(
    harness: str, faults: list[str], place: Path, endpoint: FaultyEndpoint
) -> dict[str, Any]:
    """Return the configuration of a run whose models are *faults*."""
    kinds = KINDS[harness]
    pairs = [("none", kind) for kind in kinds]
    pairs += [(fault, kind) for fault in faults if (kind := kind_of(harness, fault))]
    models = {}
    for fault, kind in pairs:
        is_text = kinds[kind] == "loglikelihood"
        name = f"{fault}-{kind}"
        url = f"{endpoint.root}/{fault}/v1"
        models[name] = {"endpoint": {"url": url, "model_id": "m"}}
        models[name]["endpoint"]["type"] = "completions" if is_text else "chat"
    used = {kind for _, kind in pairs}
    return {
        "runtime": "docker" if harness == "eval-factory" else "process",
        "params": {
            "parallelism": kill_harnesses.IN_FLIGHT, "request_timeout": 8, "max_retries": 1
        },
        "models": models,
        "benchmarks": {kind: row(harness, kind, place / kind) for kind in sorted(used)},
        "include": [f"*-{kind}/{kind}" for kind in used],
    }  # fmt: skip


def play(harness: str, faults: list[str], given: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the cells of a harness; return a line for each."""
    # Not in $TMPDIR: `docker` in a sandbox has one of its own.
    place = Path(tempfile.mkdtemp(prefix=f"snakeval-answers-{harness}-"))
    own = {"SNAKEVAL_HOME": str(given.environments), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "snakeval"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *words], cwd=place, env={**os.environ, **own}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip

    with serving() as endpoint:
        write(place, configuration(harness, faults, place, endpoint))
        done = run("run", "c.yaml", "--no-preflight", "--", "--cores", str(given.cores))
        played = dict(endpoint.played)
    (place / "run.log").write_text(done.stdout)
    (path,) = place.glob("results/[0-9]*-*")
    rows = json.loads((path / "results.json").read_text())
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for each in rows:
        # A harness can have several metrics, and so several rows.
        cell = found.setdefault((each["model"], each["benchmark"]), each | {"scores": {}})
        if each.get("metric"):
            cell["scores"][each["metric"]] = each["value"]
    cells = [judged(harness, f, found, path, done, played.get(f, 0)) for f in faults]
    wants = 1 if any(cell["outcome"] == "failed" for cell in cells) else 0
    if done.returncode != wants or any(cell["outcome"] == "silent" for cell in cells):
        print(f"exit code {done.returncode}; files: {place}")
    else:
        shutil.rmtree(place)
    for cell in cells:
        # One run has many cells, so its exit code is checked together.
        cell["exit"] = done.returncode
        cell["outcome"] = cell["outcome"] if done.returncode == wants else "silent"
    return cells


def judged(
    harness: str,
    fault: str,
    found: dict[tuple[str, str], dict[str, Any]],
    path: Path,
    done: subprocess.CompletedProcess[str],
    played: int,
) -> dict[str, Any]:
    """Return the line of one cell."""
    kind = kind_of(harness, fault)
    cell = {"harness": harness, "fault": fault, "played": played, "outcome": NOT_APPLICABLE}
    if not kind:
        return cell
    row, sound = found[f"{fault}-{kind}", kind], found[f"none-{kind}", kind]
    seen = {name: row.get(name) for name in ("status", "scores", "health", "warning", "reason")}
    cell |= {**seen, "sound": sound["scores"]}
    cell["outcome"] = "silent"
    if not played and fault != "none":
        return cell
    if row["status"] != "done":
        is_own = str(row.get("reason") or "a fault of snakeval").startswith("a fault of snakeval")
        cell["outcome"] = "silent" if is_own else "failed"
    elif row.get("warning"):
        has_line = f"Warning: {row['model']}/{kind}: " in done.stdout
        cell["outcome"] = "warned" if has_line else "silent"
    elif row["scores"] == sound["scores"] and (fault == "none" or counted(path, row)):
        cell["outcome"] = "healed"
    return cell


def counted(path: Path, row: dict[str, Any]) -> int:
    """Return how many tries that did not succeed the record counts."""
    record = json.loads((path / row["model"] / row["benchmark"] / "evaluation.json").read_text())
    models = record["health"]["models"].values()
    # Without retries of the gateway, the harness itself asked again.
    return sum(sum((each.get("causes") or {}).values()) for each in models)


def known() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the newest line of each cell."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    cells = (json.loads(line) for line in lines)
    return {(cell["harness"], cell["fault"]): cell for cell in cells if "fault" in cell}


def table() -> str:
    """Return the cells as a table in Markdown."""
    cells = known()
    lines = [f"| fault | {' | '.join(HARNESSES)} |", f"|---|{'---|' * len(HARNESSES)}"]
    for fault in FAULTS:
        if fault == "none":
            continue
        words = []
        for harness in HARNESSES:
            played = cells.get((harness, fault), {}).get("outcome", "not played")
            words.append(played if kind_of(harness, fault) else NOT_APPLICABLE)
        lines.append(f"| {fault} | {' | '.join(words)} |")
    return "\n".join(lines)


def main() -> int:
    """Play cells or clean runs; return 1 if one is silent or flagged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--harness", choices=HARNESSES, help="what asks")
    parser.add_argument("--fault", action="append", choices=list(FAULTS), help="only this fault")
    parser.add_argument("--again", action="store_true", help="also play cells that have a result")
    parser.add_argument("--table", action="store_true", help="print the table, play nothing")
    parser.add_argument("--clean", type=int, default=0, help="judge so many clean runs")
    parser.add_argument("--cores", type=int, default=2, help="evaluations at a time")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "snakeval-kills-environments",
        help="where harnesses without an image are installed, once for all campaigns",
    )
    given = parser.parse_args()
    if given.table:
        print(table())
        return 0
    lines = [judge_clean_runs(given.clean)] if given.clean else []
    if given.harness:
        has = {} if given.again else known()
        chosen = [f for f in given.fault or FAULTS if (given.harness, f) not in has]
        lines += play(given.harness, chosen, given) if chosen else []
    with RESULTS.open("a") as file:
        for line in lines:
            print(json.dumps(line))
            file.write(json.dumps(line) + "\n")
    unsound = [line for line in lines if line.get("outcome") == "silent" or line.get("flagged")]
    print(f"{len(lines)} lines, {len(unsound)} not sound")
    return 1 if unsound else 0


if __name__ == "__main__":
    sys.exit(main())
