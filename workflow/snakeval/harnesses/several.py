"""Tasks that request several answers to each question, and the seed of such requests.

A server that obeys a seed gives equal requests equal answers, so several samples with one seed are
one sample. Until the ledger gives each request a seed of its own, the adapters send none, unless
the configuration sets one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from snakeval.evaluation.definition import Evaluation
from snakeval.files import json_value
from snakeval.harnesses import bounded

#: The mark beside scores of such samples in the table and the report.
MAY_BE_EQUAL = "samples may be equal"
#: Tasks of lm-evaluation-harness 0.4.13 whose files have `repeats`.
_TASKS = (
    "cruxeval_*",
    "gsm8k_cot_self_consistency",
    "gsm8k_platinum_cot_self_consistency",
    "humaneval_64*",
    "simple_cooccurrence_bias_gen",
)
#: In a task's own file: its repeats, or one of those files, which it includes.
_REPEATS = re.compile(
    r"^\s*repeats\s*:\s*(?:[2-9]|[1-9]\d)"
    r"|^\s*include\s*:.*(?:cruxeval_|self-consistency|humaneval_64|cooccurrence_bias_gen)",
    re.MULTILINE | re.ASCII,
)
#: Parameters of eval-factory harnesses that say how many answers each question has.
_COUNTS = ("n_samples", "num_repeats")


def asks_several(evaluation: Evaluation) -> bool:
    """Return whether *evaluation* requests several answers to each question, as far as is known."""
    params = evaluation.identity.params
    extra = params.get("extra") or {}
    task = str(params.get("task") or evaluation.identity.task)
    if any(fnmatchcase(name, pattern) for name in task.split(",") for pattern in _TASKS):
        return True
    if any(isinstance(count := extra.get(key), int) and count > 1 for key in _COUNTS):
        return True
    generation = extra.get("gen_kwargs")
    if isinstance(generation, Mapping) and generation.get("do_sample"):
        return True
    files = evaluation.transport.files
    return bool(files) and any(map(_repeats, sorted(Path(files).rglob("*.yaml"))))


def _repeats(path: Path) -> bool:
    try:
        return _REPEATS.search(path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False  # the harness will report it


def seed_is_set(evaluation: Evaluation) -> bool:
    """Return whether the configuration sets the seed of requests.

    Repeats of a benchmark and the catalogue also set seeds, which are no wish for equal answers.
    """
    return evaluation.identity.params.get("seed") is not None and (
        evaluation.origins.get("seed") not in ("repeat", "catalogue")
    )


def may_be_equal(artifacts: Path) -> bool:
    """Return whether results of lm-evaluation-harness have several samples with one seed.

    Each results file has the configuration of its tasks.

    Raises:
        EvaluationError, OSError, ValueError: a results file cannot be read.
    """
    files = sorted(artifacts.glob("*/results_*.json"), key=lambda path: path.name)
    if not files:
        return False
    data = json_value(bounded.whole(files[-1]))
    configs = data.get("configs") if isinstance(data, dict) else None
    return isinstance(configs, dict) and any(map(_shares_a_seed, configs.values()))


def _shares_a_seed(task: Any) -> bool:
    if not isinstance(task, dict) or not isinstance(count := task.get("repeats"), int):
        return False
    generation = task.get("generation_kwargs")
    # Without the key, the harness sends 1234 with each request.
    seed = generation.get("seed", 1234) if isinstance(generation, dict) else 1234
    return count > 1 and seed is not None
