"""The notes on a run's endpoints: from before an endpoint's creation until it is gone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.files import DAMAGE, json_value, read_text, write_atomically
from snakeval.run.directory import RunDirectory


@dataclass(frozen=True, slots=True)
class Noted:
    """An endpoint of the run. Its key is a secret of the workspace by the endpoint's name.

    ``url`` is the full URL of its route, empty until it is ready. ``superseded``: it serves an
    earlier definition of the model, and stays while jobs ask it.
    """

    model: str
    name: str
    url: str = ""
    superseded: bool = False


class Notes:
    """The endpoints of a run."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._directory = run.endpoint_notes

    def all(self) -> list[Noted]:
        """Return every endpoint that may be there. Of a damaged note the name is left."""
        return [_read(file) for file in sorted(self._directory.glob("*.json"))]

    def asked_by(self, evaluation: str) -> list[Noted]:
        """Return those of the models that *evaluation* asks: its own, and auxiliary ones."""
        asked = {name for name, asking in self._run.deployed() if asking == evaluation}
        return [endpoint for endpoint in self.all() if endpoint.model in asked]

    def ready(self, model: str) -> Noted:
        """Return the endpoint that serves *model*.

        Raises:
            EvaluationError: there is none that got ready.
        """
        if (endpoint := self.find_ready(model)) is None:
            raise EvaluationError(f"no endpoint serves {model}; give the same command again")
        return endpoint

    def find_ready(self, model: str) -> Noted | None:
        """Return the endpoint that serves *model*; None if there is none that got ready."""
        for endpoint in self.all():
            if endpoint.model == model and endpoint.url and not endpoint.superseded:
                return endpoint
        return None

    def write(self, endpoint: Noted) -> None:
        """Note an endpoint."""
        self._directory.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(endpoint), json.dumps(asdict(endpoint)))

    def forget(self, endpoint: Noted) -> None:
        """Forget an endpoint that is gone."""
        self._path(endpoint).unlink(missing_ok=True)

    def _path(self, endpoint: Noted) -> Path:
        return self._directory / f"{endpoint.name}.json"


def _read(file: Path) -> Noted:
    try:
        data = json_value(read_text(file))
        url, superseded = str(data.get("url") or ""), bool(data.get("superseded"))
        return Noted(str(data["model"]), file.stem, url, superseded)
    except (OSError, *DAMAGE):
        return Noted("", file.stem)
