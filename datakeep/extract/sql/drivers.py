"""Importing the package that speaks to a database, or saying which one is missing."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from datakeep.extract.sql.faults import DriverMissing


def driver(module: str, *, extra: str, what: str, also: str | None = None) -> Any:
    """The module ``module``, imported.

    Args:
        module: Its full name: ``adbc_driver_snowflake.dbapi``.
        extra: Which extra of datakeep brings it.
        what: The database that needs it, for the message.
        also: What to install beside the extra, where none of ours brings the driver itself.

    Raises:
        DriverMissing: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(module.partition(".")[0], extra=extra, what=what, also=also) from error


def missing(package: str, *, extra: str, what: str, also: str | None = None) -> DriverMissing:
    """The error that names the package and what installs it."""
    return DriverMissing(
        f"{what} needs the Python package {package}, which is not installed",
        next_step=f"type: pip install 'datakeep[{extra}]'" + (f" {also}" if also else ""),
    )
