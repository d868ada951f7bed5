from __future__ import annotations

from typing import Any

from omnifold_pub.schemas import check


def test_metadata_of_these_tests_are_what_the_schema_asks_for(metadata: dict[str, Any]) -> None:
    assert check(metadata, "release") == []
