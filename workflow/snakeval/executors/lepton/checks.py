"""Checks of Lepton: the library, the login, the workspace, the profile and the models."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from snakeval.errors import ConfigError, EvaluationError
from snakeval.executors.base import Check, Finding, Intent
from snakeval.files import json_value

if TYPE_CHECKING:
    from snakeval.executors.lepton.api import Platform
    from snakeval.serving.deployment import Deployment

#: The versions that the executor's pyproject.toml allows: later ones have removed interfaces.
_LIBRARY = ">=0.47.1,<0.48"
_PLUGIN = "snakemake_executor_plugin_lepton"
_INSTALL = "pip install 'snakeval[lepton]'"
_ONLY = "needed by --profile lepton only"
_SECONDS = 120


def checks(intent: Intent) -> Iterator[Check]:
    """Check what is installed first, then the login, then what the workspace has."""
    if intent.starting and intent.config and intent.config.budget and intent.config.budget.limits:
        # Its gateways do not share the file of the run, so they would exceed the budget without a
        # notice.
        yield Check("budget", "wrong", "jobs on Lepton do not count requests", "remove the budget")
    logged_in = _has_login()
    if importlib.util.find_spec("leptonai") is None:
        lacks = "its library is not installed"
        if logged_in or intent.starting:
            yield Check("lepton", "wrong", lacks, _INSTALL)
        else:
            yield Check("lepton", "no", lacks, f"{_ONLY}: {_INSTALL}")
        return
    found = version("leptonai")
    if not SpecifierSet(_LIBRARY).contains(found, prereleases=True):
        yield Check("lepton", "wrong", f"leptonai {found}", f"{_INSTALL} brings one that fits")
        return
    if not logged_in:
        to_do = f"{_ONLY}: lep login -c WORKSPACE:TOKEN"
        state: Finding = "wrong" if intent.starting else "no"
        yield Check("lepton", state, f"leptonai {found}, and no login", to_do)
        return
    yield Check("lepton", "ok", f"leptonai {found}")
    if intent.starting:
        return
    works = True
    for check in _by_the_executor(intent):
        works = works and (check.state == "ok" or check.what != "lepton workspace")
        yield check
    if works and intent.config is not None:
        try:
            yield from _of_configuration(intent)
        except EvaluationError as error:
            yield Check("lepton workspace", "wrong", str(error), "try again")


def _has_login() -> bool:
    """Whether ``lep`` would find a workspace: by a variable, or by what it keeps of a login."""
    cache = Path(os.environ.get("LEPTON_CACHE_DIR") or "~/.cache/lepton").expanduser()
    return bool(os.environ.get("LEPTON_WORKSPACE_ID")) or (cache / "workspace_info.yaml").exists()


def _by_the_executor(intent: Intent) -> Iterator[Check]:
    """Have the Snakemake plugin check the workspace and the settings of the profile."""
    try:
        options = _options(intent)
    except ConfigError as error:
        yield Check("lepton profile", "wrong", str(error), "correct it")
        return
    try:
        done = subprocess.run(
            [sys.executable, "-m", _PLUGIN, "--json", *options],
            capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
        found = json_value(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Check("lepton profile", "wrong", f"the executor does not answer ({error!r:.100})")
        return
    except ValueError:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        yield Check("lepton profile", "wrong", said[:200], "correct the profile lepton")
        return
    for each in found:
        # Its sentences say what to do.
        yield Check(f"lepton {each['what']}", "ok" if each["ok"] else "wrong", each["found"])


def _options(intent: Intent) -> list[str]:
    """The plugin's settings in the profile `lepton`, as options of its command."""
    settings = intent.settings("lepton")
    return [
        word
        for key, value in settings.items()
        if key.startswith("lepton-") and value is not None
        for word in (f"--{key}", str(value))
    ]


def _of_configuration(intent: Intent) -> Iterator[Check]:
    """Whether the workspace has what the configuration's evaluations and models name."""
    from snakeval.executors.lepton.api import Platform

    platform = Platform(backoff=(1.0,), timeout=30)
    secrets = platform.secrets()
    for name in intent.variables:
        if name in secrets:
            yield Check(f"lepton secret {name}", "ok", "the workspace has it")
        else:
            to_do = f"{_ONLY}: lep secret create -n {name} -v …"
            yield Check(f"lepton secret {name}", "no", "not in the workspace", to_do)
    group = str(intent.settings("lepton").get("lepton-node-group") or "")
    for name, deployment in intent.deployments().items():
        yield _served(name, deployment, platform, group)


def _served(name: str, deployment: Deployment, platform: Platform, group: str) -> Check:
    from snakeval.executors.lepton.spec import specification

    what = f"lepton endpoint of {name}"
    try:
        needs = specification(platform, deployment, group).resource_requirement
    except EvaluationError as error:
        if deployment.serving.lepton:
            return Check(what, "wrong", str(error), "correct deployment.lepton")
        return Check(what, "no", str(error), _ONLY)
    least, most = needs.min_replicas, needs.max_replicas
    replicas = f"{least} to {most} replicas" if most != least else f"{least} replicas"
    return Check(what, "ok", f"would get {needs.resource_shape}, {replicas}")
