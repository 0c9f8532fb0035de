"""``snakeval doctor``: what works here, what does not, and what to do about it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snakeval import plugins
from snakeval.cli import config_option
from snakeval.cli.output import json_option, show
from snakeval.errors import ConfigError, EvaluationError
from snakeval.executors.base import Check, Finding, Intent

if TYPE_CHECKING:
    from snakeval.config.config import Config
    from snakeval.evaluation.definition import Evaluation

#: With less free space no image and no data set fits.
_ROOM_BYTES = 2 * 1024**3
#: The versions that pyproject.toml allows.
_SNAKEMAKE = ">=9.27,<10"


@click.command("doctor", short_help="Check engine, disk, credentials and versions")
@config_option.config_option
@json_option
def command(file: Path | None, as_json: bool) -> int:
    """Look at all that evaluations need here, and say of each what to do.

    Exit code 1 says that something is wrong; what is marked `no` is only needed by some.
    """
    checks = list(_checks(file))
    rows = [
        {name.replace("_", " "): value for name, value in asdict(check).items()} for check in checks
    ]
    show(rows, ("what", "state", "found", "to do"), as_json=as_json)
    return 1 if any(check.state == "wrong" for check in checks) else 0


def _checks(file: Path | None) -> Iterator[Check]:
    yield from _versions()
    config: Config | None = None
    if path := config_option.named(file):
        try:
            config = config_option.read(path)
            yield Check("configuration", "ok", str(path))
        except ConfigError as error:
            for each in error.problems:
                found = str(replace(each, hint=""))
                yield Check("configuration", "wrong", found, each.hint or "correct it")
    else:
        yield Check("configuration", "no", "none here", "`snakeval init` makes one")
    yield from _engines(config)
    yield from _executors(config)
    yield from _packages(config)
    yield from _credentials(config)
    yield from _evaluations(config)
    yield from _disks(config)
    yield _gpus()
    yield _pool()
    yield _profiles()


def _versions() -> Iterator[Check]:
    from importlib.metadata import version

    from packaging.specifiers import SpecifierSet

    from snakeval import __version__

    yield Check("snakeval", "ok", f"{__version__}, Python {platform.python_version()}")
    found = version("snakemake")
    fits = SpecifierSet(_SNAKEMAKE).contains(found, prereleases=True)
    yield Check(
        "snakemake",
        "ok" if fits else "wrong",
        found,
        "" if fits else f"pip install 'snakemake{_SNAKEMAKE}'",
    )


def _engines(config: Config | None) -> Iterator[Check]:
    from snakeval.cli.doctor.probes import runtimes

    for runtime in runtimes():
        what = f"runtime {runtime.name}"
        if not runtime.problem:
            yield Check(what, "ok", runtime.version)
            continue
        needed = config is not None and config.runtime == runtime.name
        yield Check(what, "wrong" if needed else "no", runtime.problem, runtime.hint)


def _executors(config: Config | None) -> Iterator[Check]:
    """Yield the checks of each executor, also of installed ones."""
    from snakeval import executors
    from snakeval.cli.launch.installation import profile_settings
    from snakeval.matrix.expand import deployments

    intent = Intent(
        config,
        variables=tuple(sorted(_variables(config))) if config else (),
        deployments=lambda: deployments(config) if config else {},
        settings=profile_settings,
    )
    for executor in executors.every():
        yield from executor.checks(intent)


def _packages(config: Config | None) -> Iterator[Check]:
    """Check that what packages add can be imported; runtimes and executors have own checks."""
    used = _used(config) if config else {}
    for kind, noun in (
        (plugins.HARNESSES, "harness"),
        (plugins.DEPLOYMENTS, "deployment kind"),
        (plugins.EXPORTERS, "exporter"),
    ):
        for name in sorted(plugins.installed(kind)):
            what = f"{noun} {name}"
            try:
                plugins.load(kind, name)
            except ConfigError as error:
                (problem,) = error.problems
                state: Finding = "wrong" if name in used.get(kind, ()) else "no"
                yield Check(what, state, problem.problem, problem.hint)
            else:
                yield Check(what, "ok", plugins.origin(kind, name))


def _used(config: Config) -> dict[str, set[str]]:
    """Return the names that *config* uses, for each kind of extension."""
    served = [*config.models.values(), *config.auxiliary.values()]
    return {
        plugins.HARNESSES: {b.harness for b in config.benchmarks.values() if b.harness},
        plugins.DEPLOYMENTS: {m.deployment.kind for m in served if m.deployment},
        plugins.EXPORTERS: set(config.export),
    }


def _credentials(config: Config | None) -> Iterator[Check]:
    for name, users in sorted(_variables(config).items() if config else ()):
        what, needed = f"${name}", f"for {', '.join(sorted(users))}"
        if os.environ.get(name):
            yield Check(what, "ok", f"is set, {needed}")
        else:
            yield Check(what, "wrong", f"is not set, {needed}", f"export {name}=…")


def _variables(config: Config) -> dict[str, set[str]]:
    """The variables that the configuration names, and what needs each."""
    found: dict[str, set[str]] = {}
    for section, models in (("models", config.models), ("auxiliary", config.auxiliary)):
        for name, model in models.items():
            if model.endpoint and model.endpoint.api_key_name:
                found.setdefault(model.endpoint.api_key_name, set()).add(f"{section}.{name}")
            for variable in model.deployment.env.values() if model.deployment else ():
                found.setdefault(variable, set()).add(f"{section}.{name}")
    for name, benchmark in config.benchmarks.items():
        for variable in benchmark.env.values():
            found.setdefault(variable, set()).add(f"benchmarks.{name}")
    return found


def _evaluations(config: Config | None) -> Iterator[Check]:
    """Check what the evaluations need: endpoints that answer, data sets, tokenizers and images."""
    from snakeval.dag.endpoints import SECONDS, Tokenizers
    from snakeval.dag.harness_tasks import HarnessTasks
    from snakeval.dag.needed_images import lacking_images
    from snakeval.dag.needs import lacking
    from snakeval.matrix.expand import expand

    if config is None:
        return
    try:
        evaluations = expand(config)
    except ConfigError as error:
        for each in error.problems:
            found = str(replace(each, hint=""))
            yield Check("evaluations", "wrong", found, each.hint or "correct it")
        return
    yield from _endpoints(config, evaluations)
    tokenizers, tasks = Tokenizers(config), HarnessTasks(SECONDS)
    lacks = lacking(evaluations, os.environ, tokenizers.answers, tasks.of)
    for problem in (*lacks, *lacking_images(evaluations)):
        yield Check(problem.where, "no", problem.problem, problem.hint)


def _endpoints(config: Config, evaluations: Sequence[Evaluation]) -> Iterator[Check]:
    """Ask each endpoint that an evaluation asks for its models and one token."""
    from snakeval.dag.endpoints import ask, models_asked, targets

    chosen = [
        target
        for target in targets(config, models_asked(evaluations, lambda evaluation: True))
        if not (key := target.endpoint.api_key_name) or os.environ.get(key)
    ]
    for finding in ask(chosen) if chosen else ():
        what = f"endpoint of {', '.join(finding.target.names)}"
        if (problem := finding.problem) is None:
            count = f", lists {len(finding.served)} models" if finding.served else ""
            yield Check(what, "ok", f"{finding.target.endpoint.url} answers{count}")
        else:
            yield Check(what, "wrong" if finding.stops else "no", problem.problem, problem.hint)


def _disks(config: Config | None) -> Iterator[Check]:
    from snakeval.cli.doctor.probes import free_bytes, unwritable
    from snakeval.files import home
    from snakeval.runtimes import local_images

    places = {"$SNAKEVAL_HOME": home()}
    if config:
        places["output_dir"] = Path(config.output_dir).expanduser()
    for what, place in places.items():
        if problem := unwritable(place):
            yield Check(what, "wrong", f"{place}: {problem}", "name another directory")
            continue
        free = free_bytes(place)
        enough = free >= _ROOM_BYTES
        yield Check(
            what,
            "ok" if enough else "wrong",
            f"{place}: {free / 1024**3:.1f} GiB free",
            "" if enough else f"free some, {_ROOM_BYTES // 1024**3} GiB at least",
        )
    if (root := local_images.root()) is not None and (free := free_bytes(root)) < _ROOM_BYTES:
        found = f"{root}: {free / 1024**3:.1f} GiB free"
        yield Check("images of docker", "no", found, "remove unused images: docker image prune")


def _gpus() -> Check:
    from snakeval.serving.gpus import slots

    ids = slots(os.environ)
    if ids:
        return Check("GPUs", "ok", f"{len(ids)}: {', '.join(ids)}")
    return Check("GPUs", "no", "none", "served models that need one wait for --resources gpu=N")


def _pool() -> Check:
    from snakeval.serving import client

    try:
        status = client.status()
    except EvaluationError as error:
        return Check("served models", "wrong", str(error), "remove it")
    if not status or not status["servers"]:
        return Check("served models", "ok", "none now")
    servers = [
        f"{server['model']} ({server['state']}"
        + (f", GPU {', '.join(server['gpus'])}" if server["gpus"] else "")
        + ")"
        for server in status["servers"]
    ]
    return Check("served models", "ok", ", ".join(servers))


def _profiles() -> Check:
    from snakeval.cli.launch.installation import user_profiles
    from snakeval.cli.profiles import of_snakeval

    own, names = user_profiles()[0], [path.name for path in of_snakeval()]
    missing = [name for name in names if not (own / name).exists()]
    if not missing:
        return Check("profiles", "ok", f"{', '.join(names)} in {own}")
    return Check(
        "profiles",
        "no",
        f"{', '.join(missing)} not in {own}",
        "for `snakemake --profile NAME` anywhere: snakeval profiles install",
    )
