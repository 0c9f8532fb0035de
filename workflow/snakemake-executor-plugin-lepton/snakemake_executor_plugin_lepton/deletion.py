"""Deletes the jobs of a run, and looks again until there are none."""

from __future__ import annotations

import time
from collections.abc import Iterable
from logging import Logger

from snakemake_executor_plugin_lepton import identity
from snakemake_executor_plugin_lepton.errors import ServiceError
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.states import GONE, state_of
from snakemake_executor_plugin_lepton.submission import Submission

_ROUNDS = 5


def delete_all(
    service: Service,
    run: str,
    submission: Submission,
    logger: Logger,
    looks: int,
    tracked: Iterable[str] = (),
) -> list[str]:
    """Delete jobs until *looks* consecutive looks have found none; return what may be left.

    The jobs of other live heads stay. *tracked* are jobs of this head, some of which may be of
    another run.
    """
    own = set(tracked)
    left: list[str] = []
    for round_ in range(_ROUNDS):
        try:
            found = service.jobs(identity.selector(run))
            listed = {str(job.metadata.id_) for job in found}
            others = [job for each in own - listed if (job := service.job(each)) is not None]
            left = [
                str(job.metadata.id_)
                for job in (*found, *others)
                if state_of(job) not in GONE and not submission.is_of_another(job)
            ]
            looks -= not left
            if looks == 0:
                return []
            for job_id in left:
                service.delete(job_id)
        except ServiceError as error:
            logger.warning(f"Lepton: {error}")
        time.sleep(0.5 * 2**round_)
    logger.error(
        f"Lepton: {len(left)} jobs may still run: {' '.join(left[:20])}. "
        "See `lep job list`, and end them with `lep job remove -i ID`."
    )
    return left or ["unknown"]
