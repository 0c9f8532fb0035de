"""Defines ``endpoint.request``: changes to the requests before an endpoint receives them."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from snakeval.config.types import Plain, Strict

#: Members of a request that determine the question, or the way in which its answer comes.
_KEPT = ("model", "messages", "prompt", "input", "stream", "n")


class RequestChanges(Strict):
    """Changes to the JSON of each request to an endpoint, in the order of the keys.

    The harness knows nothing of them. The ledger's gateway makes them.
    """

    rename: dict[str, str] = Field(
        default_factory=dict, description="parameters that the endpoint knows by another name"
    )
    drop: tuple[str, ...] = Field(
        default=(), description="parameters that the endpoint does not receive"
    )
    add: Plain = Field(
        default_factory=dict, description="parameters that every request has, with their values"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in (*self.rename, *self.rename.values(), *self.drop, *self.add):
            if not name or name in _KEPT:
                why = "would change the question or the form of its answer; remove it"
                raise PydanticCustomError(
                    "request", "'{name}' {why}", {"name": name, "why": why if name else "is empty"}
                )
        both = next((name for name in self.rename if name in self.drop), "")
        if both:
            raise PydanticCustomError(
                "request", "has '{name}' in rename and in drop; keep one", {"name": both}
            )
        same = next((old for old, new in self.rename.items() if old == new), "")
        if same:
            raise PydanticCustomError(
                "request", "renames '{name}' to itself; remove it", {"name": same}
            )
        new = list(self.rename.values())
        twice = next((name for name in new if new.count(name) > 1), "")
        if twice:
            raise PydanticCustomError(
                "request", "renames two parameters to '{name}'; keep one", {"name": twice}
            )
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """The changes that are there, as the definition of an evaluation has them."""
        parts = {"rename": self.rename, "drop": sorted(set(self.drop)), "add": self.add}
        return {name: part for name, part in parts.items() if part}
