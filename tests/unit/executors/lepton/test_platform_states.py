"""Why replicas of an endpoint never run; the plugin owns the table of the reasons."""

from __future__ import annotations

import pytest
from snakemake_executor_plugin_lepton import failure, reasons

from snakeval.executors.lepton.platform_states import hopeless


@pytest.mark.parametrize("reason", sorted(reasons.HOPELESS))
def test_an_endpoint_and_a_job_explain_a_reason_alike(reason: str) -> None:
    counts = {reason: reasons.ENOUGH}
    job = str(failure.hopeless(counts))
    # An endpoint's container runs again after its end, which the platform calls BackOff.
    said = "" if reason == "BackOff" else job.replace(f", {reasons.ENOUGH} times", "")
    assert hopeless(counts) == said


def test_one_warning_is_not_enough_unless_the_platform_is_certain() -> None:
    assert hopeless({"ErrImagePull": 1}) == ""
    assert (
        hopeless({"ErrImagePull": 1}, certain=True) == "its image cannot be pulled (ErrImagePull)"
    )
    assert hopeless({"Unhealthy": 9}, certain=True) == ""


def test_the_finer_reason_is_the_one_that_is_reported() -> None:
    counts = {"Failed": 9, "FailedMount": 1, "BackOff": 9}
    assert hopeless(counts) == "a volume cannot be mounted (FailedMount)"
