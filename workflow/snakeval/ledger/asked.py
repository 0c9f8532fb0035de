"""The members of a request that say what its answer has to have."""

from __future__ import annotations

import json
from typing import Any


def parsed(body: bytes) -> Any:
    """Return the JSON data of a body, or None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


class Asked:
    """A request. Its body is parsed only if that is necessary."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._data: dict[str, Any] | None = None

    @property
    def data(self) -> dict[str, Any]:
        """Its JSON members; none if it is no JSON object."""
        if self._data is None:
            found = parsed(self._body) if self._body else None
            self._data = found if isinstance(found, dict) else {}
        return self._data

    @property
    def most_tokens(self) -> float | None:
        """The limit of tokens that it sets, or None."""
        data = self.data
        names = ("max_completion_tokens", "max_tokens", "max_output_tokens")
        found = next((data[name] for name in names if data.get(name) is not None), None)
        is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
        return found if is_number else None

    @property
    def wants_text(self) -> bool:
        """Whether it asks for more than the likelihood of a text, or one token."""
        most = self.most_tokens
        return not self.data.get("echo") and not (most is not None and most <= 1)

    @property
    def wants_logprobs(self) -> bool:
        """Whether it asks for log probabilities."""
        return b'"logprobs"' in self._body and bool(self.data.get("logprobs"))

    @property
    def wants_likelihood(self) -> bool:
        """Whether it asks for the likelihoods of its own prompt, and for one token at most."""
        if b'"echo"' not in self._body or not self.data.get("echo"):
            return False
        return self.wants_logprobs and self.most_tokens in (0, 1)

    @property
    def offers_tools(self) -> bool:
        """Whether a call of a tool may be the answer."""
        if b'"tools"' not in self._body and b'"functions"' not in self._body:
            return False
        return bool(self.data.get("tools") or self.data.get("functions"))

    @property
    def samples(self) -> int:
        """How many texts it asks for."""
        number = self.data.get("n") if b'"n"' in self._body else None
        return number if isinstance(number, int) and not isinstance(number, bool) else 1

    @property
    def is_sampled(self) -> bool:
        """Whether equal requests may receive different answers."""
        prompt, temperature = self.data.get("prompt"), self.data.get("temperature")
        batch = isinstance(prompt, list) and len(prompt) > 1 and not isinstance(prompt[0], int)
        fixed = isinstance(temperature, (int, float)) and temperature == 0
        return bool(self.data) and not batch and not fixed
