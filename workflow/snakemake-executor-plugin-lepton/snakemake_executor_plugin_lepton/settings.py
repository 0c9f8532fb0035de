"""The user's settings: ``--lepton-…`` on the command line, ``lepton-…`` in a profile."""

from dataclasses import dataclass, field
from typing import Optional

from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=True,
    # The rule's command runs alone. The job has no Snakemake, Snakefile or storage plugin.
    job_deploy_sources=False,
    auto_deploy_default_storage_provider=False,
    pass_default_storage_provider_args=False,
    # The values of envvars would be in the command in clear text.
    pass_envvar_declarations_to_cmd=False,
    can_transfer_local_files=True,
)


@dataclass
class ExecutorSettings(ExecutorSettingsBase):  # type: ignore[misc]
    """Settings of the whole run. A rule's resources ``lepton_…`` have priority."""

    workspace: Optional[str] = field(
        default=None,
        metadata={
            "help": "Workspace id. Default: LEPTON_WORKSPACE_ID, else that of `lep login`. The "
            "token comes from LEPTON_WORKSPACE_TOKEN or `lep login`, never from an option.",
            "env_var": True,
        },
    )
    url: Optional[str] = field(
        default=None,
        metadata={
            "help": "URL of the workspace's API. Default: LEPTON_WORKSPACE_URL, else the one of "
            "DGX Cloud Lepton.",
            "env_var": True,
        },
    )
    image: Optional[str] = field(
        default=None,
        metadata={
            "help": "Container image of rules without `container:` and without the resource "
            "lepton_image."
        },
    )
    resource_shape: Optional[str] = field(
        default=None,
        metadata={
            "help": "Resource shape of rules without lepton_resource_shape. Default: the smallest "
            "with a rule's gpu, gpu_model, threads and mem_mb."
        },
    )
    node_group: Optional[str] = field(
        default=None,
        metadata={"help": "Node group (name or id) of rules without lepton_node_group."},
    )
    env: Optional[str] = field(
        default=None,
        metadata={
            "help": "Environment of every job: `NAME=value …`, quoted as in a shell. Everyone who "
            "can see the job can see it: use secrets for secrets."
        },
    )
    secrets: Optional[str] = field(
        default=None,
        metadata={
            "help": "Secrets of the workspace for every job: `NAME …` or `NAME=secret …`, where "
            "NAME is the environment variable in the job."
        },
    )
    mounts: Optional[str] = field(
        default=None,
        metadata={
            "help": "Volumes of every job: `SOURCE[/sub/path]=/mount/path[:ro] …`, where SOURCE is "
            "node-local or node-nfs:VOLUME."
        },
    )
    image_pull_secrets: Optional[str] = field(
        default=None,
        metadata={"help": "Names of registry credentials in the workspace, separated by blanks."},
    )
    priority: Optional[str] = field(
        default=None,
        metadata={
            "help": "Priority class in a node group with a queue, for example mid-4000. A rule's "
            "lepton_priority has priority."
        },
    )
    name_prefix: str = field(
        default="smk",
        metadata={"help": "First part of the names of jobs: PREFIX-RULE-HASH."},
    )
    transport: str = field(
        default="auto",
        metadata={
            "help": "Transport of files: s3 (presigned URLs), mount (a volume that is also mounted "
            "on this machine), log (in the job's log: small files only), or auto: s3 if there is "
            "an s3-prefix, mount if there is a mount, else log."
        },
    )
    s3_prefix: Optional[str] = field(
        default=None,
        metadata={
            "help": "s3://BUCKET/PREFIX for files in transit. Credentials are those of every AWS "
            "tool; jobs receive presigned URLs and no credentials."
        },
    )
    s3_endpoint_url: Optional[str] = field(
        default=None,
        metadata={"help": "URL of an S3 service other than Amazon's."},
    )
    mount: Optional[str] = field(
        default=None,
        metadata={
            "help": "`SOURCE[/sub/path]=/mount/path` of the volume for files in transit "
            "(see mounts)."
        },
    )
    mount_local: Optional[str] = field(
        default=None,
        metadata={"help": "Directory on this machine at which that volume is mounted."},
    )
    log_cap: int = field(
        default=1024,
        metadata={"help": "Maximum KiB (compressed) that a job may send back by its log."},
    )
    workdir: str = field(
        default="/tmp",
        metadata={
            "help": "Directory of the container in which each job creates its working directory."
        },
    )
    unknown_grace: int = field(
        default=600,
        metadata={
            "help": "Seconds that a job may spend in a state unknown to this plugin; at least 60, "
            "because every new job does at first."
        },
    )
    start_limit: int = field(
        default=3600,
        metadata={
            "help": "Seconds that a job may spend in the state Starting, in which its node pulls "
            "the image and mounts volumes; 0: no limit."
        },
    )
    queue_limit: int = field(
        default=0,
        metadata={"help": "Seconds that a job may wait for a node; 0: no limit."},
    )
    runtime_grace: int = field(
        default=600,
        metadata={
            "help": "Seconds that a job may outlive its `runtime` (to stop its command, and to "
            "send its files) before the plugin stops it."
        },
    )
    patience: int = field(
        default=60,
        metadata={
            "help": "Seconds to wait for files in transit from a finished job: the platform "
            "collects logs with a delay."
        },
    )
    request_timeout: int = field(
        default=60,
        metadata={"help": "Seconds to wait for an answer from the service."},
    )
