"""Sends a run to a destination with retries, and reports what arrived and what did not.

An undelivered result stays in the run, and the same export sends it later.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from snakeval.errors import ConfigError
from snakeval.evaluation.record import now
from snakeval.exporters import Exporter, ExportError, configured, note
from snakeval.exporters.package import Package, lack, packages
from snakeval.files import DAMAGE, read_text, yaml_value
from snakeval.run.directory import RunDirectory

Say = Callable[[str], None]
Result = TypeVar("Result")


@dataclass
class Delivery:
    """The result of an export.

    Attributes:
        delivered: the keys of the packages that arrived, each with its address.
        undelivered: the keys of the other packages, each with a reason.
        partial: what the run lacked; empty if it was complete.
    """

    delivered: dict[str, list[str]] = field(default_factory=dict)
    undelivered: dict[str, str] = field(default_factory=dict)
    partial: str = ""


def deliver(run: RunDirectory, title: str, name: str, exporter: Exporter, say: Say) -> Delivery:
    """Send *run* to *exporter*, the destination *name*; *say* receives progress messages.

    A temporary failure is retried. If it persists, the remaining packages are not tried.
    """
    options = exporter.options
    sent = packages(run, title, options)
    done, failed, missing = (
        sum(getattr(package, state) for package in sent) for state in ("done", "failed", "missing")
    )
    result = Delivery(partial=lack(done, failed, missing))
    if len(sent) != 1 or sent[0].artifacts:
        say(f"{name}: {amount(sent)}")
    try:
        _patiently(exporter.open, options.attempts, name, say)
    except Exception as error:
        result.undelivered = dict.fromkeys((package.key for package in sent), _reason(error))
        return result
    try:
        try:
            _send(sent, exporter, name, say, result)
        finally:
            exporter.close()
    except Exception as error:  # close() may have lost data that it was to write
        result.undelivered |= dict.fromkeys(result.delivered, _reason(error))
        result.delivered = {}
    return result


def _send(
    sent: Sequence[Package], exporter: Exporter, name: str, say: Say, result: Delivery
) -> None:
    hopeless = ""
    for package in sent:
        if hopeless:
            result.undelivered[package.key] = hopeless
            continue
        send = functools.partial(exporter.send, package)
        try:
            places = _patiently(send, exporter.options.attempts, name, say)
        except Exception as error:
            result.undelivered[package.key] = _reason(error)
            if isinstance(error, ExportError) and error.passing:
                hopeless = _reason(error)
        else:
            result.delivered[package.key] = list(places)


def amount(sent: list[Package]) -> str:
    """Describe the amount of data, before it is sent.

    >>> amount([])
    '0 entries, no files (0 B)'
    """
    files = sum(len(package.artifacts) for package in sent)
    size = sum(package.size for package in sent)
    entries = f"{len(sent)} {'entry' if len(sent) == 1 else 'entries'}"
    return f"{entries}, {files or 'no'} {'file' if files == 1 else 'files'} ({_bytes(size)})"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _patiently(action: Callable[[], Result], attempts: int, name: str, say: Say) -> Result:
    """Call *action* until it succeeds or cannot: waits of 1, 2, 4 … seconds, at most 60."""

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        say(f"{name}: {error}; again in {state.upcoming_sleep:.0f} s")

    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(max=60) + wait_random(0, 0.5),
        retry=retry_if_exception(lambda e: isinstance(e, ExportError) and e.passing),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(action)


def _reason(error: Exception) -> str:
    if isinstance(error, ExportError):
        return str(error)
    # A bug in an exporter, perhaps a third party's. It fails neither the run nor other exports.
    where = traceback.extract_tb(error.__traceback__)[-1]
    return str(ExportError(f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"))


# --- exports that a run's configuration requests ----------------------------------------------


def destinations(run: RunDirectory) -> tuple[str, dict[str, Any]]:
    """Return the name and the section ``export`` of the configuration that *run* has saved."""
    try:
        data = yaml_value(read_text(run.config))
        return str(data.get("name") or ""), dict(data.get("export") or {})
    except (OSError, *DAMAGE):
        return "", {}  # an older or partly deleted run; the command line can name a destination


def renew_note(run: RunDirectory, name: str, result: Delivery) -> None:
    """Update the note after an export by hand, if the note has the destination."""
    entries = note.read(run)
    if name in entries:
        note.write(run, {**entries, name: _entry(result)})


def _entry(result: Delivery) -> dict[str, Any]:
    return {"time": now(), **asdict(result)}


def deliver_configured(run: RunDirectory, say: Say) -> dict[str, Delivery]:
    """Send *run* to its configured destinations and write the note. It never fails the rule."""
    title, wanted = destinations(run)
    results: dict[str, Delivery] = {}
    for name, values in wanted.items():
        try:
            results[name] = deliver(run, title, name, configured({name: values})[name], say)
        except ConfigError as error:
            results[name] = Delivery(undelivered={run.name: str(error)})
        except Exception as error:  # the run is damaged, as `snakeval export` also reports
            results[name] = Delivery(undelivered={run.name: _reason(error)})
        for reason in dict.fromkeys(results[name].undelivered.values()):
            say(f"{name}: not delivered: {reason}")
    note.write(run, {each: _entry(result) for each, result in results.items()})
    return results
