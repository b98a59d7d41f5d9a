"""Which files a query names, so that DuckDB may read these and no others; and what they were, byte for byte."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import AccessDenied, SourceChanged, Unsupported
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.file_traits import digest_and_traits
from datakeep.extract.sql.interface import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.extract.sql.file_traits import Traits
    from datakeep.extract.sql.object_files import ObjectFiles

_SCHEMES = ("s3", "gs", "az")
_FAR = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_MAGIC = re.compile(r"[*?\[]")
#: What DuckDB takes for a file where a table could stand.
_FILE = re.compile(r"\.(csv|tsv|parquet|jsonl?|ndjson|txt)(\.(gz|zst))?$", re.IGNORECASE)

#: Table functions that read the files that they are given; glob(), which only lists them, is none.
_READERS = re.compile(r"read_|parquet_|sniff_csv$|st_read", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """What one string of a query stands for.

    Attributes:
        written: As the query has it; it may be a pattern.
        files: Each file, absolute, with what identifies it: size and time, or ETag.
    """

    written: str
    files: tuple[tuple[str, tuple[Any, ...]], ...]

    @property
    def paths(self) -> list[str]:
        """What DuckDB may open for it."""
        return [self.written, *(path for path, _ in self.files)]


class Buckets:
    """The file system of each scheme of far files, made when its first file is named.

    Attributes:
        made: Those that were.
    """

    def __init__(self) -> None:
        self.made: dict[str, ObjectFiles] = {}

    def of(self, scheme: str) -> ObjectFiles | None:
        """That of ``scheme``; None if there is none for it."""
        if scheme in _SCHEMES and scheme not in self.made:
            from datakeep.extract.sql.object_files import ObjectFiles

            self.made[scheme] = ObjectFiles(scheme)
        return self.made.get(scheme)


def named_by(text: str, values: Mapping[str, Any], far: Buckets) -> list[Named]:
    """The files that a query names, in a FROM or as the argument of a table function.

    Args:
        text: The query, with ``$name`` for its parameters.
        values: The value of each, which may be the name of a file too.
        far: The file systems of far files.

    Raises:
        QueryRefused: A file that it names is not there.
        Unsupported: It names a file behind a scheme that cannot be read.
        DatabaseUnreachable, AccessDenied: A bucket does not answer, or does not let this user in.
    """
    found = []
    for written, sure, _ in dict.fromkeys(_names(text, values)):
        named = look_up(written, far)
        if named.files:
            found.append(named)
        elif sure:
            raise no_file(written)
    return found


def no_file(path: str) -> QueryRefused:
    """A query names a file that is not there; a relative path is of the current folder."""
    looked_at = path if _FAR.match(path) else str(Path(path).absolute())
    return QueryRefused(
        f"there is no file {looked_at}, which the query reads",
        next_step="check the path; one that is not absolute begins in your current folder",
    )


def rooted(name: str, folder: Path | None) -> str:
    """The name of a file, or a pattern of some, that begins in ``folder`` (None: in the current one)."""
    return name if folder is None or _FAR.match(name) else str(folder / name)


def places(text: str, values: Mapping[str, Any], folder: Path | None) -> Iterator[tuple[int, int, str]]:
    """Start, end (exclusive) and what is to stand there, of each name of a file in a query that begins in ``folder``.

    Args:
        text: The query; placeholders are ``$name`` or ``:name``.
        values: Of its parameters.
        folder: None, where names begin in the current one, gives nothing.
    """
    import sqlglot

    if folder is None:
        return
    names = {
        name
        for name, sure, is_argument in _names(text, values)
        if sure or is_argument or is_there(name, folder)
    }
    for token in sqlglot.tokenize(text, read="duckdb"):
        if (
            token.token_type in (sqlglot.TokenType.STRING, sqlglot.TokenType.IDENTIFIER)
            and token.text in names
        ):
            quote = text[token.start]
            inside = rooted(token.text, folder).replace(quote, quote * 2)
            yield token.start, token.end + 1, f"{quote}{inside}{quote}"


def is_there(name: str, folder: Path) -> bool:
    """Whether it is the name of a file in ``folder``, or in the current one, in which it does not begin."""
    return any(look_up(name, Buckets(), place).files for place in (folder, None))


def look_up(written: str, far: Buckets, folder: Path | None = None) -> Named:
    """The files that ``written`` stands for now; none if there are none."""
    match = _FAR.match(written)
    if match is None:
        written, shown = rooted(written, folder), written
        # Not pathlib's: a pattern of DuckDB's may be absolute, and hold .. and links.
        paths = sorted(glob.glob(written, recursive=True)) if _MAGIC.search(written) else [written]  # noqa: PTH207
        found = [Path(path) for path in paths]
        return Named(
            shown, tuple((str(path.absolute()), _state(str(path))) for path in found if path.is_file())
        )
    system = far.of(match[1].lower())
    if system is None:
        raise Unsupported(
            f"{written} cannot be read by a query: of far files, only those of {', '.join(_SCHEMES)} can",
            next_step="download it first, and name the local file",
        )
    try:
        return Named(written, tuple((path, _far_state(system, path)) for path in system.glob(written)))
    except Exception as error:  # obstore's errors have no common base but Exception
        from datakeep.extract.sql.object_files import fault_of

        raise fault_of(error, written) from error


class Fingerprints:
    """What the files of a session are, byte for byte; each is read once, and held against its state again later.

    Attributes:
        traits: Path of a file of this machine to what was seen in its bytes, on the way of its digest.
    """

    def __init__(self, far: Buckets) -> None:
        self._far = far
        self._kept: dict[str, SourceFile] = {}
        self.traits: dict[str, Traits] = {}

    def of(self, named: Named) -> tuple[SourceFile, ...]:
        """Size and sha256 of each file; of an object its ETag, so that it is not fetched twice.

        Raises:
            SourceChanged: A file is not what it was when its name was first looked up.
        """
        return tuple(self._of(path, state) for path, state in named.files)

    def _of(self, path: str, state: tuple[Any, ...]) -> SourceFile:
        match = _FAR.match(path)
        system = self._far.of(match[1].lower()) if match else None
        if path not in self._kept:
            size = int(state[0])
            version = state[1] if system else None
            sha256 = None
            if not system:
                sha256, self.traits[path] = digest_and_traits(Path(path))
            self._kept[path] = SourceFile(path, size, sha256, version)
        if (_far_state(system, path) if system else _state(path)) != state:
            raise SourceChanged(
                f"{path} changed while the query read it", next_step="run it again when it is written"
            )
        return self._kept[path]


def _names(text: str, values: Mapping[str, Any]) -> Iterator[tuple[str, bool, bool]]:
    """What may be a file, whether it can be nothing else, and whether it is the argument of a function."""
    import sqlglot
    from sqlglot import exp

    for table in sqlglot.parse_one(text, read="duckdb").find_all(exp.Table):
        if isinstance(table.this, exp.Identifier):
            if table.this.quoted and not table.args.get("db"):
                is_file = _FAR.match(table.name) or _FILE.search(table.name)
                yield table.name, is_file is not None, False
            continue
        for argument in arguments(table.this) if _READERS.match(called(table.this)) else ():
            if isinstance(argument, exp.Literal) and argument.is_string:
                yield argument.name, False, True
            elif isinstance(argument, exp.Placeholder | exp.Parameter) and isinstance(
                values.get(argument.name), str
            ):
                yield values[argument.name], False, True


def called(call: Any) -> str:
    """The name of a function."""
    from sqlglot import exp

    return str(
        call.name
        if isinstance(call, exp.Anonymous)
        else call.sql_name()
        if isinstance(call, exp.Func)
        else ""
    )


def arguments(call: Any) -> list[Any]:
    """The arguments of a function that have no name, out of their lists."""
    from sqlglot import exp

    given = [call.args.get("this"), *call.expressions]
    flat = [one for item in given for one in (item.expressions if isinstance(item, exp.Array) else [item])]
    return [one for one in flat if isinstance(one, exp.Expression)]


def _state(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except PermissionError as error:
        raise AccessDenied(f"{path} may not be read", next_step=f"type: ls -l {path}") from error
    return found.st_size, found.st_mtime_ns


def _far_state(system: ObjectFiles, path: str) -> tuple[int, str | None]:
    found = system.info(path)
    return found["size"], found["etag"]
