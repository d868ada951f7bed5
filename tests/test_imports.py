"""What importing costs, and who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import omnifold_pub

FLOORS = (
    {"errors", "messages", "progress"},
    {"extras"},
    {"atomic", "definitions", "files", "observables", "schemas"},
    {"estimators", "statistics", "yaml_documents"},
    {"format", "metadata", "precision", "presentation"},
    {"exchange"},
    {"accumulation", "inputs", "measurement", "metadata_template"},
    {"unfold", "validity"},
    {"binning_proposal", "sources", "validate"},
    {"integrity", "publish", "release"},
    {"convert"},
    {"deposit", "export", "reinterpret"},
    {"closure", "training_summary"},
    {"plots"},
    {"explorer", "report"},
    {"demo"},
    {"cli"},
)
"""From the ground up; a module imports from floors below its own, or from its own folder."""

READING = """
import sys
import omnifold_pub
with omnifold_pub.open_release(sys.argv[1]) as release:
    name = next(iter(release.events))
    measurement = release.measure(name, [0, 250, 300, 1000])
    measurement.covariance()
assert omnifold_pub.validate(sys.argv[1]).valid
print(*sorted({module.partition(".")[0] for module in sys.modules}))
"""

EXTRAS = {"torch", "uproot", "awkward", "matplotlib", "mplhep", "pyhf", "dask", "distributed", "jinja2", "safetensors"}
EXTRAS |= {
    "fsspec",
    "aiohttp",
    "vector",
    "hist",
    "cabinetry",
    "iminuit",
    "pyhs3",
    "spey",
    "boost_histogram",
    "pandas",
    "pyarrow",
    "tables",
    "blosc2",
    "hdf5plugin",
    "datacite",
    "rocrate",
    "mlcroissant",
}
EXTRAS |= {"fastapi", "starlette", "uvicorn", "playwright"}
EXTRAS |= {"fastjet", "pyhepmc", "pylhe", "babyyoda", "hepdata_lib", "hepdata_validator"}
CLI_ONLY = {"click", "rich", "yaml", "filelock"}


def test_reading_a_release_imports_neither_torch_nor_uproot_nor_matplotlib(quick_release: Path) -> None:
    command = [sys.executable, "-c", READING, str(quick_release)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    imported = set(output.split())
    assert {"numpy", "h5py", "jsonschema"} <= imported
    assert not imported & (EXTRAS | CLI_ONLY)


def test_the_command_line_starts_without_extras() -> None:
    code = "import sys, omnifold_pub.cli; print(*{m.partition('.')[0] for m in sys.modules})"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not set(output.split()) & EXTRAS


def test_public_names_are_these_and_no_others() -> None:
    assert dir(omnifold_pub) == omnifold_pub.__all__
    assert omnifold_pub.__all__ == [
        "Canvas",
        "ClosureWeights",
        "Comparison",
        "Estimate",
        "JointMeasurement",
        "Measurement",
        "OmnifoldPubError",
        "Release",
        "Report",
        "Theory",
        "UnfoldingResult",
        "__version__",
        "compare",
        "open_release",
        "publish",
        "read_metadata",
        "validate",
        "verify",
    ]
    assert all(hasattr(omnifold_pub, name) for name in omnifold_pub.__all__)


def _package_modules() -> list[Path]:
    root = Path(omnifold_pub.__file__).parent
    return [path for path in sorted(root.rglob("*.py")) if path != root / "__init__.py"]


def _noun(module: Path) -> str:
    return module.relative_to(Path(omnifold_pub.__file__).parent).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    """Nouns of the package that a module imports, anywhere in it."""
    nouns = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "omnifold_pub":
            parts = node.module.split(".")
            nouns |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return nouns


@pytest.mark.parametrize("path", _package_modules(), ids=lambda path: str(path.name))
def test_imports_run_downward_only(path: Path) -> None:
    floor = {noun: level for level, nouns in enumerate(FLOORS) for noun in nouns}
    noun = _noun(path)
    above = {imported for imported in _imports(path) if imported != noun and floor[imported] >= floor[noun]}
    assert not above, f"{noun} is on floor {floor[noun]} and imports {above}"


@pytest.mark.parametrize("path", _package_modules(), ids=lambda path: str(path.name))
def test_only_the_engine_imports_torch(path: Path) -> None:
    names = {
        alias.name.partition(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert "torch" not in names or "unfold" in path.parts
