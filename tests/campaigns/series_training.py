"""A process that pretends to train: it writes tiny checkpoints, and disturbs some of them.

``python series_training.py PLACE SEED COUNT [adapters]`` writes COUNT checkpoints, or adapters, to
``PLACE/train/step-N``, not in their order. By the seed, some appear whole, some file by file, some
as the first half of a file and later the rest, some never whole. Some are overwritten, deleted,
written again, or have the weights of an earlier one. The last act is ``PLACE/END``. Each act is a
line of ``PLACE/training.jsonl``: its time, the step, and the content, or null if the step is
deleted.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from support.checkpoints import safetensors  # noqa: E402

#: Seconds between two acts; evaluations take longer, so that checkpoints wait.
GAPS = (0.2, 3.0)
#: The first half of a file waits for so long at most.
_HALF_SECONDS = 7.0


class Training:
    """The acts of one seed."""

    def __init__(self, place: Path, seed: int, count: int, prefix: str = "") -> None:
        self.place, self.random, self.count = place, random.Random(seed), count
        self.config, self.weights = f"{prefix}config.json", f"{prefix}model.safetensors"
        self.log = place / "training.jsonl"
        self.whole: dict[int, str] = {}

    def run(self) -> None:
        """Write all checkpoints, in a mixed order."""
        steps = [100 * number for number in range(1, self.count + 1)]
        # Of neighbours, some change places.
        steps.sort(key=lambda step: step + self.random.uniform(-150, 150))
        for number, step in enumerate(steps):
            self.write(step, f"{step}")
            time.sleep(self.random.uniform(*GAPS))
            if number and self.random.random() < 0.4:
                self.disturb(self.random.choice(steps[:number]))
        (self.place / "END").touch()

    def write(self, step: int, content: str) -> None:
        """Write a new checkpoint in one of several manners."""
        manner = self.random.choice(("whole", "whole", "files", "half", "never", "equal"))
        if manner == "equal" and self.whole:
            content = self.random.choice(sorted(self.whole.values()))
        self.note(step, content, manner)
        path = self.place / f"train/step-{step}"
        data = safetensors({"a": content.encode()})
        if manner in ("whole", "equal"):
            draft = self.place / f"draft-{step}"
            draft.mkdir()
            (draft / self.config).write_text("{}")
            (draft / self.weights).write_bytes(data)
            path.parent.mkdir(exist_ok=True)
            draft.rename(path)
        else:
            path.mkdir(parents=True)
            (path / self.config).write_text("{}")
            for part in self.parts(data, manner):
                with (path / self.weights).open("ab") as file:
                    file.write(part)
        if manner != "never":
            self.whole[step] = content

    def parts(self, data: bytes, manner: str) -> Iterator[bytes]:
        """Yield the parts of a file, with pauses between them."""
        if manner == "files":
            time.sleep(self.random.uniform(0, 2))
            yield data
            return
        half = self.random.randint(1, len(data) - 1)
        yield data[:half]
        if manner != "never":
            time.sleep(self.random.uniform(0, _HALF_SECONDS))
            yield data[half:]

    def disturb(self, step: int) -> None:
        """Delete or overwrite an earlier checkpoint; an overwritten one is half-written for long.

        A half-written file first loses its whole content, as when a training writes in place.
        """
        path = self.place / f"train/step-{step}"
        if not path.exists():
            return
        if self.random.random() < 0.5:
            self.note(step, None, "deleted")
            self.whole.pop(step, None)
            shutil.rmtree(path)
            return
        content = f"{step} again {self.random.random()}"
        self.note(step, content, "overwritten")
        data = safetensors({"a": content.encode()})
        half = self.random.randint(1, len(data) - 1)
        with (path / self.weights).open("wb") as file:
            file.write(data[:half])
            file.flush()
            time.sleep(self.random.uniform(0, 1.0))
            file.write(data[half:])
        self.whole[step] = content
        self.note(step, content, "whole")

    def note(self, step: int, content: str | None, what: str) -> None:
        """Append an act to the log."""
        line = {"time": time.time(), "step": step, "content": content, "what": what}
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    place, seed, count, *kind = sys.argv[1:]
    Training(Path(place), int(seed), int(count), "adapter_" if kind else "").run()
