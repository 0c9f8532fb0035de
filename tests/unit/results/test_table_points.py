"""Steps of a series with equal weights have one evaluation, and its scores at each step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from snakeval.results.table import table
from support.made import Made


def test_a_point_has_the_scores_of_the_evaluation_with_equal_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    run = Made(tmp_path, "done", "failed")
    run.done("done")
    run.failed("failed", "out of coffee")
    run.plan += [replace(item, model="twin", same_as="m") for item in run.plan]
    run.save()
    rows = table(run.directory).set_index("model")
    for column in ("status", "value", "ci_low", "fingerprint", "path", "reason"):
        mine, twin = (
            [None if pd.isna(v) else v for v in rows.loc[m, column]] for m in ("m", "twin")
        )
        assert mine == twin, column
    assert list(rows.loc["twin", "status"]) == ["done", "failed"]
    assert list(rows.loc["twin", "path"]) == ["m/done", "m/failed"]
