"""Opens the account of a gateway, and ends those that killed gateways left open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from snakeval.ledger import records
from snakeval.ledger.budget import KINDS, Account, Amounts, BudgetFile
from snakeval.ledger.journal import files_of
from snakeval.ledger.spending import Spending


def spending_of(
    config: Mapping[str, Any] | None,
    directory: Path,
    mode: str,
    stop: Callable[[list[str]], None],
) -> Spending | None:
    """Return what a gateway may spend, with an account of its own; None without a budget.

    *config* has the ``file`` of the budget, its ``limits``, the ``place`` of the evaluation in the
    run, and ``rates``: what an hour of each server of the run costs.

    Raises:
        OSError: the file or a journal cannot be read or written.
    """
    if not config:
        return None
    budget = BudgetFile(Path(config["file"]), config["limits"])
    budget.path.parent.mkdir(parents=True, exist_ok=True)
    budget.refresh()
    for account in budget.left_open(config["place"]):
        settle(budget, account, directory)
    own = budget.open(config["place"], is_kept=mode == "on")
    return Spending(budget, own.id, stop, config.get("rates"))


def settle(budget: BudgetFile, account: Account, directory: Path) -> None:
    """End the account of a gateway that was killed: its journal says what it spent.

    Without a journal (``ledger: memory``), all that it took counts as spent.

    Raises:
        OSError: the file or a journal cannot be read or written.
    """
    used = {kind: account.committed(kind) for kind in KINDS}
    if account.is_kept:
        used = spent_by(account.id, directory)
        for kind, amount in account.unkept.items():
            used[kind] = used.get(kind, 0.0) + amount
    budget.end(account.id, used)


def spent_by(account: str, directory: Path) -> Amounts:
    """Return what the answers cost that an account paid, by the journals of an evaluation.

    Raises:
        OSError: a journal cannot be read.
    """
    total: Amounts = dict.fromkeys(KINDS, 0.0)
    for folder in (path for path in directory.glob("*") if path.is_dir()):
        for path in files_of(folder):
            file = os.open(path, os.O_RDONLY)
            try:
                payer, start = records.read_account(file)
                for mark, _, _, offset in records.scan(file, start) if payer == account else ():
                    if mark != records.ANSWER:
                        continue
                    for kind, amount in records.read(file, offset).meta.get("spent", {}).items():
                        total[kind] = total.get(kind, 0.0) + amount
            finally:
                os.close(file)
    return total
