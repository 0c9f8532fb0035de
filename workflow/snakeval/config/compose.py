"""Composes a configuration from one file, Hydra's defaults list, interpolation and overrides.

A file without ``defaults:`` is plain YAML, as ``snakemake --configfile`` reads it, and ``${…}``
stays text. Hydra composes a file with ``defaults:`` and resolves ``${…}``. The config groups are
next to the file and in :mod:`snakeval.config.hydra_groups`. Overrides have Hydra's grammar in both
cases.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from snakeval import catalogue
from snakeval.config import composed as saved
from snakeval.config import hydra_groups
from snakeval.config.config import Config
from snakeval.config.overrides import OPTION, Change, apply, parse, paths, unshared
from snakeval.config.source import Key, Source, merge
from snakeval.config.types import path_problem
from snakeval.config.usual import find
from snakeval.config.yaml_file import read, written
from snakeval.errors import ConfigError, did_you_mean

_GROUPS = Path(hydra_groups.__file__).parent
#: An interpolation that would save the value of an environment variable.
_FROM_ENVIRONMENT = re.compile(r"\$\{\s*oc\.(?:env|decode)\s*:\s*(?:\$\{\s*oc\.env\s*:\s*)?(\w+)")
_WHOLE_FROM_ENVIRONMENT = re.compile(r"^\$\{\s*oc\.env\s*:\s*(\w+)\s*\}$")
#: Sections of the launcher's shape in which only a variable's name counts.
_NAMES_ONLY = frozenset({"env_vars", "s3", "jet"})
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL", re.IGNORECASE)
#: Sections whose values are names of environment variables.
_VARIABLES = frozenset({"env", "env_vars", "set_env"})


def compose(config_dir: Path, config_name: str, overrides: Sequence[str] = ()) -> Source:
    """Return the configuration *config_name* of *config_dir* with *overrides*.

    See :mod:`snakeval.config.overrides` for the grammar of overrides. Relative paths start at the
    directory of their file, and those of overrides at the working directory.

    Raises:
        ConfigError: one line for each problem.
    """
    path = find(config_dir, config_name)
    data = read(path)
    changes = [parse(text) for text in overrides]
    if "defaults" not in data:
        source = merge([path])
        source = Source(unshared(source.data), source.origins, source.bases, source.files)
        apply(changes, source)
        return source
    choices = [change for change in changes if _is_choice(change, path.parent)]
    source = _compose(path, data, [change.text for change in choices])
    apply([change for change in changes if change not in choices], source)
    return Source(_resolved(source), source.origins, source.bases, source.files)


def text(config: Config) -> str:
    """Return *config* as YAML that loads as an equal configuration.

    The YAML has no defaults. It keeps an explicit null, which removes a value of the catalogue.
    """
    data = config.model_dump(mode="json", exclude_unset=True)
    for name in ("auxiliary", "include", "exclude"):
        if not data.get(name):
            data.pop(name, None)
    for model in [*data["models"].values(), *data.get("auxiliary", {}).values()]:
        if "deployment" in model and not model["deployment"].get("mounts"):
            model["deployment"].pop("mounts", None)
    return written(data, width=100)


def save(config: Config, files: Sequence[str | Path] = (), *, dry_run: bool = False) -> Path:
    """Write *config* to snakeval's home; return the file, whose name has a hash of its content.

    A *dry_run* requires no home that it can write to. The first line names *files*, which the
    configuration was composed from: see :mod:`snakeval.config.composed`.

    Raises:
        ConfigError: it cannot be written.
    """
    paths = [str(Path(file).resolve()) for file in files]
    composed = f"{saved.header(paths)}{text(config)}"
    digest = hashlib.sha256(composed.encode()).hexdigest()[:8]
    return saved.save(f"{config.name}-{digest}.yaml", composed, dry_run=dry_run)


def _is_choice(change: Change, directory: Path) -> bool:
    """Return whether *change* chooses a file of a config group, and does not set a value."""
    group = change.key.partition("@")[0]
    is_group = any((place / group).is_dir() for place in (directory, _GROUPS))
    return "." not in group and is_group and not isinstance(change.value, dict)


def _compose(path: Path, data: Mapping[str, Any], choices: Sequence[str]) -> Source:
    """Return the configuration that Hydra composes, with unresolved interpolations."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import CompactHydraException, MissingConfigException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if path.suffix != ".yaml":
        raise ConfigError(
            f"{path}: has `defaults`, which Hydra reads only in .yaml files; rename it"
        )
    groups = _group_files(path, data, choices)
    _add_server_kinds()
    below = [f"hydra.searchpath=[pkg://{hydra_groups.__name__}]"]
    place = str(path.parent.absolute())
    try:
        with warnings.catch_warnings(), initialize_config_dir(config_dir=place, version_base=None):
            warnings.simplefilter("ignore")  # Hydra orders a list without _self_, and warns
            composed = hydra_compose(config_name=path.stem, overrides=[*below, *choices])
        whole: dict[str, Any] = OmegaConf.to_container(composed, resolve=False)  # type: ignore[assignment]
    except MissingConfigException as error:
        raise ConfigError(f"{path}: defaults: {_no_such_group(error, path.parent)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: defaults: a file includes itself; remove its name") from None
    except (CompactHydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: {_first_line(error)}; correct it") from None
    origins: dict[Key, str] = {}
    bases: dict[Key, Path] = {}
    own = set(paths(data))
    for key in paths(whole):
        file = path if key in own else groups.get(key[0], path)
        origins[key] = str(file)
        bases[key] = file.absolute().parent
    return Source(whole, origins, bases, (str(path),))


#: The keys of a launcher's ``deployment`` whose kind has no file in the config group.
_DEPLOYMENT: Mapping[str, Any] = {
    **dict.fromkeys(("image", "checkpoint_path", "hf_model_handle", "served_model_name")),
    **dict.fromkeys(("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")),
    "port": 8000,
    "extra_args": "",
    "env_vars": {},
    "pre_cmd": None,
    "command": None,
    "endpoints": dict.fromkeys(("chat", "completions", "embedding")),
}


def _add_server_kinds() -> None:
    """Add a file to Hydra's group ``deployment`` for each kind without one, as installed kinds."""
    from hydra.core.config_store import ConfigStore

    for kind in catalogue.server_kind_names():
        if not (_GROUPS / "deployment" / f"{kind}.yaml").exists():
            node = {"type": kind, **_DEPLOYMENT}
            ConfigStore.instance().store(group="deployment", name=kind, node=node)


def _group_files(path: Path, data: Mapping[str, Any], choices: Sequence[str]) -> dict[str, Path]:
    """Check the files that Hydra will read next to *path*; return the file of each group."""
    chosen: dict[str, Any] = {}
    for entry in hydra_groups.entries(path, data["defaults"]):
        names = [*entry, *entry.values()] if isinstance(entry, dict) else [entry]
        if any(str(name).strip() == "" for name in names):
            raise ConfigError(f"{path}: defaults: has an entry without a name; write GROUP: NAME")
        for name in names:
            if problem := path_problem(str(name)):
                raise ConfigError(f"{path}: defaults: '{name!s:.20}…' {problem}; correct the name")
        if isinstance(entry, dict):
            chosen |= {str(group).split()[-1]: option for group, option in entry.items()}
    for choice in choices:
        group, _, option = choice.lstrip("+").partition("=")
        chosen[group] = option
    files: dict[str, Path] = {}
    for group, options in chosen.items():
        group = group.partition("@")[0]
        for option in options if isinstance(options, list) else [options]:
            for place in (path.parent, _GROUPS):
                file = place / group / f"{str(option).removesuffix('.yaml')}.yaml"
                if file.is_file():
                    read(file, checked=False)
                    files[group] = file
                    break
    return files


def _no_such_group(error: Any, directory: Path) -> str:
    """Return the message for an entry of the defaults list without a file."""
    group, slash, option = str(error.missing_cfg_file).rpartition("/")
    known = [str(name) for name in error.options or ()]
    # Hydra lists the files of a group, but not those of its folders, such as `slurm/default`.
    known += [
        file.relative_to(place / group).with_suffix("").as_posix()
        for place in (directory, _GROUPS)
        if group and not group.startswith("/") and ".." not in group.split("/")
        for file in sorted((place / group).rglob("*.yaml"))
    ]
    known = list(dict.fromkeys(known))
    longer = [name for name in known if name.startswith(f"{option}/")]
    hint = f"; did you mean '{longer[0]}'?" if longer else did_you_mean(option, known)
    hint = hint or (f"; choose one of {', '.join(known[:10])}" if known else "")
    what = f"no {option} in {group}" if slash else f"no file {option}.yaml"
    return f"{what}{hint or '; correct the name'}"


def _resolved(source: Source) -> dict[str, Any]:
    """Return the data with resolved interpolations."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _name_variables(source.data)
    _refuse_secrets(source)
    missing = [key for key, value in _leaves(source.data) if value == "???"]
    if missing:
        raise ConfigError(
            "\n".join(
                f"{source.origin(key)}: {'.'.join(key)} is ???, which requires a value; set it in "
                f"the file or with {OPTION} {'.'.join(key)}=…"
                for key in missing
            )
        )
    try:
        tree = OmegaConf.create(source.data)
        resolved: dict[str, Any] = OmegaConf.to_container(tree, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        key = str(error.full_key or "")
        where = source.origin(_split(key)) if key else " + ".join(source.files)
        raise ConfigError(
            f"{where}: {key + ': ' if key else ''}{_first_line(error)}; correct it, or write "
            "\\${…} for plain text"
        ) from None
    return resolved


def _name_variables(data: Any, place: Key = ()) -> None:
    """Replace ``${oc.env:NAME}`` by ``host:NAME`` in places that name variables.

    These are the launcher's variables, and its export destinations without an exporter.
    """
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for name, value in items if isinstance(data, (dict, list)) else ():
        key = (*place, str(name))
        if isinstance(value, (dict, list)):
            _name_variables(value, key)
        elif isinstance(value, str) and not _NAMES_ONLY.isdisjoint(key):
            data[name] = _WHOLE_FROM_ENVIRONMENT.sub(r"host:\1", value)


def _refuse_secrets(source: Source) -> None:
    """Raise an error if the saved configuration would contain the value of a secret."""
    problems = []
    for key, value in _leaves(source.data):
        found = isinstance(value, str) and _FROM_ENVIRONMENT.search(value)
        if found and (_SECRET.search(found[1]) or _VARIABLES.intersection(key)):
            problems.append(
                f"{source.origin(key)}: {'.'.join(key)}: would save the value of ${found[1]} in "
                f"the configuration; write the variable's name instead: {found[1]}"
            )
    if problems:
        raise ConfigError("\n".join(problems))


def _leaves(value: Any, place: Key = ()) -> Iterator[tuple[Key, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, (*place, str(name)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(item, (*place, str(number)))
    else:
        yield place, value


def _split(key: str) -> Key:
    """Split a key in OmegaConf's form, ``a.b[0].c``, into its parts."""
    return tuple(part for part in re.split(r"[.\[\]]+", key) if part)


def _first_line(error: BaseException) -> str:
    if lines := str(error).strip().splitlines():
        return lines[0].rstrip(".")
    return _first_line(error.__cause__) if error.__cause__ else type(error).__name__
