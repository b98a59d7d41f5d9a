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


def teller(record: ModelRecord) -> Callable[[str], str]:
    """What makes of a word of the record's command, or of a parameter's text, the one that is compared.

    Args:
        record: Its inputs say which dataset ``{data}`` is, its code where the script lies in the work tree.
    """
    datasets = list(dict.fromkeys(given.dataset for given in record.inputs))
    meant = {environment_variable(name): f"{{{name}}}" for name in datasets} | {"DATAKEEP_OUT": "{out}"}
    checkout = _checkout(record)

    def told(text: str) -> str:
        text = _VARIABLE.sub(lambda found: meant.get(found["braced"] or found["bare"], found[0]), text)
        if len(datasets) == 1:
            text = text.replace("{data}", f"{{{datasets[0]}}}")
        return text.replace(f"{checkout}/", "") if checkout else text

    return told


def command_alike(record: ModelRecord) -> list[str]:
    """The command as :func:`teller` tells it; the interpreter by its name, since its version is environment."""
    told = teller(record)
    words = [told(word) for word in record.command]
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
