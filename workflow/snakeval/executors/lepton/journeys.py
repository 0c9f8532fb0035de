"""How the journals of an evaluation reach its job on Lepton and return.

With ``lepton-mount`` they are on the volume while the job runs, so that they also survive a killed
job. With a bucket they go and return with the job's files. They never return through the log of a
job, and its gateway then holds no answer longer than the harness waits for it.
"""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.executors.lepton.runtime import LeptonRuntime
from snakeval.files import create_exclusively, replacing
from snakeval.jobs.gateway import pausing
from snakeval.jobs.stored_answers import prepare_answers
from snakeval.run.directory import RunDirectory

#: The variables in which the plugin says how files travel.
TRANSPORT, MOUNT, MOUNT_LOCAL = "LEPTON_TRANSPORT", "LEPTON_MOUNT", "LEPTON_MOUNT_LOCAL"
_REQUESTS, _SUMMARY = f"{LeptonRuntime.root}/requests", "summary.json"
#: The folder of all journals on a volume.
_FOLDER = "snakeval-ledger"
_STAYS = (
    "the answers of this job do not return through its log, so another attempt requests them "
    "again; set lepton-s3-prefix or lepton-mount to keep them"
)


@dataclass(frozen=True, slots=True)
class Journey:
    """How the files of an evaluation's requests travel.

    Attributes:
        there: their directory in the job.
        keeps: whether the journals return.
        inputs, outputs: what the plugin sends and fetches: path here -> path in the job.
        volume: their directory on the volume, as this machine sees it; None without a volume.
        says: a line for the job's log.
    """

    there: str
    keeps: bool
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    volume: Path | None = None
    says: str = ""


def journey(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    environment: Mapping[str, str] = os.environ,
) -> Journey:
    """Return how the files of the requests travel, by the variables of the plugin."""
    way, keeps = environment.get(TRANSPORT), evaluation.transport.ledger == "on"
    arrived = directory.arrived_requests(evaluation.fingerprint).resolve()
    if keeps and way == "mount":
        place = f"{_FOLDER}/{_id(RunDirectory.of(directory))}/{directory.name}"
        return Journey(
            f"{environment[MOUNT]}/{place}", True, volume=Path(environment[MOUNT_LOCAL]) / place
        )
    if keeps and way == "s3":
        sent = {str(directory.requests.resolve()): _REQUESTS} if directory.requests.is_dir() else {}
        return Journey(_REQUESTS, True, sent, {str(arrived): _REQUESTS})
    counts = {str(arrived / _SUMMARY): f"{_REQUESTS}/{_SUMMARY}"}
    return Journey(_REQUESTS, False, {}, counts, says=_STAYS if keeps else "")


def _id(run: RunDirectory) -> str:
    """Return what names a run on a volume, where runs of other machines may have the same name."""
    note = run.of_executor("lepton") / "volume"
    create_exclusively(note, uuid.uuid4().hex)
    return note.read_text(encoding="utf-8").strip()


def send_answers(evaluation: Evaluation, directory: EvaluationDirectory, stop: Event) -> bool:
    """Let the gateway of the next job find the stored answers, also those of a killed job.

    Return whether there are some.

    Raises:
        EvaluationError: a journal cannot be read or written.
        Interrupted: *stop* was set while an earlier gateway drained.
    """
    if evaluation.transport.ledger == "off":
        return False
    way = journey(evaluation, directory)
    try:
        bring(directory, evaluation.fingerprint, way)
        prepare_answers(evaluation, directory, pausing(stop), _say)
        send(directory, way)
    except OSError as error:
        raise EvaluationError(f"the stored answers cannot be sent: {error}") from None
    return way.keeps and any(directory.requests.glob("*/*.journal"))


def bring_answers(
    evaluation: Evaluation, directory: EvaluationDirectory, variables: Mapping[str, str]
) -> str:
    """Take what the gateway of an ended job wrote; return what its ledger was.

    The plugin gives its variables in *variables*.

    Raises:
        EvaluationError: a journal cannot be read or written.
    """
    if (mode := evaluation.transport.ledger) == "off":
        return mode
    way = journey(evaluation, directory, variables)
    try:
        has_counts = bring(directory, evaluation.fingerprint, way)
    except OSError as error:
        raise EvaluationError(f"the answers cannot be kept: {error}") from None
    forget(directory, evaluation.fingerprint, way)
    # An image without Python has no gateway.
    return "off" if not has_counts else mode if way.keeps else "memory"


def send(directory: EvaluationDirectory, journey: Journey) -> None:
    """Let the gateway of the next job find the journals.

    Raises:
        OSError: a file cannot be read or written.
    """
    # The counts are those of the last gateway.
    (directory.requests / _SUMMARY).unlink(missing_ok=True)
    if journey.volume is None:
        return
    journey.volume.mkdir(parents=True, exist_ok=True)
    _merge(directory.requests, journey.volume)
    (journey.volume / _SUMMARY).unlink(missing_ok=True)
    for folder in (journey.volume, *_folders(journey.volume)):
        folder.chmod(0o777)  # jobs may run as another user


def bring(directory: EvaluationDirectory, fingerprint: str, journey: Journey) -> bool:
    """Copy what gateways of jobs wrote into the evaluation; return whether counts are there.

    Raises:
        OSError: a file cannot be read or written.
    """
    found = False
    for source in (directory.arrived_requests(fingerprint), journey.volume):
        if source is None or not source.is_dir():
            continue
        _merge(source, directory.requests)
        if (source / _SUMMARY).is_file():
            found = True
            with replacing(directory.requests / _SUMMARY) as draft:
                shutil.copyfile(source / _SUMMARY, draft)
    return found


def forget(directory: EvaluationDirectory, fingerprint: str, journey: Journey) -> None:
    """Remove the copies of a job that has ended."""
    shutil.rmtree(directory.arrived_requests(fingerprint), ignore_errors=True)
    if journey.volume is not None:
        shutil.rmtree(journey.volume, ignore_errors=True)


def _folders(requests: Path) -> Iterator[Path]:
    return (path for path in requests.iterdir() if path.is_dir()) if requests.is_dir() else iter(())


def _merge(source: Path, target: Path) -> None:
    """Copy the journals of *source* to *target* that it lacks, or has only the beginning of.

    One process writes a file of a journal, at its end. A file of another process that has the same
    name gets a new one.
    """
    target.mkdir(parents=True, exist_ok=True)
    for folder in _folders(source):
        own = target / folder.name
        own.mkdir(exist_ok=True)
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and (place := _place_for(path, own)) is not None:
                with replacing(place) as draft:
                    shutil.copy2(path, draft)


def _place_for(path: Path, folder: Path) -> Path | None:
    """Return where a file belongs in *folder*; None if that has all of it."""
    place = folder / path.name
    if not path.is_file():
        return None
    if not place.exists():
        return place
    if any(_same(path, file) for file in folder.iterdir()):
        return None
    if path.suffix != ".journal":
        return place
    # A process that was killed leaves zeros at the end.
    here, there = (file.read_bytes().rstrip(b"\0") for file in (place, path))
    if there.startswith(here):
        return place if len(there) > len(here) else None
    if here.startswith(there):
        return None
    numbers = [int(file.stem) for file in folder.glob("*.journal") if file.stem.isdigit()]
    return folder / f"{max(numbers) + 1:04d}.journal"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _same(one: Path, other: Path) -> bool:
    a, b = one.stat(), other.stat()
    return (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)
