"""DVC 3's files and layout, written and read without DVC.

Every text and object here is byte for byte what DVC 3.67 writes (decision 1); ``tests/conformance``
lets the real dvc judge. What is read may come from a hostile repository.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datakeep.core import paths
from datakeep.core.errors import HostileRepository, InvalidFile, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.formats.inventory import Inventory
    from datakeep.store.interface import Store

_MD5 = re.compile(r"[0-9a-f]{32}")
_OBJECT_NAME = re.compile(r"[0-9a-f]{32}(\.dir)?")
_PART_ROWS = 65_536
_PLAIN_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_REMOTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
#: What ``dvc init`` writes to ``.dvc/.gitignore``.
FOLDER_GITIGNORE = "/config.local\n/tmp\n/cache\n"
#: No ``.dir`` of a real dataset is larger; a hostile one is refused before it is parsed.
MAX_TREE_BYTES = 2 << 30


#: A text as ``json.dumps`` writes it.
_quoted = json.encoder.encode_basestring_ascii


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a ``.dvc`` file says: the object's name (``….dir`` for a folder), and what it becomes."""

    md5: str
    size_bytes: int | None
    nfiles: int | None
    path: str


def object_key(dataset: str, md5: str) -> str:
    """Where the object ``md5`` (hex, with ``.dir`` for a folder) of ``dataset`` lies in a store.

    Raises:
        ValueError: ``md5`` is not an object's name.
    """
    if not _OBJECT_NAME.fullmatch(md5):
        raise ValueError(f"{md5!r} is not the name of an object")
    return f"{dataset}/files/md5/{md5[:2]}/{md5[2:]}"


def tree_object(inventory: Inventory) -> bytes:
    """The ``.dir`` object of the inventory's files, equal to that of dvc_data's ``Tree.as_bytes``."""
    # The inventory's order, by UTF-8 bytes, is DVC's order, by code points. In parts, each without its brackets,
    # because a dictionary for each of a million files takes more memory than all else.
    parts = []
    for batch in inventory.table.select(["path", "md5"]).to_batches(max_chunksize=_PART_ROWS):
        paths = batch.column("path").to_pylist()
        names = [md5.hex() for md5 in batch.column("md5").to_pylist()]
        rows = [
            f'{{"md5": "{md5}", "relpath": {_quoted(path)}}}' for path, md5 in zip(paths, names, strict=True)
        ]
        parts.append(", ".join(rows).encode("ascii"))
    return b"[" + b", ".join(filter(None, parts)) + b"]"


def parse_tree_object(data: bytes, *, what: str) -> dict[str, str]:
    """The files that a ``.dir`` object lists: path to md5 in hex.

    Args:
        data: The object.
        what: What it is, for messages: ``the file list of orders@v3``.

    Raises:
        InvalidFile: It is not a ``.dir`` object.
        HostileRepository: It names a path that could harm the machine that writes it.
    """
    files = tree_rows(data, what=what)
    refused = paths.refusals(files)
    if refused:
        raise HostileRepository(
            f"{what} names {refused[0]}",
            next_step="do not use this version; ask its owner where it comes from",
            things=[str(refusal) for refusal in refused],
        )
    return files


def tree_rows(data: bytes, *, what: str) -> dict[str, str]:
    """As :func:`parse_tree_object`, but whether the paths are safe is the caller's to judge.

    Raises:
        InvalidFile: It is not a ``.dir`` object.
    """
    if len(data) > MAX_TREE_BYTES:
        raise _invalid(what, f"it is larger than {MAX_TREE_BYTES} bytes")
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError) as fault:
        raise _invalid(what, "it is not JSON") from fault
    if not isinstance(rows, list):
        raise _invalid(what, "it is not a list")
    files: dict[str, str] = {}
    for row in rows:
        path, md5 = _tree_row(row, what)
        if path in files:
            raise _invalid(what, f"it lists {path!r} twice")
        files[path] = md5
    return files


def pointer_file(path: str, md5: str, size_bytes: int, nfiles: int | None = None) -> str:
    """The text of ``<path>.dvc``.

    Args:
        path: The file or folder beside the pointer: ``data``.
        md5: The object's name, with ``.dir`` for a folder.
        size_bytes: Of the file, or of all files of the folder together.
        nfiles: How many files the folder has; None for a file.

    Raises:
        ValueError: ``path`` would need quoting in YAML; datakeep's own names do not.
    """
    if not _PLAIN_PATH.fullmatch(path) or not _OBJECT_NAME.fullmatch(md5):
        raise ValueError(f"no pointer file for {path!r}, {md5!r}")
    count = "" if nfiles is None else f"  nfiles: {nfiles}\n"
    return f"outs:\n- md5: {md5}\n  size: {size_bytes}\n{count}  hash: md5\n  path: {path}\n"


def parse_pointer_file(text: str | bytes, *, what: str) -> Pointer:
    """What a ``.dvc`` file says, whoever wrote it.

    Args:
        text: The file.
        what: What it is, for messages: ``data.dvc of orders@v3``.

    Raises:
        InvalidFile: It is not a ``.dvc`` file with one output.
        Unsupported: It is of DVC 2, or points to a cloud version.
        HostileRepository: Its path could harm the machine that writes it.
    """
    from datakeep.formats import yaml

    outs = yaml.load(text, what=what).get("outs")
    if not isinstance(outs, list) or len(outs) != 1 or not isinstance(outs[0], dict):
        raise _invalid(what, "it has not exactly one output ('outs')")
    out: dict[str, Any] = outs[0]
    if out.get("hash") != "md5":
        raise Unsupported(
            f"{what} was written by DVC 2 or for another kind of hash, which this version does not read",
            next_step="`dvc cache migrate --dvc-files` and commit, or ask the dataset's owner to",
        )
    md5, path = out.get("md5"), out.get("path")
    if not isinstance(md5, str) or not _OBJECT_NAME.fullmatch(md5):
        raise _invalid(what, "its md5 is not the name of an object")
    if not isinstance(path, str):
        raise _invalid(what, "it has no path")
    if refusal := paths.refuse(path):
        raise HostileRepository(
            f"{what} names {refusal}", next_step="do not use this version; ask its owner where it comes from"
        )
    return Pointer(str(md5), _count(out, "size", what), _count(out, "nfiles", what), str(path))


def dvc_config(stores: Sequence[Store], dataset: str) -> str:
    """The text of ``.dvc/config``: one remote for each store, the first one the default.

    Args:
        stores: At least one.
        dataset: The dataset's name; its objects lie at ``<url>/<dataset>``.

    Raises:
        Unsupported: A name or URL cannot be written in a DVC configuration.
    """
    lines = ["[core]", f"    remote = {_remote_name(stores[0].name)}", "    analytics = false"]
    for store in stores:
        lines.append(f"['remote \"{_remote_name(store.name)}\"']")
        lines += [f"    {name} = {_config_value(value)}" for name, value in store.dvc_remote(dataset).items()]
    return "\n".join(lines) + "\n"


def _remote_name(name: str) -> str:
    if _REMOTE_NAME.fullmatch(name):
        return name
    raise Unsupported(
        f"a store of the name {name!r} cannot be a DVC remote",
        next_step="rename it in keep.yaml: letters, digits, '-' and '_' only",
    )


def _config_value(value: str) -> str:
    """``value`` as ConfigObj, DVC's reader, takes it."""
    if any(text in value for text in ("\n", "\r", "\0", "%(")) or ("'" in value and '"' in value):
        raise Unsupported(
            f"the store's url {value!r} cannot be written in a DVC configuration",
            next_step="move the store to a folder whose name has no quotes, line breaks or '%('",
        )
    if value.strip() != value or any(character in value for character in "'\"#,"):
        quote = '"' if "'" in value else "'"
        return f"{quote}{value}{quote}"
    return value


def _tree_row(row: object, what: str) -> tuple[str, str]:
    path, md5 = (row.get("relpath"), row.get("md5")) if isinstance(row, dict) else (None, None)
    if not isinstance(path, str) or not isinstance(md5, str) or not _MD5.fullmatch(md5):
        raise _invalid(what, "an entry has no path or no md5")
    return path, md5


def _count(out: dict[str, Any], field: str, what: str) -> int | None:
    value = out.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _invalid(what, f"its {field} is not a number")
    return int(value)


def _invalid(what: str, why: str) -> InvalidFile:
    return InvalidFile(
        f"{what} cannot be read: {why}", next_step="fetch it again, or ask the dataset's owner to repair it"
    )
