"""Lookups that Snakemake calls with wildcards."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

Lookup = TypeVar("Lookup", bound=Callable[..., Any])


class Wildcards(Protocol):
    """The wildcards of every rule of an evaluation."""

    model: str
    benchmark: str


class DeploymentWildcards(Protocol):
    """The wildcards of the rule that deploys."""

    model: str
    deployment: str


#: The input of a rule: paths, or a function of wildcards that returns them.
Input = list[str] | Callable[[Wildcards], list[str]]


def signed(function: Lookup) -> Lookup:
    """Store the signature of *function*; Snakemake inspects it several times for each job."""
    signed: Any = function  # a function may have any attribute, which types do not know
    signed.__signature__ = inspect.signature(function)
    return function
