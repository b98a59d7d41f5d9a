"""Which file names may be in a dataset: those that mean the same thing on every machine.

The rules are decision 12 of the design: UTF-8, NFC, no twins under NFC or case folding, no absolute
paths, no ``..``, no ``.git``, no control characters. They are applied to what a user hands in and,
again, to everything that is read from a repository or store, which may be hostile.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Names that change how git or DVC treat the folder they lie in, or that DVC skips without a word (``.hg``).
RESERVED_COMPONENTS = frozenset({".git", ".hg", ".dvc", ".dvcignore"})
#: The longest name of one component that common file systems can hold, in bytes.
MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 4096
#: What almost every path looks like: no component is special, and none is too long if the whole is not.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.=+-]*)*")


#: What Windows cannot have in a name, a component that it cuts off, and the names that it keeps for devices.
_NOT_ON_WINDOWS = re.compile(
    r'[<>:"\\|?*]|[ .](?:/|$)|(?:^|/)(?:con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³])[ ]*(?:\.[^/]*)?(?:/|$)',
    re.IGNORECASE,
)
#: One of these is in every path that this finds, between two "/" and in lower case.
_MARKS_OF_UNLIKE = (
    *'<>:"\\|?*',
    *(" /", "./"),
    *(f"/{device}" for device in ("con", "prn", "aux", "nul", "com", "lpt")),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One path that is refused, why, and the way out."""

    path: str
    reason: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.path!r}: {self.reason}; {self.way_out}"


def refuse(path: str) -> Refusal | None:
    """Why the relative POSIX ``path`` may not be in a dataset; None if it may."""
    if len(path) <= MAX_COMPONENT_BYTES and _PLAIN.fullmatch(path):
        return None
    return (
        _refuse_text(path)
        or _refuse_shape(path)
        or next((found for part in path.split("/") if (found := _refuse_component(path, part))), None)
    )


def unlike_windows(paths: Iterable[str]) -> list[str]:
    """Those of ``paths`` that Windows cannot have, or takes for something else.

    They are warned of and not refused: such names are whole on every other system, and are often another
    program's. The rules are those of Microsoft's "Naming Files, Paths, and Namespaces".
    """
    asked = list(paths)
    # Looked for in all of them at once, which finds most often nothing, in a tenth of the time.
    text = "/\n/".join(["", *asked, ""]).lower()
    if any(mark in text for mark in _MARKS_OF_UNLIKE):
        return [path for path in asked if _NOT_ON_WINDOWS.search(path)]
    return []


def _refuse_text(path: str) -> Refusal | None:
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        shown = path.encode("utf-8", "backslashreplace").decode("utf-8")
        return Refusal(shown, "its name is not UTF-8", "rename it")
    if len(encoded) > MAX_PATH_BYTES:
        return Refusal(path[:60] + "…", f"the path is longer than {MAX_PATH_BYTES} bytes", "shorten it")
    if any(unicodedata.category(character) == "Cc" for character in path):
        return Refusal(path, "its name holds a control character", "rename it")
    if not unicodedata.is_normalized("NFC", path):
        return Refusal(path, "its name is not in Unicode's NFC form", "rename it, or use --normalise-names")
    return None


def _refuse_shape(path: str) -> Refusal | None:
    if not path:
        return Refusal(path, "the name is empty", "rename it")
    if path.startswith("/"):
        return Refusal(path, "it is an absolute path", "use a path inside the dataset")
    if path == "-":
        return Refusal(path, "sha256sum and other tools take it for their standard input", "rename it")
    return None


def _refuse_component(path: str, part: str) -> Refusal | None:
    if part in ("", ".", ".."):
        return Refusal(path, f"it has the component {part!r}", "use a path inside the dataset")
    if _git_folds(part) in RESERVED_COMPONENTS:
        return Refusal(path, f"{part!r} would be taken for git's or DVC's own", "move it out of the source")
    if len(part.encode("utf-8")) > MAX_COMPONENT_BYTES:
        return Refusal(path, f"{part[:30]!r}… is longer than {MAX_COMPONENT_BYTES} bytes", "shorten it")
    return None


def _git_folds(part: str) -> str:
    """How Windows, macOS and file systems that ignore case read ``part`` (git's list of aliases of .git)."""
    folded = "".join(c for c in part.casefold() if unicodedata.category(c) != "Cf").rstrip(" .")
    return ".git" if folded in ("git~1", ".git") or folded.startswith(".git:") else folded


def refuse_twins(paths: Iterable[str]) -> Iterator[Refusal]:
    """Paths, and folders on the way to them, that become one on a machine that folds case or Unicode."""
    seen: dict[str, str] = {}
    for path in paths:
        for prefix in _prefixes(path):
            key = _folded(prefix)
            first = seen.setdefault(key, prefix)
            if first != prefix:
                yield Refusal(
                    prefix,
                    f"it is the same as {first!r} on a machine that ignores case or Unicode form",
                    "rename one",
                )
                break


def _folded(path: str) -> str:
    """The same for all paths that a machine may take for one."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _prefixes(path: str) -> Iterator[str]:
    at = path.find("/")
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)
    yield path


def refuse_file_as_folder(paths: Iterable[str]) -> Iterator[Refusal]:
    """Paths that lie below another path of the same list, which therefore cannot be a file."""
    files = set(paths)
    for path in files:
        for prefix in _prefixes(path):
            if prefix in files and prefix != path:
                yield Refusal(
                    path, f"{prefix!r} is listed as a file as well as a folder", "repair the listing"
                )


def refusals(paths: Iterable[str]) -> list[Refusal]:
    """Everything that is wrong with a set of paths; empty if all are fine."""
    paths = list(paths)
    if _are_plain(paths):
        return []
    single = [found for path in paths if (found := refuse(path))]
    return single or [*refuse_twins(paths), *refuse_file_as_folder(paths)]


def _are_plain(paths: Sequence[str]) -> bool:
    """Whether nothing can be wrong with ``paths``, found out quickly; False says nothing."""
    if not all(map(_PLAIN.fullmatch, paths)) or max(map(len, paths), default=0) > MAX_COMPONENT_BYTES:
        return False
    parents = {path.rpartition("/")[0] for path in paths} - {""}
    folders = {prefix for parent in parents for prefix in _prefixes(parent)}
    # A path that is in lower case is its own, which saves a million texts where there are a million paths.
    folded = {path if path.islower() else path.lower() for path in paths}
    names = {folder.lower() for folder in folders}
    return len(folded) == len(paths) and len(names) == len(folders) and folded.isdisjoint(names)
