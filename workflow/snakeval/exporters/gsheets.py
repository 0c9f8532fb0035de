"""``gsheets``: exports rows to a Google spreadsheet (https://developers.google.com/sheets/api).

A row is one metric. Its run, model, benchmark, task, metric and filter identify the row, and a
later export updates it in place. The user's own columns and rows stay where they are. The exporter
writes cells to fixed places and never appends, because a repeated request must not add a row twice.
Two simultaneous exports to one worksheet may take the same free rows. The next export repairs them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from snakeval.exporters import ExportError, Options, require, unreachable
from snakeval.exporters.package import Package

Result = TypeVar("Result")
Row = dict[str, Any]
_KEY = ("run", "model", "benchmark", "task", "metric", "filter")
_COLUMNS = (
    *_KEY, "value", "stderr", "ci_low", "ci_high", "n", "higher_is_better", "status", "reason",
    "run_complete", "tags", "harness", "image_digest", "limit_samples", "seconds", "finished",
    "fingerprint",
)  # fmt: skip
_SCOPE = "https://www.googleapis.com/auth/spreadsheets"
_SCOPE_OF_NAMES = "https://www.googleapis.com/auth/drive.metadata.readonly"
_API = "https://sheets.googleapis.com"
#: Google's API that finds a spreadsheet by its name.
_DRIVE = "https://www.googleapis.com"
#: Rows per request, well below the 2 MB that Google recommends.
_ROWS = 2000


class GSheetsOptions(Options):
    """The options of ``gsheets``."""

    per: Literal["run"] = "run"
    spreadsheet_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="the ID in the address …/spreadsheets/d/ID/edit",
    )
    spreadsheet_name: str | None = Field(
        default=None,
        pattern=r'^[^"\\]+$',
        description="instead of the ID; exactly one spreadsheet that is shared has this name",
    )
    worksheet: str = Field(default="results", min_length=1, description="created if it is missing")
    api_url: str = Field(
        default=_API,
        pattern=r"^https?://[^/@\s]+$",
        description="address of the API; default: Google's",
    )

    @field_validator("artifacts")
    @classmethod
    def _no_files(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            raise PydanticCustomError("files", "a sheet takes no files; remove the patterns")
        return value

    @model_validator(mode="after")
    def _one_spreadsheet(self) -> Self:
        if (self.spreadsheet_id is None) == (self.spreadsheet_name is None):
            raise PydanticCustomError(
                "one", "requires spreadsheet_id or spreadsheet_name; write one of them"
            )
        return self


class GSheets:
    """Writes a run's metrics as rows of a worksheet."""

    OPTIONS = GSheetsOptions

    def __init__(self, options: GSheetsOptions) -> None:
        self.options = options
        require("gspread", "gsheets")
        require("google.auth", "gsheets", "needs google-auth")

    def open(self) -> None:
        """Open the worksheet, or create it."""

        def find() -> Any:
            import google.auth
            import gspread

            named = self.options.spreadsheet_name
            scopes = [_SCOPE, _SCOPE_OF_NAMES] if named else [_SCOPE]
            credentials, _ = google.auth.default(scopes=scopes)
            client = gspread.Client(credentials, http_client=_client(self.options.api_url))
            client.http_client.set_timeout(60)
            key = self.options.spreadsheet_id or _only(
                str(named), client.list_spreadsheet_files(title=named)
            )
            sheet = client.open_by_key(key)
            try:
                return sheet.worksheet(self.options.worksheet)
            except gspread.WorksheetNotFound:
                size = {"rows": 100, "cols": len(_COLUMNS)}
                return sheet.add_worksheet(self.options.worksheet, **size)

        self._worksheet = self._asked(find)

    def send(self, package: Package) -> Sequence[str]:
        """Update the rows of *package* and add the missing ones."""
        return self._asked(lambda: self._send(package))

    def close(self) -> None:
        """Do nothing: the client holds no resources."""

    def _send(self, package: Package) -> Sequence[str]:
        cells = self._worksheet.get_values(
            value_render_option="UNFORMATTED_VALUE", pad_values=True
        ) or [[]]
        header = _merged_header(cells[0], self.options.worksheet)
        rows = list(_rows(package))
        there = [dict(zip(header, row, strict=False)) for row in cells[1:]]
        changes = _placed(package.run, there, rows)
        if new := [name for name in header if name not in cells[0]]:
            changes[0] = dict(zip(new, new, strict=True))
        self._make_room(len(header), max([len(cells), *(number + 1 for number in changes)]))
        numbers = sorted(changes)
        for start in range(0, len(numbers), _ROWS):
            ranges = [
                spread
                for number in numbers[start : start + _ROWS]
                for spread in _ranges(number, header, changes[number])
            ]
            self._worksheet.batch_update(ranges, raw=True)
        done = len(changes) - (0 in changes)
        return [f"gsheets: {len(rows)} rows in {self._worksheet.url}, {done} of them changed"]

    def _make_room(self, columns: int, rows: int) -> None:
        sheet = self._worksheet
        if sheet.col_count < columns or sheet.row_count < rows:
            sheet.resize(max(sheet.row_count, rows), max(sheet.col_count, columns))

    def _asked(self, action: Callable[[], Result]) -> Result:
        """Call the API and translate its errors into an :class:`ExportError`.

        Raises:
            ExportError: Google rejected the request, or did not answer.
        """
        from google.auth import exceptions as auth
        from gspread.exceptions import APIError, GSpreadException, SpreadsheetNotFound

        key = "GOOGLE_APPLICATION_CREDENTIALS"
        given = self.options.spreadsheet_id or f"'{self.options.spreadsheet_name}'"
        named = f"the spreadsheet {given}"
        share = "share it with the service account's address, as an editor"
        try:
            return action()
        except auth.DefaultCredentialsError as error:
            raise ExportError(
                f"no credentials of Google: {str(error).splitlines()[0]} Export {key}, the path "
                "of a service account's key file"
            ) from None
        except auth.RefreshError as error:
            raise ExportError(
                f"Google refuses the credentials of {key}: {error.args[0]}", passing=error.retryable
            ) from None
        except SpreadsheetNotFound:
            raise ExportError(f"{named} does not exist; correct spreadsheet_id") from None
        except PermissionError:
            raise ExportError(f"{named} cannot be opened; {share}") from None
        except APIError as error:
            status = error.response.status_code
            hint = f"; {share}" if status == 403 else ""
            said = f"Google says: {error.error.get('message', status)}{hint}"
            raise ExportError(said, passing=status == 429 or status >= 500) from None
        except (auth.TransportError, OSError) as error:
            raise ExportError(f"Google: {unreachable(error)}", passing=True) from None
        except (GSpreadException, auth.GoogleAuthError) as error:
            raise ExportError(error) from None


def _client(api_url: str) -> Any:
    """Return a client class for another API address: gspread has the address as a constant."""
    import gspread

    class Client(gspread.HTTPClient):
        def request(self, method: str, endpoint: str, *words: Any, **more: Any) -> Any:
            endpoint = endpoint.replace(_API, api_url, 1)
            if api_url != _API:
                endpoint = endpoint.replace(_DRIVE, api_url, 1)
            return super().request(method, endpoint, *words, **more)

    return Client


def _only(name: str, files: Sequence[Mapping[str, Any]]) -> str:
    """Return the ID of the only one of *files*, the spreadsheets called *name*.

    Raises:
        ExportError: none has the name, or several have it.
    """
    if not files:
        raise ExportError(
            f"no spreadsheet '{name}' is shared with the service account's address; share it, or "
            "write spreadsheet_id"
        )
    if len(files) > 1:
        ids = ", ".join(str(file["id"]) for file in files)
        raise ExportError(f"{len(files)} spreadsheets are called '{name}'; write one ID of {ids}")
    return str(files[0]["id"])


def _rows(package: Package) -> Iterator[Row]:
    tags = ", ".join(f"{k}:{v}" if v else k for k, v in package.tags.items())
    for row in package.rows.to_dict(orient="records"):
        yield {column: _cell({**row, "tags": tags}.get(column)) for column in _COLUMNS}


def _cell(value: Any) -> Any:
    """Return the value of a cell: a number, a truth value, or a text of up to 50,000 characters."""
    import pandas as pd

    if pd.isna(value):
        return ""
    plain = value.item() if hasattr(value, "item") else value
    return plain[:50_000] if isinstance(plain, str) else plain


def _merged_header(first: Sequence[Any], worksheet: str) -> list[str]:
    """Return the columns: the worksheet's in their order, then the exporter's missing ones.

    Raises:
        ExportError: the first row is not a header of this exporter.
    """
    there = [str(cell) for cell in first]
    if any(there) and "run" not in there:
        raise ExportError(f"the worksheet '{worksheet}' holds other data; name another one")
    while there and not there[-1]:
        there.pop()
    return there + [column for column in _COLUMNS if column not in there]


def _placed(run: str, there: Sequence[Row], rows: Sequence[Row]) -> dict[int, Row]:
    """Return the cells to write, by row number; the header is row 0.

    An existing row keeps its place. A row of this run may be obsolete: its evaluation was pending
    and now has metrics. New rows replace obsolete ones; the remaining obsolete rows become empty.
    """
    places: dict[tuple[str, ...], int] = {}
    free = []
    wanted = {_key(row) for row in rows}
    for number, row in enumerate(there, 1):
        if str(row.get("run", "")) == run:
            key = _key(row)
            if key in wanted and key not in places:
                places[key] = number
            else:
                free.append(number)
    free.reverse()
    end = len(there) + 1
    changes: dict[int, Row] = {}
    for row in rows:
        number = places.get(_key(row)) or (free.pop() if free else end)
        end = max(end, number + 1)
        old = there[number - 1] if number <= len(there) else {}
        if changed := {name: v for name, v in row.items() if not _same(old.get(name, ""), v)}:
            changes[number] = changed
    return changes | {number: dict.fromkeys(_COLUMNS, "") for number in free}


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(column, "")) for column in _KEY)


def _same(old: Any, new: Any) -> bool:
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _ranges(number: int, header: Sequence[str], cells: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a row's cells as ranges of adjacent cells; the cells between ranges stay untouched."""
    from gspread.utils import rowcol_to_a1

    columns = sorted(header.index(name) for name in cells)
    for _, group in itertools.groupby(enumerate(columns), lambda pair: pair[1] - pair[0]):
        near = [column for _, column in group]
        first, last = (rowcol_to_a1(number + 1, column + 1) for column in (near[0], near[-1]))
        yield {"range": f"{first}:{last}", "values": [[cells[header[column]] for column in near]]}
