"""Site policies on the Slurm of tests/testbed/slurm.sh: how evaluations end under each.

    python tests/e2e/site_policies.py [--only NAME]... [--table FILE]

Each policy is set with Slurm's own commands, a run is started, and the policy is undone. A run ends
``done``, ``waits`` with its reason from the head and from `status`, or ``fails`` with Slurm's own
words in the table. The table of a whole session is in site_policies.md. No test uses the cluster
meanwhile: some policies change slurm.conf or restart the controller.

Long because each policy is a few lines of data, and all are in one list.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from support import forks
from support.bed_lock import BedLock
from support.command import says, snakeval
from support.limits import HUNG
from support.slurm import CONFIG, cluster, mend, queue, slurm, stop_controller
from support.workspace import REPOSITORY, Workspace

PROFILE = str(REPOSITORY / "profiles" / "slurm")
#: A partition that policies change; the node n4 is in no other job's way.
PARTITION = "site"
#: The account and the QOS that policies limit. No other job uses them.
OWN = "policies"
#: Held by who limits them.
own = BedLock("slurm-policies")
_NEVER = re.compile(r"^.*(cannot start \(|although none of this run's jobs runs).*$", re.MULTILINE)


# --- how a policy is set and undone -------------------------------------------------------------

#: What is requested under it in addition, if that is not known before.
Request = dict[str, Any]
Policy = Callable[[], AbstractContextManager[Request | None]]


def _run(*command: str) -> None:
    """Run a command of Slurm; sacctmgr exits with 1 if nothing changes."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=HUNG, check=False)
    if done.returncode and "Nothing modified" not in done.stdout + done.stderr:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def prepare() -> None:
    """Make the account and the QOS, and undo what a killed session has left."""
    if f"|{OWN}" not in slurm("sacctmgr", "-n", "-P", "show", "assoc", "format=user,account"):
        # Two calls: a sacctmgr does not see the QOS that it has just made.
        for line in (
            f"add qos {OWN}",
            f"add account {OWN} organization=testbed",
            f"add user root account={OWN}",
            f"modify account {OWN} set qos=normal,{OWN}",
        ):
            _run("sacctmgr", "-i", *line.split())
    limits = (
        "maxsubmitjobsperuser maxjobsperuser maxwall flags maxtresperjob=cpu grptres=cpu "
        "maxtresperuser=cpu mintresperjob=cpu grptresmins=cpu grpjobs"
    )
    _run(*f"sacctmgr -i modify qos {OWN} set".split(), *(f"{each}=-1" for each in limits.split()))
    limits = "maxsubmitjobs=-1 maxwall=-1"
    _run(*f"sacctmgr -i modify user root where account={OWN} set {limits}".split())
    _run(*f"sacctmgr -i modify account {OWN} set grpsubmitjobs=-1".split())
    if f"PartitionName={PARTITION} " in slurm("scontrol", "-o", "show", "partition"):
        _run("scontrol", "delete", f"partition={PARTITION}")


def commands(*pairs: tuple[str, str]) -> Policy:
    """Run the first command of each pair, and the second ones at the end, in reverse order."""

    @contextlib.contextmanager
    def changed() -> Iterator[None]:
        with ExitStack() as undone:
            for do, undo in pairs:
                undone.callback(_run, *undo.split())
                _run(*do.split())
            yield

    return changed


def qos(limit: str, none: str) -> Policy:
    """Set a limit of the QOS `policies`."""
    modify = f"sacctmgr -i modify qos {OWN} set "
    return commands((modify + limit, modify + none))


def association(limit: str, none: str) -> Policy:
    """Set a limit of this user in the account `policies`."""
    modify = f"sacctmgr -i modify user root where account={OWN} set "
    return commands((modify + limit, modify + none))


def partition(*settings: str) -> Policy:
    """Create the partition `site` with settings."""
    create = f"scontrol create partition={PARTITION} nodes=n4 {' '.join(settings)}"
    return commands((create, f"scontrol delete partition={PARTITION}"))


def configured(*lines: str, restarts: bool = False) -> Policy:
    """Add lines to slurm.conf, for a restarted controller if the lines require it."""

    def read_again() -> None:
        if restarts:
            stop_controller()
            mend()
        else:
            _run("scontrol", "reconfigure")

    @contextlib.contextmanager
    def changed() -> Iterator[None]:
        before = CONFIG.read_text()
        try:
            CONFIG.write_text(before + "".join(f"{line}\n" for line in lines))
            read_again()
            yield
        finally:
            CONFIG.write_text(before)
            read_again()

    return changed


LUA = f"""\
function slurm_job_submit(job_desc, part_list, submit_uid)
  if job_desc.partition == "closed" then
    slurm.log_user("The partition closed is closed for maintenance. Use site.")
    return slurm.ERROR
  end
  if job_desc.partition == "old" or job_desc.partition == "checked" then
    if job_desc.partition == "checked" then
      job_desc.priority = 0
    end
    job_desc.partition = "{PARTITION}"
  end
  return slurm.SUCCESS
end
function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
  return slurm.SUCCESS
end
"""


def lua() -> AbstractContextManager[Request | None]:
    """Reject and rewrite jobs with a job_submit.lua, which the controller then no longer reads."""

    CONFIG.with_name("job_submit.lua").write_text(LUA)
    return configured(LISTED, "JobSubmitPlugins=lua")()


@contextlib.contextmanager
def both(*policies: Policy) -> Iterator[None]:
    """Set several policies at once, each with a known request."""
    with ExitStack() as stack:
        for policy in policies:
            stack.enter_context(policy())
        yield


SUBMIT_FILTER = """\
function slurm_cli_setup_defaults(options, early)
  return slurm.SUCCESS
end
function slurm_cli_pre_submit(options, offset)
  if options["account"] == "policies" then
    slurm.log_error("Jobs of policies need a project code. See wiki/projects.")
    return slurm.ERROR
  end
  return slurm.SUCCESS
end
function slurm_cli_post_submit(offset, job, step)
  return slurm.SUCCESS
end
"""


@contextlib.contextmanager
def submit_filter() -> Iterator[None]:
    """Reject jobs in sbatch itself, which reads this file."""
    file = Path("/etc/slurm/cli_filter.lua")
    file.write_text(SUBMIT_FILTER)
    try:
        with configured("CliFilterPlugins=lua")():
            yield
    finally:
        file.unlink()


@contextlib.contextmanager
def failed_job() -> Iterator[Request]:
    """Run a job that fails; another job requires its success."""
    words = f"sbatch --parsable --account={OWN} --nodes=1 --time=1 --output=/dev/null --wrap=false"
    number = slurm(*words.split()).strip()
    while "FAILED" not in slurm("scontrol", "show", "job", number):
        time.sleep(0.3)
    yield {"extra_flags": f"--dependency=afterok:{number}"}


def reservation(settings: str) -> Policy:
    """Reserve the node n4 as `site`."""
    create = f"scontrol create reservation reservationname=site nodes=n4 {settings}"
    return commands((create, "scontrol delete reservation=site"))


@contextlib.contextmanager
def reservation_that_ends() -> Iterator[None]:
    """Reserve a node until a job waits for it; Slurm then deletes the reservation."""
    node = "nodes=n4 users=root starttime=now duration=60"
    _run(*f"scontrol create reservation reservationname=site {node}".split())
    played = threading.Event()

    def end_once_requested() -> None:
        while not slurm("squeue", "-h", "--reservation=site") and not played.wait(0.3):
            pass
        _run("scontrol", "update", "reservationname=site", "endtime=now+3")

    with ThreadPoolExecutor() as pool:
        ending = pool.submit(end_once_requested)
        try:
            yield
        finally:
            played.set()
        ending.result()


# --- the policies -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A policy, what is requested under it, and the outcome that is right.

    Attributes:
        outcome: done, waits or fails.
        words: what the head prints and, of a failure, the table has.
        request: ``execution.slurm`` beside the account.
        gpus: of the model's server, which an endpoint lacks.
        nodes: of the same server.
        count: how many evaluations.
        after: of a run that waits, what happens to its jobs before the policy is undone.
        ends: whether a run that waits ends done once the policy is undone.
    """

    name: str
    outcome: str
    policy: Policy
    words: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    gpus: int = 0
    nodes: int = 1
    count: int = 2
    after: Callable[[Path], object] = lambda directory: None
    ends: bool = False


LIMITED = {"qos": OWN}
SITE = {"partition": PARTITION}
none = contextlib.nullcontext
#: The partition `site` in slurm.conf: what scontrol creates is gone when slurm.conf is read again.
LISTED, ENFORCED = f"PartitionName={PARTITION} Nodes=n4", "EnforcePartLimits=ALL"
SUBMITTED = "Slurm accepts no more jobs now"


def release(directory: Path) -> None:
    """Release what a policy has left in held state."""
    slurm("scontrol", "release", *queue(directory))


CASES = [
    Case("QOS MaxSubmitJobsPerUser=2, six evaluations", "done",
         qos("maxsubmitjobsperuser=2", "maxsubmitjobsperuser=-1"),
         f"{SUBMITTED} (QOSMaxSubmitJobPerUserLimit", LIMITED, count=6),
    Case("association MaxSubmitJobs=1", "done",
         association("maxsubmitjobs=1", "maxsubmitjobs=-1"),
         f"{SUBMITTED} (AssocMaxSubmitJobLimit", count=3),
    Case("account GrpSubmitJobs=1", "done",
         commands((f"sacctmgr -i modify account {OWN} set grpsubmitjobs=1",
                   f"sacctmgr -i modify account {OWN} set grpsubmitjobs=-1")),
         f"{SUBMITTED} (AssocGrpSubmitJobsLimit", count=3),
    Case("QOS MaxSubmitJobsPerUser=0", "fails",
         qos("maxsubmitjobsperuser=0", "maxsubmitjobsperuser=-1"),
         "QOSMaxSubmitJobPerUserLimit", LIMITED),
    Case("association MaxSubmitJobs=0", "fails",
         association("maxsubmitjobs=0", "maxsubmitjobs=-1"), "AssocMaxSubmitJobLimit"),
    Case("QOS MaxJobsPerUser=1", "done",
         qos("maxjobsperuser=1", "maxjobsperuser=-1"), "", LIMITED),
    Case("QOS MaxJobsPerUser=0", "waits",
         qos("maxjobsperuser=0", "maxjobsperuser=-1"),
         "although none of this run's jobs runs (QOSMaxJobsPerUserLimit)", LIMITED, ends=True),
    Case("QOS MaxWall, job longer", "waits",
         qos("maxwall=00:30:00", "maxwall=-1"), "(QOSMaxWallDurationPerJobLimit)",
         LIMITED | {"walltime": "01:00:00"}),
    Case("QOS MaxWall with DenyOnLimit", "fails",
         qos("flags=DenyOnLimit maxwall=00:30:00", "flags=-1 maxwall=-1"),
         "QOSMaxWallDurationPerJobLimit Batch job submission failed: Job violates "
         "accounting/QOS policy", LIMITED | {"walltime": "01:00:00"}),
    Case("QOS MaxTRESPerJob", "waits",
         qos("maxtresperjob=cpu=1", "maxtresperjob=cpu=-1"), "(QOSMaxCpuPerJobLimit)",
         LIMITED | {"cpus_per_task": 2}),
    Case("QOS GrpTRES of one job", "done",
         qos("grptres=cpu=1", "grptres=cpu=-1"), "", LIMITED),
    Case("QOS GrpTRES smaller than a job", "waits",
         qos("grptres=cpu=1", "grptres=cpu=-1"),
         "although none of this run's jobs runs (QOSGrpCpuLimit)",
         LIMITED | {"cpus_per_task": 2}, ends=True),
    Case("unknown account", "fails", none, "nobody", {"account": "nobody"}),
    Case("unknown QOS", "fails", none, "Invalid qos specification", {"qos": "unheard"}),
    Case("unknown partition", "fails", none, "invalid partition specified: moon",
         {"partition": "moon"}),
    Case("partition AllowAccounts", "waits", partition("allowaccounts=other"),
         "(Job's account not permitted to use this partition (site allows other not policies))",
         SITE),
    Case("partition DenyAccounts", "waits", partition("denyaccounts=policies"),
         "(Job's account not permitted to use this partition (site denies policies", SITE),
    Case("partition AllowQos", "waits", partition("allowqos=urgent"),
         "(Job's QOS not permitted to use this partition (site allows urgent not normal))", SITE),
    Case("partition MaxTime", "waits", partition("maxtime=00:01:00"), "(PartitionTimeLimit)",
         SITE | {"walltime": "00:10:00"}),
    Case("partition MinNodes", "waits", partition("minnodes=2"), "(PartitionNodeLimit)", SITE),
    Case("partition MaxMemPerNode", "waits", partition("maxmempernode=100"), "(MaxMemPerLimit)",
         SITE | {"mem_mb": 200}),
    Case("partition down, then up", "waits",
         commands((f"scontrol create partition={PARTITION} nodes=n4 state=down",
                   f"scontrol update partition={PARTITION} state=up")),
         "(PartitionDown)", SITE, ends=True),
    Case("partition drained", "fails", partition("state=drain"),
         "Required partition not available (inactive or drain)", SITE),
    Case("EnforcePartLimits=ALL, partition MaxTime", "fails",
         configured(f"{LISTED} MaxTime=1", ENFORCED),
         "Requested time limit is invalid", SITE | {"walltime": "00:10:00"}),
    Case("EnforcePartLimits=ALL, AllowAccounts", "fails",
         configured(f"{LISTED} AllowAccounts=other", ENFORCED),
         "Invalid account or account/partition combination specified", SITE),
    Case("node drained, then resumed", "waits",
         lambda: both(partition(), commands(
             ("scontrol update nodename=n4 state=drain reason=site",
              "scontrol update nodename=n4 state=resume"))),
         "(Nodes required for job are DOWN, DRAINED", SITE),
    Case("reservation deleted", "waits", reservation_that_ends, "was deleted)",
         {"extra_flags": "--reservation=site --begin=now+75"}),
    Case("unknown reservation", "fails", none, "Requested reservation is invalid",
         {"extra_flags": "--reservation=unheard"}),
    Case("held, then released", "waits", none, "(JobHeld",
         {"extra_flags": "--hold"}, after=release, ends=True),
    Case("missing gres", "fails", none, "Invalid generic resource (gres) specification",
         {"gres": "fpga:1", "partition": "gpu"}, gpus=1),
    Case("more gres than a node has", "fails", none,
         "Requested node configuration is not available",
         {"gres": "gpu:9", "partition": "gpu"}, gpus=1),
    Case("memory over every node", "fails", none,
         "Memory specification can not be satisfied", {"mem_mb": 99999}),
    Case("CPUs over every node", "waits", none, "(PartitionConfig)", {"cpus_per_task": 99}),
    Case("licence missing", "fails", none, "Invalid license specification",
         {"extra_flags": "--licenses=matlab:1"}),
    Case("feature missing", "fails", none, "Invalid feature specification",
         {"constraint": "infiniband"}),
    Case("QOS MaxTRESPerUser smaller than a job", "waits",
         qos("maxtresperuser=cpu=1", "maxtresperuser=cpu=-1"),
         "(QOSMaxCpuPerUserLimit)", LIMITED | {"cpus_per_task": 2}, ends=True),
    Case("QOS MinTRESPerJob", "waits",
         qos("mintresperjob=cpu=4", "mintresperjob=cpu=-1"), "(QOSMinCpuNotSatisfied)", LIMITED),
    Case("QOS GrpTRESMins used up", "waits",
         qos("grptresmins=cpu=0", "grptresmins=cpu=-1"), "(QOSGrpCPUMinutesLimit)", LIMITED),
    Case("QOS GrpJobs=0", "waits",
         qos("grpjobs=0", "grpjobs=-1"), "(QOSGrpJobsLimit)", LIMITED, ends=True),
    Case("association MaxWall", "waits",
         association("maxwall=1", "maxwall=-1"), "(AssocMaxWallDurationPerJobLimit)"),
    Case("QOS of another account", "fails", none, "Invalid qos specification", {"qos": "urgent"}),
    Case("QOS of the partition, MaxWall", "waits",
         lambda: both(qos("maxwall=1", "maxwall=-1"), partition(f"qos={OWN}")),
         "(QOSMaxWallDurationPerJobLimit)", SITE),
    Case("partition MaxNodes", "waits", partition("maxnodes=1"), "(PartitionNodeLimit)",
         SITE, gpus=1, nodes=2),
    Case("partition inactive", "fails", partition("state=inactive"),
         "Required partition not available (inactive or drain)", SITE),
    Case("partition AllocNodes elsewhere", "fails", partition("allocnodes=n9"),
         "Access/permission denied", SITE),
    Case("node reserved for maintenance", "waits",
         lambda: both(partition(), reservation("users=root starttime=now duration=60 flags=maint")),
         "(ReqNodeNotAvail, Reserved for maintenance)", SITE),
    Case("reservation that begins later", "waits",
         reservation("users=root starttime=now+1hour duration=60"), "(Reservation)",
         {"extra_flags": "--reservation=site"}),
    Case("reservation of another account", "fails",
         reservation("accounts=other starttime=now duration=60"),
         "Access denied to requested reservation",
         {"extra_flags": "--reservation=site"}),
    Case("dependency that never succeeds", "waits", failed_job, "(DependencyNeverSatisfied)"),
    Case("unknown node", "fails", none, "Invalid node name specified",
         {"extra_flags": "--nodelist=n99"}),
    Case("every node excluded", "fails", partition(),
         "Requested node configuration is not available", SITE | {"extra_flags": "--exclude=n4"}),
    Case("unknown type of GPU", "fails", none, "Requested node configuration is not available",
         {"gres": "gpu:h100:1", "partition": "gpu"}, gpus=1),
    Case("one licence for two jobs", "done", configured("Licenses=matlab:1"), "",
         {"extra_flags": "--licenses=matlab:1"}),
    Case("more licences than the site has", "fails", configured("Licenses=matlab:1"),
         "Invalid license specification", {"extra_flags": "--licenses=matlab:2"}),
    Case("cli_filter.lua rejects with a text", "fails", submit_filter,
         "Jobs of policies need a project code. See wiki/projects."),
    Case("job_submit.lua rejects with a text", "fails", lua,
         "The partition closed is closed for maintenance. Use site.", {"partition": "closed"}),
    Case("job_submit.lua holds for a person", "waits", lua, "(JobHeld",
         {"partition": "checked"}),
    Case("job_submit.lua rewrites the partition", "done", lua, "", {"partition": "old"}),
    Case("MaxJobCount=2, four evaluations", "done",
         configured("MaxJobCount=2", "MinJobAge=2", restarts=True), "", count=4),
]  # fmt: skip


# --- a run under a policy -----------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How the run of a case went; ``problem`` is why that is wrong, or empty."""

    case: Case
    outcome: str
    words: str
    seconds: float
    problem: str = ""


class Run:
    """A run of one case in a directory of its own."""

    def __init__(self, case: Case, directory: Path, more: Request) -> None:
        self.case = case
        deployment = {"kind": "generic", "command": "exec sleep 1800", "gpus": case.gpus}
        deployment |= {"nodes": case.nodes} if case.nodes > 1 else {}
        endpoint = {"url": "http://127.0.0.1:9/v1", "model_id": "m"}
        self.work = Workspace.below(
            directory,
            name="site",
            runtime="process",
            models={"m": {"deployment": deployment} if case.gpus else {"endpoint": endpoint}},
            benchmarks={f"b{number}": says(number) for number in range(case.count)},
            execution={"slurm": {"account": OWN, "walltime": "00:30:00"} | case.request | more},
        )
        self.work.command()  # writes the configuration
        self._log = directory / "head.log"
        with self._log.open("w") as log:
            self.head = forks.Process(
                [
                    *(sys.executable, "-m", "snakeval", "run", "--config", "config.yaml"),
                    *("--profile", PROFILE, "--"),
                    *("--slurm-resume-max-seconds-between-status-checks", "3"),
                ],
                cwd=self.work.directory,
                env=self.work.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def until_known(self) -> str:
        """Wait until the run ends, or its head says that a job cannot start."""
        end = time.monotonic() + HUNG
        while time.monotonic() < end:
            code = self.head.poll()
            if code is not None:
                return "done" if code == 0 else "fails"
            if _NEVER.search(self.output):
                return "waits"
            time.sleep(0.3)
        return "neither ended nor said why"

    def reasons(self) -> list[str]:
        """Return the reason of each evaluation, which status, table and report agree on."""
        table = self.work.table()
        reasons = [str(reason) for reason in table["reason"]]
        said = json.loads(snakeval(self.work, "status", "--json").stdout)[0]["evaluations"]
        assert [state["reason"] for state in said] == reasons, (said, reasons)
        texts = [(self.work.run / name).read_text() for name in ("results.csv", "results.md")]
        assert all(reasons[0][:60] in text for text in texts)
        return reasons

    def notices(self) -> str:
        """Return what status says above its table, and of each evaluation."""
        said = json.loads(snakeval(self.work, "status", "--json").stdout)[0]
        reasons = [state["reason"] for state in said["evaluations"]]
        assert not [reason for reason in reasons if "expected" in reason], reasons
        return " ".join([*said["notices"], *reasons])

    def stop(self) -> None:
        if self.head.poll() is None:
            os.killpg(self.head.pid, signal.SIGINT)
        self.head.wait(HUNG)
        if left := queue(self.work.directory):
            slurm("scancel", *left)


def play(case: Case, directory: Path) -> Outcome:
    """Run *case* and return its outcome."""
    began = time.monotonic()
    prepare()
    with ExitStack() as policy:
        more = policy.enter_context(case.policy()) or {}
        run = Run(case, directory, more)
        try:
            outcome = run.until_known()
            words, problem = _judged(case, run, outcome)
            if not problem and outcome == "waits" and case.ends:
                case.after(run.work.directory)
                policy.close()
                run.head.wait(HUNG)
                if run.head.returncode or set(run.work.table()["status"]) != {"done"}:
                    problem = f"it does not end once the policy is undone:\n{run.output[-2000:]}"
                outcome = "waits, then done"
        finally:
            run.stop()
    return Outcome(case, outcome, words, time.monotonic() - began, problem)


def _judged(case: Case, run: Run, outcome: str) -> tuple[str, str]:
    """Return what a person reads of the outcome, and what is wrong with it."""
    output = run.output
    if outcome != case.outcome:
        return "", f"{outcome}, not {case.outcome}:\n{output[-3000:]}"
    if case.words not in output:
        return "", f"the head does not print {case.words!r}:\n{output[-3000:]}"
    if outcome == "fails":
        reasons = run.reasons()
        wrong = [reason for reason in reasons if case.words not in reason]
        return reasons[0], f"the table has {wrong}" if wrong else ""
    lines = [line for line in output.splitlines() if case.words and case.words in line]
    if case.words and len(lines) != 1:
        return "", f"the head prints it {len(lines)} times:\n{output[-3000:]}"
    if outcome == "waits":
        reason = case.words.partition("(")[2] or case.words
        if reason not in (said := run.notices()):
            return lines[0], f"status says {said!r}"
    return re.sub(r"\b\d{1,4}\b(?=[,.;` ]|$)", "N", lines[0]) if lines else "", ""


# --- the whole ----------------------------------------------------------------------------------


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a table in Markdown."""
    rows = ["# Site policies", "", "Written by site_policies.py on Slurm 22.05.", ""]
    rows += ["| policy | outcome | what people read |", "|---|---|---|"]
    for each in outcomes:
        words = each.words.replace("|", "\\|") or "–"
        rows.append(f"| {each.case.name} | {each.outcome} | {words} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--only", action="append", default=[], help="Play policies with this text.")
    parser.add_argument("--table", type=Path, help="Write the table to this file.")
    options = parser.parse_args()
    with cluster(alone=True), own(alone=True):
        outcomes = list(played(options.only))
        prepare()
    print("\n" + table(outcomes))
    if options.table:
        options.table.write_text(table(outcomes))
    return int(any(each.problem for each in outcomes))


def played(only: Sequence[str]) -> Iterator[Outcome]:
    """Play the cases with one of the texts, or all, and print the outcome of each."""
    for case in CASES:
        if only and not any(text in case.name for text in only):
            continue
        with tempfile.TemporaryDirectory(prefix="snakeval-site-") as directory:
            try:
                last = play(case, Path(directory))
            except Exception:
                # The session goes to its end: the other policies are independent.
                last = Outcome(case, "broken", "", 0, traceback.format_exc())
        print(f"{last.seconds:4.0f} s  {case.name}: {last.outcome}", flush=True)
        if last.problem:
            print(f"  WRONG: {last.problem}", flush=True)
        yield last


if __name__ == "__main__":
    sys.exit(main())
