"""In which samples lm-evaluation-harness found an answer, read from its logs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakeval.harnesses.reading import read_unparsed


def evaluation(adapter: str) -> Any:
    return SimpleNamespace(identity=SimpleNamespace(adapter=adapter))


TIME = "2026-11-24T10-00-00.000001"


def log(artifacts: Path, task: str, *lines: tuple[int, str, Any]) -> None:
    """Write a log of samples: number of the item, filter, what the filter returned."""
    folder = artifacts / "m"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"results_{TIME}.json").write_text("{}")
    texts = [json.dumps({"doc_id": n, "filter": f, "filtered_resps": r}) for n, f, r in lines]
    (folder / f"samples_{task}_{TIME}.jsonl").write_text("\n".join(texts))


def test_a_sample_is_parsed_if_one_filter_finds_an_answer(tmp_path: Path) -> None:
    log(
        tmp_path,
        "gsm8k",
        (0, "strict-match", ["[invalid]"]),
        (0, "flexible-extract", ["18"]),
        (1, "strict-match", ["[invalid]"]),
        (1, "flexible-extract", ["[invalid]"]),
        (2, "strict-match", [["[invalid]", "7"]]),
    )
    log(tmp_path, "other_task", (0, "get-answer", ["[invalid]"]), (1, "none", ["[invalid]"]))
    for adapter in ("lm-eval", "nemo"):
        assert read_unparsed(evaluation(adapter), tmp_path) == (2, 4)


def test_it_is_unknown_without_a_filter_a_log_or_sound_lines(tmp_path: Path) -> None:
    made = evaluation("lm-eval")
    assert read_unparsed(made, tmp_path) is None
    log(tmp_path, "t", (0, "none", ["text"]))
    assert read_unparsed(made, tmp_path) is None
    (tmp_path / "m" / f"samples_t_{TIME}.jsonl").write_text('{"filter": "f"}\n')
    assert read_unparsed(made, tmp_path) is None
    assert read_unparsed(evaluation("generic"), tmp_path) is None
    assert read_unparsed(evaluation("no such adapter"), tmp_path) is None
