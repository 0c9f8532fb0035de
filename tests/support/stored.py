"""Evaluations that finished with stored answers, for what scores them again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from snakeval.config.compose import text
from snakeval.dag.invocation import Invocation
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import LEDGER, Metric
from snakeval.run.index import Entry, remember
from support.asking import complete
from support.configs import COMMAND
from support.invocations import invocation
from support.made import begin, completion

JUDGED = COMMAND | {"auxiliary": ["j"], "command": "ask {{ url }}"}
KEYED = {"endpoint": {"url": "http://host/v1", "model_id": "m", "api_key_name": "MODEL_KEY"}}
JUDGE = {"endpoint": {"url": "http://judge/v1", "model_id": "j", "api_key_name": "JUDGE_KEY"}}
#: One evaluation asks a judge; all endpoints have keys.
STORED: dict[str, Any] = {
    "models": {"m": KEYED},
    "auxiliary": {"j": JUDGE},
    "benchmarks": {"b": COMMAND | {"command": "ask {{ url }}", "image": "harness:1"}, "c": JUDGED},
}


def finish(
    evaluation: Evaluation, place: EvaluationDirectory, *metrics: Metric, ledger: str = "on"
) -> None:
    """Finish an evaluation, with a journal of each model if its ledger is on."""
    place.define(evaluation)
    begin(place, evaluation.fingerprint)
    record = completion(evaluation, place, metrics)
    place.complete(replace(record, versions={} if ledger == "off" else {LEDGER: ledger}))
    for model in (evaluation.model, *evaluation.identity.auxiliary) if ledger == "on" else ():
        folder = place.requests / model
        folder.mkdir(parents=True)
        (folder / "0001.journal").write_text(f"answers of {model}")


def stored_run(work: Path) -> Invocation:
    """Make a finished run with stored answers that was started in *work*."""
    work.mkdir()
    made = invocation(work, STORED)
    made.run.start()
    made.directory.write_plan(made.planned)
    made.directory.write_config(text(made.config), "0.1.0")
    for each in made.everything:
        finish(each, made.directory.evaluation(each.id))
    words = ("/bin/snakemake", "--cores", "3", "--config", "models=m", "--forceall")
    remember(Entry(made.run.id, "r", str(made.directory.path), str(work), words, "0.1.0"))
    return made


#: Asks a model some questions, and a judge about each answer; the score is what both said.
_ASK = """\
import json, os, pathlib, sys, urllib.request
url, judge, results, word, weight = sys.argv[1:]
def ask(url, model, text):
    data = json.dumps({"model": model, "messages": [{"role": "user", "content": text}]})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['KEY']}"}
    with urllib.request.urlopen(urllib.request.Request(url, data.encode(), headers)) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]
said = ""
for number in range(3):
    answer = ask(url, "careful", f"{word} is {number}?")
    said += answer + ask(judge, "sloppy", f"Is this right: {answer}")
pathlib.Path(results, "f").write_text(json.dumps({"v": len(said) * int(weight)}))
"""


def asking(directory: Path, model: str, judge: str, word: str = "What", weight: int = 1) -> Any:
    """Return a run of one evaluation that asks *model* and *judge*, at their base URLs."""
    (directory / "ask.py").write_text(_ASK)
    command = (
        f"KEY=$MY_KEY exec python3 {directory}/ask.py "
        f"{{{{ url }}}} {{{{ auxiliary.j.url }}}} {{{{ results }}}} {word} {weight}"
    )
    endpoints = [
        {"endpoint": {"url": f"{url}/v1", "model_id": name, "api_key_name": "MY_KEY"}}
        for url, name in ((model, "careful"), (judge, "sloppy"))
    ]
    return {
        "runtime": "process",
        "models": {"m": endpoints[0]},
        "auxiliary": {"j": endpoints[1]},
        "benchmarks": {"b": COMMAND | {"command": command, "auxiliary": ["j"]}},
    }


def play(opened: Invocation) -> tuple[int, str]:
    """Do what a start of a command does, and the job of its one evaluation, in this process."""
    if opened.rescoring is not None:
        opened.rescoring.note(opened.directory)
    opened.run.start()
    opened.directory.write_plan(opened.planned)
    opened.directory.write_config(text(opened.config), "0.1.0")
    opened.facts.save()
    if opened.rescoring is not None:
        opened.rescoring.bring(opened.directory, opened.everything)
    (evaluation,) = opened.everything
    place = opened.directory.evaluation(evaluation.id)
    place.define(evaluation)
    return complete(evaluation, place)
