"""The functions of snakeval for programs; the commands use them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakeval.cli.output import note
from snakeval.cli.selection import Choice
from snakeval.errors import ConfigError, EvaluationError
from snakeval.run import target
from snakeval.run.target import Target

if TYPE_CHECKING:
    import pandas as pd

    from snakeval.cli.launch import Prepared
    from snakeval.config.config import Config
    from snakeval.config.nemo_launcher import Translated
    from snakeval.config.source import Source
    from snakeval.series.load import Expansion


def run(
    configuration: str | Path | Mapping[str, Any],
    *,
    overrides: str | Sequence[str] = (),
    models: str | Sequence[str] = (),
    benchmarks: str | Sequence[str] = (),
    limit: int | None = None,
    profile: str | None = None,
    options: Sequence[str] = (),
    dry_run: bool = False,
) -> Path:
    """Evaluate, and return the run's directory; the same call again resumes the run.

    *configuration* is a YAML file, or the keys of one, whose paths start in the working directory.
    *overrides* change a file as ``-o`` of ``snakeval run`` does. *models*, *benchmarks* and *limit*
    choose a part. *options* go to Snakemake, which prints to this process's standard error. The
    default *profile* is ``local``. A failed evaluation raises nothing: :func:`results` has its
    status. Call this function in the main thread: it passes signals to Snakemake.

    Raises:
        ConfigError: the configuration or an argument is wrong, or another Snakemake works at it.
        EvaluationError: the run did not start, or it ended without a table.
        KeyboardInterrupt: a signal ended the run.
    """
    from snakeval.cli.launch import start
    from snakeval.cli.launch.mode import Place
    from snakeval.cli.launch.snakemake_process import INTERRUPTED
    from snakeval.config.compose import compose
    from snakeval.config.source import of_mapping

    changes = _words(overrides)
    if isinstance(configuration, Mapping):
        if changes:
            raise ConfigError("overrides change a file; change the keys of the mapping instead")
        source, file = of_mapping(configuration, "the configuration"), None
    else:
        file = Path(configuration)
        source = compose(file.parent, file.name, changes)
    choice = Choice(_words(models), _words(benchmarks), limit)
    words = with_choices(_words(options), choice, ())
    prepared, _ = prepare(source, file, choice, profile=profile, options=words, dry_run=dry_run)
    code, directory = start(prepared, Place.HERE)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    # With failed evaluations, Snakemake ends with 1 and has written the table.
    if code > 1 or (code and (prepared.dry_run or directory.read_table() is None)):
        raise EvaluationError(f"run {directory.name}: Snakemake ended with {code}; see its output")
    return directory.path.absolute()


def _words(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def with_choices(
    options: tuple[str, ...], choice: Choice, wanted: Sequence[str]
) -> tuple[str, ...]:
    """Return Snakemake's options with what snakeval's options choose."""
    from snakeval.cli.launch import snakemake_options as snakemake

    pairs = choice.pairs(snakemake.config(snakemake.split(options)))
    for key, value in [*pairs, *(pair.split("=", 1) for pair in wanted)]:
        options = tuple(snakemake.with_config(options, key, value))
    return options


def prepare(
    source: Source,
    file: str | Path | None,
    choice: Choice,
    *,
    profile: str | None,
    options: tuple[str, ...],
    dry_run: bool,
    expands: bool = True,
) -> tuple[Prepared, Config]:
    """Check the configuration *source*, which may be the launcher's, and save it for Snakemake.

    *file* is its own file, if it has one. *options* are for Snakemake, and contain *choice*. The
    second value is the configuration with its series of checkpoints, as the user wrote it. A
    follower *expands* them itself.

    Raises:
        ConfigError: the configuration, an option or the profile is wrong.
    """
    from snakeval.cli.launch import Prepared, refuse_own_options
    from snakeval.cli.launch import snakemake_options as snakemake
    from snakeval.cli.launch.installation import find_profile
    from snakeval.config.compose import save
    from snakeval.config.load import choose
    from snakeval.config.nemo_launcher import translate

    name = Path(file or "evaluation").name.removesuffix(".yaml").removesuffix(".yml")
    translated = translate(source, name)
    refuse_own_options(given := snakemake.split(options))
    values = snakemake.config(given)
    choice.restrict(translated.source)
    plans = dry_run or any(option.name == "dryrun" for option in given)
    if expands:
        config, selection = choose(translated.source, values, expansion := _expansion(plans))
        written = expansion.written or config
    else:
        written, selection = choose(translated.source, values)
        config = written
    for each in (n for n, benchmark in written.benchmarks.items() if benchmark.is_blind):
        note(
            f"note: benchmarks.{each}.alert.drop: a bare score cannot alarm, since every drop may "
            "be chance; add metrics.samples, or n or stderr to its values"
        )
    prepared = Prepared(
        config,
        selection,
        save(written, source.files if file else (), dry_run=plans),
        values,
        find_profile(profile or translated.profile or "local"),
        [*_announced(translated, profile), *options, *(["--dry-run"] if dry_run else [])],
        plans,
    )
    return prepared, written


def _expansion(plans: bool) -> Expansion:
    """Return how a run makes models of series; a dry run does not wait for a second look."""
    from snakeval.dag.endpoints import listed
    from snakeval.dag.planning import CHECK
    from snakeval.series.load import Expansion

    asks = not plans or os.environ.get(CHECK)
    return Expansion(waits=not plans, say=note, listed=listed if asks else None)


def _announced(translated: Translated, profile: str | None) -> tuple[str, ...]:
    """Print the notes on a launcher's configuration; return its options for its own executor."""
    for each in translated.notes:
        note(f"note: {each}")
    return translated.options if profile in (None, translated.profile) else ()


def results(wanted: str | Path) -> pd.DataFrame:
    """Return the results of a run: a row for each model, benchmark and metric.

    *wanted* is the beginning of a run's id, or its directory; ``ID/MODEL`` and
    ``ID/MODEL/BENCHMARK`` are a part of it. :func:`snakeval.results.table.table` describes the
    columns.

    Raises:
        ConfigError: there is no such run.
    """
    return frame(target.find(str(wanted)))


def frame(part: Target) -> pd.DataFrame:
    """Return the results of a run or of a part of it."""
    part.run.plan()  # a run without one fails before pandas is imported
    from snakeval.results.table import table

    found = table(part.run)
    for column, wanted in (("model", part.model), ("benchmark", part.benchmark)):
        if wanted:
            found = found[found[column] == wanted]
    return found.reset_index(drop=True)


#: The columns of :func:`samples`.
SAMPLES = (
    "model", "benchmark", "task", "id", "filter", "metric", "score", "question", "answer",
    "reference", "group",
)  # fmt: skip


def samples(wanted: str | Path) -> pd.DataFrame:
    """Return the samples of finished evaluations: a row for each sample and metric.

    *wanted* is as in :func:`results`. The columns are :data:`SAMPLES`. Evaluations that are not
    finished, or whose harness logs no samples, have no rows. All rows are in memory: read a large
    run by its evaluations (``ID/MODEL/BENCHMARK``).

    Raises:
        ConfigError: there is no such run.
        EvaluationError: the samples of an evaluation cannot be read.
    """
    import pandas as pd

    return pd.DataFrame(_samples(target.find(str(wanted))), columns=list(SAMPLES))


def _samples(part: Target) -> Iterator[tuple[object, ...]]:
    from snakeval.harnesses.reading import read_samples

    for item in part.run.plan():
        directory = part.run.evaluation(item.id)
        if not part.covers(item.model, item.benchmark) or directory.why_incomplete(
            item.fingerprint
        ):
            continue
        try:
            for one in read_samples(directory):
                texts = (one.question, one.answer, one.reference, one.group)
                for metric, score in one.scores.items():
                    yield (*item.id.split("/"), one.task, one.id, one.filter, metric, score, *texts)
        except EvaluationError as error:
            raise EvaluationError(f"{item.id}: {error}") from None


def snakefile() -> str:
    """Return the path of snakeval's Snakefile, for ``include:`` in your own Snakefile."""
    from snakeval.cli.launch.installation import snakefile

    return str(snakefile())
