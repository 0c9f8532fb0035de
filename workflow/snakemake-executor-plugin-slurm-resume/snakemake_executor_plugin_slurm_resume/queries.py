"""Queries the states of all jobs at once, and decides what a missing answer means."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm_resume import slurm
from snakemake_executor_plugin_slurm_resume.outage import Outage
from snakemake_executor_plugin_slurm_resume.states import VANISHED, Meaning, Seen, meaning

#: Seconds until the accounting must know an end that the controller knows.
_ACCOUNTING_LAG = 10
#: Seconds to wait for an accounting that fails, if the controller has forgotten a job.
_ACCOUNTING_OUTAGE = 600
_LEAST_GRACE = 10


class Queries:
    """Asks squeue for all jobs, and sacct for those that squeue does not describe fully.

    *grace* is the number of seconds until a file must be visible here. ``undecided`` are jobs whose
    end will soon be known: an early second poll is useful.
    """

    def __init__(self, logger: Any, grace: float, outage: Outage | None = None) -> None:
        self._logger = logger
        self._outage = outage or Outage(logger.warning, logger.info)
        self._grace = max(_LEAST_GRACE, grace)
        self._has_accounting = True
        self._since: dict[str, float] = {}
        self.undecided: frozenset[str] = frozenset()

    def look(self, outputs: Mapping[str, list[str]], clusters: Iterable[str]) -> dict[str, Seen]:
        """Return the known states of the jobs; *outputs* maps their ids to their files.

        A job without a certain state is not in the result. Ask for that job again.
        """
        self.undecided = frozenset()
        try:
            rows = slurm.queue(clusters)
        except slurm.UnansweredError as error:
            self._outage.fails(str(error))
            return {}
        seen = {number: rows[number] for number in outputs if number in rows}
        doubtful = {
            number
            for number in outputs
            if number not in seen or meaning(seen[number].state) in (Meaning.LOST, Meaning.FAILED)
        }
        told = self._accounted(doubtful, clusters) if doubtful else {}
        if told is not None:
            self._outage.answers()
        for number in doubtful:
            known = self._settle(number, seen.pop(number, None), told, outputs[number])
            if known is not None:
                self._since.pop(number, None)
                seen[number] = known
        if told is not None:
            self.undecided = frozenset(doubtful - seen.keys())
        return seen

    def _settle(
        self, number: str, row: Seen | None, told: Mapping[str, Seen] | None, outputs: list[str]
    ) -> Seen | None:
        """Decide on a failed or forgotten job; None if it is too early."""
        moment = time.monotonic()
        waited = moment - self._since.setdefault(number, moment)
        account = (told or {}).get(number)
        if account is not None and meaning(account.state) is not Meaning.LIVE:
            if row is None:
                return account
            # If they differ, the controller's state is newer, for example after a requeue.
            same = meaning(account.state) is meaning(row.state)
            return replace(account, node=account.node or row.node) if same else row
        if row is not None:
            return row if not self._has_accounting or waited >= _ACCOUNTING_LAG else None
        if told is None and self._has_accounting and waited < _ACCOUNTING_OUTAGE:
            return None
        if waited < self._grace:
            return None
        there = all(Path(output).exists() for output in outputs)
        return Seen(number, "COMPLETED" if there else VANISHED)

    def _accounted(self, numbers: set[str], clusters: Iterable[str]) -> dict[str, Seen] | None:
        """Return the accounting's answer; None if it does not answer."""
        if not self._has_accounting:
            return {}
        try:
            told = slurm.accounting(numbers, clusters)
        except slurm.NoAccountingError as error:
            self._has_accounting = False
            self._logger.info(
                f"Slurm has no accounting ({error}). The outputs of a job that the controller has "
                "forgotten decide whether it succeeded."
            )
            return {}
        except slurm.UnansweredError as error:
            self._outage.fails(str(error))
            return None
        return told
