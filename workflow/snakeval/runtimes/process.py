"""Runs the harness as a child process, in its own Python environment.

This runtime is the default if no engine answers. It builds an environment once for each set of
pinned requirements, below ``$SNAKEVAL_HOME/envs``, and shares it between runs.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import IO

from snakeval.errors import EvaluationError
from snakeval.files import home
from snakeval.lease import Lease
from snakeval.runtimes import Outcome, Report
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
        """Return whether the environment exists, or the command requires none."""
        target = environment(spec)
        return target is None or (target / "ready").exists()

    def prepare(self, spec: ContainerSpec, report: Report) -> str:
        """Build a missing environment, once even if two processes request it."""
        _refuse_entry_point(spec)
        target = environment(spec)
        if target is not None:
            self._prepare(spec, target, report)
        return ""

    def _prepare(self, spec: ContainerSpec, target: Path, report: Report) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        ready = target / "ready"
        with Lease(
            target.with_suffix(".lease"),
            done=ready.exists,
            waiting=lambda owner: report(f"waiting for {owner} to build {target}"),
        ) as lease:
            if not lease.acquired or ready.exists():
                return
            report(f"building the environment of {spec.image or 'the command'} in {target}")
            shutil.rmtree(target, ignore_errors=True)
            self._make(spec, target, report)
            ready.write_text("\n".join(_requirements(spec)), encoding="utf-8")

    def _make(self, spec: ContainerSpec, target: Path, report: Report) -> None:
        install = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        if spec.requirements:
            install += ["--requirement", spec.requirements]
        install += spec.packages
        for command in ([sys.executable, "-m", "venv", str(target)], install):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
                problem = lines[-1] if lines else done.stderr.strip()[-300:]
                raise EvaluationError(f"cannot build the harness's environment: {problem}")
        report(f"built {target}")

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
        inherited = dict(spec.surroundings)
        for name in ("PYTHONPATH", "PYTHONHOME"):
            inherited.pop(name, None)
        own = {MARK: spec.name}
        if target := environment(spec):
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
        if target := environment(spec):
            ready, place = shlex.quote(str(target / "ready")), shlex.quote(str(target))
            wanted = ["--requirement", spec.requirements] if spec.requirements else []
            make = (
                f"[ -e {ready} ] || {{\n"
                f"  python3 -m venv --clear {place}\n"
                f"  {place}/bin/pip install --quiet {shlex.join([*wanted, *spec.packages])}\n"
                f"  touch {ready}\n}}\n"
            )
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


def _requirements(spec: ContainerSpec) -> list[str]:
    pinned = list(spec.packages)
    if spec.requirements:
        pinned += Path(spec.requirements).read_text(encoding="utf-8").splitlines()
    return pinned


def environment(spec: ContainerSpec) -> Path | None:
    """Return the directory of the environment of *spec*, which may not exist yet, or None."""
    if not (spec.requirements or spec.packages):
        return None
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = "\n".join([python, *_requirements(spec)])
    name = Path(spec.requirements).stem if spec.requirements else "packages"
    return home() / "envs" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
