"""A stand-in of Google's Sheets API v4 and of its token server; strict, and with cells in memory.

After https://developers.google.com/sheets/api/reference/rest: as much as the exporter uses. What
it does not know, or what the real one refuses, it refuses.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from support.servers import JsonHandler, answering

ID = "1aBcD_-sheet"
_SHEETS = "https://www.googleapis.com/auth/spreadsheets"
_NAMES = "https://www.googleapis.com/auth/drive.metadata.readonly"
_TOKEN = "ya29.token-of-the-stand-in"
_RANGE = re.compile(r"(?:'([^']+)'!)?([A-Z]+)(\d+):([A-Z]+)(\d+)")


class Refused(Exception):
    """An error of the API: its status and its words."""


class Sheets:
    """What is in the spreadsheet, and what was asked.

    Attributes:
        tabs: title -> rows of cells; None is an empty one.
        requests: method and path of each, in order.
        fail: statuses for the next requests of cells, in order; 0 fails nothing.
        lost: of how many writes the answer is to be lost.
        names: ID and name of each spreadsheet that is shared.
    """

    def __init__(self) -> None:
        self.tabs: dict[str, list[list[Any]]] = {"Sheet1": [[None] * 26 for _ in range(10)]}
        self.requests: list[str] = []
        self.fail: list[int] = []
        self.lost = 0
        self.url = ""
        self.names = [(ID, "Results")]
        self.scope = ""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def credentials(self, directory: Path, *, of_others: bool = False) -> Path:
        """Write a service account's key file, as Google's console hands it out."""
        key = self._key
        if of_others:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path = directory / "service-account.json"
        content = {
            "type": "service_account", "project_id": "p", "private_key_id": "1",
            "private_key": pem.decode(), "client_email": "robot@p.iam.gserviceaccount.com",
            "client_id": "1", "token_uri": f"{self.url}/token",
        }  # fmt: skip
        path.write_text(json.dumps(content))
        return path

    def rows(self, tab: str = "results") -> list[dict[str, Any]]:
        """The rows below the header that hold anything."""
        header, *rest = self.tabs[tab]
        found = ({k: v for k, v in zip(header, row, strict=True) if k is not None} for row in rest)
        return [row for row in found if any(value is not None for value in row.values())]

    # --- the API --------------------------------------------------------------------------

    def token(self, form: dict[str, list[str]]) -> dict[str, Any]:
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        signed, _, signature = form["assertion"][0].rpartition(".")
        try:
            self._key.public_key().verify(
                _decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            raise Refused(400, {"error": "invalid_grant", "error_description": "Bad JWT"}) from None
        claims = json.loads(_decoded(signed.split(".")[1]))
        assert claims["scope"] in (_SHEETS, f"{_SHEETS} {_NAMES}")
        self.scope = claims["scope"]
        return {"access_token": _TOKEN, "expires_in": 3600, "token_type": "Bearer"}

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        if path == "/drive/v3/files":
            assert _NAMES in self.scope, "Insufficient Permission"
            wanted = re.fullmatch(
                r'mimeType="application/vnd\.google-apps\.spreadsheet" and name = "([^"]+)"',
                query["q"][0],
            )
            assert wanted is not None, query
            return {"files": [{"id": i, "name": n} for i, n in self.names if n == wanted[1]]}
        name, _, rest = path.removeprefix("/v4/spreadsheets/").partition("/")
        name, _, verb = name.partition(":")
        if name == "private":
            raise _refused(403, "The caller does not have permission")
        if name != ID:
            raise _refused(404, "Requested entity was not found.")
        if method == "GET" and not rest:
            return self._metadata()
        if method == "POST" and verb == "batchUpdate":
            return {"replies": [self._update(**request) for request in body["requests"]]}
        if self.fail and (status := self.fail.pop(0)):
            raise _refused(status, "Quota exceeded for quota metric 'Write requests'")
        if method == "GET" and rest.startswith("values/"):
            assert query["valueRenderOption"] == ["UNFORMATTED_VALUE"]
            return self._values(rest.removeprefix("values/"))
        if method == "POST" and rest == "values:batchUpdate":
            assert body["valueInputOption"] == "RAW", "a model's name may begin with ="
            # All or nothing, as the real one.
            places = [(self._place(item["range"]), item["values"]) for item in body["data"]]
            for place, values in places:
                self._write(*place, values)
            return {"spreadsheetId": ID}
        raise _refused(404, f"no {method} {path}")

    def _metadata(self) -> dict[str, Any]:
        sheets = [
            {
                "properties": {
                    "sheetId": number, "title": title, "index": number, "sheetType": "GRID",
                    "gridProperties": {"rowCount": len(tab), "columnCount": len(tab[0])},
                }
            }
            for number, (title, tab) in enumerate(self.tabs.items())
        ]  # fmt: skip
        return {"spreadsheetId": ID, "properties": {"title": "Results"}, "sheets": sheets}

    def _update(self, **request: Any) -> dict[str, Any]:
        ((kind, asked),) = request.items()
        properties = asked["properties"]
        grid = properties["gridProperties"]
        if kind == "addSheet":
            if properties["title"] in self.tabs:
                raise _refused(400, f"A sheet with the name {properties['title']} already exists.")
            self.tabs[properties["title"]] = [
                [None] * grid["columnCount"] for _ in range(grid["rowCount"])
            ]
            return {"addSheet": self._metadata()["sheets"][-1]}
        assert kind == "updateSheetProperties", kind
        assert set(asked["fields"].split(",")) <= {
            "gridProperties/rowCount",
            "gridProperties/columnCount",
        }
        tab = [*self.tabs.values()][properties["sheetId"]]
        columns = grid.get("columnCount", len(tab[0]))
        rows = grid.get("rowCount", len(tab))
        for row in tab:
            row[columns:] = [None] * (columns - len(row))
        tab[rows:] = [[None] * columns for _ in range(rows - len(tab))]
        return {}

    def _values(self, name: str) -> dict[str, Any]:
        title = name.strip("'")
        rows = [_trimmed(["" if cell is None else cell for cell in r]) for r in self.tabs[title]]
        return {"range": f"'{title}'", "majorDimension": "ROWS", "values": _trimmed(rows)}

    def _place(self, name: str) -> tuple[list[list[Any]], int, int, int]:
        match = _RANGE.fullmatch(name)
        assert match is not None, name
        tab = self.tabs[match[1]]
        row, last_row = int(match[3]) - 1, int(match[5]) - 1
        first, last = _number(match[2]), _number(match[4])
        assert row == last_row, "a row at a time"
        if row >= len(tab) or last >= len(tab[0]):
            raise _refused(400, f"Range ({name}) exceeds grid limits.")
        return tab, row, first, last

    @staticmethod
    def _write(tab: list[list[Any]], row: int, first: int, last: int, values: Any) -> None:
        ((*cells,),) = values
        assert len(cells) == last - first + 1
        for column, cell in enumerate(cells, first):
            assert isinstance(cell, (str, int, float, bool)), cell
            assert not isinstance(cell, str) or len(cell) <= 50_000
            tab[row][column] = None if cell == "" else cell


def _refused(status: int, message: str) -> Refused:
    return Refused(status, {"error": {"code": status, "message": message, "status": "X"}})


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _trimmed(cells: list[Any]) -> list[Any]:
    """Without empty ends, as the real one answers."""
    while cells and cells[-1] in ("", []):
        cells.pop()
    return cells


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


class _Handler(JsonHandler):
    sheets: Sheets

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.sheets.requests.append(f"{self.command} {path}")
        try:
            if path == "/token":
                status, said = 200, self.sheets.token(parse_qs(body.decode()))
            else:
                if self.headers.get("Authorization") != f"Bearer {_TOKEN}":
                    raise _refused(401, "Request had invalid authentication credentials.")
                data = json.loads(body) if body else None
                status = 200
                said = self.sheets.answer(self.command, path, parse_qs(url.query), data)
        except Refused as error:
            status, said = error.args
        except (AssertionError, KeyError) as error:
            status, said = _refused(400, f"{type(error).__name__}: {error}").args
        if path.endswith("values:batchUpdate") and status == 200 and self.sheets.lost:
            self.sheets.lost -= 1
            self.close_connection = True
            return
        self.reply(status, said)


@contextmanager
def serve() -> Iterator[Sheets]:
    """Serve an empty spreadsheet."""
    sheets = Sheets()
    with answering(_Handler, sheets=sheets) as sheets.url:
        yield sheets
