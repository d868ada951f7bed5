"""The example's modules, which import each other as `python examples/inspection/run.py` lets them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "inspection"


@pytest.fixture(scope="session")
def inspection() -> Iterator[Callable[[str], ModuleType]]:
    """Import a module of the example by its name."""
    if importlib.util.find_spec("plotnine") is None:
        pytest.skip("plotnine is not installed (extra 'examples'): its table of stones is what the example inspects")
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
