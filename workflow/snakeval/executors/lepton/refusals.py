"""Finds evaluations whose jobs would be refused, before an endpoint is created for them."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import IO, cast

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.executors.lepton import jobs
from snakeval.run.directory import RunDirectory
from snakeval.serving.plan import Plan

#: The variable in which the plugin says how many bytes of packed inputs a job takes; 0: any number.
INPUT_CAP = "LEPTON_INPUT_CAP"


def refuse_if_all_are(
    run: RunDirectory,
    plan: Plan,
    secrets: Collection[str],
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Check that a job of at least one unfinished evaluation of a model can be submitted.

    *secrets* are those of the workspace.

    Raises:
        EvaluationError: none can; the message has the reason of the first one.
    """
    cap = int(environment.get(INPUT_CAP) or 0)
    reasons = []
    for name, fingerprint in plan.evaluations:
        directory = run.evaluation(name)
        if directory.completion(fingerprint):
            continue
        reason = _refusal(directory.read_evaluation(fingerprint), directory, run, secrets, cap)
        if not reason:
            return
        reasons.append(reason)
    if reasons:
        raise EvaluationError(f"no endpoint is created: {reasons[0]}")


def _refusal(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    run: RunDirectory,
    secrets: Collection[str],
    cap: int,
) -> str:
    """Return why the service would refuse the job of an evaluation, or nothing."""
    keys = dict.fromkeys(evaluation.transport.servers, "a key that snakeval creates")
    urls = dict.fromkeys(keys, "https://endpoint.invalid/v1")
    made = jobs.job(evaluation, directory, run.name, urls, keys)
    wanted = cast("Mapping[str, str]", made["secrets"])
    for secret in wanted.values():
        if secret not in secrets and secret not in keys.values():
            return f"no secret {secret} in the workspace; `lep secret create -n {secret} -v …`"
    size = _packed(map(Path, cast("Mapping[str, str]", made["inputs"])))
    if cap and size > cap:
        return (
            f"the input files of {evaluation.benchmark} have {size} bytes packed, and a job takes "
            f"{cap}; set lepton-s3-prefix or lepton-mount in the profile"
        )
    return ""


class _Count:
    """A file that only counts."""

    size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return len(data)


def _packed(files: Iterable[Path]) -> int:
    """Return the size of an archive of files and directories."""
    count = _Count()
    with tarfile.open(fileobj=cast("IO[bytes]", count), mode="w|gz") as archive:
        for path in files:
            if path.exists():
                archive.add(path, arcname=path.name)
    return count.size
