"""``snakeval compare``: a candidate's run against a baseline's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snakeval.cli.output import format_option, json_switch, wants_json
from snakeval.errors import ConfigError
from snakeval.ledger.plain_text import visible
from snakeval.run import target
from snakeval.run.target import Target

if TYPE_CHECKING:
    from snakeval.results.comparison import Measured
    from snakeval.results.gate import Row
    from snakeval.results.policy import Policy

Key = tuple[str, str]


def _finite(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter("is no finite number; write one such as 0.02")
    return value


@click.command(
    "compare", short_help="Compare a candidate's run with a baseline's; the exit code is a gate"
)
@click.argument("baseline", metavar="BASELINE", shell_complete=target.complete)
@click.argument("candidate", metavar="CANDIDATE", shell_complete=target.complete)
@click.option(
    "--fail-if-worse",
    type=click.FloatRange(min=0),
    callback=_finite,
    metavar="X",
    help="Pass only if no benchmark got worse by more than X, beyond chance.",
)
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML with thresholds for each benchmark.",
)
@click.option("--samples", "lists", is_flag=True, help="Name the samples that changed.")
@format_option
@json_switch
def command(
    baseline: str,
    candidate: str,
    fail_if_worse: float | None,
    policy_file: Path | None,
    lists: bool,
    form: str,
) -> int:
    """Report for each benchmark whether CANDIDATE is better or worse than BASELINE, or neither.

    Both are runs, or models of runs (ID/MODEL). Models of the same name are compared; one model
    with one model, whatever their names. Samples are paired where both harnesses logged them.

    Exit codes: 0 the gate passed, or there was no gate; 1 it failed; 2 bad input; 4 inconclusive,
    because the evidence is missing.

    \b
    snakeval compare 8b1a 77fe
    snakeval compare 8b1a/old 77fe/new --fail-if-worse 0.02
    snakeval compare 8b1a 77fe --policy release.yaml --format json
    """
    form = "json" if wants_json() else form
    if policy_file is not None and fail_if_worse is not None:
        raise ConfigError("--policy and --fail-if-worse: give one; a policy has `max_drop`")
    targets = [target.find(text) for text in (baseline, candidate)]
    gated = policy_file is not None or fail_if_worse is not None
    names = _pairs(*(_planned(each) for each in targets), targets=targets, gated=gated)
    from snakeval.results import gate
    from snakeval.results.policy import Policy, Rule, read_policy

    policy: Policy | None = None
    if policy_file is not None:
        policy = read_policy(policy_file, [benchmark for _, benchmark in names])
    elif fail_if_worse is not None:
        policy = Policy(default=Rule(max_drop=fail_if_worse))
    before = _measured(targets[0], {key: old for key, (old, _) in names.items()})
    after = _measured(targets[1], {key: new for key, (_, new) in names.items()})
    missing = [key for key in names if key not in before or key not in after]
    if not gated and not before and not after:
        raise ConfigError(
            f"{baseline} and {candidate}: neither has finished a benchmark; nothing to compare yet"
        )
    rows = gate.judge(before, after, missing, policy)
    _print(rows, form, lists, gated=gated)
    return _decided(rows) if gated else 0


def _decided(rows: Sequence[Row]) -> int:
    """Print the gate's verdicts that are no pass, and the verdict of the whole; return its code."""
    from snakeval.results.evidence import Verdict
    from snakeval.results.gate import outcome

    for row in rows:
        if row.gate not in (None, Verdict.PASS):
            where = f"{row.model}/{row.benchmark}"
            click.echo(f"gate: {where}: {row.gate}: {visible(row.gate_reason)}", err=True)
    verdict, counts = outcome(rows)
    click.echo(f"gate: {verdict} ({counts})", err=True)
    return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 4}[verdict]


def _planned(part: Target) -> list[Key]:
    return [
        (item.model, item.benchmark)
        for item in part.run.plan()
        if part.covers(item.model, item.benchmark) and not item.left_out
    ]


def _pairs(
    old: Sequence[Key], new: Sequence[Key], *, targets: Sequence[Target], gated: bool
) -> dict[Key, tuple[str, str]]:
    """Return what is compared: (what it is called, benchmark) -> the two models.

    A model that only one side has is included: the other side lacks its evaluations.

    Raises:
        ConfigError: nothing of the one is in the other, or both are one, and there is no gate,
            which calls that inconclusive.
    """
    models = [list(dict.fromkeys(model for model, _ in keys)) for keys in (old, new)]
    if len(models[0]) == len(models[1]) == 1 and models[0] != models[1]:
        together = [(models[0][0], models[1][0], f"{models[0][0]} → {models[1][0]}")]
    else:
        together = [(model, model, model) for model in dict.fromkeys(models[0] + models[1])]
    one_run = targets[0].run.absolute() == targets[1].run.absolute()
    if one_run and not gated and any(before == after for before, after, _ in together):
        raise ConfigError(
            f"{targets[0].name} and {targets[1].name}: are of one run, so each score would be "
            "compared with itself; name two runs, or two models of the run: ID/MODEL"
        )
    pairs = {
        (name, benchmark): (before, after)
        for before, after, name in together
        for benchmark in dict.fromkeys(benchmark for _, benchmark in [*old, *new])
        if (before, benchmark) in old or (after, benchmark) in new
    }
    common = any(before in models[0] and after in models[1] for before, after, _ in together)
    if not common or not {b for _, b in old} & {b for _, b in new}:
        both = " and ".join(each.name for each in targets)
        raise ConfigError(
            f"{both}: have no {'benchmark' if common else 'model'} in common"
            + ("" if common else "; name one of each: ID/MODEL")
        )
    return pairs


def _measured(part: Target, wanted: Mapping[Key, str]) -> dict[Key, Measured]:
    from snakeval.results.comparison import measure

    plan = {(item.model, item.benchmark): item for item in part.run.plan()}
    found = {}
    for key, model in wanted.items():
        item = plan.get((model, key[1]))
        if item and part.covers(model, key[1]) and (one := measure(part.run, item)):
            found[key] = one
    return found


def _print(rows: Sequence[Row], form: str, lists: bool, *, gated: bool) -> None:
    from snakeval.results.gate import as_data

    data = as_data(rows, gated=gated)
    if form == "json":
        click.echo(json.dumps(data, indent=1, allow_nan=False))
        return
    import pandas as pd

    if form == "csv":
        from snakeval.results.readable import to_csv

        for entry in data:
            for key in ("samples_better", "samples_worse"):
                entry[key] = len(entry.get(key, ()))
        click.echo(to_csv(pd.DataFrame(data)), nl=False)
        return
    shown = [_shown(row, entry, gated) for row, entry in zip(rows, data, strict=True)]
    if form == "markdown":
        click.echo(pd.DataFrame(shown).to_markdown(index=False, disable_numparse=True))
    else:
        from snakeval.cli.output import show

        show(shown, list(shown[0]), as_json=False)
    if rows and rows[0].comparisons > 1:
        click.echo(f"P-values are corrected for {rows[0].comparisons} comparisons (Holm).")
    for row in rows if lists else ():
        for word, ids in (("better", row.better), ("worse", row.worse)):
            for sample in ids:
                click.echo(f"{row.model}/{row.benchmark}: {word}: {_plain(sample)}")


def _shown(judged: Row, row: Mapping[str, Any], gated: bool) -> dict[str, str]:
    def number(key: str, sign: str = "") -> str:
        value = row.get(key)
        return "" if value is None else f"{value:{sign}.4f}"

    n, sizes = row.get("n") or 0, {row.get("n_baseline"), row.get("n_candidate")}
    p = row.get("p")
    return {
        "model": row["model"],
        "benchmark": row["benchmark"],
        "metric": row.get("metric", ""),
        "baseline": number("baseline"),
        "candidate": number("candidate"),
        "difference": number("difference", "+"),
        "95 %": f"{row['ci_low']:+.4f} to {row['ci_high']:+.4f}"
        if row.get("ci_low") is not None
        else "",
        "p": "" if p is None else "< 0.0001" if p < 0.0001 else f"{p:.4f}",
        "samples": ""
        if not n
        else f"{n}"
        if sizes == {n}
        else f"{n} of {row['n_baseline']} and {row['n_candidate']}",
        "better/worse": f"{len(row['samples_better'])}/{len(row['samples_worse'])}" if n else "",
        "verdict": row["verdict"] + (f" ({judged.remark})" if judged.remark else ""),
        **({"gate": row["gate_verdict"] or ""} if gated else {}),
    }


def _plain(text: str) -> str:
    """A sample's id, which is the data set's, on one line and without control characters."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
