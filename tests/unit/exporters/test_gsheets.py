"""`gsheets`: the real client library against a stand-in of Google's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snakeval import exporters
from snakeval.errors import ConfigError
from snakeval.evaluation.record import Metric
from snakeval.exporters.delivery import Delivery, deliver
from support.made import Made
from support.sheets import ID, Sheets, serve


@pytest.fixture
def sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sheets]:
    with serve() as sheets:
        place = sheets.credentials(tmp_path)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(place))
        yield sheets


def sent(run: Made, sheets: Sheets, **options: Any) -> Delivery:
    values = {"spreadsheet_id": ID, "api_url": sheets.url, **options}
    exporter = exporters.find("gsheets", values)
    return deliver(run.directory, "named", "gsheets", exporter, print)


def reason(result: Delivery) -> str:
    (found,) = result.undelivered.values()
    return found


def test_a_row_is_a_metric_and_a_missing_evaluation_has_a_row(run: Made, sheets: Sheets) -> None:
    sent(run, sheets, tags={"team": "nlp"})
    rows = {row["benchmark"]: row for row in sheets.rows()}
    good = rows["good"]
    assert (good["value"], good["stderr"], good["n"]) == (0.1234567890123456, 0.05, 40)
    assert (good["status"], good["tags"], good["run_complete"]) == ("done", "team:nlp", False)
    assert (rows["bad"]["status"], rows["bad"]["reason"]) == ("failed", "no such data set")
    assert rows["to_do"]["status"] == "pending"


def test_a_second_export_writes_nothing(run: Made, sheets: Sheets) -> None:
    sent(run, sheets)
    before = sheets.rows()
    sheets.requests.clear()
    result = sent(run, sheets)
    assert sheets.rows() == before
    assert not any("values:batchUpdate" in request for request in sheets.requests)
    assert "3 rows in" in next(iter(result.delivered.values()))[0]


def test_a_pending_row_is_updated_in_place(run: Made, sheets: Sheets) -> None:
    sent(run, sheets)
    run.done("to_do", Metric("to_do", "acc", 0.5), Metric("to_do", "f1", 0.25))
    sent(run, sheets)
    found = [(row["benchmark"], row["metric"], row["value"]) for row in sheets.rows()]
    assert found == [
        ("good", "acc", 0.1234567890123456),
        ("bad", None, None),
        ("to_do", "acc", 0.5),
        ("to_do", "f1", 0.25),
    ]


def test_a_metric_that_is_gone_leaves_no_row(run: Made, sheets: Sheets) -> None:
    run.done("good", Metric("good", "acc", 0.5), Metric("good", "f1", 0.25))
    sent(run, sheets)
    sent(run, sheets, metrics="acc")
    assert [row["metric"] for row in sheets.rows()] == ["acc", None, None]


def test_the_users_columns_and_rows_stay(run: Made, sheets: Sheets) -> None:
    sheets.tabs["results"] = [
        ["note", "run", "value", None],
        ["mine", "another run", 1, None],
        [None, None, None, None],
    ]
    sent(run, sheets)
    sheets.tabs["results"][2][0] = "look at this"
    run.done("good", Metric("good", "acc", 0.75))
    sent(run, sheets)
    assert sheets.rows()[0] == {"note": "mine", "run": "another run", "value": 1} | dict.fromkeys(
        set(sheets.rows()[0]) - {"note", "run", "value"}
    )
    assert [(row["note"], row["value"]) for row in sheets.rows()][1] == ("look at this", 0.75)


def test_a_sheet_with_other_data_stays_untouched(run: Made, sheets: Sheets) -> None:
    sheets.tabs["results"] = [["Shopping", "milk"]]
    assert reason(sent(run, sheets)) == "the worksheet 'results' holds other data; name another one"
    assert sheets.tabs["results"] == [["Shopping", "milk"]]


def test_more_rows_than_a_sheet_has_make_it_larger(run: Made, sheets: Sheets) -> None:
    run.done("good", *(Metric("good", f"m{number}", 0.5) for number in range(150)))
    assert not sent(run, sheets).undelivered
    assert len(sheets.rows()) == 152


def test_a_formula_in_a_name_is_a_text(run: Made, sheets: Sheets) -> None:
    run.done("good", Metric("good", '=IMPORTXML("http://evil")', 0.5))
    sent(run, sheets)
    assert sheets.rows()[0]["metric"] == '=IMPORTXML("http://evil")'


def test_a_quota_error_is_retried(run: Made, sheets: Sheets) -> None:
    sheets.fail = [0, 429]
    assert not sent(run, sheets).undelivered
    assert len(sheets.rows()) == 3


def test_a_persistent_quota_error_is_one_sentence(run: Made, sheets: Sheets) -> None:
    sheets.fail = [429] * 9
    result = sent(run, sheets, attempts=2)
    assert reason(result) == "Google says: Quota exceeded for quota metric 'Write requests'"
    sheets.fail = []
    assert not sent(run, sheets).undelivered
    assert len(sheets.rows()) == 3


def test_a_lost_answer_creates_no_duplicate(run: Made, sheets: Sheets) -> None:
    sheets.lost = 1
    assert not sent(run, sheets).undelivered
    assert len(sheets.rows()) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"spreadsheet_id": "nowhere"}, "the spreadsheet nowhere does not exist; correct"),
        ({"spreadsheet_id": "private"}, "cannot be opened; share it with the service account"),
        ({"api_url": "http://127.0.0.1:1", "attempts": 1}, "Google: it cannot be reached: [Errno"),
    ],
)
def test_an_error_from_google_is_one_sentence(
    run: Made, sheets: Sheets, options: dict[str, Any], sentence: str
) -> None:
    assert sentence in reason(sent(run, sheets, **options))


def test_wrong_credentials_are_one_sentence(
    run: Made, sheets: Sheets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets.credentials(tmp_path, of_others=True)
    assert "refuses the credentials of GOOGLE_APPLICATION_CREDENTIALS" in reason(sent(run, sheets))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    assert "no credentials of Google" in reason(sent(run, sheets))


def test_a_name_finds_the_only_spreadsheet_that_has_it(run: Made, sheets: Sheets) -> None:
    by_name = {"spreadsheet_id": None, "spreadsheet_name": "Results"}
    assert sent(run, sheets, **by_name).delivered
    assert {row["benchmark"] for row in sheets.rows()} == {"good", "bad", "to_do"}
    sheets.names.append(("2second", "Results"))
    assert f"2 spreadsheets are called 'Results'; write one ID of {ID}, 2second" in reason(
        sent(run, sheets, **by_name)
    )
    sheets.names.clear()
    assert "no spreadsheet 'Results' is shared" in reason(sent(run, sheets, **by_name))


@pytest.mark.parametrize("both", [{}, {"spreadsheet_id": ID, "spreadsheet_name": "Results"}])
def test_a_spreadsheet_is_named_once(both: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="requires spreadsheet_id or spreadsheet_name"):
        exporters.find("gsheets", both)
