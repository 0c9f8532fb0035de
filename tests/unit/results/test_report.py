"""The report: what it says, and that nothing a model wrote can do anything in it."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from statistics import variance

import pytest

from snakeval.evaluation import timings
from snakeval.evaluation.events import Event, Journal
from snakeval.harnesses.adapter import Sample
from snakeval.results import report
from snakeval.results.report.costs import Total
from snakeval.results.report.samples import (
    CHUNK,
    MAX_CHARACTERS,
    Kept,
    script_json,
    visible,
)
from snakeval.serving.directory import DeploymentDirectory
from support.sampled import Sampled, answers, facts_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


@pytest.fixture
def run(tmp_path: Path) -> Sampled:
    return Sampled(
        tmp_path,
        {
            "good": {"one": answers(100, 0.9, 1), "two": answers(50, 0.8, 2)},
            "bad": {"one": answers(100, 0.3, 3)},
        },
    )


class Page(HTMLParser):
    """The page's elements and their texts, as a browser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["script"]:
            self.scripts[-1] += data
        else:
            self.text += f"{data} "

    @property
    def data(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.scripts[0])
        return found


def page_of(run: Sampled) -> Page:
    return Page(report.write(run.directory).read_text())


def shelf(run: Sampled, name: str) -> object:
    text = (run.path / f"report/{name}.js").read_text()
    match = re.fullmatch(rf'snakeval\("{name}",(.*)\)\n', text)
    assert match is not None
    return json.loads(match[1])


def test_the_matrix_has_scores_intervals_and_missing_evaluations(run: Sampled) -> None:
    text = " ".join(page_of(run).text.split())
    assert "3 of 4 evaluations done" in text
    assert "Partial: 0 failed, 1 not evaluated." in text
    facts = facts_of(run)
    one = facts.cells["good", "one"].measured
    assert one is not None
    assert f"{one.metric.value:.3f} {one.interval.low:.3f} – {one.interval.high:.3f}" in text
    assert "bad/two not run not started yet" in text


def test_a_ranking_has_models_that_lack_a_benchmark_without_a_place(run: Sampled) -> None:
    text = " ".join(page_of(run).text.split())
    assert "acc mean over 2: one, two" in text
    assert text.index("1 good good: 0.") < text.index("bad without two bad: 0.")


def test_differences_are_paired_and_corrected(run: Sampled) -> None:
    differences = page_of(run).data["differences"]
    assert isinstance(differences, dict)
    ((a, b, value, low, high, p, n, *_, significant),) = differences["one"]
    assert (a, b, n, significant) == ("good", "bad", 100, True)
    assert low < value < high
    assert p < 0.001


def test_repeats_are_one_benchmark_in_the_ranking_and_vary_within_and_between(
    tmp_path: Path,
) -> None:
    runs = {name: answers(100, 0.7, seed) for seed, name in enumerate(("b", "b-r2", "b-r3"))}
    run = Sampled(tmp_path, {"m": runs}, repeats=3)
    text = " ".join(page_of(run).text.split())
    assert "acc mean over 1: b" in text
    assert "m/b 3 0." in text
    facts = facts_of(run)
    (found,) = facts.repeats
    scores = [sum(scores) / 100 for scores in runs.values()]
    assert found.value == pytest.approx(sum(scores) / 3)
    assert found.variance.between == pytest.approx(variance(scores))
    # Three answers to a question tell more than one of it.
    assert found.interval.stderr is not None
    assert found.runs[0].interval.stderr is not None
    assert found.interval.stderr < found.runs[0].interval.stderr


def test_samples_are_in_chunks_beside_the_page_and_found_by_its_index(run: Sampled) -> None:
    samples = page_of(run).data["samples"]
    assert isinstance(samples, dict)
    name, total, shown = samples["one"]["good"]
    index = shelf(run, name)
    assert isinstance(index, dict)
    assert (total, shown, len(index["ids"]), len(index["chunks"])) == (100, 100, 100, 1)
    assert index["right"] == answers(100, 0.9, 1)
    chunk = shelf(run, index["chunks"][0])
    assert isinstance(chunk, list)
    assert chunk[7] == ["Question 7?", "42", "", "", {"acc": f"{index['scores'][7]:g}"}]


def test_a_new_report_deletes_obsolete_chunks(run: Sampled, tmp_path: Path) -> None:
    page = report.write(run.directory)
    before = {path.name for path in (run.path / "report").glob("*.js")}
    old = run.path / "report/0123456789abcdef.js"
    old.write_text("")
    report.write(run.directory)
    assert {path.name for path in (run.path / "report").glob("*.js")} == before
    assert page.exists()


EVIL = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    '"]}]);alert(1);//\u2028\u202egnp.exe\u0000<!--<script>\ud800 {{ 7*7 }} '
    "[x](javascript:alert(1)) ![x](http://127.0.0.1/x.png)"
)


def test_cost_includes_unfinished_attempts_and_marks_unknown_values(run: Sampled) -> None:
    timings.add(Journal(run["bad/one"].events), 90)  # as its record says
    timings.add(Journal(run["bad/one"].events), 30)
    run.directory.deployment_plan("bad").parent.mkdir()
    run.directory.deployment_plan("bad").touch()
    servers = DeploymentDirectory.of(run.directory, "bad")
    servers.new_server_log()
    Journal(servers.events).add(Event("ended", use="a", gpus=2, seconds=3600))
    good, bad = facts_of(run).costs
    assert (bad.done, bad.samples.value, bad.requests.value) == (1, 100, None)
    assert (bad.seconds.value, bad.unfinished) == (120, Total(30))
    assert (bad.gpu_hours, bad.loads) == (2, 1)
    assert (good.seconds.value, good.deployed) == (180, False)
    servers.events.unlink()
    assert "unknown" in page_of(run).text


def test_text_from_a_model_is_never_markup(tmp_path: Path) -> None:
    item = {
        "id": EVIL,
        "question": EVIL,
        "answer": EVIL,
        "reference": EVIL,
        "group": EVIL,
        "acc": 1,
    }
    run = Sampled(tmp_path, {"m": {"b": [item, item | {"id": "2", "group": "g"}]}})
    run["m/b"].fail(EVIL)  # as a reason, too
    clean = Sampled(tmp_path, {"m": {"b": [1, 1]}}, id="feedbeef")
    page, other = page_of(run), page_of(clean)
    assert page.tags == other.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for path in (run.path / "report").glob("*.js"):
        text = path.read_text(encoding="ascii")
        assert not re.search(r"[<>&\u2028\u202e\0]", text)
    samples = page.data["samples"]
    assert isinstance(samples, dict)
    index = shelf(run, samples["b"]["m"][0])
    assert isinstance(index, dict)
    (chunk,) = index["chunks"]
    shown = shelf(run, chunk)
    assert isinstance(shown, list)
    assert shown[0][1] == visible(EVIL).replace("‹U+D800›", "?")
    assert "‹U+202E›gnp.exe‹U+0000›" in shown[0][1]


def test_a_failures_reason_is_escaped(run: Sampled) -> None:
    run["bad/two"].path.mkdir(parents=True, exist_ok=True)
    run["bad/two"].fail(f"{EVIL} \u202e")
    text = report.write(run.directory).read_text()
    assert html.escape("<img src=x onerror=alert(1)>", quote=False) in text
    assert "<img" not in text.partition("<script")[0]
    assert "\u202e" not in text.partition("<script")[0]


def test_a_token_that_an_earlier_version_saved_is_in_no_page(run: Sampled) -> None:
    token = "hf_" + "AbCdEf123456" * 2
    run.directory.config.write_text(f"# {token}\n")
    report.write(run.directory)
    for page in (run.directory.report, run.directory.report_summary):
        assert token not in page.read_text()
        assert "# ***" in page.read_text()


def test_a_summary_is_small_and_needs_no_script(run: Sampled) -> None:
    report.write(run.directory)
    text = (run.path / "report/summary.html").read_text()
    page = Page(text)
    assert len(text) < 50_000
    assert "script" not in page.tags
    assert "3 of 4 evaluations done" in " ".join(page.text.split())


def test_only_the_pages_own_scripts_may_run(run: Sampled) -> None:
    text = report.write(run.directory).read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    rules = html.unescape(policy[1])
    assert "default-src 'none'" in rules
    scripts = rules.partition("script-src")[2].partition(";")[0]
    assert "unsafe" not in scripts
    assert scripts.count("sha256-") == 1


def test_json_in_a_script_cannot_end_it() -> None:
    assert "<" not in script_json(["</script>", "<!--", "\u2028"])
    assert json.loads(script_json([EVIL])) == [EVIL]


def test_a_long_answer_is_cut_and_shows_its_length(tmp_path: Path) -> None:
    run = Sampled(tmp_path, {"m": {"b": [{"acc": 1, "answer": "x" * 50_000}]}})
    report.write(run.directory)
    texts = [path.read_text() for path in (run.path / "report").glob("*.js")]
    assert max(map(len, texts)) < MAX_CHARACTERS + 1000
    assert any("50,000 characters" in text for text in texts)


def test_each_model_keeps_the_same_choice_of_many_samples() -> None:
    def kept(order: list[int]) -> set[str]:
        found = Kept(limit=50)
        for number in order:
            found(Sample(str(number), "t", {}))
        assert found.total == 1000
        return {sample.id for sample in found.samples}

    assert kept([*range(1000)]) == kept([*reversed(range(1000))])
    assert len(kept([*range(1000)])) == 50


def test_samples_that_cannot_be_read_are_listed_with_their_reason(run: Sampled) -> None:
    run.logged("good/one", b'{"id": "\xff"}\n')
    text = " ".join(page_of(run).text.split())
    assert "samples that snakeval can read." in text
    _, missing = text.split("Samples are missing, as snakeval cannot read them:")
    assert "good/one: samples.jsonl does not parse as jsonl: 'utf-8' codec" in missing
    assert "bad/one" not in missing


def test_a_run_whose_samples_all_are_damaged_says_so(tmp_path: Path) -> None:
    run = Sampled(tmp_path, {"m": {"b": answers(3, 0.5, 1)}})
    run.logged("m/b", b"\xff\n")
    text = page_of(run).text
    assert "m/b: samples.jsonl does not parse" in text
    assert "No harness logged its samples." not in text


def test_a_run_without_a_finished_evaluation_has_a_report(tmp_path: Path) -> None:
    run = Sampled(tmp_path, {"m": {"b": [1]}, "n": {}})
    (run["m/b"].artifacts / "f.json").unlink()
    text = " ".join(page_of(run).text.split())
    assert "0 of 2 evaluations done" in text
    assert "No harness logged its samples." in text


def test_a_chunk_holds_so_many_samples(tmp_path: Path) -> None:
    run = Sampled(tmp_path, {"m": {"b": answers(2 * CHUNK + 1, 0.5, 1)}})
    report.write(run.directory)
    assert len(list((run.path / "report").glob("*.js"))) == 4  # three chunks and their index
