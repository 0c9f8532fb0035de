"""The other runs whose stored answers a run copies, as its command chose or as the run notes."""

from __future__ import annotations

from snakeval.config.load import Selection
from snakeval.errors import ConfigError
from snakeval.files import DAMAGE
from snakeval.run import index
from snakeval.run.directory import RunDirectory

#: The value of ``--config answers=`` after which no other run answers.
_NO_RUN = ("none",)


def lenders_of(selection: Selection, run: RunDirectory) -> tuple[str, ...]:
    """Return the paths of the runs that *selection* or the note of *run* names.

    Raises:
        ConfigError: one is the run itself or is gone, or the note cannot be read.
    """
    if selection.answers == _NO_RUN:
        return ()
    others = tuple(str(index.find(name).path.resolve()) for name in selection.answers)
    if str(run.path.resolve()) in others:
        raise ConfigError(
            "names the run itself, whose journals answer anyway", where="--config answers"
        )
    if others or not run.exists:
        return others
    try:
        noted = run.read_lenders()
    except (OSError, *DAMAGE) as error:
        raise ConfigError(f"{run.lenders}: cannot be read ({error}); check it") from None
    if gone := [other for other in noted if not RunDirectory(other).exists]:
        raise ConfigError(
            f"run {run.id} takes answers of {gone[0]}, which is gone",
            hint="add `--config answers=none` to ask the models for the rest",
        )
    return noted
