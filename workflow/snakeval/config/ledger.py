"""Defines the keys of the ledger: its switch, and what an endpoint is known to allow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from snakeval.config.types import Strict, Switch


def _switched(value: object) -> object:
    return ("off", "on")[value] if isinstance(value, bool) else value


#: Whether a gateway keeps the answers of a model; see :mod:`snakeval.ledger`.
LedgerMode = Annotated[Literal["on", "memory", "off"], Switch(), BeforeValidator(_switched)]


#: JSON, which plans are, has no infinite number.
_Number = Annotated[PositiveFloat, Field(allow_inf_nan=False)]


class Limits(Strict):
    """The limits of an endpoint, if they are known. The ledger's gateway observes them."""

    requests_per_minute: _Number | None = Field(default=None, description="null = unknown")
    tokens_per_minute: _Number | None = Field(default=None, description="null = unknown")
    concurrency: PositiveInt | None = Field(
        default=None, description="requests in flight at once; null = unknown"
    )
    patience: _Number | None = Field(
        default=None, description="seconds to wait out HTTP 429 and 503; null = an hour"
    )
