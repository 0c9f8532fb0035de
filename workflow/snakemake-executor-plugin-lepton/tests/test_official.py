"""Snakemake's own tests of executor plugins: a simple workflow and one with groups."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import snakemake.common.tests
from snakemake_interface_executor_plugins.settings import ExecutorSettingsBase

from snakemake_executor_plugin_lepton import ExecutorSettings
from standin import StandIn


@pytest.fixture(autouse=True)
def _environment(lepton: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in lepton.environment.items():
        monkeypatch.setenv(name, value)
    yield
    assert lepton.alive == []


class TestWorkflows(snakemake.common.tests.TestWorkflowsLocalStorageBase):
    __test__ = True

    def get_executor(self) -> str:
        return "lepton"

    def get_executor_settings(self) -> ExecutorSettingsBase:
        return ExecutorSettings(image="any/image")

    def get_assume_shared_fs(self) -> bool:
        return False
