"""Checks whether a run's files have changed since its evaluations finished.

Checksums detect accidents and careless changes. They are not a signature: a person who can write
the run can also write its records.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from snakeval.config.load import load
from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import Evaluation, Transport, fingerprint_of, identity_of
from snakeval.evaluation.directory import EvaluationDirectory, Incomplete, Kind
from snakeval.evaluation.record import Completion
from snakeval.files import DAMAGE, json_value, read_text
from snakeval.harnesses import adapter, caches_of
from snakeval.harnesses.reading import read_metrics
from snakeval.ledger.plain_text import visible
from snakeval.matrix.expand import split
from snakeval.matrix.facts import Facts
from snakeval.results.readable import cell
from snakeval.run.directory import RunDirectory
from snakeval.run.find import identity
from snakeval.run.plan import Planned

CHANGED, UNCHECKED = "changed", "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that has changed, or that cannot be checked.

    ``where`` is an evaluation, or a file of the run.
    """

    where: str
    state: str
    what: str


def verify(run: RunDirectory, plan: tuple[Planned, ...]) -> tuple[list[Finding], int]:
    """Check *run*; return the changes, and the number of unchanged evaluations.

    For each finished evaluation, the record must have the fingerprint of its definition. Its
    artifacts must be complete, have the manifest's checksums, and hold the recorded scores. The
    run's configuration must still result in these fingerprints, which include a benchmark's files
    and a model's weights. The run's tables must have the scores of the records.
    """
    findings: list[Finding] = []
    records: dict[str, Completion] = {}
    sound = 0
    for item in plan:
        if item.left_out or item.same_as:
            continue
        name = item.id
        record, said = _evaluation(run.evaluation(name), item.fingerprint)
        findings += (Finding(name, *each) for each in said)
        if record is not None:
            records[name] = record
            sound += not said
    findings += _configuration(run, plan, records)
    unrecorded = [item.id for item in plan if _has_no_record(run, item)]
    findings += _table(run, records, unrecorded)
    return findings, sound


def is_of_earlier_format(run: RunDirectory, item: Planned) -> bool:
    """Whether the record of *item* has a fingerprint of an earlier format."""
    done = None if item.left_out else run.evaluation(item.source).completion(item.fingerprint)
    return done is not None and done.identity.get("format") == 1


def _has_no_record(run: RunDirectory, item: Planned) -> bool:
    """Whether *item* has no record, and no attempt at it runs or failed."""
    directory = run.evaluation(item.id)
    if item.left_out or item.same_as or directory.has_failure():
        return False
    why = directory.why_incomplete(item.fingerprint)
    with contextlib.suppress(OSError, ValueError):  # a damaged lease is one
        return why is not None and why.kind is Kind.ABSENT and directory.holder() is None
    return False


def _evaluation(
    directory: EvaluationDirectory, fingerprint: str
) -> tuple[Completion | None, list[tuple[str, str]]]:
    """Return the record, whole or not, and what is wrong with it and its artifacts.

    The copies of the record are those of :meth:`EvaluationDirectory.why_incomplete`. For each
    reason of a finished evaluation to run again, there is a change.
    """
    copies = list(directory.copies(fingerprint))
    whys = [copy for copy in copies if isinstance(copy, Incomplete)]
    said = [(CHANGED, f"its record {why.reason}") for why in whys if why.kind is Kind.DAMAGED]
    said += [(CHANGED, why.reason) for why in whys if why.kind is Kind.UNREADABLE]
    whole = [copy for copy in copies if not isinstance(copy, Incomplete)]
    found = [*whole, *(why.record for why in whys if why.record is not None)]
    if not found:
        return None, list(dict.fromkeys(said))
    record = Completion.from_dict(found[0])
    said += _of_record(directory, record, fingerprint)
    if not whole and not said:
        said = [(CHANGED, why.reason) for why in whys if why.kind is Kind.ARTIFACTS]
    return record, list(dict.fromkeys(said))


def _of_record(
    directory: EvaluationDirectory, record: Completion, fingerprint: str
) -> Iterator[tuple[str, str]]:
    if record.fingerprint != fingerprint:
        yield (
            CHANGED,
            f"fingerprint {record.fingerprint[:12]} in its record, {fingerprint[:12]} in the plan",
        )
    if (made := fingerprint_of(record.identity)) != record.fingerprint:
        yield CHANGED, f"its record's definition has the fingerprint {made[:12]}, not the record's"
    if (found := directory.published_text()) is None:
        yield CHANGED, f"{directory.published.name} is gone"
    elif found != record.to_json():
        name = directory.published.name
        hint = "remove it and run the run again, which publishes the record again"
        yield CHANGED, f"{name} is not the record that was published; {hint}"
    changed = list(_files(directory, record))
    yield from changed
    if not changed:
        yield from _scores(directory, record)


def _files(directory: EvaluationDirectory, record: Completion) -> Iterator[tuple[str, str]]:
    caches, where = caches_of(record.adapter), directory.artifacts.name
    if (whole := directory.whole_manifest(record)) is None:
        file = directory.manifest_of(directory.attempts / str(record.attempt))
        yield CHANGED, f"{file.relative_to(directory.path)} is damaged or gone"
        return
    expected = {entry["path"]: entry["sha256"] for entry in whole}
    try:
        found = {entry["path"]: entry["sha256"] for entry in directory.manifest(caches)}
    except OSError as error:
        yield CHANGED, f"{where}/: {error.filename} cannot be read ({error.strerror})"
        return
    for path, content in expected.items():
        if path not in found:
            # An older version may have put a cache into its manifest. Its files may disappear.
            if not any(fnmatchcase(path, pattern) for pattern in caches):
                yield CHANGED, f"{where}/{path} is gone"
        elif found[path] != content:
            yield CHANGED, f"{where}/{path} has different content"
    for path in found.keys() - expected.keys():
        yield CHANGED, f"{where}/{path} was added"


def _scores(directory: EvaluationDirectory, record: Completion) -> Iterator[tuple[str, str]]:
    """Read the scores again: the manifest does not cover them."""
    if record.parser_version != adapter(record.adapter).PARSER_VERSION:
        yield UNCHECKED, "its scores: another version of the parser read them"
        return
    try:
        evaluation = _definition(directory, record)
        if evaluation.fingerprint != record.fingerprint:
            spec = directory.spec.relative_to(directory.path)
            yield CHANGED, f"{spec} defines another evaluation"
            return
        metrics = read_metrics(evaluation, directory.artifacts)
    except EvaluationError as error:
        yield CHANGED, f"its scores cannot be read from its artifacts ({error})"
        return
    if metrics != record.metrics:
        wrong = [
            f"{new.metric} is {old.value} in the record, and {new.value} in the artifacts"
            for old, new in zip(record.metrics, metrics, strict=False)
            if old.value != new.value
        ]
        yield CHANGED, wrong[0] if wrong else "its record has other metrics than its artifacts"


def _definition(directory: EvaluationDirectory, record: Completion) -> Evaluation:
    """Return the definition that the directory holds, or else its record: a copy may have no more.

    Raises:
        EvaluationError: both are damaged.
    """
    try:
        return directory.read_evaluation()
    except EvaluationError:
        with contextlib.suppress(*DAMAGE):
            identity = identity_of(record.identity)
            return Evaluation(record.model, record.benchmark, identity, Transport())
        raise


def _configuration(
    run: RunDirectory, plan: tuple[Planned, ...], records: Mapping[str, Completion]
) -> Iterator[Finding]:
    try:
        config, _, _ = load([run.config])
        made = {e.id: e for e in split(config, Facts(run, reads=True))[0]}
    except ConfigError as error:
        yield Finding(run.config.name, UNCHECKED, f"its definitions: {error.problems[0]}")
        return
    except OSError as error:
        said = f"its definitions: {error.filename} cannot be read ({error.strerror})"
        yield Finding(run.config.name, UNCHECKED, said)
        return
    if (before := run.identity()) is not None and before != identity(config):
        yield Finding(run.config.name, CHANGED, "its name and params are of another run")
    seen = run.read_series()
    for item in plan:
        name = item.id
        if item.left_out or (name not in made and item.model in seen):
            continue  # of a checkpoint that is gone, or that the last command did not plan
        if name not in made:
            yield Finding(run.config.name, CHANGED, f"does not define {name}")
        elif item.fingerprint not in (made[name].fingerprint, *made[name].older):
            before = records[name].identity if name in records else {}
            changes = made[name].identity.changes(before) if before else []
            said = "; ".join(changes[:3]) or "another fingerprint"
            yield Finding(name, CHANGED, f"different definition: {said}")


def _table(
    run: RunDirectory, records: Mapping[str, Completion], unrecorded: Sequence[str]
) -> Iterator[Finding]:
    """Compare the scores in the run's tables with the records.

    *unrecorded* are evaluations without a record; the tables must not have scores of these.
    """
    for path, read in ((run.table_json, json_value), (run.table, _csv)):
        try:
            rows = read(read_text(path))
            told: dict[tuple[str, ...], float] = {
                _key(r["model"], r["benchmark"], r["task"], r["metric"], r["filter"] or ""): float(
                    r["value"]
                )
                for r in rows
                if r["status"] == "done"
            }
        except FileNotFoundError:
            continue
        except (OSError, csv.Error, *DAMAGE) as error:
            yield Finding(path.name, CHANGED, f"cannot be read ({error})")
            continue
        for said in _other_scores(told, records):
            yield Finding(path.name, CHANGED, said)
        for name in unrecorded:
            if any(key[:2] == _key(*name.split("/")) for key in told):
                yield Finding(path.name, CHANGED, f"{name}: has a score, and no record")


def _key(*names: str) -> tuple[str, ...]:
    """Return names as cells of a table have them."""
    return tuple(str(cell(visible(name, "\n"))) for name in names)


def _csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _other_scores(
    told: Mapping[tuple[str, ...], float], records: Mapping[str, Completion]
) -> Iterator[str]:
    for name, record in records.items():
        if record.parser_version != adapter(record.adapter).PARSER_VERSION:
            continue
        for metric in record.metrics:
            key = _key(record.model, record.benchmark, metric.task, metric.metric, metric.filter)
            if key in told and (value := told[key]) != metric.value:
                yield f"{name}: {metric.metric} is {value}, and {metric.value} in the record"
