"""The configuration of a training whose checkpoints a stand-in server serves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support import digest_server, weights_server
from support.checkpoints import checkpoint

#: Questions of a benchmark.
ITEMS = 4


def configuration(
    place: Path, ledger: Path, benchmarks: Sequence[str], shared: str | None
) -> dict[str, Any]:
    """Return the configuration of a series in *place*.

    *shared* is ``swap`` or ``adapters`` if one server holds all checkpoints.
    """
    return {
        "runtime": "process",
        "lease": {"heartbeat": 0.2, "stale": 2},
        "follow": {"retry": 1, "slots": 2},
        "models": {
            "run7": {
                "checkpoints": {"pattern": str(place / "train/step-{step}")},
                "deployment": _deployment(place, ledger, shared),
            }
        },
        "benchmarks": {
            name: digest_server.benchmark(place / f"bench-{name}", name, ITEMS)
            for name in benchmarks
        },
    }


def command(place: Path, *, slurm: bool) -> list[str]:
    """Return the command line of a follower, which is always the same."""
    words = [sys.executable, "-m", "snakeval", "follow", "evaluation.yaml"]
    words += ["--until-file", str(place / "END")]
    if not slurm:
        return [*words, "--", "--cores", "2"]
    words += ["--profile", "slurm", "--", "--default-resources", "slurm_account=evals"]
    return [*words, "slurm_partition=cpu", "--slurm-resume-max-seconds-between-status-checks", "2"]


def _deployment(place: Path, ledger: Path, shared: str | None) -> dict[str, Any]:
    if shared == "adapters":
        base = str(checkpoint(place / "base", b"base"))
        return weights_server.deployment(ledger, idle_timeout=5, checkpoint_path=base)
    if shared == "swap":
        return weights_server.deployment(ledger, idle_timeout=5, swap=True)
    return digest_server.deployment(ledger, idle_timeout=5)
