"""Gives the gateway of an evaluation its part of the run's budget, and ends with the budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.evaluation import requests
from snakeval.evaluation.amounts import amount_text, currency_of, option_text
from snakeval.evaluation.attempts import AttemptDirectory, Failure
from snakeval.evaluation.definition import Evaluation, Transport
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.ledger import summary
from snakeval.ledger.budget import BudgetFile
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory


def options_of(
    evaluation: Evaluation, directory: EvaluationDirectory, served: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return the gateway's ``budget``; None without one. *served* has the models served here."""
    if not _pays(evaluation.transport):
        return None
    run = RunDirectory.of(directory)
    rates = {name: rate for name in served if (rate := _rate(evaluation, run, name))}
    # The gateway works in another directory than this job.
    file = str(run.budget.absolute())
    return {
        "file": file,
        "place": directory.name,
        "limits": dict(evaluation.transport.budget),
        "rates": rates,
    }


def _pays(transport: Transport) -> bool:
    """Whether there is a budget, and a request may reach a model."""
    return bool(transport.budget) and (not transport.offline or bool(transport.online))


def _rate(evaluation: Evaluation, run: RunDirectory, model: str) -> float:
    """Return the money that an hour of a model's server costs."""
    price = (evaluation.transport.prices.get(model) or {}).get("hour")
    plan = DeploymentDirectory.of(run, model).known_plan() if price else None
    if not price or plan is None:
        return 0.0
    serving = plan.deployment.serving
    return float(price) * serving.gpus_on_host * serving.hosts


def refuse_used_up(evaluation: Evaluation, directory: EvaluationDirectory) -> None:
    """Fail before anything starts if the budget is used up and the evaluation needs more of it.

    One that was interrupted may end with the answers in its journal, so it starts.

    Raises:
        EvaluationError: the budget is used up.
    """
    transport = evaluation.transport
    if not _pays(transport):
        return
    if directory.requests.exists() and not requests.used_up(directory):
        return
    run = RunDirectory.of(directory)
    file = BudgetFile(run.budget, transport.budget)
    file.refresh()
    if not file.used_up():
        return
    _settle_dead(file, run)
    if kinds := file.used_up():
        raise EvaluationError(used_up(evaluation, file, kinds))


def _settle_dead(file: BudgetFile, run: RunDirectory) -> None:
    """End the accounts of gateways that were killed, so that their slices come back."""
    # Here, because hardly any job needs it: asyncio takes a tenth of a job's start.
    from snakeval.ledger import accounts

    for account in [each for each in file.accounts.values() if not each.has_ended]:
        place = run.evaluation(account.place).requests
        if not summary.lives(place / "gateway"):
            accounts.settle(file, account, place)


def end(
    evaluation: Evaluation, directory: EvaluationDirectory, attempt: AttemptDirectory
) -> EvaluationError:
    """Note why an attempt failed whose gateway ended with the budget; return it as an error."""
    file = BudgetFile(RunDirectory.of(directory).budget, evaluation.transport.budget)
    file.refresh()
    reason = used_up(evaluation, file, requests.used_up(directory) or file.used_up())
    attempt.fail(Failure(reason))
    return EvaluationError(reason)


def used_up(evaluation: Evaluation, file: BudgetFile, kinds: list[str]) -> str:
    """Say that a budget is used up, and how to continue."""
    currency = currency_of(evaluation.transport.prices.values())
    kinds = [kind for kind in kinds if kind in file.limits] or [*file.limits]
    limits = " and ".join(amount_text(kind, file.limits[kind], currency) for kind in kinds)
    spent = " and ".join(amount_text(kind, file.spent(kind), currency) for kind in kinds)
    more = " ".join(f"--budget {option_text(kind, 2 * file.limits[kind])}" for kind in kinds)
    run = RunDirectory(file.path.parent.parent)
    return (
        f"the run's budget of {limits} is used up ({spent} spent); continue: "
        f"snakeval resume {run.id or run.path} {more}"
    )
