"""Lets a warning that concerns all jobs alike through once."""

from __future__ import annotations

import logging

#: The official plugin prints them for each job.
_ALIKE = ("No job memory information", "No wall time information")


class Once(logging.Filter):
    """A filter of Snakemake's logger."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to print a record."""
        text = str(record.msg)
        for beginning in _ALIKE:
            if text.startswith(beginning):
                is_new = beginning not in self._seen
                self._seen.add(beginning)
                return is_new
        return True
