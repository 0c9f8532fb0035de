"""Compiles the tests once, with their assertions as pytest rewrites them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from _pytest.assertion import rewrite


def write(config: pytest.Config) -> None:
    """Write the compiled form of each test file whose compiled form is missing or older.

    Otherwise each process of pytest-xdist compiles all of them, because all start together. pytest
    has no public function for it. A file that changes meanwhile is compiled by who reads it.
    """
    state = config.stash[rewrite.assertstate_key]
    if sys.dont_write_bytecode or state.mode != "rewrite":
        return
    for source in _sources(config):
        place = rewrite.get_cache_dir(source)
        compiled = place / f"{source.stem}{rewrite.PYC_TAIL}"
        if not _is_current(compiled, source) and rewrite.try_makedirs(place):
            identity, code = rewrite._rewrite_test(source, config)
            rewrite._write_pyc(state, code, identity, compiled)


def _sources(config: pytest.Config) -> list[Path]:
    """Return the test files in what the command line names."""
    places = [config.invocation_params.dir / name.partition("::")[0] for name in config.args]
    return [
        file
        for place in places
        for file in ([place] if place.is_file() else sorted(place.rglob("test_*.py")))
    ]


def _is_current(compiled: Path, source: Path) -> bool:
    try:
        return compiled.stat().st_mtime >= source.stat().st_mtime
    except FileNotFoundError:
        return False
