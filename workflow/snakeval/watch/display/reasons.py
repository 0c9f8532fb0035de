"""Why a job failed, in one sentence, unless the job itself printed it to this terminal."""

from __future__ import annotations

import os
import socket

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Event
from snakeval.ledger.plain_text import visible
from snakeval.serving.directory import DeploymentDirectory


def printed_here(end: Event) -> bool:
    """Whether the job that ended with *end* printed to this terminal.

    A child of this Snakemake does; a job of another machine, and one that the executor refused, do
    not.
    """
    return end.phase != "refused" and (end.host, end.head) == (socket.gethostname(), os.getpid())


def sentence(end: Event, place: EvaluationDirectory | DeploymentDirectory) -> str:
    """Return why the job of *place* failed, by the event with which it ended."""
    said = place.failed(visible(end.detail))
    if end.phase == "refused":
        return said
    log = place.server_log if isinstance(place, DeploymentDirectory) else place.log
    return f"{said} [log: {log}]"
