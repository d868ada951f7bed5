from pathlib import Path

import omnifold_pub


def test_fixture(release_path: Path, quick_release: Path) -> None:
    assert omnifold_pub.validate(release_path).valid
    assert omnifold_pub.validate(quick_release).valid
