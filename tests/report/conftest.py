"""Reports that the tests look at."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnifold_pub import Theory, UnfoldingResult, open_release, publish
from omnifold_pub.closure import closure_table
from omnifold_pub.report import write_report
from omnifold_pub.schemas import check
from tests.conftest import ROOT, make_result

DIAGNOSTICS = json.loads((ROOT / "release/metadata.json").read_text())["unfolding"]["diagnostics"][:2]
"""Of real trainings."""

HOSTILE = (
    "</title></style>\"'><script>alert(1)</script><img src=x onerror=alert(1)> {{ 7 * 191 }} {% endif %} "
    "$\\frac{1}{$ $$ &lt;b&gt; javascript:alert(1) https://evil.example/x"
)
"""Text that means something to every language that it passes through: HTML, CSS, JavaScript, Jinja2, LaTeX."""

_CHECKED = {"expression", "estimator", "centre", "divisor", "missing", "schema_version", "created", "contact"}
"""Keys whose text has a meaning that publishing checks."""

BINS = {"x": [-10.0, -1.0, 0.0, 1.0, 10.0], "z": [0.0, 0.5, 1.0]}


def poisoned(metadata: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return metadata with hostile text wherever the schema takes any text, and in how many places."""
    document = copy.deepcopy(metadata)
    filled = {"schema_version": "1.1.0", "created": "2026-01-31T12:00:00Z", "events": 500}
    covariance = {"estimator": "x", "centre": "x", "divisor": "x", "correlation": "estimated"}
    count = 0

    def is_fine() -> bool:
        parts = [{"covariance": covariance, **component} for component in document["components"]]
        return not check({**document, **filled, "components": parts}, "release")

    pending: list[Any] = [document]
    while pending:
        node = pending.pop()
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if key in _CHECKED:
                continue
            if isinstance(value, str):
                node[key] = HOSTILE
                fine = is_fine()
                count += fine
                node[key] = HOSTILE if fine else value
            elif isinstance(value, dict | list):
                pending.append(value)
    return document, count


def with_everything(result: UnfoldingResult) -> UnfoldingResult:
    """Return a result with every optional thing that a report shows."""
    metadata = copy.deepcopy(result.metadata)
    metadata["unfolding"]["diagnostics"] = DIAGNOSTICS
    metadata["unfolding"]["settings"] = {"iterations": 0, "module": "by hand"}
    metadata["validity"] |= {
        "minimum_effective_events_per_bin": 20,
        "notes": ["A note"],
        "ranges": [{"expression": "x", "minimum": -2, "maximum": 2, "note": "Nobody looked beyond"}],
    }
    metadata |= {"keywords": ["a word"], "references": ["arXiv:1911.09107", "A talk"]}
    metadata["canvases"][0]["description"] = "Others"
    return UnfoldingResult(**{**vars(result), "metadata": metadata})


def a_theory(name: str = "theory", unit: str | None = "pb", total: float = 10.0) -> Theory:
    rng = np.random.default_rng(1)
    weights = np.full(300, total / 300)
    return Theory.from_arrays({"x": rng.normal(size=300), "z": rng.random(300)}, weights, unit=unit, name=name)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a release with everything."""
    folder = tmp_path_factory.mktemp("whole")
    path = publish(with_everything(make_result()), folder / "whole.h5")
    with open_release(path) as release:
        total = float(release.nominal_weights.sum())
        truth = a_theory("truth", total=total)
        with pytest.warns(match="does not vouch"):
            closure = closure_table(release, truth, observables=BINS, classifier=False, projections=3)
        theories = [a_theory(total=total), a_theory("a shape", None)]
        write_report(
            release, folder / "report.html", observables=BINS, theories=theories, beside=[truth], closure=closure
        )
    return folder / "report.html"


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a release whose metadata want to do harm, and of a theory that does too."""
    folder = tmp_path_factory.mktemp("hostile")
    result = with_everything(make_result())
    metadata, count = poisoned(result.metadata)
    assert count > 50
    path = publish(UnfoldingResult(**{**vars(result), "metadata": metadata}), folder / "hostile.h5")
    with open_release(path) as release:
        theory = a_theory(HOSTILE, total=float(release.nominal_weights.sum()))
        write_report(release, folder / "report.html", observables=["x", "z"], theories=[theory])
    return folder / "report.html"


@pytest.fixture
def bare(tmp_path: Path) -> Callable[..., Path]:
    """Publish a release without families, closure, diagnostics, prior, or what is changed besides."""

    def make(**changes: Any) -> Path:
        result = make_result()
        components = [
            {"name": "luminosity", "kind": "scale", "description": "known to 2 %", "relative_uncertainty": 0.02},
            {"name": "sampling", "kind": "event_sampling", "description": "finite number of events", "seed": 3},
        ]
        metadata = result.metadata | {
            "components": components,
            "closure": {"performed": False, "description": "Nobody made one", "results": [], "tests": []},
        }
        metadata["weights"] = metadata["weights"] | {"prior": False, "central_value": {"rule": "single"}}
        del metadata["canvases"], metadata["networks"]
        fields = {**vars(result), "families": {}, "prior": None, "canvases": {}, "closure": {}, "networks": {}}
        return publish(UnfoldingResult(**{**fields, "metadata": metadata | changes}), tmp_path / "bare.h5")

    return make
