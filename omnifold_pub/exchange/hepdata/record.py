"""What a submission says of the whole measurement: title, licence, keywords, and where the release is."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnifold_pub.errors import PublishError
from omnifold_pub.files import sha256_of

__all__ = ["Record", "escaped"]

_LONGEST_KEYWORD = 128
_LONGEST_LOCATION = 256
_LINKS = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
}


def escaped(text: str) -> str:
    """Return text that HEPData shows as it is: a lone ``<`` would begin a tag of HTML.

    Examples
    --------
    >>> escaped("dR < 0.1 & pT > 25")
    'dR &lt; 0.1 &amp; pT &gt; 25'
    """
    return html.escape(text, quote=False)


@dataclass(frozen=True)
class Record:
    """What is known of a measurement beside its numbers.

    Attributes
    ----------
    metadata : mapping
        Of the release (`omnifold_pub.Release.metadata`); empty: nothing is said of it.
    doi : str
        Of the release; by default the one that its metadata hold.
    files : sequence of pathlib.Path
        Of the release; their sizes and SHA-256 go where the DOI goes.
    reactions : sequence of str
        In HEPData's notation, such as ``P P --> Z0 JET X``. Nothing stands for them: words are no notation.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)
    doi: str = ""
    files: Sequence[Path] = ()
    reactions: Sequence[str] = ()

    @property
    def licence(self) -> dict[str, str]:
        """Name and address, as HEPData asks for them; empty if the metadata name none."""
        name = self.metadata.get("licence")
        if not name:
            return {}
        return {"name": name, "url": _LINKS.get(name, f"https://spdx.org/licenses/{name}.html")}

    def qualifiers(self) -> tuple[dict[str, str | float], ...]:
        """Return what stands above each column of values: reactions and energy."""
        found: list[dict[str, str | float]] = [{"name": "RE", "value": reaction} for reaction in self.reactions]
        if "collision" in self.metadata:
            energy = 1000.0 * self.metadata["collision"]["energy_tev"]
            found.append({"name": "SQRT(S)", "units": "GEV", "value": energy})
        return tuple(found)

    def keywords(self, observables: Sequence[str]) -> list[dict[str, Any]]:
        """Return what a table is found by; energies are in GeV."""
        phrases = [*self.metadata.get("keywords", ())]
        if "process" in self.metadata:
            phrases.append(self.metadata["process"])
        energies = [1000.0 * self.metadata["collision"]["energy_tev"]] if "collision" in self.metadata else []
        named: list[tuple[str, Sequence[object]]] = [
            ("reactions", self.reactions),
            ("observables", observables),
            ("cmenergies", energies),
            ("phrases", [phrase for phrase in phrases if len(phrase) <= _LONGEST_KEYWORD]),
        ]
        return [{"name": name, "values": [*values]} for name, values in named if values]

    def comment(self) -> str:
        """Return what is said of all tables, for people."""
        known = self.metadata
        lines = [known[key] for key in ("title", "description") if key in known]
        if "data_kind" in known:
            lines.append(f"Kind of data: {known['data_kind']}.")
        if "fiducial" in known:
            lines.append(f"Fiducial region: {known['fiducial']['description']}.")
        if "luminosity" in known:
            lines.append(f"Integrated luminosity: {known['luminosity']['value']:.6g} {known['luminosity']['unit']}.")
        if "references" in known:
            lines.append(f"References: {'; '.join(known['references'])}.")
        if not self._doi:
            lines += self._checksums()
        return escaped("\n".join(lines))

    @property
    def _doi(self) -> str:
        doi = self.doi or str(self.metadata.get("doi", ""))
        return doi.removeprefix("https://doi.org/").removeprefix("doi:")

    def _checksums(self) -> list[str]:
        try:
            found = [(file.name, file.stat().st_size, sha256_of(file)) for file in map(Path, self.files)]
        except OSError as error:
            msg = f"{error.filename}: expected a file of the release; found {error.strerror}; name one that is there"
            raise PublishError(msg) from None
        return [f"File of the release: {name}, {size} bytes, sha256 {digest}." for name, size, digest in found]

    def resources(self) -> list[dict[str, Any]]:
        """Return the release as a resource of the whole submission; none if nobody knows its DOI.

        Raises
        ------
        PublishError
            If a file of it cannot be read, or the DOI is too long to be a link of HEPData's.
        """
        if not self._doi:
            return []
        location = f"https://doi.org/{self._doi}"
        if not self._doi.startswith("10.") or len(location) > _LONGEST_LOCATION:
            msg = f"doi: expected one such as 10.5281/zenodo.11507450; found {self._doi[:80]!r}; give the release's own"
            raise PublishError(msg)
        words = (
            "The unbinned release that these tables were made of: events with weights, any observable can be measured."
        )
        resource: dict[str, Any] = {"location": location, "description": " ".join([words, *self._checksums()])}
        return [resource | ({"license": self.licence} if self.licence else {})]
