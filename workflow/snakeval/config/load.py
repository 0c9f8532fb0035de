"""Loads configuration files, applies overrides and checks the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from snakeval.config.config import Config
from snakeval.config.members import with_members
from snakeval.config.problems import problems
from snakeval.config.source import Source, merge, override
from snakeval.config.tokens import refuse_tokens
from snakeval.config.types import Mount, Strict
from snakeval.config.yaml_file import value_of
from snakeval.errors import ConfigError, nearest
from snakeval.ledger.reading import ALL, LAST, UNHEALTHY

#: The stored answers that ``ask_again`` drops.
ASK_AGAIN = (ALL, UNHEALTHY, LAST)


class Selection(Strict):
    """The choice of ``--config run=… models=… benchmarks=… update_images=…`` of this invocation.

    These keys are not part of the configuration. Neither are ``ask_again=all|unhealthy|last``,
    which drops stored answers of unfinished evaluations, and ``offline=true``, with which the
    journals alone answer. ``rescore=RUN`` makes a new run over the stored answers of another one,
    in which ``judge=NAME`` names auxiliary models to ask again, and ``ask=true`` allows requests
    that have no stored answer.
    ``answers=RUN1,RUN2`` copies the answers of other runs' journals into this run, which keeps the
    choice; ``answers=none`` ends it. ``preflight=false`` starts without asking the endpoints, and
    ``check=true`` lets a dry run ask them and the site.
    """

    run: str | None = None
    models: tuple[str, ...] | None = None
    benchmarks: tuple[str, ...] | None = None
    update_images: bool = False
    ask_again: str = ""
    offline: bool = False
    rescore: str = ""
    judge: tuple[str, ...] = ()
    ask: bool = False
    answers: tuple[str, ...] = ()
    preflight: bool = True
    check: bool = False


#: Returns a configuration without series, and a function that says why a name is none of its
#: models, or nothing.
Expand = Callable[[Config], tuple[Config, Callable[[str], str]]]


def _as_it_is(config: Config) -> tuple[Config, Callable[[str], str]]:
    return config, lambda name: ""


def load(
    files: Sequence[Path],
    overrides: Mapping[str, Any] | None = None,
    expand: Expand = _as_it_is,
) -> tuple[Config, Selection, Source]:
    """Read, merge and check configuration files and ``--config`` values.

    In *overrides*, ``models=a,b`` and ``benchmarks=x`` select from the files' models and
    benchmarks, and ``run=`` selects the run. Relative paths in a file start at that file.

    Raises:
        ConfigError: one line for each problem.
    """
    source = merge(files)
    config, selection = choose(source, overrides or {}, expand)
    return config, selection, source


#: The keys of ``--config`` whose values are names, even if they look like numbers.
_NAMES = ("run", "models", "benchmarks", "rescore", "judge", "answers")


def as_written(values: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``--config`` *pairs*, which Snakemake read as *values*.

    Snakemake reads the name 3.1 as a number, and each number in a mapping as a text.

    Raises:
        ConfigError: a value is no YAML.
    """
    found = dict(values)
    written = [pair.partition("=") for pair in pairs]
    for key, _, text in written:
        value = found.get(key)
        if isinstance(value, Mapping) and [k for k, _, _ in written].count(key) == 1:
            found[key] = value_of(text)
        elif key in _NAMES and text and not isinstance(value, (Mapping, list)):
            found[key] = text
    return found


def choose(
    source: Source, overrides: Mapping[str, Any], expand: Expand = _as_it_is
) -> tuple[Config, Selection]:
    """Merge ``--config`` values into *source*, check it, and return what they chose.

    *expand* makes models of its series: see :mod:`snakeval.series.load`.

    Raises:
        ConfigError: one line for each thing that is wrong.
    """
    selection, rest = _split(overrides)
    override(source, rest)
    written = check(source, serves=not selection.rescore)
    try:
        config, why_not = expand(written)
    except ConfigError as error:
        found = error.problems
        placed = [each.within(source.origin(each.where.split("."))) for each in found]
        raise ConfigError.of(placed) from None
    selection = _with_members(selection, config)
    for kind, chosen, known in (
        ("models", selection.models, config.models),
        ("benchmarks", selection.benchmarks, config.benchmarks),
    ):
        for name in chosen or ():
            if name not in known and (why := why_not(name)):
                raise ConfigError(f"'{name}' is left out: {why}", where=f"--config {kind}")
            if name not in known:
                hint = nearest(name, list(known)) or f"choose one of {', '.join(known)}"
                raise ConfigError(
                    f"no '{name}' in the configuration", where=f"--config {kind}", hint=hint
                )
    return config, selection


def load_saved(file: Path, overrides: Mapping[str, Any]) -> tuple[Config, Selection]:
    """Read a configuration that a command saved, and what ``--config`` chose from it.

    The files that it names may have gone since.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        config = Config.model_validate(merge([file], saved=True).data)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise ConfigError(f"{file}: cannot be read again ({problem})") from None
    return config, _with_members(_split(overrides)[0], config)


def _with_members(selection: Selection, config: Config) -> Selection:
    """Return the selection in which a series is its checkpoints."""
    if selection.models is None:
        return selection
    chosen = with_members(selection.models, config.models)
    return selection.model_copy(update={"models": chosen})


def check(source: Source, *, serves: bool = True) -> Config:
    """Check *source* and return its configuration with absolute paths.

    Unless snakeval *serves* the models, their weights may have gone.

    Raises:
        ConfigError: one line for each problem.
    """
    refuse_tokens(source)
    try:
        config = Config.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError.of(problems(error, source)) from None
    return _with_absolute_paths(config, source, serves=serves)


def _split(overrides: Mapping[str, Any]) -> tuple[Selection, dict[str, Any]]:
    """Split ``--config`` values into the selection and the rest.

    A text or a list of texts is a selection; a mapping is configuration.
    """
    rest = dict(overrides)
    chosen: dict[str, Any] = {}
    if "run" in rest:
        run = rest.pop("run")
        chosen["run"] = None if run is None else str(run)
    if "update_images" in rest:
        chosen["update_images"] = rest.pop("update_images")
    if (which := rest.pop("ask_again", None)) is not None:
        if which not in ASK_AGAIN:
            hint = f"choose one of {', '.join(ASK_AGAIN)}"
            raise ConfigError(f"no answers '{which}'", where="--config ask_again", hint=hint)
        chosen["ask_again"] = which
    for key in ("offline", "ask", "preflight", "check"):
        if key in rest:
            chosen[key] = rest.pop(key)
    if "rescore" in rest:
        chosen["rescore"] = str(rest.pop("rescore") or "")
    for key in ("models", "benchmarks", "judge", "answers"):
        value = rest.get(key)
        if isinstance(value, str):
            value = [name.strip() for name in value.split(",")]
        if isinstance(value, list):
            chosen[key] = tuple(str(name) for name in value if str(name))
            del rest[key]
    try:
        return Selection(**chosen), rest
    except ValidationError as error:
        key, given = str(error.errors()[0]["loc"][0]), error.errors()[0]["input"]
        raise ConfigError(
            f"'{given}' is neither true nor false", where=f"--config {key}", hint="write one"
        ) from None


def _with_absolute_paths(config: Config, source: Source, *, serves: bool) -> Config:
    """Make a file's relative paths absolute, independent of the working directory."""
    benchmarks = {}
    for name, benchmark in config.benchmarks.items():
        changes: dict[str, Any] = {}
        if benchmark.files is not None:
            changes["files"] = _path_in(source, "benchmarks", name, "files", benchmark.files)
        if benchmark.mounts:
            changes["mounts"] = _mounts(source, ("benchmarks", name, "mounts"), benchmark.mounts)
        benchmarks[name] = benchmark.model_copy(update=changes) if changes else benchmark
    updates: dict[str, Any] = {"benchmarks": benchmarks}
    for section in ("models", "auxiliary"):
        models = dict(getattr(config, section))
        for name, model in models.items():
            if (deployment := model.deployment) is None:
                continue
            if (series := model.checkpoints) is not None:
                place = source.base((section, name, "checkpoints", "pattern"))
                pattern = str((place / Path(series.pattern).expanduser()).resolve())
                series = series.model_copy(update={"pattern": pattern})
                models[name] = model = model.model_copy(update={"checkpoints": series})
            where = (section, name, "deployment")
            mounts = _mounts(source, (*where, "mounts"), deployment.mounts, must_exist=serves)
            changes = {"mounts": mounts}
            # The path of a checkpoint is absolute. If a training deleted it, its results stay.
            if (path := deployment.checkpoint_path) and model.member is None:
                changes["checkpoint_path"] = _path_in(
                    source,
                    *where,
                    "checkpoint_path",
                    path,
                    must_exist=serves,
                )
            if (path := deployment.adapter_path) and model.member is None:
                changes["adapter_path"] = _path_in(
                    source, *where, "adapter_path", path, must_exist=serves
                )
            changed = deployment.model_copy(update=changes)
            models[name] = model.model_copy(update={"deployment": changed})
        updates[section] = models
    if directory := config.export.get("local", {}).get("output_dir"):
        absolute = source.base(("export", "local", "output_dir")) / Path(directory).expanduser()
        local = {**config.export["local"], "output_dir": str(absolute.resolve())}
        updates["export"] = {**config.export, "local": local}
    if end := config.follow.end:
        absolute = source.base(("follow", "end")) / Path(end).expanduser()
        updates["follow"] = config.follow.model_copy(update={"end": str(absolute.resolve())})
    return config.model_copy(update=updates)


def _path_in(source: Source, *where_and_path: str, must_exist: bool = True) -> str:
    """Return the absolute path that a key of a file sets.

    Raises:
        ConfigError: the path does not exist, and must.
    """
    *where, text = where_and_path
    path = source.base(where) / Path(text).expanduser()
    file = where[-1] != "files"  # weights may be one file; a benchmark's files are a directory
    if must_exist and not (path.exists() if file else path.is_dir()):
        raise ConfigError(
            f"no {'' if file else 'directory '}{path}",
            where=f"{source.origin(where)}: {'.'.join(where)}",
            hint="correct the path",
        )
    return str(path.resolve())


def _mounts(
    source: Source, where: Sequence[str], mounts: Sequence[Mount], *, must_exist: bool = True
) -> tuple[Mount, ...]:
    resolved = []
    for mount in mounts:
        path = source.base(where) / Path(mount.source).expanduser()
        if must_exist and not path.exists():
            raise ConfigError(
                f"no {path} to mount",
                where=f"{source.origin(where)}: {'.'.join(where)}",
                hint="correct `source`",
            )
        resolved.append(mount.model_copy(update={"source": str(path.resolve())}))
    return tuple(resolved)
