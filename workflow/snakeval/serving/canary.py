"""Asks a server a fixed question, whose answer shows which weights it serves.

The log-probabilities of a fixed prompt differ between weights and are computed without the prefix
cache. An answer from cached blocks shows if these blocks are of the weights: it must be the answer
without the cache. Prompts are numbers of tokens, so the tokenizer does not matter.

With adapters, the log-probabilities are those of the first tokens of answers. Those of a prompt end
the engine of vLLM 0.32 on a CPU while other requests run: it takes the adapters of as many tokens
as there are requests.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from snakeval.files import DAMAGE, json_value
from snakeval.serving.probe import get

#: Tokens of the prompt: more than a block of the prefix cache, which has at most 256 by default.
_TOKENS, _ANSWER = 288, 8
#: Short prompts and how many of the likeliest next tokens count, of a server with adapters.
_SHORT, _LENGTH, _LIKELIEST = 16, 24, 5
#: Numbers of tokens that each vocabulary has.
_FIRST, _RANGE = 3, 240
#: The answer with and without the cache may differ by the noise of batches, not by more.
_ANSWER_NOISE = 0.25
#: Weights are others if they differ by more than this factor of the noise.
_CLEARLY = 3.0
#: Differences of equal numbers that were printed.
_PRINTED = 1e-6
#: Log-probabilities of the same weights never differ by more, in the median.
_DRIFT = 0.25
_SECONDS = 120.0
_ERRORS = (OSError, http.client.HTTPException, *DAMAGE)
_BLOCK = re.compile(r'cache_config_info\{[^}]*\bblock_size="(\d+)"')
_HITS = re.compile(r"^vllm:prefix_cache_hits_total\S* (\S+)$", re.MULTILINE)
_BUSY = re.compile(r"^vllm:num_requests_(?:running|waiting)\{\S* (\S+)$", re.MULTILINE)


class CanaryError(Exception):
    """The server does not answer the question, so nothing is known of its weights."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A greedy answer: its tokens and their log-probabilities."""

    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]
    likeliest: tuple[Mapping[str, float], ...] = ()

    def agrees(self, other: Answer, limit: float = _ANSWER_NOISE) -> bool:
        """Whether two answers are of the same weights. At a near tie, tokens may differ."""
        for place in range(min(len(self.tokens), len(other.tokens))):
            if not self._agrees_at(place, other, limit):
                return False
            if self.tokens[place] != other.tokens[place]:
                break  # what follows is another text
        return bool(self.tokens) and len(self.tokens) == len(other.tokens)

    def _agrees_at(self, place: int, other: Answer, limit: float) -> bool:
        """Whether each of the two tokens is nearly as likely in the other answer."""
        return all(
            abs(here._logprob_of(there.tokens[place], place) - there.logprobs[place]) <= limit
            for here, there in ((self, other), (other, self))
        )

    def _logprob_of(self, token: str, place: int) -> float:
        if token == self.tokens[place]:
            return self.logprobs[place]
        return self.likeliest[place].get(token, -math.inf) if self.likeliest else -math.inf


@dataclass(frozen=True, slots=True)
class Sight:
    """The answers of a server.

    Attributes:
        prompt: log-probabilities of the prompt's tokens, or of the tokens that follow prompts.
        cached: the answer that may come from cached blocks; ``plain`` is the one without the cache.
        noise: how much the log-probabilities differed between two requests.
        hits: tokens of the prompt that came from the cache; None if the server does not count them.
    """

    prompt: tuple[float, ...]
    cached: Answer
    plain: Answer
    noise: float = 0.0
    hits: float | None = None

    @property
    def is_consistent(self) -> bool:
        """Whether cached blocks, if there are any, are of the weights that answer."""
        return self.cached.agrees(self.plain)

    def distance(self, other: Sight) -> float:
        """How much the log-probabilities differ, in the median: one token may be noisy."""
        if len(self.prompt) != len(other.prompt):
            return float("inf")
        return median(abs(a - b) for a, b in zip(self.prompt, other.prompt, strict=True))

    def differs(self, other: Sight) -> bool:
        """Whether the weights are surely others, and no cached answer is left from *other*."""
        limit = max(_CLEARLY * self.noise, _CLEARLY * other.noise, _PRINTED)
        return self.distance(other) > limit and not self.cached.agrees(other.cached, _PRINTED)

    def is_of(self, own: Sight, others: Sequence[Sight]) -> bool:
        """Whether the weights are those that *own* saw: as near as noise, and nearer than *others*.

        In a busy server, batches change the numbers a little.
        """
        near = self.distance(own)
        if near <= max(_PRINTED, self.noise, own.noise):
            return True
        return near <= _DRIFT and all(self.distance(each) > near / _CLEARLY for each in others)


def look(base: str, model: str, *, adapter: bool = False) -> Sight:
    """Return what the server at *base* answers as *model*, which may be one of several adapters.

    Raises:
        CanaryError: it does not answer, or without log-probabilities.
    """
    try:
        prompt = _prompt(base)
        before = _counted(base)
        # The cached answer first: a request without the cache would fill the cache.
        cached = _complete(base, model, prompt)
        after = _counted(base)
        (first, plain), (second, _) = (
            _of_next(base, model, prompt) if adapter else _of_prompt(base, model, prompt)
            for _ in range(2)
        )
        noise = median(abs(a - b) for a, b in zip(first, second, strict=True))
        hits = None if adapter or before is None or after is None else after - before
        return Sight(first, cached, plain, noise, hits)
    except _ERRORS as error:
        raise CanaryError(f"{type(error).__name__}: {error}") from None


def is_busy(base: str) -> bool:
    """Whether the server still answers requests; False if it does not count them."""
    return any(_metric(base, _BUSY))


def _of_prompt(base: str, model: str, prompt: Sequence[int]) -> tuple[tuple[float, ...], Answer]:
    """Return the log-probabilities of a prompt, and the answer, both without the cache."""
    both, ends = _complete(base, model, prompt, echo=True), len(prompt)
    answer = Answer(both.tokens[ends:], both.logprobs[ends:], both.likeliest[ends:])
    return both.logprobs[:ends], answer


def _of_next(base: str, model: str, prompt: Sequence[int]) -> tuple[tuple[float, ...], Answer]:
    """Return the log-probabilities of what follows short prompts, and the answer to *prompt*."""
    salt = {"cache_salt": secrets.token_hex(8)}  # no cached block has it
    short = [list(prompt[n : n + _LENGTH]) for n in range(_SHORT)]
    asked = {"prompt": short, "max_tokens": 1, "logprobs": _LIKELIEST, **salt}
    choices = sorted(_ask(base, model, asked), key=lambda choice: int(choice["index"]))
    likeliest = [sorted(c["logprobs"]["top_logprobs"][0].values()) for c in choices]
    numbers = tuple(float(number) for each in likeliest for number in each[-_LIKELIEST:])
    return numbers, _complete(base, model, prompt, **salt)


def _complete(base: str, model: str, prompt: Sequence[int], **more: Any) -> Answer:
    """Return a completion, with the prompt if it is echoed, whose first token has the number 0."""
    asked = {"prompt": list(prompt), "max_tokens": _ANSWER, "logprobs": _LIKELIEST, **more}
    answer = _ask(base, model, asked)[0]["logprobs"]
    logprobs = [0.0 if number is None else float(number) for number in answer["token_logprobs"]]
    likeliest = tuple(each or {} for each in answer["top_logprobs"])
    return Answer(tuple(map(str, answer["tokens"])), tuple(logprobs), likeliest)


def _ask(base: str, model: str, asked: Mapping[str, Any]) -> list[Any]:
    """Return the choices of a greedy completion."""
    # Texts of tokens may be equal, as of parts of a character. vLLM returns their numbers instead.
    how = {"model": model, "temperature": 0, "return_tokens_as_token_ids": True}
    body = json.dumps({**how, **asked}).encode()
    choices: list[Any] = json_value(get(f"{base}/v1/completions", _SECONDS, body))["choices"]
    return choices


def _prompt(base: str) -> tuple[int, ...]:
    """Return the prompt, which is longer than a block of the server's cache."""
    # Without such a page: most blocks are shorter than the prompt.
    block = next(iter(_metric(base, _BLOCK)), 0)
    count = max(_TOKENS, int(block) + _TOKENS - 256)
    return tuple(_FIRST + (7919 * place) % _RANGE for place in range(count))


def _counted(base: str) -> float | None:
    found = _metric(base, _HITS)
    return sum(found) if found else None


def _metric(base: str, pattern: re.Pattern[str]) -> list[float]:
    """Return the numbers that *pattern* finds in the server's metrics; none without such a page."""
    with contextlib.suppress(*_ERRORS):
        page = get(f"{base}/metrics", _SECONDS).decode()
        return [float(number) for number in pattern.findall(page)]
    return []
