"""The environment: one pinned list, and code that imports nothing else."""

import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = [
    Requirement(line)
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]
PINS = {one.name: str(one.specifier).removeprefix("==") for one in REQUIREMENTS}
ADDED_BY_HAND = {  # the head of the benchmark says how
    "benchmarks/peers/exact_diagonalization.py": {"quspin"},
    "benchmarks/peers/netket_vmc.py": {"jax", "netket", "optax"},
}
BESIDE = {"benchmarks": {"peers"}}  # packages in the folder of a script that runs
HEAVY = {"numpy", "scipy", "torch", "matplotlib", "pandas", "numba", "papermill"}
HEAVY |= {"IPython", "nbconvert", "distributed", "sklearn", "cma"}


def test_every_requirement_is_pinned_to_one_version():
    for name, version in PINS.items():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", name), name
        assert re.fullmatch(r"\d+(\.\d+)+", version), (name, version)


@pytest.mark.parametrize("one", REQUIREMENTS, ids=lambda one: one.name)
def test_the_installed_version_is_the_pinned_one(one):
    if one.marker is not None and not one.marker.evaluate():
        pytest.skip(f"not installed on this Python: {one}")
    assert metadata.version(one.name).partition("+")[0] == PINS[one.name]


def test_conda_brings_python_and_pip_and_nothing_that_pip_brings_too():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, *rest = environment["dependencies"]
    assert python.startswith("python>=3.11")
    assert rest == ["pip", {"pip": ["-r requirements.txt"]}]


def imported(source):
    """Top-level names of the modules that a source imports, with where they stand."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def sources():
    yield ROOT / "run.py", (ROOT / "run.py").read_text(encoding="utf-8")
    for folder in ("qlib", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [
            "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"
        ]
        magic = re.compile(r"^\s*[%!]", re.MULTILINE)
        yield path, "\n".join(magic.sub("#", cell) for cell in code)


def test_every_import_is_python_s_own_ours_or_brought_by_a_requirement():
    ours = set(sys.stdlib_module_names) | {"qlib", "run"}
    homes = metadata.packages_distributions()
    brought = requirements_closure()
    for path, source in sources():
        where = path.relative_to(ROOT).as_posix()
        known = ours | BESIDE.get(path.parent.name, set())
        for name in set(imported(source)) - known - ADDED_BY_HAND.get(where, set()):
            found = {canonical(home) for home in homes.get(name, ())}
            assert found & brought, f"{where} imports {name}"


def requirements_closure():
    """The pinned packages and all that they need in turn."""
    brought, waiting = set(), list(PINS)
    while waiting:
        name = canonical(waiting.pop())
        if name in brought:
            continue
        brought.add(name)
        try:
            needs = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:  # for another system or Python
            continue
        waiting += [
            re.match(r"[\w.-]+", need)[0] for need in needs if "extra" not in need
        ]
    return brought


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def loaded_by(statement):
    code = (
        f"{statement}; import sys; print(*{{n.partition('.')[0] for n in sys.modules}})"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout
    return set(out.split())


@pytest.mark.parametrize(
    "module",
    ["qlib", "qlib.workbook", "qlib.workbook.__main__", "qlib.workbook.parameters"],
)
def test_importing_the_package_loads_no_heavy_one(module):
    assert loaded_by(f"import {module}") & HEAVY == set()


def test_run_py_needs_nothing_beyond_the_standard_library_and_its_own_command_line():
    parsed = ast.parse((ROOT / "run.py").read_text(), feature_version=(3, 11))
    assert set(imported(ast.unparse(parsed))) <= {*sys.stdlib_module_names, "qlib"}
    loaded = loaded_by("import run; from qlib.workbook import arguments")
    bare = loaded_by("pass")
    assert loaded - bare <= {*sys.stdlib_module_names, "run", "qlib"}
