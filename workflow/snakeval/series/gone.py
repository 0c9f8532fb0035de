"""Says why a checkpoint is no model any more: it was deleted after a head had seen it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from snakeval.config.config import Config
from snakeval.config.member_names import series_of
from snakeval.run.directory import RunDirectory
from snakeval.series import pattern


def why_gone(config: Config, name: str) -> str:
    """Return since when a checkpoint is gone, and where its results are; nothing of another name.

    *config* has its series as the user wrote them. The newest run that saw the checkpoint counts.
    """
    model = config.models.get(series_of(name))
    if model is None or model.checkpoints is None:
        return ""
    with suppress(OSError):
        root = Path(config.output_dir).expanduser()
        for path in sorted(root.iterdir(), reverse=True):
            run = RunDirectory(path)
            seen = run.read_series().get(name) if run.id else None
            if seen is None or not pattern.match(model.checkpoints.pattern, [seen.path]):
                continue
            if seen.stat and Path(seen.path).is_dir():
                return ""
            when = datetime.fromtimestamp(seen.missed)
            since = f" since {when:%Y-%m-%d %H:%M}" if seen.missed else ""
            return (
                f"its checkpoint {seen.path} is gone{since}; "
                f"`snakeval results {run.id}/{name}` shows its finished results"
            )
    return ""
