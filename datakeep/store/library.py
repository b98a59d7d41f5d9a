"""DVC's file systems, from the URL: loaded only where a store needs one, as each costs a second to import."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from datakeep.store.file_server import PackageMissing

if TYPE_CHECKING:
    from datakeep.store.server_location import ServerLocation


def require_package(location: ServerLocation) -> None:
    """The package through which DVC speaks to ``location`` is installed.

    Raises:
        PackageMissing: It is not.
    """
    kind = location.kind
    if importlib.util.find_spec(kind.package.replace("-", "_")) is None:
        what = f"datakeep[{kind.extra}]" if kind.extra else kind.package
        raise PackageMissing(
            f"{location.url}: {location.scheme}:// needs the Python package {kind.package}, which is not installed",
            next_step=f"pip install '{what}'",
        )


def file_system(location: ServerLocation, **options: Any) -> tuple[Any, str]:
    """DVC's file system for ``location``, not yet connected, and the path of the place in it.

    Args:
        location: The place.
        options: As a DVC remote has them; they win over what the URL says.
    """
    from dvc.fs import get_cloud_fs

    kind, config, path = get_cloud_fs({}, url=location.url, **options)
    return kind(**config), path
