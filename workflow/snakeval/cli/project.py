"""A directory in which plain ``snakemake`` and every command of snakeval work."""

from __future__ import annotations

import shlex
from pathlib import Path

import snakeval
from snakeval.cli.first_config import Answers
from snakeval.cli.output import emit_or_say
from snakeval.errors import ConfigError

_CONFIGURATION = "evaluation.yaml"
#: Snakemake reads it in this directory beside any other profile.
_SETTINGS = Path("profiles/default/config.yaml")


def files(answers: Answers | None = None) -> dict[Path, str]:
    """Return the files of a new directory, by their relative paths.

    Without *answers*, the configuration serves and asks models of the demo, so that it runs.

    Raises:
        ConfigError: an answer is wrong.
    """
    from snakeval.cli.launch.installation import profiles

    templates = Path(snakeval.__file__).parent / "templates/project"
    settings = profiles() / _SETTINGS.relative_to("profiles")
    written = answers.text(_CONFIGURATION) if answers else _text(templates / _CONFIGURATION)
    return {
        Path(_CONFIGURATION): written,
        Path("Snakefile"): _text(templates / "Snakefile"),
        _SETTINGS: _text(settings),
    }


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def write(directory: Path, answers: Answers | None, *, force: bool) -> None:
    """Write the files of *directory*, and print the next commands.

    Raises:
        ConfigError: an answer is wrong, or a file is there already and *force* is not set.
    """
    from snakeval.files import make_directory, write_atomically

    found = {directory / path: text for path, text in files(answers).items()}
    if there := [str(path) for path in found if path.exists() and not force]:
        raise ConfigError(f"{', '.join(there)}: is there already; name another, or add --force")
    for path, text in found.items():
        try:
            make_directory(path.parent)
            write_atomically(path, text)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None
    lines = [
        *([f"export {answers.api_key_name}=…"] if answers and answers.api_key_name else []),
        *([f"cd {shlex.quote(str(directory))}"] if directory.resolve() != Path.cwd() else []),
        "snakeval run --dry-run    # or snakemake -n",
        "snakeval run              # or snakemake --profile local, see `snakeval profiles`",
    ]
    written = [f"{path}  written" for path in found]
    said = "\n  ".join(["\n".join([*written, "Look at the plan, then run it:"]), *lines])
    emit_or_say({"files": [str(path) for path in found], "next": lines}, said)
