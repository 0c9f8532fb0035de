"""Checks the list of variables that a harness without a container inherits."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_PATTERN = re.compile(r"[A-Za-z0-9_*?\[\]!-]+", re.ASCII)


def _pattern(value: object) -> object:
    if not isinstance(value, str) or not _PATTERN.fullmatch(value):
        # The message omits the value, which may be the secret itself.
        raise PydanticCustomError(
            "variable",
            "is not the name of an environment variable; write a name or a pattern such as MY_*",
        )
    return value


#: The name of an environment variable, or a shell pattern of names.
VariablePattern = Annotated[str, BeforeValidator(_pattern)]
