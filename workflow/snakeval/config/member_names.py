"""The names of models that are checkpoints of a series: ``<series>@<step>``.

Every job imports this module, so it imports nothing.
"""

from __future__ import annotations

#: Separates the name of a series from the values of a checkpoint. No other name has it.
MARK = "@"


def series_of(model: str) -> str:
    """Return the series of the model ``<series>@<step>``; empty for another model.

    >>> series_of("run7@200"), series_of("small")
    ('run7', '')
    """
    series, mark, _ = model.partition(MARK)
    return series if mark else ""


def step_of(model: str) -> str:
    """Return the step of the model ``<series>@<step>``.

    >>> step_of("run7@200")
    '200'
    """
    return model.partition(MARK)[2]


def name_of(series: str, step: str) -> str:
    """Return the name of the model of a step.

    >>> name_of("run7", "200")
    'run7@200'
    """
    return f"{series}{MARK}{step}"
