"""A workspace whose commands submit to Lepton's stand-in."""

from __future__ import annotations

from standin import StandIn

from support.workspace import REPOSITORY, Workspace


class OnLepton(Workspace):
    """A workspace whose commands go to the stand-in."""

    standin: StandIn

    def command(self, *options: str) -> list[str]:
        words = super().command(*options)
        words[words.index("--cores") : words.index("--cores") + 2] = ["--jobs", "8"]
        words[words.index("--profile") + 1] = str(REPOSITORY / "profiles" / "lepton")
        return [*words, "--seconds-between-status-checks", "1"]

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.standin.environment}
