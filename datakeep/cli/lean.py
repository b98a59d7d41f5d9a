"""What a command must not load only because it happens to be installed."""

from __future__ import annotations

import ctypes
import inspect
import os
import sys
from contextlib import contextmanager, suppress
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from datakeep.cli.lean_modules import Later, in_place
from datakeep.core.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from importlib.machinery import ModuleSpec


_DOCUMENTATION = "pyarrow.vendored.docscrape"
#: Modules of numpy that only put documentation on what is there.
_NUMPY_DOCUMENTATION = ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars")
_THREADS, _POOL = "OPENBLAS_NUM_THREADS", "ARROW_DEFAULT_MEMORY_POOL"
#: Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Larger than a column of 65,536 numbers, of which a profile makes and drops thousands, each of new pages if mapped.
_LARGE_BYTES = 640 << 10
#: More than this is given back from the end of a heap, which without it would be cut and grow for every few arrays.
_KEPT_BYTES = 8 << 20


class _Hidden:
    """A finder, as ``sys.meta_path`` has them: of these names it says that nobody has them."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002  (the finder's interface)
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname in self._names:
            raise ModuleNotFoundError(fullname, name=fullname)
        return None


class _Undocumented(ModuleType):
    """In the place of numpy's reader of documentation: no parameter of any function has one."""

    @staticmethod
    def NumpyDocString(text: str) -> dict[str, tuple[()]]:  # noqa: ARG004, N802  (its interface)
        """The sections of a documentation."""
        return {"Parameters": ()}


class _NoPaths(ModuleType):
    """In the place of ssl while Arrow asks it where certificates lie, for servers that we do not reach through it."""

    @staticmethod
    def get_default_verify_paths() -> SimpleNamespace:
        """None."""
        return SimpleNamespace(cafile=None, capath=None)


@contextmanager
def _unsigned() -> Iterator[None]:
    """Arrow finds no signature to write for its functions, which would be looked at by nobody, and cost 10 ms."""
    changed: dict[str, Callable[[Any], Any]] = {
        "signature": lambda _: SimpleNamespace(parameters={}), "Signature": lambda _: None, "cleandoc": str,
    }  # fmt: skip
    kept = {name: getattr(inspect, name) for name in changed}
    try:
        for name, one in changed.items():
            setattr(inspect, name, one)
        yield
    finally:
        for name, one in kept.items():
            setattr(inspect, name, one)


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Nobody has the modules of these names for the length of a ``with`` block."""
    hidden = _Hidden(names)
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)


@contextmanager
def _said(name: str, value: str) -> Iterator[None]:
    """For the length of a ``with`` block the environment has this value, unless somebody has said another."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _give_back_large_blocks() -> None:
    """From here on glibc maps each large block by itself, and unmaps it when it is freed.

    By default it takes larger and larger blocks from heaps instead, one for each thread, which fall to pieces and
    grow with the rows: by 50 MB at four million, and by 170 at ten. Other C libraries have no such setting.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def lean_arrow(*, arrays: bool = True) -> None:
    """Arrow is loaded, and with it nothing that no command uses. For the command line alone.

    - Pandas: Arrow looks for it as soon as an array is made of a list, and loads it where it is installed: half a
      second of each command, and 50 MB. It looks once; here it does so while there is none. Somebody who imports it
      later has it.
    - Arrow's client of S3, which its Parquet module loads whether or not it is used: 30 ms. We have our own.
    - numpy's linear algebra starts a thread for each processor, which takes as much time as numpy's own loading; no
      command multiplies matrices. The variable that says so is gone again before any other program is started. Who
      asks for it later has it; so is ssl, of which Arrow only wants to know where certificates lie.
    - A library that sends functions to other processes, which Arrow loads where it is installed: 6 ms.
    - What takes the documentation of Arrow's functions apart, to write that of others, and their signatures, which no
      command shows: most of the time that those take to load. Nor the documentation of numpy's.
    - numpy itself, 80 ms, which Arrow loads where it is installed, and needs to hand columns to it alone: not where
      ``arrays`` is False. In that process Arrow can then never do it.
    - Arrow takes memory as Python and the drivers do, and gives it back to them, in every part of it: what encodes
      Parquet asks nobody but the environment, and only once, and would keep 60 MB apart. What is large is given back
      whole.
    """
    is_ours = _POOL not in os.environ
    unwanted = () if arrays else ("numpy",)
    numpy = (Later("numpy.linalg"), *map(ModuleType, _NUMPY_DOCUMENTATION))
    with _hidden("cloudpickle", *unwanted), _said(_THREADS, "1"), _said(_POOL, "system"), in_place(*numpy):
        import pyarrow as pa
    sys.modules.setdefault(_DOCUMENTATION, _Undocumented(_DOCUMENTATION))
    if is_ours:
        pa.set_memory_pool(pa.system_memory_pool())  # where Arrow was loaded before
        _give_back_large_blocks()
    # What is raised while Arrow looks for other packages, it drops.
    with uninterrupted(), _hidden("pandas", "pyarrow._s3fs", *unwanted), in_place(_NoPaths("ssl")):
        pa.array([0])
        import pyarrow.fs  # what it cannot have now, it goes without
    with _hidden(*unwanted), _unsigned():
        import pyarrow.compute

        if not arrays:
            import pyarrow.parquet  # noqa: F401
