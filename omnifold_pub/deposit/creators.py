"""The people and collaborations of a release, as each of the formats wants them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["Creator", "creators", "email_address"]

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")


@dataclass(frozen=True)
class Creator:
    """One creator.

    Attributes
    ----------
    name : str
        As the metadata give it: ``Family, Given`` of a person, or the name of a collaboration.
    affiliation, orcid : str
        Empty where they are not given.
    """

    name: str
    affiliation: str = ""
    orcid: str = ""

    @property
    def is_person(self) -> bool:
        """Whether it is a person: the metadata write persons with a comma, and only persons have an ORCID."""
        return "," in self.name or bool(self.orcid)

    @property
    def family(self) -> str:
        """Family name of a person; the whole name where it is not written with a comma."""
        return self.name.split(",", 1)[0].strip()

    @property
    def given(self) -> str:
        """Given names of a person; empty where there are none.

        >>> Creator("Noether, Emmy").given, Creator("A Collaboration").given
        ('Emmy', '')
        """
        return self.name.partition(",")[2].strip()

    @property
    def orcid_url(self) -> str:
        """ORCID as a URL; empty where there is none."""
        return f"https://orcid.org/{self.orcid}" if self.orcid else ""


def creators(metadata: dict[str, Any]) -> tuple[Creator, ...]:
    """Return the creators of a release, in their order.

    >>> [c.is_person for c in creators({"creators": [{"name": "Noether, Emmy"}, {"name": "A Collaboration"}]})]
    [True, False]
    """
    return tuple(Creator(c["name"], c.get("affiliation", ""), c.get("orcid", "")) for c in metadata["creators"])


def email_address(text: str) -> str:
    """Return the first e-mail address in a text; empty where there is none.

    >>> email_address("The authors <team@example.org>"), email_address("nobody")
    ('team@example.org', '')
    """
    found = _EMAIL.search(text)
    return found.group() if found else ""
