"""Writes a run's results as files: for a notebook, a data lake, a page.

Each format is a function from the table to bytes. Every row names its run, and says whether the
run was whole when it was written.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from snakeval.errors import ConfigError
from snakeval.results import records, table, to_markdown


@dataclass(frozen=True, slots=True)
class Exported:
    """What is written: the table of a run, and how much of it there is.

    Attributes:
        done, failed, missing: numbers of evaluations.
    """

    run: str
    name: str
    frame: pd.DataFrame
    done: int
    failed: int
    missing: int

    @property
    def partial(self) -> str:
        """Say what a partial result lacks; nothing of a whole one."""
        if not (self.failed or self.missing):
            return ""
        total = self.done + self.failed + self.missing
        return (
            f"partial: {self.done} of {total} evaluations are done, {self.failed} failed, "
            f"{self.missing} not evaluated"
        )

    @property
    def rows(self) -> pd.DataFrame:
        """The table, each row with its run and whether that is whole."""
        frame = self.frame.copy()
        frame.insert(0, "run", self.run)
        frame["run_complete"] = not self.partial
        return frame


def read(run: Path, name: str = "") -> Exported:
    """Return the results of *run*, made anew from its records."""
    frame = table(run)
    status = frame.drop_duplicates(["model", "benchmark"])["status"]
    counts = status.value_counts()
    return Exported(
        run.name,
        name,
        frame,
        *(int(counts.get(state, 0)) for state in ("done", "failed", "pending")),
    )


def write(results: Exported, formats: Sequence[str], directory: Path) -> dict[Path, bool]:
    """Write ``results.<ending>`` below *directory*, each whole or not at all.

    Return the files, and of each whether it was written: one that holds the same stays as it is.

    Raises:
        ConfigError: a format's library is absent, or *directory* cannot be written.
    """
    texts = {directory / f"results.{ENDINGS[name]}": WRITERS[name](results) for name in formats}
    try:
        return {path: _replace(path, content) for path, content in texts.items()}
    except OSError as error:
        raise ConfigError(
            f"{error.filename or directory}: cannot be written ({error.strerror}); "
            "name another directory with --output"
        ) from None


def _replace(path: Path, content: bytes) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _json(results: Exported) -> bytes:
    data = {
        "run": results.run,
        "name": results.name,
        "complete": not results.partial,
        "done": results.done,
        "failed": results.failed,
        "missing": results.missing,
        "results": records(results.frame),
    }
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def _csv(results: Exported) -> bytes:
    return results.rows.to_csv(index=False).encode()


def _markdown(results: Exported) -> bytes:
    title = f"# {' '.join(filter(None, (results.name, results.run)))}\n"
    note = f"\n**{results.partial.capitalize()}.**\n" if results.partial else ""
    return f"{title}{note}\n{to_markdown(results.frame)}\n".encode()


#: Columns that are no text. A column without a value would have no type, and so another one in
#: each run's file.
_NUMBERS = {
    "value": "Float64", "stderr": "Float64", "n": "Int64", "higher_is_better": "boolean",
    "limit_samples": "Int64", "seconds": "Float64", "attempt": "Int64", "run_complete": "boolean",
}  # fmt: skip


def _parquet(results: Exported) -> bytes:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ConfigError(
            "--format parquet: needs pyarrow; pip install 'snakeval[parquet]'"
        ) from None
    rows = results.rows
    typed = rows.astype({column: _NUMBERS.get(column, "string") for column in rows.columns})
    written = io.BytesIO()
    typed.to_parquet(written, engine="pyarrow", index=False)
    return written.getvalue()


WRITERS: dict[str, Callable[[Exported], bytes]] = {
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
    "markdown": _markdown,
}
ENDINGS = {"json": "json", "csv": "csv", "parquet": "parquet", "markdown": "md"}
