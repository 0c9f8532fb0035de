"""Finds out whether a resource shape may be had for a purpose.

The only copy of this rule: snakeval also calls it for its endpoints.
"""

from __future__ import annotations

from typing import Any


def is_offered(spec: Any, purpose: str, gpus: int, group: str | None) -> bool:
    """Whether the service gives a shape for a *purpose*, ``job`` or ``deploy``, in a node group.

    A fraction of a GPU is none for whom asks for a whole one.
    """
    if gpus and 0 < (getattr(spec, "accelerator_fraction", None) or 1) < 1:
        return False
    listable = getattr(spec, "listable_in", None)
    if listable and not any(purpose in str(getattr(each, "value", each)) for each in listable):
        return False
    # A field of the service that the library of 0.47.1 drops.
    if group is None and getattr(spec, "dedicated_node_group_only", None):
        return False
    return bool((spec.accelerator_num or 0) >= gpus)
