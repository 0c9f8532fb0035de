"""Defines ``deployment.lepton``: how a model's endpoint on Lepton scales, and where it runs.

No score depends on these options.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

from snakeval.config.types import Strict


class LeptonEndpoint(Strict):
    """Options of a model's endpoint on Lepton. Other executors ignore them."""

    endpoint_name: str | None = Field(
        default=None, description="the first part of the endpoint's name; null = snakeval-MODEL"
    )
    resource_shape: str | None = Field(
        default=None, description="null = the smallest one with the deployment's GPUs"
    )
    node_group: str | None = Field(default=None, description="name or id of a node group")
    min_replicas: PositiveInt = Field(default=1, description="kept while the run lasts")
    max_replicas: PositiveInt | None = Field(default=None, description="null = min_replicas")
    target_qpm: PositiveFloat | None = Field(
        default=None, description="scale by requests per minute and replica"
    )
    target_gpu_utilization: PositiveInt | None = Field(
        default=None, le=100, description="scale by the GPUs' utilization, in %"
    )
    no_traffic_timeout: PositiveInt | None = Field(
        default=7200,
        description="seconds without a request until the platform stops the endpoint of a lost "
        "head; longer than the longest pause of any benchmark; null = never",
    )
    liveness_delay: PositiveInt | None = Field(
        default=None, description="seconds until the platform first checks that a replica lives"
    )
    priority: str | None = Field(
        default=None,
        description="in a node group with a queue: low, mid, high, 1 to 9, or the service's word, "
        "mid-4000",
    )
    can_be_preempted: bool = Field(default=False, description="others in the queue can preempt it")
    can_preempt: bool = Field(default=False, description="it can preempt others in the queue")
    reservation: str | None = Field(default=None, description="id of a reservation of nodes")
    queue_timeout: PositiveInt = Field(
        default=86400, description="seconds to wait for a node; readiness_timeout begins afterwards"
    )
    request_timeout: int = Field(
        default=3600, ge=300, le=3600, description="seconds that one request may take"
    )
    mounts: tuple[str, ...] = Field(
        default=(),
        description="volumes, SOURCE[/sub/path]=/mount/path[:ro], as node-nfs:data=/data",
    )
    image_pull_secrets: tuple[str, ...] = Field(default=(), description="registry credentials")

    @field_validator("priority", mode="before")
    @classmethod
    def _word(cls, given: Any) -> str | None:
        """Return the service's own word: `high` and 7 mean `high-7000`."""
        if given is None:
            return None
        # It imports Snakemake's interfaces, which few configurations require.
        from snakemake_executor_plugin_lepton.options import NO_PRIORITY, priority_word

        if (word := priority_word(str(given))) is None:
            raise PydanticCustomError("one", NO_PRIORITY)
        return word

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.max_replicas is not None and self.max_replicas < self.min_replicas:
            raise PydanticCustomError("one", "has max_replicas below min_replicas; raise it")
        if self.target_qpm and self.target_gpu_utilization:
            raise PydanticCustomError(
                "one", "has both target_qpm and target_gpu_utilization; keep one"
            )
        target = "target_qpm" if self.target_qpm else "target_gpu_utilization"
        scales = (self.max_replicas or self.min_replicas) > self.min_replicas
        if scales and not (self.target_qpm or self.target_gpu_utilization):
            raise PydanticCustomError(
                "one",
                "has max_replicas without a target, so it never scales; add target_qpm or "
                "target_gpu_utilization",
            )
        if not scales and (self.target_qpm or self.target_gpu_utilization):
            raise PydanticCustomError(
                "one",
                "has {target} without max_replicas above min_replicas, so it never scales; raise "
                "max_replicas",
                {"target": target},
            )
        return self
