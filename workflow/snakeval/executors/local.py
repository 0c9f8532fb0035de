"""What of a run lives on this machine, and how each of it is ended.

Everything is found by what names it for ever: a process by its start time or by the mark in its
environment, a container by the name that is made of its evaluation's directory. So a process with
a pid that was somebody's once, or another run's container, is never touched.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.evaluation.directory import EvaluationDirectory, Held, container_name
from snakeval.executors.base import _STEP, GRACE, Remain
from snakeval.executors.slurm import _QUEUE_SECONDS, Job, Queue, cancel, terminate
from snakeval.logs import last_line
from snakeval.processes import process_lives, start_time
from snakeval.run.heads import Head, heads
from snakeval.runtimes.marked import marked
from snakeval.serving import client as pool
from snakeval.serving.deployment import server_names
from snakeval.serving.plan import Plan
from snakeval.watch.stop import _LOOK_SECONDS


def starting(run: Path) -> dict[str, tuple[str, str]]:
    """Return the deployments that a job of *run* waits for right now: state and how far it is.

    Only the pool of this machine can tell: a job's connection to it ends with the job.
    """
    from snakeval.serving import client as pool

    try:
        status = pool.status() or {}
    except EvaluationError:
        return {}
    here = str(run.resolve())
    found = {}
    for client in status.get("clients", ()):
        name, _, kind = client["who"].rpartition("/")
        if kind == "deployment" and client["run"] == here:
            said = last_line(run / name / "deployment" / "deploy.log")
            found[name] = ("deploying" if client["holds"] else "waiting", said)
    return found


_ENGINE_SECONDS = 20


class Remains:
    """What lives of *run*, or of one *evaluation* of it.

    ``blind``: engines that did not answer, so that their containers are not known.
    """

    def __init__(self, run: Path, evaluation: str = "") -> None:
        self._run = run
        self._evaluation = evaluation
        self._seen: dict[Head, None] = {}
        self._queue, self._asked = Queue(run), -math.inf
        self.blind: set[str] = set()

    def end(self, told: Callable[[str], None], grace: float = GRACE) -> tuple[list[Remain], bool]:
        """End all of it; return what is left, and whether there was anything.

        *told* hears of each thing when it is seen first.
        """
        since: dict[str, float] = {}
        acted: dict[str, int] = {}
        while True:
            left, now = self.look(), time.monotonic()
            for remain in left:
                if remain.key not in since:
                    since[remain.key] = now
                    told(remain.text)
                age = now - since[remain.key]
                due = 1 + (age > grace) + (age > grace + _STEP)
                for act in remain.acts[acted.get(remain.key, 0) : due]:
                    if act is not None:
                        act()
                acted[remain.key] = due
            if not left or all(now - since[r.key] > grace + 2 * _STEP for r in left):
                return left, bool(since)
            time.sleep(_LOOK_SECONDS)

    def look(self) -> list[Remain]:
        """Return what lives now. What others end is told only when they are gone."""
        if owners := [*self._heads(), *self._queued(), *self._jobs()]:
            return owners
        serving, alone = ([], {}) if self._evaluation else self._served()
        names = {**self._names, **alone}
        return [
            *serving,
            *(_process(pid, f"process {pid} of {names[name]}") for pid, name in marked(names)),
            *self.containers(names),
        ]

    # --- by kind --------------------------------------------------------------------------

    def _heads(self) -> Iterator[Remain]:
        if not self._evaluation:
            # One that has left the run has a table to print before it ends.
            self._seen.update((head, None) for head in heads(self._run))
            yield from (_head(head) for head in self._seen if head.lives)

    def _queued(self) -> Iterator[Remain]:
        """Jobs of Slurm. Of one evaluation the job, or where that does more the process in it."""
        if time.monotonic() - self._asked > _QUEUE_SECONDS:
            self._queue, self._asked = Queue(self._run), time.monotonic()
        if not self._evaluation:
            jobs = self._queue.live()
        elif (mine := self._queue.of(self._evaluation)) and mine.lives:
            jobs = [mine]
        else:
            return
        for job in jobs:
            if self._evaluation and job.names != (self._evaluation,):
                yield from self._within(job)
                continue
            what = ", ".join(job.names[:3]) + (", …" if len(job.names) > 3 else "")
            ask = partial(cancel, job.id)
            acts = (ask, ask, partial(cancel, job.id, "--signal=KILL", "--full"))
            yield Remain(f"Slurm {job.id}", f"{job} ({what})", acts)

    def _within(self, job: Job) -> Iterator[Remain]:
        """The evaluation's process on the node of an allocation; here it is found by its lease."""
        with contextlib.suppress(OSError, ValueError):
            held = Held.read(f"{self._run}/{self._evaluation}")
            if held and held.holder.lives is None:
                holder = held.holder
                text = f"process {holder.pid} on {holder.host} ({self._evaluation})"
                tell = partial(terminate, job, holder.host, holder.pid)
                yield Remain(f"{holder.host} {holder.pid}", text, (tell, tell, None))

    def _jobs(self) -> Iterator[Remain]:
        for place in self._places:
            with contextlib.suppress(OSError, ValueError):  # told as unknown by `states`
                held = Held.read(place)
                if held and held.holder.lives:
                    name = "/".join(Path(place).parts[-2:])
                    yield _job(name, held.holder.pid, held.holder.start)

    @cached_property
    def _places(self) -> list[str]:
        """The evaluations' directories; also of those that the plan has no more."""
        if self._evaluation:
            return [str(self._run / self._evaluation)]
        specs = self._run.glob("*/*/.snakeval/evaluation.json")
        return [str(spec.parents[1]) for spec in specs]

    @cached_property
    def _names(self) -> dict[str, str]:
        """What containers and processes are named by -> the evaluation."""
        return {
            container_name(EvaluationDirectory(Path(place))): "/".join(Path(place).parts[-2:])
            for place in self._places
        }

    def _served(self) -> tuple[list[Remain], dict[str, str]]:
        """What the pool serves to this run alone; and names of servers that no pool has."""
        try:
            plans = {plan.deployment.id: plan for plan in Plan.all(self._run)}
            status = pool.status() or {}
        except EvaluationError:
            return [], {}
        here = str(self._run.resolve())
        servers = {server["id"]: server for server in status.get("servers", ())}
        mine = [i for i in plans.keys() & servers.keys() if not {*servers[i]["runs"]} - {here}]
        deploying = [
            client["who"].rpartition("/")[0]
            for client in status.get("clients", ())
            if client["run"] == here and client["who"].endswith("/deployment")
        ]
        # The pool ends servers and jobs end themselves, both since the head is gone.
        return [
            *(Remain(f"server {i}", f"the server of {plans[i].name}") for i in mine),
            *(Remain(f"deploys {name}", f"the job that deploys {name}") for name in deploying),
        ], {
            name: f"the server of {plan.name}"
            for i, plan in plans.items()
            if i not in servers
            for name in server_names(plan.deployment)
        }

    def containers(self, names: dict[str, str]) -> Iterator[Remain]:
        """Yield the containers of this run that are among *names*, running or not."""
        labels = [f"snakeval.run={self._run.name}"]
        labels += [] if self._evaluation else ["snakeval.server"]
        self.blind.clear()
        for engine in (_Docker, _Podman):
            try:
                found = {name for label in labels for name in engine.names(label)}
            except (OSError, ValueError, subprocess.SubprocessError):
                self.blind.add(engine.__name__.strip("_").lower())
                continue
            for name in found & names.keys():
                acts = (None, partial(engine.stop, name), partial(engine.remove, name))
                yield Remain(f"container {name}", f"container {name} of {names[name]}", acts)


# --- processes ----------------------------------------------------------------------------------


def _signal(pid: int, start: str, number: signal.Signals, group: bool = False) -> None:
    """Send a signal, if *pid* is still the process that it was."""
    if not process_lives(pid, start):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if group and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _head(head: Head) -> Remain:
    if head.job:
        # Its script hands SIGINT on to Snakemake, which cancels its jobs.
        ask = partial(cancel, head.job, "--signal=INT", "--batch")
        end = partial(cancel, head.job)
        return Remain(f"head {head.job}", f"Snakemake (Slurm job {head.job})", (ask, end, end))
    send = partial(_signal, head.pid, head.start)
    # As Ctrl-C does it, to the whole group where it leads one. What was started in a script's
    # background ignores that; then the word that lets jobs end, which get theirs from us.
    ask = (
        partial(send, signal.SIGTERM)
        if _ignores(head.pid, signal.SIGINT)
        else partial(send, signal.SIGINT, group=True)
    )
    return Remain(
        f"head {head.pid} {head.start}",
        f"Snakemake (process {head.pid})",
        (ask, partial(send, signal.SIGTERM), partial(send, signal.SIGKILL)),
    )


def _ignores(pid: int, number: signal.Signals) -> bool:
    """Whether a process ignores a signal: proc(5), SigIgn."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    masks = [line.split()[1] for line in lines.splitlines() if line.startswith("SigIgn:")]
    return bool(masks) and bool(int(masks[0], 16) >> (number - 1) & 1)


def _job(name: str, pid: int, start: str) -> Remain:
    send = partial(_signal, pid, start)
    tell = partial(send, signal.SIGTERM)
    kill = partial(send, signal.SIGKILL)
    return Remain(f"job {pid} {start}", f"the job of {name} (process {pid})", (tell, None, kill))


def _process(pid: int, text: str) -> Remain:
    """What a job or a server's shell leaves ends by itself when they are gone; or late."""
    send = partial(_signal, pid, start_time(pid) or "")
    acts = (None, partial(send, signal.SIGTERM), partial(send, signal.SIGKILL))
    return Remain(f"process {pid}", text, acts)


# --- containers ---------------------------------------------------------------------------------


class _Docker:
    @staticmethod
    def names(label: str) -> list[str]:
        """The names of the containers with *label*.

        Raises:
            OSError: the engine does not answer.
        """
        import docker
        from docker.errors import DockerException

        try:
            api = docker.from_env(timeout=_ENGINE_SECONDS).api
            found = api.containers(all=True, filters={"label": label})
        except DockerException as error:
            raise OSError(str(error)) from None
        return [name.strip("/") for container in found for name in container["Names"]]

    @staticmethod
    def stop(name: str) -> None:
        _Docker._do("stop", name, timeout=int(_STEP))

    @staticmethod
    def remove(name: str) -> None:
        _Docker._do("remove_container", name, force=True, v=True)

    @staticmethod
    def _do(what: str, name: str, **options: object) -> None:
        import docker
        from docker.errors import DockerException

        with contextlib.suppress(DockerException, OSError):  # what is left is looked for again
            getattr(docker.from_env(timeout=_ENGINE_SECONDS).api, what)(name, **options)


class _Podman:
    @staticmethod
    def names(label: str) -> list[str]:
        """The names of the containers with *label*.

        Raises:
            OSError, ValueError, subprocess.SubprocessError: podman does not work.
        """
        if shutil.which("podman") is None:
            return []
        words = ["ps", "--all", "--filter", f"label={label}", "--format", "json"]
        done = subprocess.run(
            ["podman", *words], capture_output=True, check=True, timeout=_ENGINE_SECONDS
        )
        found = json.loads(done.stdout or b"[]") or []
        return [str(name) for container in found for name in container["Names"]]

    @staticmethod
    def stop(name: str) -> None:
        _Podman._do("stop", "--time", str(int(_STEP)), name)

    @staticmethod
    def remove(name: str) -> None:
        _Podman._do("rm", "--force", "--time", "0", name)

    @staticmethod
    def _do(*words: str) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["podman", *words], capture_output=True, check=False, timeout=60)
