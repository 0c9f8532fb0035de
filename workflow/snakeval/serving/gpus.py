"""The GPUs of this machine, as the ids that name them to a server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile

#: How many GPUs to count on, where a person says it (Snakemake's ``--resources gpu=N`` sets it).
VARIABLE = "SNAKEVAL_GPUS"


def slots(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of the GPUs that may be used.

    ``$CUDA_VISIBLE_DEVICES`` where it is set, or else what NVML (the driver's library) finds; no
    more than ``$SNAKEVAL_GPUS``, and where the driver is absent as many as that says.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        found = tuple(str(number) for number in range(_count()))
    else:
        # CUDA also ignores the first invalid one (-1, or an empty one) and all after it.
        parts = (part.strip() for part in visible.split(","))
        found = tuple(takewhile(lambda part: part and not part.startswith("-"), parts))
    wanted = environ.get(VARIABLE, "")
    if wanted.isdecimal():
        return found[: int(wanted)] or tuple(str(number) for number in range(int(wanted)))
    return found


def _count() -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0  # no driver
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()


def pick(
    free: Collection[str], order: Sequence[str], count: int, named: Sequence[str]
) -> tuple[str, ...] | None:
    """Return *named* GPUs if they are free, or else the first *count* free ones in *order*.

    None if too few are free.

    >>> pick({"1", "2"}, ("0", "1", "2"), 1, ())
    ('1',)
    """
    if named:
        return tuple(named) if set(named) <= set(free) else None
    chosen = [slot for slot in order if slot in free][:count]
    return tuple(chosen) if len(chosen) == count else None
