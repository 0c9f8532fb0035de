"""Looks at all jobs at once, and knows what to make of silence."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm_resume import slurm
from snakemake_executor_plugin_slurm_resume.states import VANISHED, Meaning, Seen, meaning

#: How long the accounting may take to hear of an end that the controller knows, in seconds.
_ACCOUNTING_LAG = 10
#: How long an accounting that fails is waited for, where the controller has forgotten a job.
_ACCOUNTING_OUTAGE = 600
_LEAST_GRACE = 10


class Queries:
    """Asks squeue for all jobs, and sacct for those of which squeue does not say enough.

    *grace* is how long a file may take to be seen here, in seconds. ``undecided`` are jobs of whose
    end more will soon be known: they are worth another look.
    """

    def __init__(self, logger: Any, grace: float) -> None:
        self._logger = logger
        self._grace = max(_LEAST_GRACE, grace)
        self._has_accounting = True
        self._silent: set[str] = set()
        self._since: dict[str, float] = {}
        self.undecided: frozenset[str] = frozenset()

    def look(self, outputs: Mapping[str, list[str]], clusters: Iterable[str]) -> dict[str, Seen]:
        """Return what is known of the jobs; *outputs* maps their ids to what they make.

        A job of which nothing certain is known is not in it; it is to be asked for again.
        """
        self.undecided = frozenset()
        try:
            rows = slurm.queue(clusters)
        except slurm.UnansweredError as error:
            self._silence("squeue", str(error))
            return {}
        self._answer("squeue")
        seen = {number: rows[number] for number in outputs if number in rows}
        doubtful = {
            number
            for number in outputs
            if number not in seen or meaning(seen[number].state) in (Meaning.LOST, Meaning.FAILED)
        }
        if not doubtful:
            return seen
        told = self._accounted(doubtful, clusters)
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
        """Decide on a job that has failed or is forgotten; None: not yet."""
        moment = time.monotonic()
        waited = moment - self._since.setdefault(number, moment)
        account = (told or {}).get(number)
        if account is not None and meaning(account.state) is not Meaning.LIVE:
            if row is None:
                return account
            # The controller's is newer where they differ: a requeue, say.
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
        """What the accounting knows; None if it does not answer."""
        if not self._has_accounting:
            return {}
        try:
            told = slurm.accounting(numbers, clusters)
        except slurm.NoAccountingError as error:
            self._has_accounting = False
            self._logger.info(
                f"Slurm has no accounting ({error}): a job that the controller has forgotten is "
                "judged by its outputs."
            )
            return {}
        except slurm.UnansweredError as error:
            self._silence("sacct", str(error))
            return None
        self._answer("sacct")
        return told

    def _silence(self, who: str, why: str) -> None:
        if who not in self._silent:
            self._silent.add(who)
            self._logger.warning(f"Slurm does not answer ({why}); its jobs are waited for.")

    def _answer(self, who: str) -> None:
        if who in self._silent:
            self._silent.discard(who)
            self._logger.info(f"Slurm answers again ({who}).")
