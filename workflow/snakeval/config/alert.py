"""Defines ``benchmarks.<name>.alert``: which events of a training are reported, and how."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from snakeval.config.types import Strict, Switch, Variable

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Alert(Strict):
    """The alarms of one benchmark. The fingerprint excludes it."""

    drop: Annotated[StrictBool | Positive, Switch()] = Field(
        default=False,
        description="a checkpoint is worse than the best three before it: true, or by so much "
        "at least, in the unit of the score",
    )
    reached: float | None = Field(
        default=None, allow_inf_nan=False, description="the first checkpoint with this score"
    )
    no_checkpoint: Positive | None = Field(
        default=None, description="minutes without a new checkpoint; `snakeval follow` looks"
    )
    failures: bool = Field(default=False, description="an evaluation failed")
    command: str | tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="gets the alarm as JSON on its standard input; a text runs in a shell",
    )
    webhook: Variable | None = Field(
        default=None, description="the variable with the URL that alarms are posted to"
    )

    @model_validator(mode="after")
    def _has_condition(self) -> Self:
        if not (self.drop or self.failures) and self.reached is None and not self.no_checkpoint:
            raise PydanticCustomError(
                "alert",
                "has no condition; write drop: true, reached: SCORE, no_checkpoint: MINUTES or "
                "failures: true",
            )
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """The ways in which its alarms are delivered."""
        given = {"command": self.command, "webhook": self.webhook}
        return tuple(name for name, value in given.items() if value)
