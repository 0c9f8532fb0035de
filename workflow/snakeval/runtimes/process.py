"""Runs the harness as a child process, in its own Python environment.

This runtime is the default if no engine answers. It builds an environment once for each set of
pinned requirements, below ``$SNAKEVAL_HOME/envs``, and shares it between runs.
"""

from __future__ import annotations

import os
import shlex
import shutil
from threading import Event
from typing import IO

from snakeval.errors import EvaluationError
from snakeval.runtimes import Outcome, Report
from snakeval.runtimes.environments import Environment
from snakeval.runtimes.marked import MARK, kill_leftovers, run_marked
from snakeval.runtimes.spec import ContainerSpec


def connect() -> Process:
    """Return the runtime, which requires no connection."""
    return Process()


class Process:
    """See :class:`snakeval.runtimes.Runtime`. This runtime does not limit CPU and memory."""

    name = "process"
    isolated = False
    host = "127.0.0.1"

    def has(self, spec: ContainerSpec) -> bool:
        """Return whether the environment is whole, or the command requires none."""
        environment = Environment.of(spec)
        return environment is None or not environment.problem()

    def prepare(self, spec: ContainerSpec, report: Report) -> str:
        """Build a missing or broken environment, once even if two processes request it."""
        _refuse_entry_point(spec)
        if environment := Environment.of(spec):
            environment.prepare(spec.name, spec.image or "the command", report)
        return ""

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        """Run the command with its environment first on the PATH."""
        _refuse_entry_point(spec)
        kill_leftovers(spec.name)
        env = {**self._env(spec), **spec.secret_values()}
        if shutil.which(spec.argv[0], path=env.get("PATH", os.defpath)) is None:
            raise EvaluationError(
                f"no command '{spec.argv[0]}' here; install it, or add its package to "
                "`requirements`"
            )
        return run_marked(
            spec,
            spec.guarded(),
            log,
            stop,
            stdin=spec.greeting(secrets=False),
            env=env,
            cwd=spec.workdir,
        )

    def _env(self, spec: ContainerSpec) -> dict[str, str]:
        left_out = {"PYTHONPATH", "PYTHONHOME", *spec.withheld}
        inherited = {n: value for n, value in spec.surroundings.items() if n not in left_out}
        own = {MARK: spec.name}
        if environment := Environment.of(spec):
            target = environment.current
            if target is None:  # the command would run another one from the PATH
                raise EvaluationError(
                    f"the environment {environment.place} has vanished; run the same command again"
                )
            path = f"{target / 'bin'}{os.pathsep}{inherited.get('PATH', os.defpath)}"
            own |= {"VIRTUAL_ENV": str(target), "PATH": path}
        return {**inherited, **own, **_given(spec)}

    def shell(self, spec: ContainerSpec) -> str:
        """Return the command in its environment, which it builds if it is missing.

        Secrets come from the caller's variables.
        """
        _refuse_entry_point(spec)
        words = ["env", "-u", "PYTHONPATH", *(f"{k}={v}" for k, v in _given(spec).items())]
        make = path = ""
        if environment := Environment.of(spec):
            make, place = environment.by_hand()
            path = f'PATH={place}/bin:"$PATH" '
        command = spec.secret_assignments() + shlex.join([*words, *spec.argv])
        return f"{make}cd {shlex.quote(spec.workdir)} && {path}{command}"


def _refuse_entry_point(spec: ContainerSpec) -> None:
    if spec.entry_point:
        raise EvaluationError(
            "runtime process has no image, and so no entry point to run; write `command`"
        )


def _given(spec: ContainerSpec) -> dict[str, str]:
    """Return the harness's variables that are neither inherited nor secret."""
    return spec.with_visible_gpus()
