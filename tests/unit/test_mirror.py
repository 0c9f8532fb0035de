"""`tests/unit` mirrors the package: a stranger finds the tests of a module without searching."""

from __future__ import annotations

from pathlib import Path

UNIT = Path(__file__).parent
PACKAGE = UNIT.parents[1] / "workflow/snakeval"
#: Tests of no single module, each with its reason.
OF_A_FOLDER = {
    "test_mirror.py": "this test",
    "test_owners.py": "which modules know the files of a run",
    "test_old_names.py": "shims of several modules",
    "runtimes/test_contract.py": "one contract over all container runtimes",
    "harnesses/test_auxiliary.py": "auxiliary models through all harness adapters",
    "exporters/test_third_party.py": "an exporter that a user installs",
}


def test_each_test_file_is_named_after_a_module() -> None:
    strays = [
        path.relative_to(UNIT).as_posix()
        for path in UNIT.rglob("test_*.py")
        if path.relative_to(UNIT).as_posix() not in OF_A_FOLDER and not module_of(path)
    ]
    assert strays == []


def module_of(path: Path) -> str:
    """Return the module in a test file's name, which may continue with the subject."""
    folder = PACKAGE / path.parent.relative_to(UNIT)
    words = path.stem.removeprefix("test_").split("_")
    names = ("_".join(words[:count]) for count in range(len(words), 0, -1))
    return next(
        (
            n
            for n in names
            if (folder / f"{n}.py").exists() or (folder / n / "__init__.py").exists()
        ),
        "",
    )
