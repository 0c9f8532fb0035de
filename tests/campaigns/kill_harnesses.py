"""What asks in the campaign of kills: how each harness is configured, and the answers it received.

Each asks 40 requests. ``commands`` (bash with curl), ``lm-eval``, ``eval-factory`` and ``inspect``
(inspect_ai) ask each of 10 items four times. ``loglikelihood`` is lm-eval with the probabilities of
four choices for each item, and with the endpoint's tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NAMES = ("commands", "lm-eval", "loglikelihood", "eval-factory", "inspect")
ITEMS, SAMPLES, IN_FLIGHT = 10, 4, 6
NEEDED = ITEMS * SAMPLES

_IMAGES = {
    "commands": "snakeval-testbed/python:3.11-slim",
    "eval-factory": "snakeval-testbed/eval-factory:26.3",
}
#: Asks with bash and curl, several at a time, and keeps each answer in a file. Few images have
#: curl, so its work in them is that of Python.
_COMMANDS = f"""
set -eu
export ASK="import sys, urllib.request as web
request = web.Request(sys.argv[3], sys.argv[1].encode(), {{'Content-Type': 'application/json'}})
open(sys.argv[2], 'wb').write(web.urlopen(request, timeout=60).read())"
export URL={{{{ url }}}} OUT={{{{ results }}}}
seq 0 {NEEDED - 1} | xargs -P {IN_FLIGHT} -I NUMBER bash -euc '
  body="{{\\"model\\": \\"m\\", \\"temperature\\": 0.7, \\"seed\\": 7, \\"messages\\": ["
  body="$body{{\\"role\\": \\"user\\", \\"content\\": \\"item $((NUMBER / {SAMPLES}))\\"}}]}}"
  if command -v curl > /dev/null; then
    curl --silent --show-error --fail --max-time 60 --header "Content-Type: application/json" \\
      --data "$body" --output "$OUT/answer-NUMBER.json" "$URL"
  else
    python3 -c "$ASK" "$body" "$OUT/answer-NUMBER.json" "$URL"
  fi'
right=$(cat {{{{ results }}}}/answer-*.json | grep -o "right, seed" | wc -l)
echo "{{\\"score\\": $right}}" > {{{{ results }}}}/score.json
"""
_TASK = """\
task: kills
dataset_path: json
dataset_kwargs: {data_files: {test: items.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "item {{number}}"
doc_to_target: right
repeats: %d
generation_kwargs: {do_sample: true, temperature: 0.7, max_gen_toks: 16, until: []}
filter_list:
  - name: majority
    filter:
      - {function: regex, regex_pattern: "(right|wrong)"}
      - {function: majority_vote}
      - {function: take_first}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
_CHOICES = """\
task: kills
dataset_path: json
dataset_kwargs: {data_files: {test: items.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "item {{number}}"
doc_to_target: 0
doc_to_choice: ["north", "east", "south", "west"]
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
_INSPECT_TASK = """\
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes

@task
def kills():
    items = [Sample(input=f"item {number}", target="right", id=number) for number in range(%d)]
    return Task(dataset=items, scorer=includes())
"""
_INSPECT = f"""
set -eu
url={{{{ url }}}}
export M_API_KEY=none INSPECT_LOG_FORMAT=json
inspect eval kills.py --model openai-api/m/m --model-base-url "${{url%/chat/completions}}" \\
  --epochs {SAMPLES} --seed 7 --temperature 0.7 --max-connections {IN_FLIGHT} --max-retries 0 \\
  --display plain --log-dir {{{{ results }}}}/logs
python3 - {{{{ results }}}} <<'PYTHON'
import json, pathlib, sys
results = pathlib.Path(sys.argv[1])
(log,) = results.glob("logs/*.json")
(scores,) = json.loads(log.read_text())["results"]["scores"]
score = {{name: metric["value"] for name, metric in scores["metrics"].items()}}
(results / "score.json").write_text(json.dumps(score))
PYTHON
"""
_INSPECT_PACKAGES = ("inspect_ai==0.3.285", "openai==3.57.0")


def rows(harness: str, place: Path, *, docker: bool) -> dict[str, Any]:
    """Return the benchmark of a harness, whose files are written below *place*."""
    image = {"image": _IMAGES[harness]} if docker and harness in _IMAGES else {}
    files = {"files": str(place / "task")}
    score: dict[str, Any] = {"file": "score.json", "values": {"score": "score"}}
    if harness == "commands":
        return {"harness": "generic", "command": _COMMANDS, "metrics": score, **image}
    if harness == "inspect":
        _write(place, "kills.py", _INSPECT_TASK % ITEMS)
        score["values"] = {"accuracy": "accuracy", "stderr": "stderr"}
        asks = {"command": _INSPECT, "requirements": [*_INSPECT_PACKAGES]}
        return {"harness": "generic", **asks, "metrics": score, **files}
    items = "".join(json.dumps({"number": number}) + "\n" for number in range(ITEMS))
    _write(place, "items.jsonl", items)
    if harness == "loglikelihood":
        _write(place, "kills.yaml", _CHOICES)
        own = {"extra": {"model_args": {"tokenizer_backend": "remote"}}}
        return {"harness": "lm-eval", "task": "kills", "params": own, **files}
    _write(place, "kills.yaml", _TASK % SAMPLES)
    if harness == "eval-factory":
        params = {"task": "kills", "extra": {"args": "--include_path . --log_samples"}}
        return {"task": "lm-evaluation-harness.ifeval", "params": params, **files, **image}
    return {"harness": "lm-eval", "task": "kills", **files}


def _write(place: Path, name: str, text: str) -> None:
    (place / "task").mkdir(exist_ok=True)
    (place / "task" / name).write_text(text)


def answers(harness: str, artifacts: Path) -> dict[str, list[str]]:
    """Return the answers that the last harness received, by item."""
    return _ANSWERS.get(harness, _of_lm_eval)(artifacts)


def _of_commands(artifacts: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for number in range(NEEDED):
        file = artifacts / f"answer-{number}.json"
        if file.exists():
            text = json.loads(file.read_text())["choices"][0]["message"]["content"]
            found.setdefault(str(number // SAMPLES), []).append(text)
    return found


def _of_inspect(artifacts: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in artifacts.glob("logs/*.json"):
        for sample in json.loads(file.read_text())["samples"]:
            found.setdefault(str(sample["id"]), []).append(sample["output"]["completion"])
    return found


def _of_lm_eval(artifacts: Path) -> dict[str, list[str]]:
    return {item: responses[0] for item, responses in _logged(artifacts)}


def _of_loglikelihood(artifacts: Path) -> dict[str, list[str]]:
    # The number of the choice, since two choices may be equally probable.
    return {
        item: [f"{number}: {answer}" for number, answer in enumerate(responses)]
        for item, responses in _logged(artifacts)
    }


def _logged(artifacts: Path) -> Iterator[tuple[str, list[Any]]]:
    """Yield each item that lm-eval logged, and its responses."""
    for file in artifacts.rglob("samples_*.jsonl"):
        for line in file.read_text().splitlines():
            sample = json.loads(line)
            yield str(sample["doc"]["number"]), sample["resps"]


_ANSWERS: dict[str, Callable[[Path], dict[str, list[str]]]] = {
    "commands": _of_commands,
    "inspect": _of_inspect,
    "loglikelihood": _of_loglikelihood,
}
