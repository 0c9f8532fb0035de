"""Defines the section ``follow``: how many heads a follower starts, and when it ends."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from snakeval.config.types import PathText, Strict


class Follow(Strict):
    """The settings of ``snakeval follow``."""

    slots: PositiveInt = Field(
        default=1, description="number of checkpoints that are evaluated at the same time"
    )
    retry: float = Field(
        default=60.0,
        ge=1,
        le=3600,
        description="seconds until a failed checkpoint starts again; each further pause is twice "
        "as long, up to an hour",
    )
    end: PathText | None = Field(
        default=None,
        description="end when this file exists and every ready checkpoint is evaluated",
    )
