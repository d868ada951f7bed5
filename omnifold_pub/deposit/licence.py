"""The licence of a deposit: its name, its address, and its text where the package ships it.

The texts of CC0-1.0, CC-BY-4.0 and Apache-2.0 are their authors' own plain texts, those of MIT and BSD-3-Clause the
SPDX list's. For every other licence the file names it and says where its text is: a text from memory is no licence.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

from omnifold_pub.deposit.creators import creators

__all__ = ["Licence", "licence_of", "licence_text"]


@dataclass(frozen=True)
class Licence:
    """One licence of the SPDX list.

    Attributes
    ----------
    spdx : str
        Identifier.
    name : str
        In full.
    url : str
        Where its text is, as its authors publish it.
    """

    spdx: str
    name: str
    url: str

    @property
    def spdx_url(self) -> str:
        """Its page in the SPDX list."""
        return f"https://spdx.org/licenses/{self.spdx}.html"


_CC = "https://creativecommons.org"
_LICENCES = (
    Licence("CC0-1.0", "Creative Commons Zero v1.0 Universal", f"{_CC}/publicdomain/zero/1.0/legalcode"),
    Licence("CC-BY-4.0", "Creative Commons Attribution 4.0 International", f"{_CC}/licenses/by/4.0/legalcode"),
    Licence("CC-BY-3.0", "Creative Commons Attribution 3.0 Unported", f"{_CC}/licenses/by/3.0/legalcode"),
    Licence(
        "CC-BY-SA-4.0",
        "Creative Commons Attribution Share Alike 4.0 International",
        f"{_CC}/licenses/by-sa/4.0/legalcode",
    ),
    Licence(
        "CC-BY-NC-4.0",
        "Creative Commons Attribution Non Commercial 4.0 International",
        f"{_CC}/licenses/by-nc/4.0/legalcode",
    ),
    Licence(
        "CC-BY-NC-SA-4.0",
        "Creative Commons Attribution Non Commercial Share Alike 4.0 International",
        f"{_CC}/licenses/by-nc-sa/4.0/legalcode",
    ),
    Licence("ODC-By-1.0", "Open Data Commons Attribution License v1.0", "https://opendatacommons.org/licenses/by/1.0/"),
    Licence(
        "ODbL-1.0", "Open Data Commons Open Database License v1.0", "https://opendatacommons.org/licenses/odbl/1.0/"
    ),
    Licence(
        "PDDL-1.0",
        "Open Data Commons Public Domain Dedication & License 1.0",
        "https://opendatacommons.org/licenses/pddl/1.0/",
    ),
    Licence(
        "CDLA-Permissive-2.0", "Community Data License Agreement Permissive 2.0", "https://cdla.dev/permissive-2-0"
    ),
    Licence("CDLA-Sharing-1.0", "Community Data License Agreement Sharing 1.0", "https://cdla.dev/sharing-1-0"),
    Licence("MIT", "MIT License", "https://opensource.org/license/mit"),
    Licence("BSD-3-Clause", 'BSD 3-Clause "New" or "Revised" License', "https://opensource.org/license/bsd-3-clause"),
    Licence("Apache-2.0", "Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
)


def licence_of(metadata: dict[str, Any]) -> Licence:
    """Return the licence of a release; its schema allows no other than those known here.

    >>> licence_of({"licence": "CC0-1.0"}).name
    'Creative Commons Zero v1.0 Universal'
    """
    return next(licence for licence in _LICENCES if licence.spdx == metadata["licence"])


def licence_text(metadata: dict[str, Any]) -> str:
    """Return what goes into the file LICENSE.

    Year and holders of MIT and BSD-3-Clause are the release's year and creators.

    >>> print(licence_text({"licence": "ODbL-1.0", "title": "Z+jets"}))
    Z+jets is published under the Open Data Commons Open Database License v1.0.
    <BLANKLINE>
    SPDX-License-Identifier: ODbL-1.0
    Text of the licence: https://opendatacommons.org/licenses/odbl/1.0/
    The same in the SPDX list: https://spdx.org/licenses/ODbL-1.0.html
    <BLANKLINE>
    """
    licence = licence_of(metadata)
    shipped = resources.files("omnifold_pub.deposit").joinpath(f"licences/{licence.spdx}.txt")
    if not shipped.is_file():
        return (
            f"{' '.join(metadata['title'].split())} is published under the {licence.name}.\n\n"
            f"SPDX-License-Identifier: {licence.spdx}\n"
            f"Text of the licence: {licence.url}\n"
            f"The same in the SPDX list: {licence.spdx_url}\n"
        )
    text = shipped.read_text(encoding="utf-8")
    if licence.spdx in {"MIT", "BSD-3-Clause"}:
        holders = "; ".join(creator.name for creator in creators(metadata))
        text = text.replace("<year>", metadata["created"][:4], 1)
        text = text.replace("<copyright holders>", holders, 1).replace("<owner>", holders, 1)
    return text
