"""Arrow without pandas, which datakeep never uses: for the command line, whose process is its own."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder


class _NoPandas(MetaPathFinder):
    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("not asked for", name=name)


def without_pandas() -> None:
    """From now on Arrow takes pandas for not installed, in this process.

    Before its first conversion of a Python list it imports pandas, to know pandas' types when it sees one: half a
    second of CPU where it is installed, as it is wherever people train. It asks once, and remembers the answer.
    """
    if "pandas" in sys.modules or "pyarrow" in sys.modules:
        return
    import pyarrow as pa

    refusing = _NoPandas()
    sys.meta_path.insert(0, refusing)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(refusing)
