"""Measure how soon a browser shows the page of curves of one benchmark with many points.

    PYTHONPATH=tests python benchmarks/curves.py [--series 20] [--points 500]

The time is that of DOMContentLoaded in a headless Chromium, which reads the page from the disk.
Each load is of a new document; the first one, in which the browser starts, does not count.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from snakeval.results.curves import page
from snakeval.results.curves.grouping import figures
from snakeval.results.curves.points import Place, Source
from support.browser import browser

LOADS = 5
_TIME = """
    const [entry] = performance.getEntriesByType("navigation");
    return [entry.domContentLoadedEventEnd, document.querySelectorAll("*").length,
            document.querySelectorAll(".by-step path").length];
"""


def source(series: int, points: int) -> Source:
    """Return the rows of a table with *series* × *points* evaluations and a baseline."""
    chance = random.Random(1)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [row("base", 0.42, start)]
    places = {}
    for number in range(series):
        for step in range(1, points + 1):
            model = f"run{number}@{100 * step}"
            top = 0.3 + 0.5 * number / max(1, series - 1)
            value = top * (1 - math.exp(-5 * step / points)) + chance.uniform(0, 0.05)
            places[model] = Place(f"run{number}", str(100 * step))
            rows.append(row(model, value, start + timedelta(minutes=step)))
    return Source("0123abcd", rows, places)


def row(model: str, value: float, finished: datetime) -> dict[str, Any]:
    """Return a row of the table."""
    return {
        "model": model, "benchmark": "gsm8k", "task": "gsm8k", "metric": "exact_match",
        "filter": "strict-match", "value": value, "ci_low": value - 0.025, "ci_high": value + 0.025,
        "n": 1319, "higher_is_better": True, "status": "done", "finished": finished.isoformat(),
    }  # fmt: skip


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--series", type=int, default=20)
    parser.add_argument("--points", type=int, default=500)
    options = parser.parse_args()
    found = source(options.series, options.points)
    started = time.monotonic()
    text = page.render("benchmark", "A run", figures([found]))
    seconds = time.monotonic() - started
    print(f"{options.series} series × {options.points} points: {len(text) / 1e6:.2f} MB")
    print(f"written in {seconds:.2f} s")
    with tempfile.TemporaryDirectory() as name, browser() as chromium:
        times = []
        for number in range(LOADS + 1):
            file = Path(name, f"{number}.html")
            file.write_text(text, encoding="utf-8")
            chromium.open(file)
            milliseconds, elements, paths = chromium.run(_TIME)
            times.append(milliseconds)
        print(f"{elements:,} elements, {paths} paths in the plot over steps")
        listed = ", ".join(f"{each:.0f}" for each in times[1:])
        print(f"DOMContentLoaded: {listed} ms; median {statistics.median(times[1:]):.0f} ms")


if __name__ == "__main__":
    main()
