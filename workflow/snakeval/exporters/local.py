"""``local``: exports a run's results as files, for notebooks, web pages and Inspect's viewer.

Each format is a function from the package to the contents of its files. Every row names its run
and says whether the run was complete at that time.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from snakeval.config.types import PathText
from snakeval.exporters import ExportError, Options, require
from snakeval.exporters.package import Package
from snakeval.files import replacing
from snakeval.results.readable import to_csv
from snakeval.run.directory import RunDirectory

Format = Literal["json", "csv", "parquet", "markdown", "inspect"]


class LocalOptions(Options):
    """The options of ``local``."""

    per: Literal["run"] = "run"
    output_dir: PathText | None = Field(default=None, description="null = export/ in the run")
    formats: Annotated[
        tuple[Format, ...],
        BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value),
    ] = ("json", "csv", "markdown")


class Local:
    """Writes each file atomically, and leaves a file with the same content untouched."""

    OPTIONS = LocalOptions

    def __init__(self, options: LocalOptions) -> None:
        self.options = options
        if "parquet" in options.formats:
            require("pyarrow", "parquet", "format parquet needs pyarrow")

    def open(self) -> None:
        """Do nothing: there is no service to connect to."""

    def send(self, package: Package) -> Sequence[str]:
        """Write the files and copy the artifacts."""
        place = Path(self.options.output_dir or RunDirectory(package.directory).exports)
        contents = [
            (name, content)
            for wanted in self.options.formats
            for name, content in WRITERS[wanted](package)
        ]
        try:
            written = {place / name: _replace(place / name, content) for name, content in contents}
            for artifact in package.artifacts:
                target = place / "artifacts" / artifact.name
                written[target] = _copy(artifact.path, target)
        except OSError as error:
            raise ExportError(
                f"{error.filename or place}: cannot be written ({error.strerror}); "
                "name another output_dir"
            ) from None
        return [f"{path}{'' if new else '  (unchanged)'}" for path, new in written.items()]

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def _replace(path: Path, content: bytes) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft, draft.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return True


def _copy(source: Path, path: Path) -> bool:
    """Copy a file and its time; the time shows the next export whether the file has changed."""
    now = source.stat()
    with contextlib.suppress(FileNotFoundError):
        before = path.stat()
        if (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns):
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        shutil.copy2(source, draft)
    return True


Files = list[tuple[str, bytes]]


def _json(results: Package) -> Files:
    from snakeval.results.table import records

    data = {
        "run": results.run,
        "name": results.title,
        "complete": not results.partial,
        "done": results.done,
        "failed": results.failed,
        "missing": results.missing,
        **({"tags": dict(results.tags)} if results.tags else {}),
        "results": records(results.frame),
    }
    return [("results.json", (json.dumps(data, indent=1, allow_nan=False) + "\n").encode())]


def _csv(results: Package) -> Files:
    return [("results.csv", to_csv(results.rows).encode())]


def _markdown(results: Package) -> Files:
    from snakeval.results.table import to_markdown

    title = f"# {' '.join(filter(None, (results.title, results.run)))}\n"
    note = f"\n**{results.partial.capitalize()}.**\n" if results.partial else ""
    return [("results.md", f"{title}{note}\n{to_markdown(results.frame)}\n".encode())]


#: The columns that are not text. An empty column has no type of its own, so without this table its
#: type would differ between the files of several runs.
_NUMBERS = {
    "value": "Float64", "stderr": "Float64", "ci_low": "Float64", "ci_high": "Float64",
    "n": "Int64", "higher_is_better": "boolean", "limit_samples": "Int64", "seconds": "Float64",
    "attempt": "Int64", "run_complete": "boolean",
}  # fmt: skip


def _parquet(results: Package) -> Files:
    rows = results.rows
    typed = rows.astype({column: _NUMBERS.get(column, "string") for column in rows.columns})
    written = io.BytesIO()
    typed.to_parquet(written, engine="pyarrow", index=False)
    return [("results.parquet", written.getvalue())]


def _inspect(results: Package) -> Files:
    from snakeval.exporters.inspect_log import logs

    return [(f"inspect/{name}", text.encode()) for name, text in logs(results)]


WRITERS: dict[Format, Callable[[Package], Files]] = {
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
    "markdown": _markdown,
    "inspect": _inspect,
}
