"""Real harnesses against models that we serve ourselves: the demo's, and a real language model."""

from __future__ import annotations

import json
import math
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from snakeval.demo.items import expected_score, generate
from snakeval.demo.ledger import read_ledger
from support.engine import containers_of
from support.limits import HUNG
from support.workspace import REPOSITORY, Workspace

TASKS = REPOSITORY / "config" / "benchmarks" / "demo"
LM_EVAL = "snakeval/lm-eval:0.4.13"
EVAL_FACTORY = "snakeval-testbed/eval-factory:26.3"


def finished(work: Workspace) -> str:
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    return done.output


def processes_left(work: Workspace) -> list[str]:
    """The supervisor, servers and jobs: their environment names the home of the workspace."""
    return [
        " ".join(process.info["cmdline"] or ())
        for process in psutil.process_iter(["cmdline", "environ"])
        if (process.info["environ"] or {}).get("SNAKEVAL_HOME") == str(work.home)
    ]


def assert_no_process_is_left(work: Workspace) -> None:
    """The supervisor looks once a second whether anybody needs it."""
    until = time.monotonic() + HUNG
    while left := processes_left(work):
        assert time.monotonic() < until, left
        time.sleep(0.1)


@pytest.mark.images
def test_both_images_evaluate_a_model_that_is_served_in_a_container(tmp_path: Path) -> None:
    counts = tmp_path / "counts"
    counts.mkdir()
    server = {
        "kind": "generic",
        "runtime": "docker",
        "image": LM_EVAL,  # any image with Python 3 would do
        "command": "python3 -m snakeval.demo.server --host {{ host }} --port {{ port }}"
        " --models {{ served_model_name }} --ledger /counts/ledger",
        "mounts": [
            {"source": str(REPOSITORY / "workflow"), "target": "/demo"},
            {"source": str(counts), "target": "/counts", "read_only": False},
        ],
        "set_env": {"PYTHONPATH": "/demo"},
    }
    benchmarks = {
        "lm-eval": {
            "harness": "lm-eval",
            "task": "demo_sorting",
            "files": str(TASKS),
            "params": {"limit_samples": 10},
        },
        "eval-factory": {
            "task": "lm-evaluation-harness.ifeval",
            "image": EVAL_FACTORY,
            "files": str(TASKS),
            "params": {
                "task": "demo_arithmetic",
                "limit_samples": 6,
                "extra": {"args": "--include_path ."},
            },
        },
    }
    models = {"sloppy": {"deployment": server}}
    work = Workspace.below(tmp_path, runtime="docker", models=models, benchmarks=benchmarks)
    output = finished(work)
    assert containers_of(work.run) == []
    assert_no_process_is_left(work)

    table = work.table()
    assert set(table.loc[["sloppy/lm-eval"], "value"]) == {expected_score("sloppy", "sorting", 10)}
    assert set(table.loc[["sloppy/eval-factory"], "value"]) == {
        expected_score("sloppy", "arithmetic", 6)
    }
    assert "Model loads: 1 (sloppy 1)" in output
    ledger = read_ledger(counts / "ledger")
    assert ledger.loads == {"sloppy": 1}
    assert len(ledger.answers) == 10 + 6
    assert set(ledger.answers.values()) == {1}


#: Has the model itself say what follows a question, without any server or harness.
SAY = """\
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
words = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
for question in json.load(sys.stdin):
    message = {"role": "user", "content": question}
    prompt = words.apply_chat_template(
        [message], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    said = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    new = said[0, prompt["input_ids"].shape[1] :]
    print(json.dumps(words.decode(new, skip_special_tokens=True)))
"""


def say(tiny: Path, questions: list[str]) -> list[str]:
    done = subprocess.run(
        [tiny / "venv/bin/python", "-c", SAY, tiny / "tiny"],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        timeout=HUNG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.images  # its harness; without one its packages are installed, for minutes
@pytest.mark.tiny
def test_a_real_language_model_is_served_and_its_answers_are_scored(
    tmp_path: Path, tiny: Path
) -> None:
    server = {
        "kind": "generic",
        "runtime": "process",
        "checkpoint_path": str(tiny / "tiny"),
        # It lists its model by the path that it was given: a short one, so.
        "command": f"cd {{{{ model }}}}/.. && exec {tiny}/venv/bin/transformers serve"
        " {{ served_model_name }} --host {{ host }} --port {{ port }} --device cpu",
        "set_env": {"HF_HUB_OFFLINE": "1"},
    }
    letters = {
        "harness": "lm-eval",
        "task": "demo_letters",
        "files": str(TASKS),
        "params": {"limit_samples": 4, "max_new_tokens": 8},
    }
    models = {"tiny": {"deployment": server}}
    work = Workspace.below(tmp_path, models=models, benchmarks={"letters": letters})
    finished(work)
    assert_no_process_is_left(work)

    row = work.table().loc["tiny/letters"]
    assert (row["status"], row["n"]) == ("done", 4)
    assert math.isfinite(row["value"])
    assert math.isfinite(row["stderr"])
    assert "POST /v1/chat/completions" in (work.run / "tiny/deployment/server.log").read_text()
    (file,) = work.run.glob("tiny/letters/artifacts/tiny/samples_*.jsonl")
    samples = [json.loads(line) for line in file.read_text().splitlines()]
    answers = [sample["resps"][0][0] for sample in samples]
    asked = [f"Question: {item.question}\nAnswer:" for item in generate("letters")[:4]]
    assert answers == say(tiny, asked)
    assert len(set(answers)) == 4
