"""A model's command and parameters as they would be typed anywhere: without what only says where things lay.

The same folder has several names (``{data}``, ``{orders}``, ``$DATAKEEP_DATA_ORDERS``), and each checkout of the
same code another path. Neither is a difference between two models.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from datakeep.core.names import environment_variable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from datakeep.formats.model import ModelRecord

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>DATAKEEP_\w+)\}|(?P<bare>DATAKEEP_\w+))")
_PYTHON = re.compile(r"python[\d.]*")


def are_alike(old: ModelRecord, new: ModelRecord) -> Callable[[str | None, str | None], bool]:
    """Whether two values of a parameter mean the same; which data a place leads to is told of the data.

    Args:
        old: The record that the first value is of: its inputs say which dataset ``{data}`` is.
        new: That of the second.
    """
    tell_old, tell_new = _teller(old), _teller(new)

    def alike(before: str | None, after: str | None) -> bool:
        if before is None or after is None:
            return before is after
        return bool(tell_old(before) & tell_new(after))

    return alike


def _teller(record: ModelRecord) -> Callable[[str], set[str]]:
    """What makes of a word all that it could have been typed as."""
    datasets = list(dict.fromkeys(given.dataset for given in record.inputs))
    meant = {environment_variable(name): f"{{{name}}}" for name in datasets} | {"DATAKEEP_OUT": "{out}"}
    checkout = _checkout(record)

    def told(text: str) -> set[str]:
        named = _VARIABLE.sub(lambda found: meant.get(found["braced"] or found["bare"], found[0]), text)
        named = named.replace(f"{checkout}/", "") if checkout else named
        if len(datasets) != 1:
            return {text, named}
        only = f"{{{datasets[0]}}}"
        return {text, named.replace("{data}", only), named.replace(only, "{data}")}

    return told


def same_command(old: ModelRecord, new: ModelRecord) -> bool:
    """Whether two commands mean the same; the interpreter goes by its name, since its version is environment."""
    before, after, alike = _words(old), _words(new), are_alike(old, new)
    return len(before) == len(after) and all(map(alike, before, after))


def _words(record: ModelRecord) -> list[str]:
    words = list(record.command)
    if words:
        words[0] = _PYTHON.sub("python", PurePosixPath(words[0]).name)
    return [_script(word, record) for word in words]


def _is_script(word: str, record: ModelRecord) -> bool:
    """Whether a word of the command is the path of the recorded script, from whichever folder."""
    path = record.code.path
    if not (path and record.code.commit):
        return False
    word_parts, path_parts = PurePosixPath(word).parts, PurePosixPath(path).parts
    shorter = min(len(word_parts), len(path_parts))
    return bool(shorter) and word_parts[-shorter:] == path_parts[-shorter:]


def _script(word: str, record: ModelRecord) -> str:
    return str(record.code.path) if _is_script(word, record) else word


def _checkout(record: ModelRecord) -> str:
    """The folder of the code's work tree, as the command's own words tell it; empty where they do not."""
    for word in record.command:
        if word.startswith("/") and _is_script(word, record) and word.endswith(f"/{record.code.path}"):
            return word.removesuffix(f"/{record.code.path}")
    return ""


def bytes_alike(undeclared: Sequence[dict[str, object]]) -> dict[tuple[str, str], str]:
    """Files that no dataset declares, by name and digest, to their path: the folder is only where they lay.

    One whose digest is not known goes by its whole path.
    """
    found = {}
    for one in undeclared:
        path, digest = str(one.get("path")), one.get("sha256")
        found[(PurePosixPath(path).name, str(digest)) if digest else (path, "")] = path
    return found
