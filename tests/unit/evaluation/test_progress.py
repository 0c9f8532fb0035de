"""How far an evaluation is, as its harness tells it. The logs are as real harnesses wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.progress import requests
from snakeval.logs import tail
from support.made import begin

#: What lm-evaluation-harness 0.4.13 printed, its job before and its bars in between.
LM_EVAL = """\
=== 2026-11-25T10:02:48+00:00 careful/sorting attempt 1
snakeval: runtime: process (as configured)
snakeval: careful is served at http://127.0.0.1:22867/v1/chat/completions (process) [log: s.log]
2026-11-25:10:03:30 INFO     [api.task:312] Building contexts for demo_sorting on rank 0...
\r  0%|          | 0/40 [00:00<?, ?it/s]\r100%|██████████| 40/40 [00:00<00:00, 154344.54it/s]
2026-11-25:10:03:31 INFO     [evaluator:584] Running generate_until requests
\rChecking cached requests:   0%|          | 0/40 [00:00<?, ?it/s]\
\rChecking cached requests: 100%|██████████| 40/40 [00:00<00:00, 1208.34it/s]
2026-11-25:10:03:31 INFO     [api.model:329] Cached requests: 0, Requests remaining: 40
"""
ASKING = """\
\rRequesting API:   0%|          | 0/40 [00:00<?, ?it/s]\
\rRequesting API:  45%|████▌     | 18/40 [00:03<00:05,  4.20it/s]"""


@pytest.fixture
def directory(tmp_path: Path) -> EvaluationDirectory:
    directory = EvaluationDirectory(tmp_path / "model" / "benchmark")
    assert begin(directory, "f" * 64) == 1
    return directory


def log(directory: EvaluationDirectory, text: str, attempt: int = 1) -> None:
    directory.attempt_log(attempt).write_text(text, encoding="utf-8")


def test_requests_of_lm_eval_are_those_of_its_newest_bar(directory: EvaluationDirectory) -> None:
    log(directory, LM_EVAL + ASKING)
    assert requests(directory) == (18, 40)
    log(directory, f"{LM_EVAL}{ASKING}\n{ASKING.replace('18/40', '3/9')}")
    assert requests(directory) == (3, 9)


def test_before_the_first_request_the_count_is_unknown(directory: EvaluationDirectory) -> None:
    assert requests(directory) is None
    log(directory, LM_EVAL)
    assert requests(directory) is None


def test_the_eval_factory_counts_in_a_file_without_a_total(directory: EvaluationDirectory) -> None:
    (directory.artifacts / "progress").write_text("37")
    assert requests(directory) == (37, None)
    (directory.artifacts / "progress").write_text("")  # being written
    assert requests(directory) is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (" 10%|#         | 1/10 [00:01<00:09,  1.00it/s]", (1, 10)),
        ("Asking:  50%|█████     | 5/10 [00:01<00:01, 5.00s/it]\r\n", (5, 10)),
        ("model.bin:  50%|█████     | 5/10 [00:01<00:01, 5.00MB/s]", None),
        ("Fetching 5 files:  40%|████      | 2/5 [00:01<00:01, 5.00it/s]", None),
        ("Generating test split:  40%|████      | 2/5 [00:01<00:01, 5.00 examples/s]", None),
        ("3/4 of the questions are hard", None),
    ],
)
def test_requests_of_a_command_are_those_of_any_bar_of_requests(
    directory: EvaluationDirectory, line: str, told: tuple[int, int] | None
) -> None:
    log(directory, line)
    assert requests(directory) == told


def test_the_newest_attempt_counts(directory: EvaluationDirectory) -> None:
    log(directory, ASKING.replace("18/40", "40/40"), attempt=9)
    log(directory, ASKING, attempt=10)
    assert requests(directory) == (18, 40)
    log(directory, "", attempt=11)
    assert requests(directory) is None


def test_only_the_end_of_a_log_is_read(directory: EvaluationDirectory) -> None:
    log(directory, ASKING + "\n" + "x" * 1_000_000)
    assert requests(directory) is None
    assert len(tail(directory.attempt_log(1))) < 20_000
