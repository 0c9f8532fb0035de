"""Defines what ``execution`` of a launcher's configuration says, for the sections after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from snakeval.config.nemo_launcher.draft import Draft, Variables
from snakeval.config.source import Key


@dataclass
class Where:
    """The settings that ``execution`` contains.

    Attributes:
        profile: the Snakemake profile that ``execution.type`` names.
        options: options for Snakemake's command line.
        readiness_timeout: how long a model's server may take to start, and the key that sets it.
        serving: more keys of snakeval's ``deployment``, each with its value and the key that sets
            it.
        lepton: more keys of ``deployment.lepton``.
        auto_export: where results go, see :mod:`snakeval.config.nemo_launcher.export`.
        env, mounts: variables and mounts of the containers of ``evaluation`` and ``deployment``.
        auxiliary_env, auxiliary_mounts: those of each of ``auxiliary_deployments``.
    """

    profile: str = ""
    options: list[str] = field(default_factory=list)
    readiness_timeout: tuple[Any, Key] | None = None
    serving: dict[str, tuple[Any, Key]] = field(default_factory=dict)
    lepton: dict[str, Any] = field(default_factory=dict)
    auto_export: dict[str, Any] = field(default_factory=dict)
    env: dict[str, Variables] = field(
        default_factory=lambda: {"evaluation": Variables(), "deployment": Variables()}
    )
    mounts: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {"evaluation": [], "deployment": []}
    )
    auxiliary_env: dict[str, Variables] = field(default_factory=dict)
    auxiliary_mounts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


#: Writes a value that is not empty into the draft or the settings; or the message of the error.
Handler = Callable[[Draft, Where, Any, Key], None] | str
