"""The harness ``questions``: asks a model questions and counts the right answers.

An adapter is a module with these names; see ``snakeval.harnesses.adapter.Adapter``.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.record import Metric
from snakeval.harnesses.adapter import Command, Paths, Sample

#: Raise it when `metrics` reads better: tables are rebuilt, and no evaluation reruns.
PARSER_VERSION = 1
FULL_NAME = "Questions and answers"
#: Without an image, the harness runs as a process. With one, in a container.
IMAGE = ""

_TASKS = {
    "words": [["say yes", "yes"], ["say no", "no"]],
    "sums": [["what is 1+1?", "2"], ["repeat 2", "2"]],
}
_PROGRAM = Path(__file__).with_name("ask.py")


def command(evaluation: Evaluation, paths: Paths) -> Command:
    """Return what to start; its input files are readable in ``paths.inputs``."""
    identity = evaluation.identity
    if identity.task not in _TASKS:
        raise EvaluationError(f"no task '{identity.task}'; there are {', '.join(_TASKS)}")
    job = {
        "url": paths.endpoint_url,
        "model": identity.model_id,
        "questions": _TASKS[identity.task],
        "gate": (identity.params.get("extra") or {}).get("gate"),
    }
    program, settings = f"{paths.inputs}/ask.py", f"{paths.inputs}/job.json"
    return Command(
        ("python3", program, settings, f"{paths.results}/answers.json"),
        inputs={"ask.py": _PROGRAM.read_text(encoding="utf-8"), "job.json": json.dumps(job)},
    )


def _answers(artifacts: Path) -> list[dict[str, str]]:
    try:
        return json.loads((artifacts / "answers.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"answers.json cannot be read ({error})") from None


def metrics(evaluation: Evaluation, artifacts: Path) -> tuple[Metric, ...]:
    """Read the scores."""
    answers = _answers(artifacts)
    right = sum(one["answer"] == one["reference"] for one in answers)
    return (Metric(evaluation.identity.task, "right", right / len(answers), n=len(answers)),)


def samples(evaluation: Evaluation, artifacts: Path) -> Iterator[Sample]:
    """Read each question, for the report and for intervals."""
    for number, one in enumerate(_answers(artifacts)):
        score = float(one["answer"] == one["reference"])
        yield Sample(
            str(number), evaluation.identity.task, {"right": score},
            question=one["question"], answer=one["answer"], reference=one["reference"],
        )  # fmt: skip
