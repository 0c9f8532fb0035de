"""A scheduler that snakeval does not know: Snakemake's `cluster-generic`, and lines of shell."""

from __future__ import annotations

from pathlib import Path

import yaml

#: Starts a job in the background and prints its number, as the command `sbatch` does.
START = 'setsid nohup bash "$1" > "$1.log" 2>&1 < /dev/null &\necho $!\n'


def profile(directory: Path, submit: str = START, **settings: object) -> Path:
    """Write a profile for it, and *submit*, which gets the path of a job's script as ``$1``.

    A job is a Snakemake of its own, as on each cluster, so it takes two seconds to start.
    """
    script = directory / "submit"
    script.write_text(f"#!/bin/sh\n{submit}")
    script.chmod(0o755)
    content = {
        "executor": "cluster-generic",
        "cluster-generic-submit-cmd": str(script),
        "jobs": 4,
        "seconds-between-status-checks": 1,
        "rerun-incomplete": True,
        "latency-wait": 10,
        "logger": "snakeval",
    }
    place = directory / "profile"
    place.mkdir()
    (place / "config.yaml").write_text(yaml.safe_dump(content | settings))
    return place
