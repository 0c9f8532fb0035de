"""The files that lm-evaluation-harness writes, and in which of its samples it found an answer."""

from __future__ import annotations

from pathlib import Path

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.trees import is_artifact
from snakeval.files import json_value
from snakeval.harnesses import bounded

#: The text of filters that find nothing, as ``RegexFilter`` (lm_eval/filters/extraction.py).
_INVALID = "[invalid]"


def results_files(artifacts: Path) -> list[Path]:
    """Return the results files, the newest last."""
    found = (p for p in artifacts.glob("*/results_*.json") if is_artifact(p, artifacts))
    return sorted(found, key=lambda path: path.name)


def sample_files(artifacts: Path) -> list[tuple[str, Path]]:
    """Return task and path of each log of samples of the newest results."""
    files = results_files(artifacts)
    if not files:
        return []
    end = f"_{files[-1].stem.removeprefix('results_')}.jsonl"
    found = sorted(files[-1].parent.glob(f"samples_*{end}"))
    return [
        (path.name.removeprefix("samples_").removesuffix(end), path)
        for path in found
        if is_artifact(path, artifacts)
    ]


def unparsed(evaluation: Evaluation, artifacts: Path) -> tuple[int, int] | None:
    """Return in how many samples no filter found an answer, and of how many that is known.

    Samples without a filter do not count, since nothing looks for an answer in them.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, OSError: a log is damaged.
    """
    found: dict[tuple[str, str], bool] = {}
    for task, path in sample_files(artifacts):
        for line in bounded.lines(path):
            data = json_value(line)
            if str(data.get("filter") or "none") != "none":
                key = (task, str(data["doc_id"]))
                found[key] = found.get(key, False) or not _is_invalid(data["filtered_resps"])
    return (sum(not each for each in found.values()), len(found)) if found else None


def _is_invalid(answers: object) -> bool:
    if isinstance(answers, list):
        return bool(answers) and all(map(_is_invalid, answers))
    return answers == _INVALID
