"""Says why a checkpoint is no model any more: it was deleted after a head had seen it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from snakeval.config.config import Config
from snakeval.config.member_names import series_of
from snakeval.errors import ConfigError
from snakeval.run.find import find


def why_gone(config: Config, name: str) -> str:
    """Return since when a checkpoint is gone, and where its results are; nothing of another name.

    *config* has its series as the user wrote them; the newest run of it knows the checkpoint.
    """
    series = config.models.get(series_of(name))
    if series is None or not series.checkpoints:
        return ""
    with suppress(ConfigError, OSError):
        run = find(config)
        seen = run.directory.read_series().get(name) if run.directory.exists else None
        if seen is None or (seen.stat and Path(seen.path).is_dir()):
            return ""
        since = (
            f" since {datetime.fromtimestamp(seen.missed):%Y-%m-%d %H:%M}" if seen.missed else ""
        )
        return (
            f"its checkpoint {seen.path} is gone{since}; "
            f"`snakeval results {run.id}/{name}` shows its finished results"
        )
    return ""
