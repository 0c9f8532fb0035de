"""What the files of a run, and its pool, say of its evaluations; read for a whole run at once.

``status`` looks at ten thousand evaluations in a second. So paths are texts here, and records are
the JSON that they are; :class:`snakeval.evaluation.record.EvaluationDirectory` has the same
as objects.
"""
# ruff: noqa: PTH110, PTH116, PTH123

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.record import EvaluationDirectory
from snakeval.lease import HEARTBEAT_SECONDS, STALE_SECONDS, Holder
from snakeval.run.plan import Planned, read_plan


def planned(run: Path) -> tuple[Planned, ...]:
    """Return the plan of *run*.

    Raises:
        ConfigError: it is not there, or cannot be read.
    """
    path = run / ".snakeval" / "plan.json"
    try:
        return read_plan(path)
    except FileNotFoundError:
        raise ConfigError(
            f"{run}: has no .snakeval/plan.json: it starts just now, or was partly deleted; "
            "running it again makes it anew"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check it") from None
    except (ValueError, TypeError):
        raise ConfigError(f"{path}: is damaged; running it again makes it anew") from None


def read_json(path: str) -> dict[str, Any] | None:
    """Return what *path* holds, or None where it is not there.

    Raises:
        OSError: it is there and cannot be read.
        ValueError: it is damaged.
    """
    try:
        with open(path, "rb") as file:
            data = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(data, dict):
        raise ValueError(f"{path} is damaged")
    return data


def has_record(place: str, fingerprint: str) -> bool:
    """Whether the evaluation at *place* has a record of *fingerprint*, whole or not."""
    return os.path.exists(_record(place, fingerprint))


def has_failure(place: str) -> bool:
    """Whether the evaluation at *place* has left the reason of a failure."""
    return os.path.exists(f"{place}/failure.json")


def completion(place: str, fingerprint: str) -> tuple[dict[str, Any] | None, bool]:
    """Return the record, and whether it counts, as ``EvaluationDirectory.completion`` says it."""
    try:
        record = read_json(_record(place, fingerprint))
    except ValueError:
        return None, False
    if record is None or record["fingerprint"] != fingerprint:
        return None, False
    for entry in record["manifest"]:
        try:
            if os.stat(f"{place}/artifacts/{entry['path']}").st_size != entry["size"]:
                return record, False
        except (FileNotFoundError, NotADirectoryError):
            return record, False
    return record, True


def _record(place: str, fingerprint: str) -> str:
    return f"{place}/.snakeval/completion-{fingerprint[:16]}.json"


@dataclass(frozen=True, slots=True)
class Held:
    """The lease of the evaluation at ``place``, and when its file was written last."""

    place: str
    holder: Holder
    renewed: float

    @classmethod
    def read(cls, place: str) -> Held | None:
        """Read it, if there is one.

        Raises:
            OSError, ValueError: it is there, and cannot be read.
        """
        try:
            # Opened, so that NFS asks its server what stands under the name now.
            with open(f"{place}/.snakeval/lease", encoding="utf-8") as file:
                return cls(place, Holder.read(file.read()), os.fstat(file.fileno()).st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def times(self) -> tuple[float, float]:
        """How often the holder renews it, and when it is stale, in seconds."""
        spec: Mapping[str, Any] = read_json(f"{self.place}/.snakeval/evaluation.json") or {}
        transport = spec.get("transport") or {}
        return (
            float(transport.get("heartbeat") or HEARTBEAT_SECONDS),
            float(transport.get("stale") or STALE_SECONDS),
        )


# --- deployments ------------------------------------------------------------------------------


def deployments(run: Path) -> set[str]:
    """Return the names of what *run* serves: models, and auxiliary ones."""
    return {path.stem for path in run.glob(".snakeval/deployments/*.json")}


def deployed(run: Path) -> Iterator[tuple[str, str]]:
    """Yield each deployment of *run* with each evaluation that asks it."""
    for path in sorted(run.glob(".snakeval/deployments/*.json")):
        try:
            evaluations: Sequence[Sequence[str]] = (read_json(str(path)) or {})["evaluations"]
            yield from ((path.stem, evaluation) for evaluation, _ in evaluations)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the next start writes it anew


def undeployed(run: Path) -> dict[str, str]:
    """Return why the model of an evaluation could not be deployed, so that it never starts."""
    reasons: dict[str, str] = {}
    found: dict[str, str] = {}
    for name, evaluation in deployed(run):
        if name not in reasons:
            reasons[name] = EvaluationDirectory(run / name / "deployment").failure_reason()
        if reasons[name]:
            found[evaluation] = reasons[name]
    return found


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
            said = _last_line(run / name / "deployment" / "deploy.log")
            found[name] = ("deploying" if client["holds"] else "waiting", said)
    return found


def _last_line(log: Path) -> str:
    """The last line of a deployment's log, without its time."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return lines[-1].partition(" ")[2] if lines else ""
