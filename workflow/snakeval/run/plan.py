"""What a run is made of, as its start saved it: for whoever looks at the run at any time.

It imports nothing heavy: the command reads it before it prints a word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval.errors import ConfigError
from snakeval.files import write_if_changed


def planned(run: Path) -> tuple[Planned, ...]:
    """Return the plan of *run*.

    Raises:
        ConfigError: it is not there, or cannot be read.
    """
    path = run / ".snakeval" / "plan.json"
    try:
        return read_plan(path)
    except FileNotFoundError:
        raise ConfigError(
            f"{run}: has no .snakeval/plan.json: it starts just now, or was partly deleted; "
            "running it again makes it anew"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check it") from None
    except (ValueError, TypeError):
        raise ConfigError(f"{path}: is damaged; running it again makes it anew") from None


@dataclass(frozen=True, slots=True)
class Planned:
    """An evaluation of the plan, or a pair that was left out of it with a reason."""

    model: str
    benchmark: str
    fingerprint: str = ""
    left_out: str = ""

    @property
    def id(self) -> str:
        """``model/benchmark``: unique in a run."""
        return f"{self.model}/{self.benchmark}"


def write_plan(path: Path, planned: Sequence[Planned]) -> None:
    """Save what a run is made of, so that its table can be made at any time."""
    rows = [[p.model, p.benchmark, p.fingerprint, p.left_out] for p in planned]
    write_if_changed(path, json.dumps(rows))


def read_plan(path: Path) -> tuple[Planned, ...]:
    """Read what :func:`write_plan` wrote."""
    return tuple(Planned(*row) for row in json.loads(path.read_text(encoding="utf-8")))
