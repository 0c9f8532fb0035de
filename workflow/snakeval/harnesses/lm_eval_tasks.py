"""Prints the names of lm-evaluation-harness's tasks, as JSON after :data:`MARK`.

snakeval runs the text of this file with the Python of the harness, also in a container, so it
imports only the standard library. It reads the files of tasks, which takes 0.3 s. The index of the
harness takes more than five. Of release 0.4.13, both have the same 14,683 names.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys

MARK = "snakeval-tasks: "
#: A key that defines a task, a group or tags, with the list that may follow it.
_DEFINED = re.compile(
    r"^(?:[ ]+(?:-[ ]+)?|-[ ]+)?[\"']?(?:task|group|tag)[\"']?[ \t]*:"
    r"(?P<names>.*(?:\n[ \t]*-[ \t].*|\n[ \t]*(?:#.*)?(?=\n))*)",
    re.MULTILINE,
)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_NAME = re.compile(r"[\w.+()-]+")
#: Files of tasks are small.
_READ = 1 << 16


def defined(place: str) -> set[str]:
    """Return the tasks, groups and tags that files below *place* define.

    A file may include one without an ending, which may also have tags.
    """
    found: set[str] = set()
    for folder, _, names in os.walk(place):
        for name in names:
            if name.endswith(("yaml", ".yml")) or "." not in name:
                path = os.path.join(folder, name)  # noqa: PTH118  thousands of files
                with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                    for each in _DEFINED.finditer(file.read(_READ)):
                        found.update(_NAME.findall(_COMMENT.sub("", each["names"])))
    return found - {"-", "task", "group", "tag"}


def main() -> int:
    """Print the names, if this Python has the harness."""
    spec = importlib.util.find_spec("lm_eval")
    found: set[str] = set()
    for place in (spec.submodule_search_locations or ()) if spec else ():
        found |= defined(os.path.join(place, "tasks"))  # noqa: PTH118
    if not found:
        return 1
    print(MARK + json.dumps(sorted(found)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
