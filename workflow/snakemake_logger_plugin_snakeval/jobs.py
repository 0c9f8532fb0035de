"""The jobs that Snakemake reports, by the fields of its log records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snakeval.evaluation import events
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.serving.directory import DeploymentDirectory
from snakeval.watch.display.reasons import printed_here, sentence

#: The rule whose jobs are counted, and that of the models' servers.
EVALUATE, DEPLOY = "evaluate", "deploy"
_OURS = (EVALUATE, DEPLOY, "table", "report", "export")


@dataclass(frozen=True, slots=True)
class Job:
    """A job that Snakemake has started.

    Attributes:
        rule: its rule's name; empty for the target ``all``.
        subject: the values of its wildcards, such as ``(model, benchmark)``.
        reason: why Snakemake runs it, in Snakemake's words.
        output: the first file that it makes.
        command: its shell command.
        started: when it started, in seconds since the epoch.
    """

    rule: str
    subject: tuple[str, ...] = ()
    reason: str = ""
    output: str = ""
    command: str = ""
    started: float = 0.0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Job:
        """Return the job of a record of the event JOB_INFO."""
        wildcards = data.get("wildcards") or {}
        values = wildcards.values() if isinstance(wildcards, Mapping) else wildcards
        rule = str(data.get("rule_name") or data.get("name") or "job")
        output = data.get("output") or ("",)
        return cls(
            "" if rule == "all" else rule,
            tuple(str(value) for value in values),
            str(data.get("reason") or ""),
            str(output[0]),
            str(data.get("shellcmd") or "").strip(),
            float(data.get("created") or 0.0),
        )

    @property
    def shown(self) -> bool:
        """Whether a display shows it as a job of a model."""
        return self.rule in (EVALUATE, DEPLOY) and len(self.subject) == 2

    @property
    def id(self) -> str:
        """``model/benchmark``, or what distinguishes it from other jobs of its rule."""
        return "/".join(self.subject)

    def __str__(self) -> str:
        """Return ``evaluate  model/benchmark``, a rule's name, or nothing for ``all``."""
        if not self.rule:
            return ""
        # The only server of its model, as a rule.
        alone = self.rule == DEPLOY and self.subject[1:] == ("deployment",)
        return "  ".join([self.rule, self.subject[0] if alone else self.id]).rstrip()

    @property
    def why(self) -> str:
        """Why a job of the user's own rules runs, in Snakemake's words without paths.

        The head prints before which evaluations of a run rerun, and why.
        """
        if self.rule in _OURS:
            return ""
        short = [part.split(":")[0].strip() for part in self.reason.split(";")]
        return "; ".join(part[:1].lower() + part[1:] for part in short if part)

    def runs(self, text: str) -> bool:
        """Whether *text*, in which Snakemake quotes a command that failed, is about it."""
        return self.shown and bool(self.command) and self.command in text

    @property
    def reported(self) -> bool:
        """Whether the job itself said how it ended: failed, or interrupted."""
        return self._end is not None

    @property
    def printed(self) -> bool:
        """Whether the job itself printed to this terminal how it ended."""
        return self._end is not None and printed_here(self._end)

    @property
    def problem(self) -> str:
        """Why the job failed, as its events say; empty if they do not."""
        end = self._end
        if end is None or end.phase not in ("failed", "refused"):
            return ""
        kind = DeploymentDirectory if self.rule == DEPLOY else EvaluationDirectory
        return sentence(end, kind.of_record(self.output))

    @property
    def refusal(self) -> str:
        """Why the executor did not take the job; empty if it did."""
        return self._end.detail if self._end is not None and self._end.phase == "refused" else ""

    @property
    def _end(self) -> events.Event | None:
        """The event with which the job ended, if it has."""
        if not self.shown:
            return None
        kind = DeploymentDirectory if self.rule == DEPLOY else EvaluationDirectory
        last = events.last(events.read(kind.of_record(self.output).events), 0, *events.ENDS)
        return last if last and last.moment >= self.started - _CLOCK_SECONDS else None


#: Events have milliseconds, and Snakemake's records more.
_CLOCK_SECONDS = 0.01
