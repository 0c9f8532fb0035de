"""Finds the one sentence that says why a harness failed: of its requests, or of its log."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from snakeval.evaluation.attempts import Failure
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.requests import requests_seen
from snakeval.harnesses import base_url
from snakeval.jobs.client_errors import in_words
from snakeval.jobs.request_cause import LEAST, LONGEST, cause_of
from snakeval.ledger.plain_text import shortened
from snakeval.ledger.routes import BadRoute, origin_of, proxy_for
from snakeval.logs import last_error, refused, without_shell
from snakeval.run.directory import RunDirectory
from snakeval.runtimes import Outcome


def failure_reason(evaluation: Evaluation, outcome: Outcome, log: Path, url: str = "") -> str:
    """Return the reason of a non-zero exit: the harness's error, and the endpoint's state.

    *url* is the model's route, if snakeval served it.
    """
    return failure_of(evaluation, outcome, log, url).reason


def with_requests(
    failure: Failure, evaluation: Evaluation, directory: EvaluationDirectory, *, reaches: bool
) -> Failure:
    """Return *failure* with what the requests of its gateway say about the cause.

    *reaches* says whether the harness is known to reach the gateway.
    """
    if evaluation.transport.ledger == "off":
        return failure
    seen, replayed = requests_seen(directory)
    if not seen and not reaches:
        hint = "its gateway received no request; if it cannot connect, set ledger: off"
    elif replayed and failure.poison:
        run = RunDirectory.of(directory).id or "ID"
        hint = (
            f"all answers came from the journal; `snakeval resume {run} --ask-again last` requests "
            "the last ones again"
        )
    else:
        return failure
    room = max(LEAST, LONGEST - len(hint) - len("; "))
    return replace(failure, reason=f"{shortened(failure.reason, room)}; {hint}")


def failure_of(
    evaluation: Evaluation,
    outcome: Outcome,
    log: Path,
    url: str = "",
    directory: EvaluationDirectory | None = None,
) -> Failure:
    """Return the failure of a harness, and whether the data that it resumed may be the cause.

    *directory* has what the gateway saw of the requests, which says more than the log.
    """
    if outcome.out_of_memory:
        limit = evaluation.transport.resources.get("mem_mb")
        fix = f"raise resources.mem_mb (now {limit})" if limit else "give it more memory"
        return Failure(f"out of memory: the kernel killed the harness; {fix}")
    if no_shell := without_shell(evaluation.identity.image, log):
        return Failure(no_shell)
    how = {
        127: "the harness's command was not found in its image (exit code 127)",
        137: "the harness was killed (SIGKILL), perhaps for want of memory",
    }.get(outcome.exit_code, f"the harness exited with {outcome.exit_code}")
    said = last_error(log)
    if not refused(said):
        said = in_words(log, evaluation.transport.request_timeout) or said
    if directory is not None and evaluation.transport.ledger != "off":
        cause = None if outcome.exit_code in (127, 137) else cause_of(evaluation, directory)
        if cause is not None:
            is_cause = cause.explains(said)
            return Failure(cause.text if is_cause else cause.beside(how, said), poison=not is_cause)
    # The endpoint of a model that an executor served elsewhere is only a path here.
    known = url or "//" in evaluation.identity.endpoint_url
    known = known and not evaluation.transport.offline
    wrong = endpoint_trouble(evaluation, url) if known else ""
    more = []
    if "huggingface.co" in said and evaluation.identity.endpoint_type == "completions":
        more.append(
            "the harness looks for the model's tokenizer under model_id; set "
            "params.extra.model_args.tokenizer to a name on the hub or a path"
        )
    if hint := _hint(evaluation, said):
        more.append(hint)
    if wrong:
        more.append(wrong)
    own_fault = not wrong and outcome.exit_code not in (127, 137)
    return Failure(_within(how, said, more), poison=own_fault)


def _within(how: str, said: str, more: Sequence[str]) -> str:
    """Return a reason of at most 300 characters, of which *said* is shortened."""
    more = list(more)
    while (room := LONGEST - len("; ".join([how, *more])) - len("; ")) < min(len(said), 150):
        if not more:
            break
        more.pop()
    return "; ".join(filter(None, [how, shortened(said, max(LEAST, room)), *more]))


def _hint(evaluation: Evaluation, said: str) -> str:
    """Return what to change if the endpoint refused a parameter of the requests."""
    if evaluation.identity.adapter != "lm-eval" or not refused(said):
        return ""
    if "max_completion_tokens" in said:
        return (
            "set params.extra.args to [--model, openai-chat-completions] if its model_id has o1, "
            "o3, o4 or 5"
        )
    if "'temperature'" in said and "Only the default (1)" in said:
        return "set params.temperature to 1"
    return ""


def endpoint_trouble(evaluation: Evaluation, url: str = "", timeout: float = 5.0) -> str:
    """Ask the endpoint for its list of models; return what is wrong with it, or nothing.

    Only a failure asks. Some healthy endpoints have no such list, so only refusals count. The way
    to the endpoint is the gateway's: what snakeval serves at *url* is asked without a proxy.
    """
    base = base_url((url or evaluation.identity.endpoint_url).partition("?")[0])
    if "+unix://" in base:
        return ""  # only the gateway speaks to sockets, and says what it saw
    try:
        proxy = proxy_for(origin_of(base), False if url else None, os.environ)
    except BadRoute as error:
        return f"the endpoint {base} cannot be reached ({error})"
    through = urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {})
    request = urllib.request.Request(f"{base}/models")
    key_name = evaluation.transport.api_key_name
    key = os.environ.get(key_name, "") if key_name else ""
    if key and key.isprintable() and key.isascii():
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.build_opener(through).open(request, timeout=timeout):
            return ""
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            which = f"the key in {key_name}" if key_name else "no key (set api_key_name)"
            return f"the endpoint {base} refuses {which} (HTTP {error.code})"
        if error.code == 429 or error.code >= 500:
            return f"the endpoint {base} answers HTTP {error.code}"
        return ""
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        return f"the endpoint {base} cannot be reached ({why})"
