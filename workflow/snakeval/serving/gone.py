"""Recognises that a server failed because the checkpoint of a series that it loads was deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from snakeval.config.member_names import series_of
from snakeval.errors import EvaluationError, GoneError
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory


@contextlib.contextmanager
def noticed(run: RunDirectory, names: Sequence[str]) -> Iterator[None]:
    """Raise a failure of the context as :class:`GoneError` if a checkpoint is not there any more.

    *names* are the deployments of *run* that the context serves.

    Raises:
        GoneError: the checkpoint of one was deleted, which explains whatever its server said.
    """
    try:
        yield
    except EvaluationError:
        for name in filter(series_of, names):
            plan = DeploymentDirectory.of(run, name).known_plan()
            path = plan.deployment.weights_path if plan is not None else ""
            if path and not Path(path).is_dir():
                raise GoneError(f"gone: its checkpoint {path} was deleted") from None
        raise
