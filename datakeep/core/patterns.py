"""Globs over paths, for the splits of a dataset: ``data/train/**``.

The language, without the exceptions of ``.gitignore``: a pattern is compared with the whole path, ``*`` is
any characters but ``/``, ``?`` is one of them, ``[a-c]`` and ``[!a-c]`` are one out of (or not out of) a
set, and ``**`` as a whole component is any number of folders, at the end everything below. A pattern that
ends in ``/`` means everything below that folder. There is no escape: write ``[*]`` for a star. Names that
begin with a dot are names like all others.

Patterns come from manifests that may be hostile, so matching never backtracks over more than one star.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datakeep.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_WILD = re.compile(r"[*?\[]")
_PIECE = re.compile(r"\*+|\?|\[!?\]?[^\]/]*\]|[^*?\[]+|\[")


def compile_patterns(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether any of ``patterns`` matches a path, as a function that is fast for many paths.

    Args:
        patterns: Globs relative to the dataset repository.

    Raises:
        UsageError: A pattern is empty, absolute, has the component ``.`` or ``..``, or has a range that runs
            backwards: it could never match.
    """
    plain: set[str] = set()
    wild: list[str] = []
    for pattern in dict.fromkeys(patterns):
        _check(pattern)
        if _WILD.search(pattern) or pattern.endswith("/"):
            wild.append(_expression(pattern))
        else:
            plain.add(pattern)
    if not wild:
        return plain.__contains__
    matches = re.compile("|".join(f"(?:{expression})" for expression in wild), re.DOTALL).fullmatch
    return lambda path: path in plain or matches(path) is not None


def splitter(splits: Mapping[str, Sequence[str]]) -> Callable[[str], str | None]:
    """Which split a path belongs to, as a function that is fast for many paths.

    The function returns None for a path in no split, and raises UsageError, naming the splits, for one in
    several.

    Args:
        splits: Split name to globs.

    Raises:
        UsageError: A pattern is malformed.
    """
    compiled = [(name, compile_patterns(patterns)) for name, patterns in splits.items()]

    def split_of_path(path: str) -> str | None:
        found = [name for name, matches in compiled if matches(path)]
        if len(found) > 1:
            raise UsageError(
                f"{path!r} belongs to more than one split: {' and '.join(map(repr, found))}",
                next_step="change the patterns under 'splits' so that each file is in one split at most",
            )
        return found[0] if found else None

    return split_of_path


def split_of(path: str, splits: Mapping[str, Sequence[str]]) -> str | None:
    """The split that ``path`` belongs to, or None; for many paths, :func:`splitter` compiles once.

    Raises:
        UsageError: It belongs to several, or a pattern is malformed.
    """
    return splitter(splits)(path)


def _check(pattern: str) -> None:
    parts = pattern.removesuffix("/").split("/")
    if not pattern or pattern.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise UsageError(
            f"the pattern {pattern!r} can match no file: it must be relative, without '.' or '..'",
            next_step="write it as in data/train/**",
        )


def _expression(pattern: str) -> str:
    """The pattern as a regular expression, to be compared with a whole path.

    Between two ``**`` the first place that fits is taken for good (an atomic group): whatever follows is
    found behind a later place too if it is found at all.
    """
    parts = (pattern + "**" if pattern.endswith("/") else pattern).split("/")
    runs: list[list[str]] = [[]]
    for part in parts:
        if part == "**":
            runs.append([])
        else:
            runs[-1].append(_component(part, pattern))
    first, *later = ["/".join(run) for run in runs]
    if not later:
        return first
    expression = f"{first}/" if first else ""
    for run in later[:-1]:
        if run:
            expression += f"(?>(?:[^/]+/)*?{run}/)"
    return expression + (f"(?:[^/]+/)*{later[-1]}" if later[-1] else "(?:[^/]+/)*[^/]+")


def _component(part: str, pattern: str) -> str:
    """One component; as with ``**``, the first place that fits behind each star but the last is final."""
    chunks: list[str] = [""]
    for piece in _PIECE.findall(part):
        if piece.startswith("*"):
            chunks.append("")
        else:
            chunks[-1] += _piece(piece, pattern)
    first, *later = chunks
    if not later:
        return first
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in later[:-1] if chunk)
    return f"{first}{middle}[^/]*{later[-1]}"


def _piece(piece: str, pattern: str) -> str:
    if piece == "?":
        return "[^/]"
    if len(piece) < 3 or not piece.startswith("["):
        return re.escape(piece)
    negated = piece[1] == "!"
    inside = piece[2 if negated else 1 : -1]
    members = re.sub(r"([\\^\[\]&~|])", r"\\\1", inside)
    expression = f"(?!/)[{'^' if negated else ''}{members}]"
    try:
        re.compile(expression)
    except re.error as error:
        raise UsageError(
            f"the pattern {pattern!r} has a set that is none: {piece!r}",
            next_step="write the range forwards, as in [a-z]",
        ) from error
    return expression
