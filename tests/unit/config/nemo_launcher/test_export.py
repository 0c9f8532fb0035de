"""Tests export destinations that are not in config/test_nemo_launcher.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval import exporters
from support.launcher import TARGET, TASKS, made, plain, read, translated


def content(destinations: list[str], **configs: Any) -> dict[str, Any]:
    auto = {"destinations": destinations, "configs": configs}
    return {"target": TARGET, "evaluation": TASKS, "execution": {"auto_export": auto}}


def test_a_spreadsheet_may_have_a_name_and_its_id_wins(tmp_path: Path) -> None:
    named = {"spreadsheet_name": "Results", "log_mode": "multi_task"}
    config = plain(tmp_path, content(["gsheets"], gsheets=named))
    assert config.export["gsheets"] == {"spreadsheet_name": "Results"}
    exporters.find("gsheets", config.export["gsheets"])
    both = content(["gsheets"], gsheets=named) | {"export": {"gsheets": {"spreadsheet_id": "1a"}}}
    assert plain(tmp_path, both).export["gsheets"] == {"spreadsheet_id": "1a"}


@pytest.mark.parametrize("name", ["s3", "jet"])
def test_a_destination_without_an_exporter_is_reported(tmp_path: Path, name: str) -> None:
    data = content([name, "local"], **{name: {"bucket": "b"}})
    assert list(plain(tmp_path, data).export) == ["local"]
    place = "execution.auto_export.destinations"
    assert any(
        n.startswith(f"{place}: nothing goes to {name}; ") for n in read(tmp_path, data).notes
    )


def test_a_secret_of_a_destination_without_an_exporter_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET", "the-secret-itself")
    data = content(["s3"], s3={"secret_access_key": "${oc.env:AWS_SECRET}"})
    source = translated(tmp_path, data).source
    assert "the-secret-itself" not in str(source)
    assert made(tmp_path, data).export == {}
