"""Objects of a bucket as files for DuckDB, which cannot bring its own client for them along. They can only be read.

DuckDB's client (``httpfs``) is an extension that it would fetch from the network; datakeep never lets it.
obstore, which moves datakeep's own bytes, reads them instead.
"""

from __future__ import annotations

import fnmatch
import re
from typing import Any

from fsspec.spec import AbstractFileSystem

from datakeep.core.errors import AccessDenied, DatakeepError
from datakeep.extract.sql.faults import DatabaseUnreachable

_MAGIC = re.compile(r"[*?\[]")
_URL = re.compile(r"(\w+)://([^/]+)/(.*)", re.DOTALL)


class ObjectFiles(AbstractFileSystem):  # type: ignore[misc]  # a class of a package without types
    """The objects of every bucket of one scheme, with the credentials of the environment.

    Args:
        scheme: ``s3``, ``gs`` or ``az``. Endpoint, region and keys are taken from the variables that obstore reads:
            ``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ACCESS_KEY_ID`` …
    """

    cachable = False

    def __init__(self, scheme: str) -> None:
        super().__init__()
        self.protocol = scheme
        self._stores: dict[str, Any] = {}

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """Size, time and ETag of one object.

        Raises:
            FileNotFoundError: There is none.
        """
        store, key = self._at(path)
        found = store.head(key)
        return {
            "name": path, "size": found["size"], "type": "file", "etag": found["e_tag"],
            "last_modified": found["last_modified"],
        }  # fmt: skip

    def modified(self, path: str) -> Any:
        """When the object was written."""
        return self.info(path)["last_modified"]

    def glob(self, path: str, **_options: Any) -> list[str]:
        """The objects that match ``path``, sorted; ``*`` ends at ``/``, ``**`` does not."""
        path = self._whole(path)
        if not _MAGIC.search(path):
            return [path] if self.exists(path) else []
        store, pattern = self._at(path)
        start = _MAGIC.split(pattern, maxsplit=1)[0].rpartition("/")[0]
        expression = re.compile(_expression(pattern))
        keys = [entry["path"] for chunk in store.list(start or None) for entry in chunk]
        head = path[: len(path) - len(pattern)]
        return sorted(f"{head}{key}" for key in keys if expression.fullmatch(key))

    def exists(self, path: str, **_options: Any) -> bool:
        """Whether there is such an object."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> Any:
        if mode != "rb":
            raise PermissionError(f"{path} is opened for reading only")
        from obstore import open_reader

        store, key = self._at(path)
        return open_reader(store, key)

    def _whole(self, path: str) -> str:
        return path if path.startswith(f"{self.protocol}://") else f"{self.protocol}://{path}"

    def _at(self, path: str) -> tuple[Any, str]:
        from obstore.store import from_url

        match = _URL.fullmatch(self._whole(path))
        if match is None:
            raise FileNotFoundError(path)
        scheme, bucket, key = match.groups()
        if bucket not in self._stores:
            self._stores[bucket] = from_url(f"{scheme}://{bucket}", retry_config={"max_retries": 2})
        return self._stores[bucket], key


def fault_of(error: Exception, url: str) -> DatakeepError:
    """What obstore says of an object, as ours."""
    said = re.sub(r"\s+", " ", str(error)).strip()
    if isinstance(error, PermissionError) or any(
        word in type(error).__name__ for word in ("Permission", "Unauth")
    ):
        return AccessDenied(
            f"{url} may not be read: {said[:200]}", next_step="ask who owns the bucket for the right"
        )
    return DatabaseUnreachable(
        f"{url} cannot be read: {said[:200]}",
        next_step="check AWS_ENDPOINT_URL, AWS_REGION and the keys, or the like of another cloud, in the environment",
    )


def _expression(pattern: str) -> str:
    """A glob as a regular expression over keys."""
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(part) or _classes(part) for part in parts if part)


def _classes(part: str) -> str:
    """Literal text, in which ``[a-c]`` may stand."""
    return fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z")
