"""Models as endpoints of Lepton: one for all evaluations of a model in a run.

A name has the digest of what it serves, so a restarted head finds its own and adopts it. It is
noted in the run before it is made, and until it is gone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

from leptonai.api.v2.types.affinity import LeptonResourceAffinity
from leptonai.api.v2.types.common import LeptonVisibility, Metadata
from leptonai.api.v2.types.deployment import (
    AutoScaler,
    AutoscalerTargetThroughput,
    ContainerPort,
    EnvValue,
    EnvVar,
    LeptonContainer,
    LeptonDeployment,
    LeptonDeploymentUserSpec,
    Mount,
    MountOptions,
    ResourceRequirement,
    ScaleDown,
    TokenVar,
)

from snakeval.deployment import MARK, Deployment, Plan, container
from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation import digest
from snakeval.lepton.notes import Noted, Notes
from snakeval.lepton.options import LeptonEndpoint
from snakeval.lepton.platform import Platform
from snakeval.lepton.runtime import LeptonRuntime

Report = Callable[[str], None]

_MARK = "SNAKEVAL_SPEC"
_PORT = 8000
_MAX_NAME = 36
_POLL = 2.0


class Endpoints:
    """The endpoints of a run."""

    def __init__(self, run: Path, platform: Platform | None = None) -> None:
        self._run = run
        self._notes = Notes(run)
        self._platform = platform or Platform()

    def serve(self, plan: Plan, stop: Event, report: Report) -> Noted:
        """Return the endpoint of *plan*, ready: adopted, woken or made.

        Raises:
            EvaluationError: it does not get ready.
            Interrupted: *stop* was set.
        """
        deployment, options = plan.deployment, _options(plan.deployment)
        spec = self._spec(deployment, options)
        name = _name(plan.name, digest([str(self._run.resolve()), spec.dict()]))
        for other in self._notes.all():
            if other.model == plan.name and other.name != name:
                report(f"deletes {other.name}, which serves another definition")
                self._delete(other, report)
        note = Noted(plan.name, name)
        self._notes.write(note)
        token = self._token(name)
        found = self._platform.endpoint(name)
        if found is not None and _mark(found) != spec.envs[0].value:
            raise EvaluationError(f"endpoint {name} is not ours; delete it: lep endpoint remove")
        if found is None:
            self._platform.keep_secret(name, token)
            spec.api_tokens = [TokenVar(value=token)]
            metadata = Metadata(name=name, visibility=LeptonVisibility.PRIVATE)
            self._platform.create(LeptonDeployment(metadata=metadata, spec=spec))
            report(f"made endpoint {name} ({spec.resource_requirement.resource_shape})")
        else:
            report(f"adopts endpoint {name}")
            self._platform.keep_secret(name, token)
            self._wake(name, options)
        ready = replace(note, url=self._wait(note, deployment, token, options, stop, report))
        self._notes.write(ready)
        return ready

    def end(self, report: Report) -> None:
        """Delete all endpoints of the run."""
        for endpoint in self._notes.all():
            try:
                self._delete(endpoint, report)
            except EvaluationError as error:
                report(f"endpoint {endpoint.name} may still run: {error}; the same command tries")

    def end_of(self, model: str, report: Report) -> None:
        """Delete the endpoint of a model."""
        for endpoint in self._notes.all():
            if endpoint.model == model:
                self._delete(endpoint, report)

    # One endpoint

    def _spec(self, deployment: Deployment, options: LeptonEndpoint) -> LeptonDeploymentUserSpec:
        serving = deployment.serving
        if serving.checkpoint_path or serving.mounts:
            raise EvaluationError(
                "checkpoint_path and mounts are of this machine; on Lepton use hf_model_handle, "
                "or put the weights on a volume and name it in deployment.lepton.mounts"
            )
        if serving.nodes > 1:
            raise EvaluationError("on Lepton a replica has one node; take `nodes` out")
        # It is reached from outside.
        bridged = replace(deployment, serving=replace(serving, network="bridge"))
        port = serving.port or _PORT
        gpus = len(serving.gpu_ids) or serving.gpus
        made = container(bridged, LeptonRuntime(), port, [str(n) for n in range(gpus)])
        if not made.image:
            raise EvaluationError("Lepton runs containers; add `image` to the deployment")
        if made.entry_point and made.argv:
            raise EvaluationError("extra_args need a `command` on Lepton; add it")
        group = self._platform.node_group(options.node_group) if options.node_group else None
        shape = options.resource_shape or self._platform.shape(gpus, group)
        there = self._platform.secrets()
        # Neither the pool's mark, which is of this machine, nor paths of a cache that it mounts.
        env = {k: v for k, v in made.env.items() if k != MARK and not v.startswith("/cache")}
        secrets = {
            inside: here
            for inside, here in made.secrets.items()
            if here in there or inside in serving.env
        }
        if lacking := [here for here in secrets.values() if here not in there]:
            raise EvaluationError(
                f"no secret {lacking[0]} in the workspace; `lep secret create -n {lacking[0]} -v …`"
            )
        throughput = AutoscalerTargetThroughput(qpm=options.target_qpm)
        spec = LeptonDeploymentUserSpec(
            container=LeptonContainer(
                image=made.image,
                command=list(made.argv) or None,
                ports=[ContainerPort(container_port=port)],
            ),
            resource_requirement=ResourceRequirement(
                resource_shape=shape,
                min_replicas=options.min_replicas,
                max_replicas=options.max_replicas or options.min_replicas,
                shared_memory_size=serving.shm_mb or None,
                affinity=LeptonResourceAffinity(allowed_dedicated_node_groups=[group])
                if group
                else None,
            ),
            auto_scaler=AutoScaler(
                scale_down=ScaleDown(no_traffic_timeout=options.no_traffic_timeout),
                target_gpu_utilization_percentage=options.target_gpu_utilization,
                target_throughput=throughput if options.target_qpm else None,
            ),
            envs=[
                *(EnvVar(name=n, value=v) for n, v in env.items()),
                *(
                    EnvVar(name=n, value_from=EnvValue(secret_name_ref=s))
                    for n, s in secrets.items()
                ),
            ],
            mounts=[_mount(text) for text in options.mounts],
            image_pull_secrets=list(options.image_pull_secrets),
            ingress_timeout_seconds=options.request_timeout,
        )
        spec.envs.insert(0, EnvVar(name=_MARK, value=digest(spec.dict())))
        return spec

    def _token(self, name: str) -> str:
        """Return the endpoint's key: made of the workspace's, so that it is kept nowhere."""
        key = self._platform.token.encode()
        return hmac.new(key, f"snakeval {name}".encode(), hashlib.sha256).hexdigest()

    def _wake(self, name: str, options: LeptonEndpoint) -> None:
        """Ask for its replicas: one that the platform scaled to zero does not wake by traffic."""
        change = ResourceRequirement(
            min_replicas=options.min_replicas,
            max_replicas=options.max_replicas or options.min_replicas,
        )
        spec = LeptonDeploymentUserSpec(resource_requirement=change)
        self._platform.scale(name, LeptonDeployment(spec=spec))

    def _wait(
        self,
        note: Noted,
        deployment: Deployment,
        token: str,
        options: LeptonEndpoint,
        stop: Event,
        report: Report,
    ) -> str:
        until = time.monotonic() + deployment.serving.readiness_timeout
        shown = ""
        while time.monotonic() < until:
            if stop.is_set():
                raise Interrupted
            found = self._platform.endpoint(note.name)
            if found is None or found.status is None:
                raise EvaluationError(f"deployment failed: endpoint {note.name} is gone")
            state = (found.status.phase or found.status.state).value
            if state != shown:
                report(f"{note.name} is {state}")
                shown = state
            base = found.status.endpoint.external_endpoint.rstrip("/")
            # Ready says that the port answers, not that the model is loaded.
            if state == "Ready" and _lists(base + deployment.serving.models_path, token):
                return str(base + deployment.definition.path)
            if state == "Stopped":  # it took longer to load than it is kept without requests
                self._wake(note.name, options)
            if state in ("Not Ready", "Starting", "Error"):
                self._fail_early(note.name, deployment.serving.max_restarts)
            stop.wait(_POLL)
        raise EvaluationError(
            f"deployment failed: {note.name} is not ready after "
            f"{deployment.serving.readiness_timeout} s (it is {shown}); raise readiness_timeout"
        )

    def _fail_early(self, name: str, restarts: int) -> None:
        troubles = self._platform.troubles(name)
        if len(troubles) > restarts:
            said = (
                "; its log ends: " + " / ".join(lines)
                if (lines := self._platform.last_lines(name))
                else ""
            )
            raise EvaluationError(f"deployment failed: {troubles[-1]}, {len(troubles)} times{said}")

    def _delete(self, endpoint: Noted, report: Report) -> None:
        self._platform.delete(endpoint.name)
        self._notes.forget(endpoint)
        report(f"deleted endpoint {endpoint.name} of {endpoint.model}")


def _options(deployment: Deployment) -> LeptonEndpoint:
    """Return the options; instances are replicas, where nothing else is said."""
    said = dict(deployment.serving.lepton)
    return LeptonEndpoint.model_validate({"min_replicas": deployment.serving.instances, **said})


def _name(model: str, code: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-") or "model"
    return f"{f'snakeval-{plain}'[: _MAX_NAME - 11].rstrip('-')}-{code[:10]}"


def _mark(endpoint: LeptonDeployment) -> str | None:
    envs = (endpoint.spec.envs if endpoint.spec else None) or []
    return next((env.value for env in envs if env.name == _MARK), None)


def _mount(text: str) -> Mount:
    volume, equals, target = text.partition("=")
    target, colon, mode = target.partition(":")
    source, _, path = volume.partition("/")
    if not equals or not target.startswith("/") or (colon and mode != "ro"):
        raise EvaluationError(
            f"deployment.lepton.mounts: {text!r} is not SOURCE[/sub/path]=/mount/path[:ro]"
        )
    options = MountOptions(read_only=True) if colon else None
    return Mount(
        **{"from": source}, path="/" + path.strip("/"), mount_path=target, mount_options=options
    )


def _lists(url: str, token: str) -> bool:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(json.load(answer).get("data"))
    except (OSError, ValueError, AttributeError):
        return False
