"""The batch script of a direct job: the shell command of a rule, without a Snakemake in it."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake.common.tbdstring import TBDString
from snakemake.shell import shell
from snakemake_interface_executor_plugins.settings import DeploymentMethod

from snakemake_executor_plugin_slurm_resume.states import TOLD

# The command has a process group of its own, all of which is told before the time limit; Slurm
# tells this script only. Slurm kills what is left when the script ends, so it waits for all.
_SCRIPT = """\
#!/bin/bash
# {title}: made by snakemake-executor-plugin-slurm-resume
cd {directory} || exit 1
{exports}
told= command=
trap 'told=1; [ -z "$command" ] || kill -TERM -- "-$command" 2>/dev/null' TERM
set -m
{shell} -c {command} &
command=$!
set +m
[ -z "$told" ] || kill -TERM -- "-$command" 2>/dev/null
wait "$command"
code=$?
[ -n "$told" ] || exit "$code"
while kill -0 -- "-$command" 2>/dev/null; do sleep 0.1; done
wait "$command" || exit {told}
"""
#: Those that Snakemake's own `shell` sets.
_THREADS = (
    "OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip
_TMPDIR = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")


def can_be_direct(job: Any, workflow: Any) -> bool:
    """Tell whether *job* is a shell command and nothing else, on files that the nodes share."""
    if job.is_group() or not job.is_shell or job.is_shadow or job.benchmark:
        return False
    methods = workflow.deployment_settings.deployment_method
    deployed = (
        (DeploymentMethod.CONDA in methods and job.conda_env_spec)
        or (DeploymentMethod.APPTAINER in methods and job.container_img_url)
        or (DeploymentMethod.ENV_MODULES in methods and job.env_modules)
    )
    if deployed or job.is_pipe or job.is_service:
        return False
    # Only a Snakemake on the node knows it.
    if isinstance(job.resources.get("tmpdir"), TBDString) and "tmpdir" in job.rule.shellcmd:
        return False
    if workflow.workflow_settings.cache is not None and job.rule.cache:
        return False
    return not any(file.is_storage for file in (*job.input, *job.output, *job.log))


def batch_script(job: Any, title: str, directory: Path) -> str:
    """Return the script that does what ``shell:`` of the rule does, in *directory*.

    It exits as the command does, or with :data:`TOLD` if SIGTERM came and it did not succeed.
    """
    executable = job.resources.get("shell_exec") or shell.get_executable() or "/bin/bash"
    command = " ".join(
        (shell._get_process_prefix(executable), job.shellcmd, shell._process_suffix)
    ).strip()
    exported: Mapping[str, str] = dict.fromkeys(_THREADS, str(job.threads))
    tmpdir = job.resources.get("tmpdir")
    # By default the directory of this host; a node has its own idea of it.
    if isinstance(tmpdir, str) and tmpdir and tmpdir != tempfile.gettempdir():
        exported = {**exported, **dict.fromkeys(_TMPDIR, tmpdir)}
    return render(command, executable, title, directory, exported)


def render(
    command: str, executable: str, title: str, directory: Path, exported: Mapping[str, str]
) -> str:
    """Return the script that has the shell *executable* run *command*."""
    return _SCRIPT.format(
        title=title,
        directory=shlex.quote(str(directory)),
        exports="\n".join(f"export {name}={shlex.quote(v)}" for name, v in exported.items()),
        shell=shlex.quote(executable),
        command=shlex.quote(command),
        told=TOLD,
    )
