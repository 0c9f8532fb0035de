"""Checks the Snakemake executor plugin of a command before Snakemake, which prints its usage."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from snakeval.cli.launch import snakemake_options
from snakeval.cli.launch.installation import is_profile, profile_settings, settings_of
from snakeval.config.config import Config
from snakeval.errors import ConfigError

#: The executors of Snakemake itself.
_BUILT_IN = frozenset({"local", "dryrun", "touch"})


@dataclass(frozen=True, slots=True)
class Plugin:
    """The executor plugin that Snakemake uses, by its name."""

    name: str

    @classmethod
    def of(cls, profile: str, options: Sequence[str]) -> Self:
        """Return the plugin of the options, or else of the profile.

        Raises:
            ConfigError: no installed package has it.
        """
        given = snakemake_options.values(snakemake_options.split(options), "executor")
        name = given[-1] if given else str(_settings(profile).get("executor") or "local")
        package = f"snakemake_executor_plugin_{name.replace('-', '_')}"
        if name not in _BUILT_IN and importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"no executor plugin '{name}'; pip install snakemake-executor-plugin-{name}"
            )
        return cls(name)

    @property
    def reads_variables(self) -> bool:
        """Whether its jobs get their secrets from this machine's variables."""
        from snakeval import executors

        return executors.of_plugin(self.name).reads_variables

    def check(self, config: Config) -> None:
        """Run the quick checks of its executor, as a start does.

        Raises:
            ConfigError: one line for each thing that is wrong.
        """
        from snakeval import executors
        from snakeval.executors.base import Intent

        checks = executors.of_plugin(self.name).checks(Intent(config, starting=True))
        if wrong := [check for check in checks if check.state == "wrong"]:
            raise ConfigError("\n".join(f"{c.what}: {c.found}; {c.to_do}" for c in wrong))


def _settings(profile: str) -> dict[str, Any]:
    return settings_of(Path(profile)) if is_profile(Path(profile)) else profile_settings(profile)
