"""Defines the section ``follow``: how many heads a follower starts, and when it ends."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from snakeval.config.types import PathText, Strict


class Follow(Strict):
    """The settings of ``snakeval follow``."""

    slots: PositiveInt = Field(
        default=1, description="how many checkpoints are evaluated side by side"
    )
    retry: float = Field(
        default=60.0,
        ge=1,
        le=3600,
        description="seconds until a failed checkpoint starts again; each further pause is twice "
        "as long, up to an hour",
    )
    end: PathText | None = Field(
        default=None, description="the follower ends once this file exists and all is evaluated"
    )
