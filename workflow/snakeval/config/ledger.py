"""Defines the keys of the ledger: its switch, limits of an endpoint, prices, and the budget."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from pydantic_core import PydanticCustomError

from snakeval.config.execution import Walltime
from snakeval.config.types import Strict, Switch


def _switched(value: object) -> object:
    return ("off", "on")[value] if isinstance(value, bool) else value


#: Whether a gateway keeps the answers of a model; see :mod:`snakeval.ledger`.
LedgerMode = Annotated[Literal["on", "memory", "off"], Switch(), BeforeValidator(_switched)]


#: JSON, which plans are, has no infinite number.
_Number = Annotated[PositiveFloat, Field(allow_inf_nan=False)]
#: A smaller limit is a mistake: one request would wait longer than ten minutes for the other.
_RequestRate = Annotated[float, Field(ge=0.1, allow_inf_nan=False)]
_TokenRate = Annotated[float, Field(ge=1, allow_inf_nan=False)]
_Price = Annotated[NonNegativeFloat, Field(allow_inf_nan=False)]


def _whole(value: object) -> object:
    """Also accept a number such as 1e6, which YAML reads as a text."""
    if isinstance(value, str) and re.fullmatch(r"[0-9][0-9_]*(\.[0-9]+)?(e\+?[0-9]{1,2})?", value):
        return float(value)
    return value


_Count = Annotated[PositiveInt, BeforeValidator(_whole)]


class Limits(Strict):
    """The limits of an endpoint, if they are known. The ledger's gateway observes them."""

    requests_per_minute: _RequestRate | None = Field(
        default=None, description="at least 0.1; null = unknown"
    )
    tokens_per_minute: _TokenRate | None = Field(default=None, description="null = unknown")
    concurrency: PositiveInt | None = Field(
        default=None, description="requests in flight at once; null = unknown"
    )
    patience: _Number | None = Field(
        default=None, description="seconds to wait out HTTP 429 and 503; null = an hour"
    )


class Prices(Strict):
    """The prices of a model. The ledger's tokens make the costs; no score depends on them."""

    input: _Price | None = Field(default=None, description="price of a million tokens of prompts")
    output: _Price | None = Field(default=None, description="price of a million tokens of answers")
    cached: _Price | None = Field(
        default=None, description="price of a million cached tokens of prompts; null = input"
    )
    hour: _Price | None = Field(
        default=None, description="price of an hour of a GPU that serves the model"
    )
    currency: str = Field(default="USD", pattern=r"^\S{1,12}$")

    @property
    def is_hourly(self) -> bool:
        """Whether no request has a price."""
        return self.input is None and self.output is None

    @model_validator(mode="after")
    def _any(self) -> Self:
        if self.is_hourly and self.hour is None:
            raise PydanticCustomError("one", "has no price; add input and output, or hour")
        return self


class Budget(Strict):
    """The most that a run spends before it stops. `snakeval resume ID --budget …` continues it."""

    money: _Number | None = Field(default=None, description="in the currency of the prices")
    tokens: _Count | None = Field(default=None, description="tokens of prompts and answers")
    requests: _Count | None = Field(default=None, description="requests to models")
    wall: Walltime | None = Field(
        default=None, description="time in which gateways of the run work, such as 4h"
    )

    @property
    def limits(self) -> dict[str, float]:
        """The amounts by kind; time in seconds."""
        given = {kind: getattr(self, kind) for kind in type(self).model_fields}
        seconds = {"wall": 60}
        return {n: float(v) * seconds.get(n, 1) for n, v in given.items() if v is not None}


def _removed(value: object) -> object:
    """Return no budget for ``none``: the command line of Snakemake has no null."""
    return None if value == "none" else value


OptionalBudget = Annotated[Budget | None, BeforeValidator(_removed)]
