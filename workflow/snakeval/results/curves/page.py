"""Writes the page of curves of a run: ``report/curves.html``, which has no JavaScript."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from snakeval import __version__
from snakeval.evaluation.record import now
from snakeval.ledger.plain_text import visible
from snakeval.results.curves import picture, words
from snakeval.results.curves.points import Curve, Figure, Point, ordered
from snakeval.results.readable import score_text

#: A table with more rows or more curves is folded.
_OPEN_ROWS, _OPEN_COLUMNS = 12, 6
#: The page runs and loads nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure as the page shows it.

    ``steps`` are those of its table, and ``by_time`` is None without times.
    """

    name: str
    figure: Figure
    by_step: Markup
    by_time: Markup | None
    steps: tuple[str, ...]

    @property
    def is_single(self) -> bool:
        """Whether it has one curve, whose table has a column for each fact."""
        return len(self.figure.curves) == 1

    @property
    def ranked(self) -> list[tuple[int, Curve]]:
        """The curves with their numbers, the one with the best score first."""
        sign = -1 if self.figure.higher_is_better is False else 1

        def goodness(pair: tuple[int, Curve]) -> tuple[bool, float]:
            best = pair[1].best
            return best is not None, sign * (best.value or 0.0) if best else 0.0

        return sorted(enumerate(self.figure.curves), key=goodness, reverse=True)

    @property
    def lacks(self) -> str:
        """How many of its points have no score, and why."""
        return words.missing([p for curve in self.figure.curves for p in curve.missing])

    @property
    def is_open(self) -> bool:
        """Whether its table is short enough to be unfolded."""
        return len(self.steps) <= _OPEN_ROWS and len(self.figure.curves) <= _OPEN_COLUMNS

    @property
    def rows(self) -> Iterator[tuple[str, list[Point | None]]]:
        """The points of each step, one for each curve, which may lack it."""
        index = [{point.step: point for point in curve.points} for curve in self.figure.curves]
        for step in self.steps:
            yield step, [points.get(step) for points in index]


def panels(figures: Sequence[Figure]) -> list[Panel]:
    """Draw *figures*."""
    return [
        Panel(
            f"curves-{n}",
            figure,
            picture.by_step(figure, f"curves-{n}"),
            picture.by_time(figure, f"curves-{n}") if figure.has_times else None,
            ordered({point.step for curve in figure.curves for point in curve.points}),
        )
        for n, figure in enumerate(figures)
    ]


def render(title: str, about: str, figures: Sequence[Figure], *, back: str = "") -> str:
    """Return the page. *about* is a line under its title, *back* the address of the report."""
    drawn = panels(figures)
    most = max((len(figure.curves) for figure in figures), default=0)
    return _template().render(
        title=title,
        about=about,
        back=back,
        panels=drawn,
        has_times=any(panel.by_time for panel in drawn),
        has_baselines=any(figure.baselines for figure in figures),
        lacks=any(curve.missing for figure in figures for curve in figure.curves),
        css=Markup(_style("report", "page.css") + _style("curves", "curves.css")),
        chosen=Markup(_chosen(most)),
        policy=_POLICY,
        version=__version__,
        made=now(),
    )


def _style(package: str, name: str) -> str:
    files = resources.files(f"snakeval.results.{package}")
    return files.joinpath(name).read_text(encoding="utf-8")


def _chosen(curves: int) -> str:
    """Return rules that fade the other curves while the pointer is on a row of the table."""
    if curves < 2:
        return ""
    rules = []
    for n in range(curves):
        here = f".panel:has([data-curve='{n}']:hover)"
        rules.append(f"{here} .curve:not(.n{n}){{opacity:.12}}{here} .n{n} .band{{display:inline}}")
    return "".join(rules)


def _gain(curve: Curve, figure: Figure) -> str:
    """Return the difference of the best point to the only baseline."""
    if len(figure.baselines) != 1 or curve.best is None or curve.best.value is None:
        return ""
    found = curve.best.value - figure.baselines[0].value
    return f"{'+' if found >= 0 else '−'}{score_text(abs(found))}"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("snakeval.results.curves", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: (
            visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": score_text}
    environment.globals |= {"words": words, "style": picture.style, "gain": _gain}
    return environment.get_template("curves.html.j2")
