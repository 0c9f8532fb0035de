"""What a user can set: ``--lepton-…`` on the command line, ``lepton-…`` in a profile."""

from dataclasses import dataclass, field
from typing import Optional

from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=True,
    # The rule's command runs alone: no Snakemake, no Snakefile and no storage plugin in the job.
    job_deploy_sources=False,
    auto_deploy_default_storage_provider=False,
    pass_default_storage_provider_args=False,
    # Values of envvars: would stand in the command, in clear.
    pass_envvar_declarations_to_cmd=False,
    can_transfer_local_files=True,
)


@dataclass
class ExecutorSettings(ExecutorSettingsBase):  # type: ignore[misc]
    """Settings of the whole run; a rule's resources ``lepton_…`` win over them."""

    workspace: Optional[str] = field(
        default=None,
        metadata={
            "help": "Workspace id. Default: LEPTON_WORKSPACE_ID, else that of `lep login`. The "
            "token is taken from LEPTON_WORKSPACE_TOKEN or from `lep login`, never from an option.",
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
            "help": "Container image of rules that name none by `container:` or by the resource "
            "lepton_image."
        },
    )
    resource_shape: Optional[str] = field(
        default=None,
        metadata={
            "help": "Resource shape of rules without lepton_resource_shape. Default: the smallest "
            "that has a rule's gpu, gpu_model, threads and mem_mb."
        },
    )
    node_group: Optional[str] = field(
        default=None,
        metadata={"help": "Node group (name or id) of rules without lepton_node_group."},
    )
    env: Optional[str] = field(
        default=None,
        metadata={
            "help": "Environment of every job: `NAME=value …`, quoted as in a shell. Who may see "
            "the job sees it: use secrets for secrets."
        },
    )
    secrets: Optional[str] = field(
        default=None,
        metadata={
            "help": "Secrets of the workspace that every job gets: `NAME …` or `NAME=secret …`, "
            "where NAME is the environment variable in the job."
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
            "help": "Priority class in a node group with a queue, for example mid-4000. Rules may "
            "set lepton_priority."
        },
    )
    name_prefix: str = field(
        default="smk",
        metadata={"help": "First part of the names of jobs: PREFIX-RULE-HASH."},
    )
    transport: str = field(
        default="auto",
        metadata={
            "help": "How files travel: s3 (presigned URLs), mount (a volume that this machine has "
            "mounted, too), log (in the job's log: small files only), or auto: s3 if there is "
            "an s3-prefix, mount if there is a mount, else log."
        },
    )
    s3_prefix: Optional[str] = field(
        default=None,
        metadata={
            "help": "s3://BUCKET/PREFIX for the files of jobs on their way. Credentials are found "
            "as by every AWS tool; jobs get presigned URLs and no credentials."
        },
    )
    s3_endpoint_url: Optional[str] = field(
        default=None,
        metadata={"help": "URL of an S3 service that is not Amazon's."},
    )
    mount: Optional[str] = field(
        default=None,
        metadata={
            "help": "`SOURCE[/sub/path]=/mount/path` of the volume for files on their way "
            "(see mounts)."
        },
    )
    mount_local: Optional[str] = field(
        default=None,
        metadata={"help": "Where this machine has the same directory of that volume mounted."},
    )
    log_cap: int = field(
        default=1024,
        metadata={"help": "Most KiB (compressed) that a job may send back by its log."},
    )
    workdir: str = field(
        default="/tmp",
        metadata={
            "help": "Directory of the container in which each job makes its working directory."
        },
    )
    unknown_grace: int = field(
        default=600,
        metadata={
            "help": "Seconds for which a job may be in a state that this plugin does not know; at "
            "least 60, since new jobs are for a while."
        },
    )
    runtime_grace: int = field(
        default=600,
        metadata={
            "help": "Seconds by which a job may outlive its `runtime` (to be told to end, and to "
            "send its files) before it is stopped from outside."
        },
    )
    patience: int = field(
        default=60,
        metadata={
            "help": "Seconds to wait for the files of a finished job, that may be on their way: "
            "the platform gathers logs with a delay."
        },
    )
    request_timeout: int = field(
        default=60,
        metadata={"help": "Seconds to wait for an answer of the service."},
    )
