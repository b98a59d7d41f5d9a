"""What MLflow loads for data that datakeep logged: ``get_source().load()`` is the folder of exactly that version.

MLflow imports this module itself, by the entry point ``mlflow.dataset_source``, in whatever program uses it: nothing
of datakeep is imported before a source is loaded. Which keep is asked is for the user to say, never for the server.
"""

from __future__ import annotations

import importlib
import os
import shlex
from pathlib import Path
from typing import Any, Self

KEEP_VARIABLE = "DATAKEEP_KEEP"
_FIELDS = ("keep", "keep_url", "dataset", "version", "commit", "content", "repository")


class Source:
    """One version of a dataset of a keep; with MLflow's base class, :data:`DatakeepSource`.

    Args:
        said: ``keep``, ``keep_url``, ``dataset``, ``version``, ``commit``, ``content`` and ``repository``, as texts.
    """

    def __init__(self, said: dict[str, str]) -> None:
        self._said = {name: str(said.get(name, "")) for name in _FIELDS}

    @staticmethod
    def _get_source_type() -> str:
        return "datakeep"

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:  # noqa: ARG004
        """A source is made of a record, never guessed from a path."""
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> Self:
        raise NotImplementedError(f"datakeep makes no source of {type(raw_source).__name__}")

    @property
    def label(self) -> str:
        """``orders@v3``."""
        return f"{self._said['dataset']}@{self._said['version']}"

    def load(self, keep: str | os.PathLike[str] | None = None) -> Path:
        """The ``data/`` folder of the version: every byte verified, read-only.

        Args:
            keep: The keep's folder, or one in it; by default ``DATAKEEP_KEEP``, else the current folder.

        Raises:
            NotAKeep: There is none, and where it can be cloned from.
            UnknownName: It does not have the version.
            InvalidFile: It has other contents under this name.
            DamagedBytes, StoreUnreachable, AccessDenied, NoSpace: The data cannot be had, or not be put here.
        """
        from datakeep.core.errors import InvalidFile, NotAKeep
        from datakeep.core.progress import Silent
        from datakeep.workflows.given_data import provide
        from datakeep.workflows.keep import open_keep

        folder = Path(keep or os.environ.get(KEEP_VARIABLE) or ".")
        said = self._said
        try:
            opened = open_keep(folder, Silent())
        except NotAKeep as error:
            raise NotAKeep(
                f"{self.label} is of the keep {said['keep']!r}, and there is no keep at {folder.absolute()}",
                next_step=f"clone it (git clone -- {shlex.quote(said['keep_url'] or 'URL')}), and set "
                f"{KEEP_VARIABLE} to its folder",
            ) from error
        entry = opened.entry(self.label)
        if (entry.commit, entry.content) != (said["commit"], said["content"]):
            raise InvalidFile(
                f"the keep at {opened.root} has other contents as {self.label} than MLflow's run names",
                next_step=f"set {KEEP_VARIABLE} to a clone of the keep {said['keep']} ({said['keep_url']})",
            )
        return provide(opened, entry).data

    def to_dict(self) -> dict[str, str]:
        """The texts of ``said``."""
        return dict(self._said)

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> Self:
        """The source with the texts of :meth:`to_dict`."""
        return cls(source_dict)


def __getattr__(name: str) -> Any:
    """``DatakeepSource``, made when it is asked for: MLflow, which its base class is of, loads this module itself."""
    if name != "DatakeepSource":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = importlib.import_module("mlflow.data.dataset_source").DatasetSource
    if name not in globals():  # MLflow may have asked for it while it was imported
        globals()[name] = type(name, (Source, base), {"__module__": __name__, "__doc__": Source.__doc__})
    return globals()[name]
