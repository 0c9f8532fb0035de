"""Builds Python environments for harnesses without a container, and checks each before it is used.

The environments of one set of requirements are in one folder::

    $SNAKEVAL_HOME/envs/<name>-<digest>/current -> <id>
    $SNAKEVAL_HOME/envs/<name>-<digest>/<id>/               a build, with contents.json in it
    $SNAKEVAL_HOME/envs/<name>-<digest>/lease

The digest depends on the requirements, the machine and the Python, so hosts that share the folder
share only what works on each. Each build has a directory of its own, and becomes ``current`` in one
step when it is whole. A broken environment is never used: its interpreter may be missing, and then
a command would silently run another one from the PATH.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import stat
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from snakeval.errors import EvaluationError, Interrupted
from snakeval.files import (
    has_linked,
    home,
    json_value,
    lead,
    led_to,
    make_directory,
    read_bytes,
    write_atomically,
)
from snakeval.lease import Lease
from snakeval.runtimes import Report, blocking
from snakeval.runtimes.marked import environments
from snakeval.runtimes.spec import ContainerSpec

_CONTENTS = "contents.json"
#: Files that decide how Python behaves. Packages may write other files into their own directories.
_CODE = (".py", ".so", ".pth")
#: How long the interpreter of an environment may take to answer, in seconds.
_ANSWER_SECONDS = 60
#: Prints the interpreter's version and the environment that it belongs to.
_WHO = "import sys; print(sys.version); print(sys.prefix)"


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment of one set of requirements on this machine; it may not exist yet.

    Attributes:
        place: the folder of its builds.
        requirements: a file, or empty.
        packages: further pinned packages.
        lines: all pinned packages.
    """

    place: Path
    requirements: str
    packages: tuple[str, ...]
    lines: tuple[str, ...]

    @classmethod
    def of(cls, spec: ContainerSpec) -> Environment | None:
        """Return the environment that *spec* requires, or None if it requires none."""
        if not (spec.requirements or spec.packages):
            return None
        lines = list(spec.packages)
        if spec.requirements:
            lines += Path(spec.requirements).read_text(encoding="utf-8").splitlines()
        name = Path(spec.requirements).stem if spec.requirements else "packages"
        digest = hashlib.sha256("\n".join([*_machine(), *lines]).encode()).hexdigest()
        place = home().absolute() / "envs" / f"{name}-{digest[:16]}"
        return cls(place, spec.requirements, spec.packages, tuple(lines))

    @property
    def current(self) -> Path | None:
        """The directory of the published build, or None if there is none."""
        if target := led_to(self.place / "current"):
            found = self.place / target.name
            if os.access(found / "bin" / "python", os.X_OK):
                return found
        return None

    def problem(self) -> str:
        """Return why the published build cannot be used, or nothing if it can."""
        found = self.current
        if found is None:
            return "no python" if led_to(self.place / "current") else "there is none"
        try:
            contents = json_value(read_bytes(found / _CONTENTS) or b"")
            return _difference(contents, found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"{_CONTENTS}: {error}"

    def prepare(self, mark: str, what: str, report: Report) -> Path:
        """Return the directory of a whole build; build it if it is missing or broken.

        If another process builds it, wait for that. *mark* is the container's name, *what* needs
        the environment.

        Raises:
            EvaluationError: it cannot be built.
            Interrupted: the owner of this thread's commands was stopped.
        """
        make_directory(self.place)
        while True:
            problem = self.problem()
            if not problem and (found := self.current):
                return found
            lost = Event()
            with Lease(
                self.place / "lease",
                done=lambda: blocking.is_stopped() or not self.problem(),
                lost=lost.set,
                waiting=lambda owner: report(f"waiting for {owner} to build {self.place}"),
            ) as lease:
                blocking.refuse_stopped()
                if not lease.acquired or not self.problem():
                    continue
                again = f" again ({problem})" if self.current else ""
                report(f"building the environment of {what} in {self.place}{again}")
                try:
                    self._build(mark, lost)
                except Interrupted:
                    if not lost.is_set() or blocking.is_stopped():
                        raise
                    continue  # another process took this build for dead, and builds it
            report(f"built {self.place}")

    def _build(self, mark: str, lost: Event) -> None:
        self._clean(mark)
        draft = self.place / uuid.uuid4().hex[:12]
        try:
            install = [str(draft / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet"]
            if self.requirements:
                install += ["--requirement", self.requirements]
            install += self.packages
            make_directory(draft)
            if not has_linked(draft / "lib64", "lib"):  # venv fails if it cannot make this link
                make_directory(draft / "lib64")
            # -I: packages on $PYTHONPATH must not count as installed.
            for command in ([sys.executable, "-I", "-m", "venv", str(draft)], install):
                ended = blocking.run(command, mark=mark, unless=lost.is_set)
                if ended.code != 0:
                    raise EvaluationError(
                        f"cannot build the harness's environment: {_problem(ended.lines)}"
                    )
            contents = json.dumps(_contents(draft, self.lines))
            write_atomically(draft / _CONTENTS, contents)
            if lost.is_set():
                raise Interrupted
            lead(self.place / "current", draft.name)
        except BaseException:
            _remove(draft)
            raise

    def _clean(self, mark: str) -> None:
        """Remove builds that nothing uses: killed ones, and broken ones.

        The caller has the lease, so nothing else builds. A harness of this machine may still run
        from a broken one.
        """
        used = set(used_environments())
        for path in self.place.iterdir():
            is_build = path.is_dir() and not path.is_symlink() and path.name != "by-hand"
            if is_build and str(path) not in used:
                blocking.run(["rm", "-rf", str(path)], mark=mark)

    def by_hand(self) -> tuple[str, str]:
        """Return shell text that finds or builds the environment for a person, and its directory.

        A person's own build is apart from those that snakeval checks.
        """
        whole = shlex.quote(str(self.place / "current" / _CONTENTS))
        current = shlex.quote(str(self.place / "current"))
        own = shlex.quote(str(self.place / "by-hand"))
        wanted = ["--requirement", self.requirements] if self.requirements else []
        text = (
            f"if [ -e {whole} ]; then env={current}; else env={own}; fi\n"
            f'[ -e {whole} ] || [ -e "$env/ready" ] || {{\n'
            f'  python3 -m venv --clear "$env" &&\n'
            f'  "$env/bin/pip" install --quiet {shlex.join([*wanted, *self.packages])} &&\n'
            f'  touch "$env/ready"\n}}\n'
        )
        return text, '"$env"'


def _machine() -> list[str]:
    """Return what decides which packages fit, and whether an environment's interpreter starts."""
    libc = ""
    with suppress(ValueError, OSError):
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    base = getattr(sys, "_base_executable", "") or sys.executable
    python = f"{sys.implementation.cache_tag} {platform.python_version()}"
    return [python, platform.machine(), libc, os.path.realpath(base)]


def _problem(lines: tuple[str, ...]) -> str:
    errors = [line for line in lines if "ERROR" in line]
    return errors[-1] if errors else (lines[-1][-300:] if lines else "no message")


# --- contents -----------------------------------------------------------------------------------


def _contents(directory: Path, lines: tuple[str, ...]) -> dict[str, Any]:
    """Return what a build consists of: the interpreter, the packages, and the sizes of its code."""
    return {
        "requirements": list(lines),
        "interpreter": _interpreter(directory),
        "packages": _packages(directory),
        "files": dict(_code(directory)),
    }


def _difference(contents: dict[str, Any], directory: Path) -> str:
    """Return how *directory* differs from its *contents* when it was built, or nothing."""
    packages = _packages(directory)
    if packages != contents["packages"]:
        changed = sorted({*packages} ^ {*contents["packages"]})
        return f"its packages changed: {', '.join(changed)[:200]}"
    sizes = dict(_code(directory))
    for name, size in contents["files"].items():
        if sizes.get(name) != size:
            return f"{name} {'changed' if name in sizes else 'is missing'}"
    found = _interpreter(directory)
    if found != contents["interpreter"]:
        return f"its python is another one ({found[:200]})"
    return ""


def _interpreter(directory: Path) -> str:
    python = str(directory / "bin" / "python")
    try:
        answer = blocking.answer([python, "-I", "-S", "-c", _WHO], seconds=_ANSWER_SECONDS)
    except EvaluationError as error:
        return str(error)
    return answer.output if answer.code == 0 else f"it fails: {answer.problem}"


def _site(directory: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return directory / "lib" / version / "site-packages"


def _packages(directory: Path) -> list[str]:
    """Return the installed packages with their versions, and the files that extend the path."""
    endings = (".dist-info", ".egg-info", ".egg-link", ".pth")
    return sorted(name for name in os.listdir(_site(directory)) if name.endswith(endings))  # noqa: PTH208


def _code(directory: Path) -> Iterator[tuple[str, int]]:
    """Yield path and size of each file of code, in the packages and among the commands."""
    for folder, everything in ((directory / "bin", True), (_site(directory), False)):
        for place, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in names:
                if not (everything or name.endswith(_CODE)):
                    continue
                path = os.path.join(place, name)  # noqa: PTH118
                with suppress(FileNotFoundError):  # a dangling link
                    found = os.stat(path)  # noqa: PTH116
                    if stat.S_ISREG(found.st_mode):
                        yield os.path.relpath(path, directory), found.st_size


# --- removal ------------------------------------------------------------------------------------


def _remove(directory: Path) -> None:
    """Remove a draft, even if the owner was stopped. A later build removes what is left."""
    with suppress(EvaluationError):
        blocking.answer(["rm", "-rf", str(directory)], seconds=60, in_any_case=True)


def used_environments() -> Iterator[str]:
    """Yield the environments from which processes of this machine run."""
    for _, variables in environments():
        for variable in variables:
            if variable.startswith(b"VIRTUAL_ENV="):
                yield variable.partition(b"=")[2].decode(errors="replace")
