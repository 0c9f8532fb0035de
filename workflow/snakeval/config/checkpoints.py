"""Defines ``models.<name>.checkpoints``: a series of models, one for each checkpoint of a training.

A series has a pattern with wildcards, such as ``/train/run7/step-{step}``. It becomes plain models
before anything else looks at them: see :mod:`snakeval.series`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from snakeval.config.member_names import MARK as MARK
from snakeval.config.types import Name, Strict, check_name, path_problem

#: ``ready`` of a checkpoint that snakeval judges by its files.
AUTO = "auto"
_WILDCARD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,4})?", re.ASCII)


def number(value: str) -> Decimal | None:
    """Return the number that a value of a wildcard is, or None.

    >>> number("0200"), number("1e-5"), number("final")
    (Decimal('200'), Decimal('0.00001'), None)
    """
    return Decimal(value) if _NUMBER.fullmatch(value) else None


def wildcards(pattern: str) -> tuple[str, ...]:
    """Return the names of a pattern's wildcards in their order, each once.

    >>> wildcards("/train/lr-{lr}/step-{step}/hf-{step}")
    ('lr', 'step')
    """
    return tuple(dict.fromkeys(_WILDCARD.findall(pattern)))


def split(pattern: str) -> list[str]:
    """Return the parts of a pattern: literal texts at even places, names of wildcards at odd ones.

    >>> split("step-{step}")
    ['step-', 'step', '']
    """
    return _WILDCARD.split(pattern)


def _pattern(value: object) -> object:
    if not isinstance(value, str):
        return value
    if problem := _problem(value):
        raise PydanticCustomError("path", "{why}", {"why": problem})
    return value.rstrip("/")


def _problem(pattern: str) -> str:
    """Return why a text is no pattern, and what to write instead, or nothing."""
    literals = split(pattern)[::2]
    if unfit := [char for char in pattern if not char.isprintable()]:
        return f"cannot contain {unfit[0]!a}; choose another path"
    if any(char in "{}" for literal in literals for char in literal):
        return "has a brace outside of a wildcard; write a wildcard as {step}"
    if "*" in pattern:
        return "has *, which is no wildcard here; write {step}, or another name in braces"
    if "<" in pattern or ">" in pattern:
        return "cannot contain '<' or '>'; choose another path"
    if len(literals) == 1:
        return "has no wildcard; write {step} for the part that differs between checkpoints"
    if "" in literals[1:-1]:
        return "has two wildcards without a text between them; add one"
    if problem := path_problem(pattern):
        return f"{problem}; choose another path"
    return ""


def _ready(value: object) -> object:
    if isinstance(value, str) and value != AUTO:
        parts = value.split("/")
        if not value or not value.isprintable() or {"", ".", ".."} & {*parts}:
            raise PydanticCustomError(
                "path", "is no file of a checkpoint; write auto, or a file's path in its directory"
            )
    return value


#: The step of ``since`` and ``until``.
Bound = Annotated[int | float, Field(allow_inf_nan=False)]


class Checkpoints(Strict):
    """A series: the checkpoints of a training, each of which is evaluated as a model."""

    pattern: Annotated[str, BeforeValidator(_pattern)] = Field(
        description="path of the checkpoints' directories, or model ids of the endpoint, with "
        "wildcards such as {step}"
    )
    ready: Annotated[str, BeforeValidator(_ready)] = Field(
        default=AUTO,
        description="auto = its files are whole and at rest; or a file in its directory that "
        "the training writes last",
    )
    every: PositiveInt | None = Field(default=None, description="only multiples of this step")
    since: Bound | None = Field(default=None, description="the first step")
    until: Bound | None = Field(default=None, description="the last step")
    order: Literal["newest", "oldest"] = Field(
        default="newest", description="which checkpoint starts first, by its step"
    )

    @model_validator(mode="after")
    def _some(self) -> Checkpoints:
        if self.since is not None and self.until is not None and self.since > self.until:
            raise PydanticCustomError(
                "one",
                "since is {since} and until is {until}, so no step is left; correct one",
                {"since": self.since, "until": self.until},
            )
        return self

    @cached_property
    def wildcards(self) -> tuple[str, ...]:
        """The names of the wildcards in the pattern's order."""
        return wildcards(self.pattern)

    @property
    def axis(self) -> str:
        """The wildcard of ``every``, ``since``, ``until`` and ``order``: ``step``, or the last."""
        return "step" if "step" in self.wildcards else self.wildcards[-1]

    def left_out(self, values: dict[str, str]) -> str:
        """Return why the series does not want a checkpoint, or nothing."""
        if self.every is None and self.since is None and self.until is None:
            return ""
        step = number(values[self.axis])
        if step is None:
            return (
                f"its {self.axis} {values[self.axis]} is no number, as every, since and until are"
            )
        # A remainder of decimals fails if their quotient has more than 28 digits.
        if self.every is not None and Fraction(step) % self.every:
            return f"every is {self.every}"
        if self.since is not None and step < Decimal(str(self.since)):
            return f"since is {self.since}"
        if self.until is not None and step > Decimal(str(self.until)):
            return f"until is {self.until}"
        return ""


class Member(Strict):
    """The place of a model in its series. Only snakeval writes it, into a saved configuration.

    Attributes:
        values: of the pattern's wildcards, in its order, as they are in the path.
        axis: the wildcard that is the step.
        ready: of its series.
        path: the checkpoint's directory, or its model id at an endpoint.
        stat: a digest of its files' names, sizes and times, as they were judged to be whole.
    """

    series: Name
    values: dict[str, str] = Field(min_length=1)
    axis: str
    ready: str = AUTO
    path: str = ""
    stat: str = ""

    @property
    def name(self) -> str:
        """The model's name: ``<series>@<step>``, or with the key of each value if several.

        >>> Member(series="run7", values={"lr": "1e-5", "step": "200"}, axis="step").name
        'run7@lr-1e-5_step-200'
        """
        if len(self.values) == 1:
            return f"{self.series}{MARK}{''.join(self.values.values())}"
        pairs = "_".join(f"{key}-{value}" for key, value in self.values.items())
        return f"{self.series}{MARK}{pairs}"


def check_model_name(value: object) -> object:
    """Check the name of a model, which may be one that a series makes.

    Raises:
        PydanticCustomError: it is no valid name.
    """
    if not isinstance(value, str) or value.count(MARK) != 1:
        return check_name(value)
    series, _, rest = value.partition(MARK)
    check_name(series)
    try:
        check_name(f"{series}-{rest}" if rest else "")
    except PydanticCustomError as error:
        why = error.message().replace(f"'{series}-", f"'{series}{MARK}", 1)
        raise PydanticCustomError("name", "{why}", {"why": why}) from None
    return value


#: The name of a model; ``@`` is in the names of checkpoints only.
ModelName = Annotated[str, BeforeValidator(check_model_name)]
