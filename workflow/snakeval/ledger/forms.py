"""The defects of an answer's form, which leave a client without its texts.

A text is at ``message.content`` on OpenAI's chat route, and at ``text`` on its completions route.
Some harnesses take an empty text for whatever they cannot read, and score it. An answer without the
place of its text is therefore a failure of the endpoint, as an error is. Clients differ in what
else they read: most take the first choice, and lm-evaluation-harness takes each at its ``index``.

A client that asks with ``echo`` for the likelihood of its prompt reads it behind the tokens of the
context. If an endpoint ignores ``echo``, nothing is there, and the sum of nothing is a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from snakeval.ledger.endings import is_cut, is_filtered

if TYPE_CHECKING:
    from snakeval.ledger.asked import Asked

#: Route -> the member of a choice that has its text.
ROUTES = {"/chat/completions": "message", "/v1/completions": "text"}


def member_at(target: str) -> str:
    """Return where the choices of an answer to *target* have their text; nothing if unknown."""
    path = target.partition("?")[0]
    return next((member for route, member in ROUTES.items() if path.endswith(route)), "")


def defect(
    data: Mapping[str, Any], target: str, exact: bool = False, asked: Asked | None = None
) -> str:
    """Return what a client cannot read in the answer *data* to *target*, or an empty text.

    *asked* is the request, and *exact* a client that reads each choice at its index, and no parts
    of a content.
    """
    member, choices = member_at(target), data.get("choices")
    if not member or not choices:
        return ""
    if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
        return "its choices are no list of objects"
    if not all(_has_place(each, member) for each in choices):
        return f"its choices have no {member}"
    if asked is not None and not has_likelihoods(data, asked):
        return "its choices have no likelihoods of the prompt"
    if exact and not has_indexes(choices):
        return "its choices have no valid index"
    if exact and not all(_is_plain(each, member) for each in choices):
        return "its texts are no plain strings"
    return ""


def stream_defect(chunks: list[dict[str, Any]], target: str) -> str:
    """Return what a client cannot read in the stream that answers *target*, or an empty text."""
    if not member_at(target) or any(_has_a_choice(chunk) for chunk in chunks):
        return ""
    return "its stream has no choices"


def _has_a_choice(chunk: Mapping[str, Any]) -> bool:
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(isinstance(each, dict) for each in choices)


def has_indexes(choices: list[Any], *, is_whole: bool = True) -> bool:
    """Whether choices have an index; those of a whole answer have each number from 0 once."""
    found = [each.get("index") for each in choices if isinstance(each, dict)]
    numbers = [index for index in found if type(index) is int]
    if len(numbers) < len(found):
        return False
    return not is_whole or sorted(numbers) == list(range(len(choices)))


def has_likelihoods(data: Mapping[str, Any], asked: Asked) -> bool:
    """Whether each choice of an answer has the likelihoods of the prompt, if *asked* wants them."""
    choices = data.get("choices")
    if not isinstance(choices, list) or not asked.wants_likelihood:
        return True
    return all(_has_likelihoods(each, asked) for each in choices if isinstance(each, dict))


def _has_likelihoods(choice: Mapping[str, Any], asked: Asked) -> bool:
    logprobs = choice.get("logprobs")
    found = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    if isinstance(found, list):
        return len(found) > (asked.most_tokens or 0)
    return is_filtered(str(choice.get("finish_reason") or ""))


def _has_place(choice: Mapping[str, Any], member: str) -> bool:
    # A filter or a limit may leave nothing of an answer, and so does a question for a likelihood.
    finish = str(choice.get("finish_reason") or "")
    if is_filtered(finish) or is_cut(finish) or choice.get("logprobs"):
        return True
    return isinstance(choice.get("message"), dict) if member == "message" else member in choice


def _is_plain(choice: Mapping[str, Any], member: str) -> bool:
    found = choice.get(member)
    text = found.get("content") if isinstance(found, dict) else found
    return text is None or isinstance(text, str)
