"""The exporter ``lines``: writes one line for each evaluation to a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from snakeval.exporters import ExportError, Options
from snakeval.exporters.package import Package


class LinesOptions(Options):
    """The options of ``export: {lines: …}``. Options without a default are required."""

    per: Literal["evaluation"] = "evaluation"
    path: Path


class Lines:
    """Writes ``model/benchmark metric=value`` lines. A second export replaces its own lines."""

    OPTIONS = LinesOptions

    def __init__(self, options: LinesOptions) -> None:
        self.options = options
        self._lines: dict[str, str] = {}

    def open(self) -> None:
        """Read the lines of an earlier export."""
        if self.options.path.exists():
            lines = self.options.path.read_text(encoding="utf-8").splitlines()
            self._lines = {line.partition(" ")[0]: line for line in lines}

    def send(self, package: Package) -> Sequence[str]:
        """Replace the package's line; return where it is."""
        scores = " ".join(f"{name}={value:g}" for name, value in package.scores.items())
        self._lines[package.key] = f"{package.key} {scores}"
        try:
            text = "".join(f"{line}\n" for line in self._lines.values())
            self.options.path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ExportError(f"{self.options.path} cannot be written ({error.strerror})") from None
        return [f"lines: {package.name} is in {self.options.path}"]

    def close(self) -> None:
        """Nothing is open."""
