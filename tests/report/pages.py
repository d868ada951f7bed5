"""What a page says of itself, read by the standard library's parser."""

from __future__ import annotations

import base64
import html.parser
import re
from dataclasses import dataclass, field

VOID = {"meta", "img", "br", "rect", "link", "hr", "input"}
LOADS = {"src", "srcset", "poster", "data", "background", "action", "formaction", "xlink:href"}
"""Attributes from which a browser fetches."""


@dataclass
class Page(html.parser.HTMLParser):
    """Elements, headings, pictures and text of a page; an element that is not closed is an error."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    text: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, content: str) -> Page:
        page = cls()
        page.feed(content)
        page.close()
        assert page._open == [], f"not closed: {page._open}"
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"{tag}: an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))
        if tag == "pre":
            self.code.append("")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes {self._open[-1]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if self._open and re.fullmatch("h[1-6]", self._open[-1]):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)
        if "pre" in self._open:
            self.code[-1] += data
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def pictures(self) -> list[bytes]:
        """Content of every picture; one that is not inside of the page is an error."""
        found = []
        for image in self.all("img"):
            head, _, content = (image["src"] or "").partition(",")
            assert head == "data:image/svg+xml;base64"
            found.append(base64.b64decode(content, validate=True))
        return found

    def loaded(self) -> list[str]:
        """Everything that a browser would fetch or run."""
        bad = []
        for tag, attributes in self.elements:
            if tag in ("script", "iframe", "object", "embed", "link", "base", "form", "audio", "video", "source"):
                bad.append(tag)
            for name, value in attributes.items():
                if name in LOADS and not (value or "").startswith("data:"):
                    bad.append(f"{tag} {name}={value}")
                if name.startswith("on") or name == "style":
                    bad.append(f"{tag} {name}={value}")
                if name == "href" and not re.match("#|https://", value or ""):
                    bad.append(f"{tag} {name}={value}")
        return bad
