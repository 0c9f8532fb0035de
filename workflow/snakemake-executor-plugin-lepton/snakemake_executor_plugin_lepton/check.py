"""Checks before a workflow that a workspace and the file transport work with given settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from snakemake_executor_plugin_lepton import options
from snakemake_executor_plugin_lepton.errors import LeptonError, ServiceError
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.settings import ExecutorSettings
from snakemake_executor_plugin_lepton.spec import Workspace
from snakemake_executor_plugin_lepton.task import Needs
from snakemake_executor_plugin_lepton.transport import choose, kind_of

#: Seconds between tries: the user of this check waits for the answer.
_BACKOFF = (1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Check:
    """The subject of a check, whether it works, and the finding or the remedy.

    ``certain``: the service has answered.
    """

    what: str
    ok: bool
    found: str
    certain: bool = True


def checks(settings: ExecutorSettings) -> Iterator[Check]:
    """Yield a check for each named setting."""
    service: Service | None = None
    try:
        service = Service(settings.workspace, settings.url, settings.request_timeout, _BACKOFF)
        service.check()
        yield Check("workspace", True, f"{service.workspace} answers and takes the token")
    except ServiceError as error:
        yield Check("workspace", False, str(error))
        service = None
    if service is not None:
        yield from _named(settings, Workspace(service))
    yield from _transport(settings, service)


def _named(settings: ExecutorSettings, workspace: Workspace) -> Iterator[Check]:
    """Check the settings that name parts of the workspace."""
    group: str | None = None
    if settings.node_group:
        yield _tried("node group", settings.node_group, workspace.node_group)
        try:
            group = workspace.node_group(settings.node_group)
        except LeptonError:
            return  # the rest cannot be checked without it
    if settings.resource_shape:
        any_ = Needs(gpu=0, gpu_model=None, threads=0, mem_mb=0)
        yield _tried(
            "resource shape", settings.resource_shape, lambda it: workspace.shape(it, any_, group)
        )
    if settings.mounts:
        yield _tried(
            "volumes",
            settings.mounts,
            lambda text: workspace.check_mounts(options.mounts(text, "--lepton-mounts"), group),
        )
    if settings.secrets:
        yield _tried(
            "secrets",
            settings.secrets,
            lambda text: workspace.check_secrets(
                options.secrets(text, "--lepton-secrets").values()
            ),
        )


def refusal(settings: ExecutorSettings, service: Service) -> str:
    """Return why the workspace would refuse every job with these settings, or nothing."""
    wrong = [check for check in _named(settings, Workspace(service)) if not check.ok]
    return "; ".join(check.found for check in wrong if check.certain)


def _transport(settings: ExecutorSettings, service: Service | None) -> Iterator[Check]:
    kind = kind_of(settings)
    if kind == "log" and service is None:
        return  # the check of the service reports this
    where = {
        "s3": f"by way of {settings.s3_prefix}",
        "mount": f"by way of {settings.mount_local}",
        "log": f"by jobs' logs, at most {settings.log_cap} KiB a job (more: --lepton-s3-prefix)",
    }

    def try_it(_: str) -> None:
        # Only the log transport uses the service.
        choose(settings, service).check()  # type: ignore[arg-type]

    yield _tried("files", where.get(kind, kind), try_it)


def _tried(what: str, value: str, look: Callable[[str], object]) -> Check:
    try:
        look(value)
    except LeptonError as error:
        return Check(what, False, str(error), not isinstance(error, ServiceError))
    return Check(what, True, value)
