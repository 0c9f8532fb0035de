"""A campaign of texts from outside: whatever users and harnesses write, snakeval ends in sentences.

Each seed makes one case of a kind, in turn:

=============  ==================================================================================
configuration  a configuration, with damage: loaded, expanded, saved and read again
launcher       a file of NVIDIA's launcher, with damage: composed, translated, and as above
samples        a samples file of a harness, with damage: read, in the table and in every format
results        the results files of a harness, with damage: read, recorded and read again
records        a state file of an evaluation, with damage: the table and the states
texts          hostile names, reasons, logs and events: wherever they leave snakeval
=============  ==================================================================================

A case is sound if

* it ends with a result or with snakeval's own error, within ten seconds of its own time,
* no text that leaves snakeval controls a terminal or is a formula of a spreadsheet,
* all that leaves it is UTF-8, and all that it saves reads the same again.

With ``--commands``, a command of snakeval gets the damaged file, in a process of its own.

``python tests/campaigns/edges.py --seconds 45`` plays the next seeds of ``edges.jsonl`` and appends
one line with their figures; ``--seed N`` plays one again and prints what was wrong. It ends with 1
if a case was not sound.

Long because the kinds of cases and the verdict on them are read together.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import shutil
import sys
import tempfile
import traceback
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from campaigns import seeds  # noqa: E402
from campaigns.mutations import Hang, damaged, no_longer_than  # noqa: E402
from snakeval import cli  # noqa: E402
from snakeval.config import compose  # noqa: E402
from snakeval.config.load import check, load  # noqa: E402
from snakeval.config.nemo_launcher import translate  # noqa: E402
from snakeval.errors import ConfigError, EvaluationError, Problem  # noqa: E402
from snakeval.evaluation import events  # noqa: E402
from snakeval.evaluation.definition import Evaluation  # noqa: E402
from snakeval.evaluation.record import Completion, Metric  # noqa: E402
from snakeval.harnesses.reading import read_samples, read_scores  # noqa: E402
from snakeval.ledger.plain_text import visible  # noqa: E402
from snakeval.logs import last_error  # noqa: E402
from snakeval.matrix.expand import expand  # noqa: E402
from snakeval.results import readable  # noqa: E402
from snakeval.results import report as page  # noqa: E402
from snakeval.results import table as results  # noqa: E402
from snakeval.results.report.samples import script_json  # noqa: E402
from snakeval.run.directory import RunDirectory  # noqa: E402
from snakeval.watch.states import states  # noqa: E402
from support.configs import COMMAND, MODEL, config  # noqa: E402
from support.made import completion  # noqa: E402
from support.sampled import Sampled  # noqa: E402

RESULTS = HERE / "edges.jsonl"
ROOT = HERE.parents[1]
SECONDS, CLOCK_SECONDS, COMMAND_SECONDS = 10, 120, 300
TIME = "2026-11-24T10-00-00.000001"
HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))

TEXTS: Sequence[str] = (
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[31m",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2066\u2069\u200b\ufeff",
    "\ud800",
    "\udfff\ud83d",
    "\0",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "+1+1",
    "-1",
    "\t=1",
    "\r=1",
    " =1",
    "\uff1d1",
    "\n=1",
    "a\rb",
    "a\r\nb",
    "\u2028=1",
    "|a|b|",
    "`x` **b** [x](javascript:x)",
    "<script>alert(1)</script>",
    "</script>",
    "{{ 7*7 }}",
    "${oc.env:HOME}",
    "{results}",
    "%s %d",
    "../../x",
    "/etc/passwd",
    "..",
    ".",
    "",
    " ",
    "a" * 5000,
    "e\u0301" * 300,
    "1e308",
    "NaN",
    "-0",
    "\x7f",
    "\x85",
    "\U000e0041",
    "\ue000",
    "\uffff",
    "'",
    '"',
    '"",',
    "\\",
    "null",
    "2e237893",
)
LAUNCHER: Sequence[str] = (
    """execution: {type: lepton, lepton_platform: {tasks: {mounts: [{path: /a, mount_path: /b}]}}}
target: {api_endpoint: {url: 'http://x/v1/chat/completions', model_id: m, api_key_name: KEY}}
evaluation: {overrides: {config.params.temperature: 0.1}, tasks: [{name: ifeval}, {name: gsm8k}]}
""",
    """execution: {type: slurm, account: a, partition: p, walltime: 01:00:00, output_dir: out}
deployment: {type: vllm, hf_model_handle: a/b, served_model_name: b, tensor_parallel_size: 2}
evaluation: {tasks: [{name: ifeval, env_vars: {HF_TOKEN: HF_TOKEN}}]}
""",
    """execution: {type: local, auto_export: {destinations: [wandb]}}
export: {wandb: {project: p, tags: [a]}}
target: {api_endpoint: {url: 'http://x/v1', model_id: m}}
evaluation: {nemo_evaluator_config: {config: {params: {limit_samples: 2, extra: {a: 1}}}},
  tasks: [{name: ifeval}]}
""",
)
OWN: Sequence[str] = (
    """models: {m: {endpoint: {url: http://x/v1, model_id: m, type: completions}}}
benchmarks: {ifeval: {task: lm-eval.ifeval, mounts: [{source: /tmp, target: /x}], repeats: 2}}
params: {limit_samples: 3, temperature: 0.1, extra: {num_fewshot: 5, model_args: {a: 1.5}}}
""",
    """models:
  m: {deployment: {kind: vllm, checkpoint: /tmp, model_id: m, gpus: 1, lepton: {mounts: ["/a:/b"],
    min_replicas: 1, max_replicas: 2, target_qpm: 3}}}
benchmarks: [ifeval, gsm8k]
export: {local: {output_dir: out, formats: [csv]}, wandb: {tags: {a: b}}}
""",
)


class UnsoundError(AssertionError):
    """Something that left snakeval was not as it must be."""


# --- what may leave snakeval ----------------------------------------------------------------------


def require_visible(text: str, where: str, plain: str = "\n\t") -> str:
    """Check that *text* controls no terminal and is UTF-8."""
    wrong = [c for c in text if unicodedata.category(c) in HIDDEN and c not in plain]
    if wrong:
        raise UnsoundError(f"{where}: has {wrong[:3]!a}: {text[:200]!a}")
    return text


def require_cells(text: str, where: str) -> None:
    """Check that no cell of a CSV is a formula, and that its rows have one length."""
    require_visible(text, where)
    rows = list(csv.reader(io.StringIO(text)))
    for value in (cell for row in rows for cell in row):
        if value.lstrip().startswith(tuple("=+-@＝＋－＠")) and not _is_number(value):
            raise UnsoundError(f"{where}: a formula {value[:80]!a}")
    if len({len(row) for row in rows}) > 1:
        raise UnsoundError(f"{where}: rows of several lengths")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def require_table(run: RunDirectory, rng: random.Random) -> None:
    """Check the table of a run in one of its formats."""
    frame = results.table(run)
    match rng.randrange(4):
        case 0:
            require_cells(readable.to_csv(frame), "csv")
        case 1:
            rows = results.records(frame)
            json.dumps(rows, allow_nan=False, ensure_ascii=False).encode()
            require_visible(readable.fitted(rows, 80), "fitted")
        case 2:
            markdown = require_visible(results.to_markdown(frame), "markdown")
            if len({line.replace(r"\|", "").count("|") for line in markdown.splitlines()}) > 1:
                raise UnsoundError(f"markdown: lines of several columns\n{markdown}")
        case _:
            require_visible(results.shown(frame).to_string(), "terminal")


# --- the cases ------------------------------------------------------------------------------------


class Bed:
    """The files that cases damage, in a directory of the campaign's own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        shutil.copytree(ROOT / "config", place / "config")
        files = sorted((place / "config").rglob("*.yaml"))
        texts = [(file.parent, file.read_text()) for file in files]
        launchers = [each for each in texts if "\nevaluation:" in each[1]]
        self.launchers = [*launchers, *((place, text) for text in LAUNCHER * 60)]
        owns = [each for each in texts if each not in launchers]
        self.owns = [*owns, *((place, text) for text in OWN * 60)]
        found = [{"acc": n % 2, "group": f"g{n % 3}"} for n in range(8)]
        self.run = Sampled(place / "run", {"m": {"a": found, "b": [1, 0, 1]}})
        self.files = sorted(
            path
            for path in self.run.path.rglob("*")
            if path.is_file() and not path.is_symlink() and path.suffix in (".json", ".jsonl", "")
        )
        self.lm_eval = self._evaluation(harness="lm-eval", task="t")
        self.nemo = self._evaluation(harness="lm-evaluation-harness", task="ifeval")
        metrics = {"file": "r.json", "values": {"good": "g", "b,c": "b"}}
        self.generic = self._evaluation(**COMMAND | {"metrics": metrics})

    def _evaluation(self, **benchmark: Any) -> Evaluation:
        return expand(config(self.place, {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}))[
            0
        ]


def broken(text: str, rng: random.Random) -> bytes:
    """Return *text* with one or two damages, or with a hostile text in the place of a word."""
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.4:
        words = text.split()
        word = rng.choice(words)
        hostile = rng.choice(TEXTS)
        quoted = json.dumps(hostile) if rng.random() < 0.7 else hostile
        content = text.replace(word, quoted, 1).encode("utf-8", "surrogatepass")
    for _ in range(rng.choice([0, 1, 1, 1, 2])):
        with contextlib.suppress(UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError):
            content = damaged(content, rng)
    return content


def _checked(loaded: Any, file: Path) -> None:
    list(expand(loaded))
    saved = file.with_name("saved.yaml")
    saved.write_text(compose.text(loaded), encoding="utf-8")
    again, _, _ = load([saved])
    if again != loaded:
        raise UnsoundError("a saved configuration is another one")


def _refused(error: ConfigError, file: Path) -> None:
    message = require_visible(str(error), "error")
    if "saved.yaml" in message:
        raise UnsoundError(f"the error names the copy: {message[:300]}")


def configuration(bed: Bed, rng: random.Random) -> None:
    """Load a configuration."""
    folder, text = rng.choice(bed.owns)
    file = folder / "damaged.yaml"
    file.write_bytes(broken(text, rng))
    try:
        loaded, _, _ = load([file], {"run": rng.choice(TEXTS)} if rng.random() < 0.1 else {})
        _checked(loaded, file)
    except ConfigError as error:
        _refused(error, file)


def launcher(bed: Bed, rng: random.Random) -> None:
    """Compose and translate a file of the launcher."""
    folder, text = rng.choice(bed.launchers)
    file = folder / "damaged.yaml"
    file.write_bytes(broken(text, rng))
    try:
        translated = translate(compose.compose(folder, "damaged"), "damaged")
        require_visible(" ".join(translated.options), "options")
        _checked(check(translated.source), file)
    except ConfigError as error:
        _refused(error, file)


def samples(bed: Bed, rng: random.Random) -> None:
    """Read damaged samples: alone, in the table, and now and then in the page."""
    place = bed.run[rng.choice(["m/a", "m/b"])]
    file = place.artifacts / "samples.jsonl"
    original = file.read_bytes()
    try:
        file.write_bytes(broken(original.decode(), rng))
        try:
            for sample in read_samples(place):
                require_visible(visible(str(sample.id)), "id")
                script_json(page.samples._shown(sample)).encode()  # type: ignore[attr-defined]
        except EvaluationError as error:
            require_visible(str(error), "reason")
        if rng.random() < 0.2:
            require_table(bed.run.directory, rng)
        if rng.random() < 0.01:
            page.write(bed.run.directory).read_text(encoding="utf-8")
    finally:
        file.write_bytes(original)
        for cache in place.private.glob("*intervals*"):
            cache.unlink()


def _results_of(bed: Bed, rng: random.Random) -> tuple[Evaluation, dict[str, str]]:
    value = rng.choice([0.5, 1, float("nan"), float("inf"), 1e308, -1, True, None, "x", [1], 2**70])
    name = rng.choice([*TEXTS, "acc", "acc"])
    match rng.randrange(3):
        case 0:
            scores = {"acc,none": 0.5, f"{name},none": value, f"{name}_stderr,none": value}
            data = {"results": {"t": scores}, "n-samples": {"t": {"effective": value}}}
            sample = {"doc_id": 1, "filter": "none", "metrics": [name], name: value, "target": name}
            return bed.lm_eval, {
                f"m/results_{TIME}.json": json.dumps(data),
                f"m/samples_t_{TIME}.jsonl": json.dumps(sample),
            }
        case 1:
            tasks = {"ifeval": {"metrics": {"a": {"scores": {name: {"value": value}}}}}}
            statistics = {"response_stats": {"count": value, "avg_prompt_tokens": value}}
            return bed.nemo, {
                "results.yml": json.dumps({"results": {"tasks": tasks, "groups": {name: tasks}}}),
                "eval_factory_metrics.json": json.dumps(statistics),
            }
        case _:
            return bed.generic, {"r.json": json.dumps({"g": 0.5, "b": value})}


def harness_results(bed: Bed, rng: random.Random) -> None:
    """Read the damaged results files of a harness, record them, and read the record."""
    evaluation, files = _results_of(bed, rng)
    place = bed.run.directory.evaluation(f"m/fresh{rng.randrange(10**9)}")
    harmed = rng.choice([*files])
    for name, text in files.items():
        (place.artifacts / name).parent.mkdir(parents=True, exist_ok=True)
        content = broken(text, rng) if name == harmed and rng.random() < 0.8 else text.encode()
        (place.artifacts / name).write_bytes(content)
    try:
        place.define(evaluation)
        with contextlib.suppress(EvaluationError):
            for sample in read_samples(place):
                script_json(page.samples._shown(sample)).encode()  # type: ignore[attr-defined]
        try:
            read = read_scores(evaluation, place.artifacts)
        except EvaluationError as error:
            require_visible(str(error), "reason")
            return
        record = replace(
            completion(evaluation, place, read.metrics),
            unscored=read.unscored,
            manifest=place.manifest(),
        )
        written = record.to_json()
        if Completion.from_json(written).to_json() != written:
            raise UnsoundError("a record reads as another one")
        place.complete(record)
        if rng.random() < 0.2:
            require_table(bed.run.directory, rng)
    finally:
        shutil.rmtree(place.path)


def records(bed: Bed, rng: random.Random) -> None:
    """Damage a state file of the run, and read its table and its states."""
    path = rng.choice(bed.files)
    original = path.read_bytes()
    try:
        path.write_bytes(broken(original.decode(), rng))
        with contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                if rng.random() < 0.3:
                    require_table(bed.run.directory, rng)
                for state in states(bed.run.directory):
                    require_visible(f"{state.reason} {state.metric}", "state")
            except ConfigError as error:
                _refused(error, path)
        require_visible(said.getvalue(), "stderr")
    finally:
        for aside in path.parent.glob(f"{path.name}.damaged-*"):
            aside.unlink()
        path.write_bytes(original)


def texts(bed: Bed, rng: random.Random) -> None:
    """Let hostile texts leave as reasons, logs, events, metrics and cells."""
    one, two, three = ("".join(rng.choices(TEXTS, k=rng.choice([1, 1, 2, 3]))) for _ in range(3))
    for text in (
        str(EvaluationError(one, where=two, hint=three)),
        str(Problem(one, where=two, hint=three)),
        str(ConfigError(f"{one}: {two}")),
    ):
        require_visible(text, "error").encode()
    place = bed.run["m/a"]
    place.fail(one)
    require_visible(place.failure_reason(), "reason")
    log = bed.place / "log"
    log.write_bytes(f"{one}\n{two}: error: {three}\n".encode("utf-8", "surrogatepass"))
    require_visible(last_error(log), "log").encode()
    log.unlink()
    journal = events.Journal(log, 1)
    journal.add(events.Event("waiting", detail=one, url=two))
    events.read(log)
    log.unlink()
    record = Completion.from_json(place.published.read_text())
    metric = Metric(one, two, 0.5, three, n=3)
    lost = {"task": three, "metric": one, "filter": two, "reason": three}
    hostile = replace(record, metrics=(metric,), unscored=(lost,))
    kept = place.published.read_text()
    private = place.record(record.fingerprint)
    try:
        place.complete(hostile)
        if rng.random() < 0.3:
            require_table(bed.run.directory, rng)
    finally:
        private.write_text(kept)
        place.published.write_text(kept)
        place.forget_failure()


KINDS: Sequence[Callable[[Bed, random.Random], None]] = (
    configuration, launcher, samples, harness_results, records, texts,
)  # fmt: skip


# --- by command -----------------------------------------------------------------------------------

#: Commands that read a configuration, and commands that read a run.
OF_FILES = (
    ("run", "--config", "{file}", "--dry-run"),
    ("run", "--config", "{file}", "-n", "--", "-q"),
)
OF_RUNS = (
    *(("results", "{run}", "--format", form) for form in ("csv", "json", "markdown")),
    *((name, "{run}") for name in ("results", "status", "report", "verify", "logs")),
    ("export", "{run}", "--dest", "local", "--output-dir", "{run}/exported"),
)


def by_command(bed: Bed, rng: random.Random, kind: Callable[..., None]) -> str:
    """Damage a file and give a command, in a process of its own; return what it printed."""
    if kind in (configuration, launcher):
        folder, text = rng.choice(bed.owns if kind is configuration else bed.launchers)
        path, words = folder / "damaged.yaml", rng.choice(OF_FILES)
        original = b""
    else:
        path, words = rng.choice(bed.files), rng.choice(OF_RUNS)
        original = path.read_bytes()
        text = original.decode()
    path.write_bytes(broken(text, rng))
    try:
        code, said = _in_a_fork([w.format(file=path, run=bed.run.path) for w in words])
    finally:
        path.write_bytes(original)
    if "Traceback (most recent call last)" in said:
        raise UnsoundError(f"{words[0]}: a traceback\n{said[-3000:]}")
    if code not in (0, 1, 2, 3):
        raise UnsoundError(f"{words[0]}: exit code {code}\n{said[-3000:]}")
    require_visible(said, words[0])
    return said


def _in_a_fork(words: Sequence[str]) -> tuple[int, str]:
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                for handle in (1, 2):
                    os.dup2(out.fileno(), handle)
                code = cli.main([*words])
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        try:
            _, status = os.waitpid(child, 0)
        except Hang:
            os.kill(child, 9)
            os.waitpid(child, 0)
            raise
        out.seek(0)
        return os.waitstatus_to_exitcode(status), out.read().decode("utf-8", "replace")


# --- one seed -------------------------------------------------------------------------------------


def play(bed: Bed, seed: int, *, command: bool = False, show: bool = False) -> list[str]:
    """Play one case; return what was not sound."""
    rng = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    try:
        with no_longer_than(SECONDS, COMMAND_SECONDS if command else CLOCK_SECONDS):
            said = by_command(bed, rng, kind) if command else kind(bed, rng)
        if show:
            print(said)
    except (Exception, Hang) as error:
        if show:
            traceback.print_exc()
        last = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(last.filename).name}:{last.lineno}"
        problem = f"{seed}: {kind.__name__}: {type(error).__name__} at {at}: {error!s:.300}"
        return [visible(problem)]
    return []


def main() -> int:
    """Play seeds; return 1 if a case was not sound."""
    options = seeds.options(__doc__, "give commands of snakeval")
    root = Path(tempfile.mkdtemp(prefix="snakeval-edges-"))
    os.environ["SNAKEVAL_HOME"] = str(root / "home")
    (root / "run").mkdir()
    bed = Bed(root)
    os.chdir(root)
    if options.seed is not None:
        problems = play(bed, options.seed, command=options.commands, show=True)
        print(*problems, sep="\n")
        return 1 if problems else 0

    def next_one(seed: int) -> tuple[str, list[str]]:
        return KINDS[seed % len(KINDS)].__name__, play(bed, seed, command=options.commands)

    code = seeds.campaign(options, RESULTS, next_one, "cases")
    shutil.rmtree(root)
    return code


if __name__ == "__main__":
    sys.exit(main())
