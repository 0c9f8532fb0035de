"""A warning that concerns all jobs alike comes once."""

from __future__ import annotations

import logging

from snakemake_executor_plugin_slurm_resume.noise import Once


def test_warnings_of_all_jobs_come_once_and_others_each_time() -> None:
    logger, lines = logging.Logger("test"), []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.addFilter(Once())
    for _ in range(3):
        logger.warning("No job memory information ('mem_mb' or 'mem_mb_per_cpu') is given.")
        logger.warning("No wall time information given.")
        logger.warning("Slurm job 5 failed")
        logger.warning(None)
    assert [line[:11] for line in lines] == [
        "No job memo", "No wall tim", *["Slurm job 5", "None"] * 3,
    ]  # fmt: skip
