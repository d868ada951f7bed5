"""Formulas as MathML: every browser of today draws it, without a script and without a network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

_BAR = re.compile(r'<mover accent="true">(\s*<mi>\w+</mi>\s*)<mo stretchy="false">\u02c9</mo>')


def _mathml(tex: str, *, block: bool = False) -> str:
    """Return a formula as MathML; where there is no font for mathematics, Chromium draws a bar in this form alone."""
    return _BAR.sub(r"<mover>\1<mo>_</mo>", tex2mathml(tex, as_block=block))


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(_mathml(node.astext()))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{_mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Make it the renderer of formulas."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
