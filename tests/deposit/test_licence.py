from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from omnifold_pub.deposit.licence import licence_of, licence_text
from omnifold_pub.schemas import load_schema

ALLOWED: list[str] = load_schema("release")["$defs"]["licence"]["enum"]

SHIPPED = {
    "CC0-1.0": ("CC0 1.0 Universal", "has no duty or obligation with respect to this CC0 or use of the Work."),
    "CC-BY-4.0": ("Attribution 4.0 International", "Creative Commons may be contacted at creativecommons.org."),
    "MIT": ("Copyright (c) 2026 Noether, Emmy; A & B Collaboration", "USE OR OTHER DEALINGS IN THE SOFTWARE."),
    "BSD-3-Clause": ("Copyright (c) 2026 Noether, Emmy; A & B Collaboration.", "POSSIBILITY OF SUCH DAMAGE."),
    "Apache-2.0": ("Version 2.0, January 2004", "limitations under the License."),
}


@pytest.mark.parametrize("spdx", ALLOWED)
def test_every_licence_of_the_schema_is_known(metadata: dict[str, Any], spdx: str) -> None:
    metadata["licence"] = spdx
    licence = licence_of(metadata)
    assert licence.url.startswith("https://")
    text = licence_text(metadata)
    assert text.endswith("\n")
    if spdx in SHIPPED:
        first, last = SHIPPED[spdx]
        assert first in text
        assert " ".join(text.split()).endswith(last)
        assert not re.search(r"<(year|owner|copyright holders)>", text)
    else:
        assert f"SPDX-License-Identifier: {spdx}\n" in text
        assert licence.url in text
        assert len(text) < 500  # names it, and invents nothing


@pytest.mark.parametrize("spdx", ["CC0-1.0", "Apache-2.0"])
def test_texts_are_those_that_debian_ships(metadata: dict[str, Any], spdx: str) -> None:
    theirs = Path("/usr/share/common-licenses") / spdx
    if not theirs.is_file():
        pytest.skip("no folder of licences on this machine")
    metadata["licence"] = spdx
    assert licence_text(metadata).split() == theirs.read_text(encoding="utf-8").split()
