"""Documents that people write: YAML or JSON, read without surprises."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from omnifold_pub.errors import InputError
from omnifold_pub.extras import require

__all__ = ["read_document"]


def read_document(path: Path, *, purpose: str, error: type[InputError] = InputError) -> Any:
    """Read a YAML document, or a JSON document where the name ends in ``.json``.

    A key that occurs twice is refused in both: it is a mistake, not an override. YAML is read by a safe loader,
    which knows ``1e-5`` for the number that it is.

    Parameters
    ----------
    path : pathlib.Path
        The file, UTF-8.
    purpose : str
        What it is read for, for the message where PyYAML is not installed.
    error : type
        What to raise.

    Returns
    -------
    object
        Mappings, lists, text and numbers; whatever the document holds.

    Raises
    ------
    InputError
        Or the subclass asked for: the file cannot be read, or is not a document of its kind.
    MissingExtraError
        If PyYAML is needed and not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "example.yaml")
    ...     _ = file.write_text("tolerance: 1e-5")
    ...     read_document(file, purpose="Reading an example")
    {'tolerance': 1e-05}
    """
    kind = "JSON" if path.suffix.lower() == ".json" else "YAML"
    if kind == "YAML":
        require("yaml", extra="yaml", purpose=purpose)
    try:
        text = path.read_text(encoding="utf-8")
        return _parse_json(text) if kind == "JSON" else _parse_yaml(text)
    except OSError as reason:
        msg = f"{path}: cannot be read: {reason.strerror}"
        raise error(msg) from None
    except (ValueError, KeyError, AttributeError, RecursionError) as reason:  # the last three are PyYAML's
        msg = f"{path}: not {kind}: {reason}"
        raise error(msg) from None


def _parse_json(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        if len(document) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for i, key in enumerate(keys) if key in keys[:i])
            msg = f"the key {twice!r} occurs twice"
            raise ValueError(msg)
        return document

    return json.loads(text, object_pairs_hook=unique)


def _parse_yaml(text: str) -> Any:
    import yaml

    class UniqueKeys(yaml.SafeLoader):
        """A key that occurs twice is a mistake, not an override."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
            merged = "tag:yaml.org,2002:merge"
            keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != merged]
            twice = [key for i, key in enumerate(keys) if key in keys[:i]]  # keys need not be text here
            if twice:
                problem = f"the key {twice[0]!r} occurs twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            self.flatten_mapping(node)
            return super().construct_mapping(node, deep)

    # YAML 1.1, which PyYAML reads, wants a point in a number with an exponent; JSON and YAML 1.2 do not.
    exponent = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$")
    UniqueKeys.add_implicit_resolver("tag:yaml.org,2002:float", exponent, list("-+0123456789"))
    try:
        return yaml.load(text, Loader=UniqueKeys)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as reason:
        raise ValueError(str(reason)) from None
