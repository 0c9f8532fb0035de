"""Run identity: which directory a configuration's run lives in.

The id comes from the run's name and the parameters of every evaluation, not from the lists of
models and benchmarks: adding one extends the run, ``limit_samples`` makes another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from snakeval.config.config import Config
from snakeval.errors import ConfigError, did_you_mean
from snakeval.evaluation.definition import TRANSPORT_PARAMS, digest
from snakeval.run.directory import RunDirectory


def identity(config: Config) -> dict[str, Any]:
    """Return what two invocations must share to be the same run."""
    params = config.params.model_dump(mode="json", exclude_unset=True)
    shared = {k: v for k, v in params.items() if k not in TRANSPORT_PARAMS}
    return {"name": config.name, "params": shared}


@dataclass(frozen=True, slots=True)
class Run:
    """A run's directory, ``<output_dir>/<YYYY-MM-DD-HH-MM-SS>-<id>/``."""

    id: str
    directory: RunDirectory
    identity: dict[str, Any]

    @property
    def exists(self) -> bool:
        """Whether it was started before."""
        return self.directory.exists


def find(config: Config, choice: str | None = None, *, now: datetime | None = None) -> Run:
    """Return the run that *config* belongs to, without making anything.

    *choice* is ``--config run=``: nothing for the newest run with the configuration's id (a new
    one if there is none), ``new`` for a new one, else an id or a directory name. The
    beginning of one is enough if it fits one run only.

    Raises:
        ConfigError: no run fits *choice*, several do, or its parameters are different.
    """
    same = identity(config)
    own = digest(same)[:8]
    root = Path(config.output_dir).expanduser()
    try:
        names = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    except OSError as error:
        raise ConfigError(
            f"output_dir: {str(root)[:200]} cannot be read ({error.strerror}); name another "
            "directory or correct its permissions"
        ) from None
    runs = {name: id for name in names if (id := RunDirectory.id_of(name))}
    if choice not in (None, "", "new"):
        name = _chosen(str(choice), runs, root)
        chosen = RunDirectory(root / name)
        _refuse_other_parameters(chosen, same)
        return Run(chosen.id, chosen, same)
    mine = [name for name, run_id in runs.items() if run_id == own]
    if mine and choice != "new":
        return Run(own, RunDirectory(root / mine[-1]), same)
    moment = now or datetime.now()
    while (fresh := RunDirectory(root / RunDirectory.name_of(own, moment))).path.exists():
        moment += timedelta(seconds=1)
    return Run(own, fresh, same)


def _chosen(choice: str, runs: dict[str, str], root: Path) -> str:
    by_id = [name for name, run_id in runs.items() if run_id == choice]
    if by_id:
        return by_id[-1]
    fitting = [n for n, run_id in runs.items() if n.startswith(choice) or run_id.startswith(choice)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ConfigError(
            f"--config run={choice}: fits several runs in {root} ({', '.join(fitting)}); "
            "write more of one"
        )
    known = did_you_mean(choice, [*runs, *runs.values()])
    raise ConfigError(f"--config run={choice}: no such run in {root}{known or '; leave it out'}")


def _refuse_other_parameters(run: RunDirectory, same: dict[str, Any]) -> None:
    try:
        before = run.read_origin()["identity"]
    except (OSError, ValueError, KeyError):
        return
    if before != same:
        raise ConfigError(
            f"--config run={run.name}: that run has {json.dumps(before)}, and this configuration "
            f"has {json.dumps(same)}; use its name and params, or leave out run="
        )
