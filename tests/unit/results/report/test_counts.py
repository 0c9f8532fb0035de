"""The counts of requests and tokens in the report, with and without a gateway."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.ledger.counts import Counts
from snakeval.results.report.counts import Usage, of_harness, usage

STATS = {"count": 12, "successful_count": 10, "avg_prompt_tokens": 20.5}


def measured(place: Path, versions: dict[str, str]) -> Any:
    directory = EvaluationDirectory(place / "run/m/b")
    directory.artifacts.mkdir(parents=True)
    directory.requests.mkdir()
    record = SimpleNamespace(versions=versions)
    return SimpleNamespace(directory=directory, record=record, model="m")


def test_a_record_of_an_earlier_version_has_its_harnesss_counts(tmp_path: Path) -> None:
    one = measured(tmp_path, {"snakeval": "0.9"})
    log = one.directory.artifacts / "eval_factory_metrics.json"
    log.write_text(json.dumps({"response_stats": STATS}))
    assert usage(one) == Usage(12, 205, None)


def test_a_record_with_a_ledger_has_its_gateways_counts(tmp_path: Path) -> None:
    one = measured(tmp_path, {"ledger": "on"})
    log = one.directory.artifacts / "eval_factory_metrics.json"
    log.write_text(json.dumps({"response_stats": STATS}))
    assert usage(one) == Usage(), "the harness counts its own requests only"
    counts = Counts()
    counts.requests, counts.tokens = 7, {"prompt": 70, "completion": 14}
    part = counts.data(0) | {"in_flight": 0, "queued": 0}
    text = json.dumps({"upstreams": {"m": part}})
    (one.directory.requests / "summary.json").write_text(text)
    assert usage(one) == Usage(7, 70, 14)


def test_a_harness_without_a_log_counts_nothing(tmp_path: Path) -> None:
    assert of_harness(tmp_path) == Usage()


@pytest.mark.parametrize(
    "text",
    [
        '{"response_stats": {"count": 9, "successful_count": 1000, "avg_prompt_tokens": 1e308}}',
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"response_stats": {"count": 1e400, "successful_count": 1e308}}',
        '{"response_stats": [1]}',
        "[]",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_damaged_statistics_have_no_tokens(tmp_path: Path, text: str) -> None:
    (tmp_path / "eval_factory_metrics.json").write_text(text, encoding="utf-8")
    assert of_harness(tmp_path).prompt_tokens is None
    assert of_harness(tmp_path).requests in (None, 9)
