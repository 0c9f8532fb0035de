"""Prints which of some tasks lm-evaluation-harness lacks, as JSON after :data:`MARK`.

snakeval runs the text of this file with the Python of the harness, also in a container, so it
imports only the standard library and the harness. Its arguments are a directory of the user's own
tasks, which may be empty, and the names. Reading all files of tasks takes 0.2 s. Only a name that
is in none of them, such as a pattern, waits some seconds for the harness's own index.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import json
import os
import re
import sys

MARK = "snakeval-tasks: "
#: The key that names a task, a group or a tag in a file of tasks.
DEFINED = re.compile(
    r"^(?:task|group|tag): *[\"']?(?P<name>[\w.+-]+)[\"']? *(?:#.*)?$", re.MULTILINE
)
#: Files of tasks are small.
_READ = 1 << 16


def defined(place: str) -> set[str]:
    """Return the tasks, groups and tags that files below *place* define."""
    found: set[str] = set()
    for folder, _, names in os.walk(place):
        for name in names:
            if name.endswith((".yaml", ".yml")):
                path = os.path.join(folder, name)  # noqa: PTH118  thousands of files
                with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                    found.update(each["name"] for each in DEFINED.finditer(file.read(_READ)))
    return found


def lacking(own: str, names: list[str], places: list[str]) -> dict[str, str]:
    """Return the *names* that the harness in *places* lacks, and the nearest name or nothing."""
    known = defined(own) if own else set()
    for place in places:
        known |= defined(os.path.join(place, "tasks"))  # noqa: PTH118
    absent = [name for name in names if name not in known]
    if not absent:
        return {}
    manager = importlib.import_module("lm_eval.tasks").TaskManager(include_path=own or None)
    absent = [name for name in absent if not manager.match_tasks([name])]
    near = {name: difflib.get_close_matches(name, sorted(known), 1) for name in absent}
    return {name: (found or [""])[0] for name, found in near.items()}


def main(words: list[str]) -> int:
    """Print what the harness lacks, if this Python has the harness."""
    spec = importlib.util.find_spec("lm_eval")
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        return 1
    print(MARK + json.dumps(lacking(words[0], words[1:], places)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
