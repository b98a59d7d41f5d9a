"""Modules of others that do, when they are loaded, what few commands need: it is done when it is used, or not."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

from datakeep.core.interrupts import uninterrupted
from datakeep.core.late_patterns import late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from importlib.machinery import ModuleSpec

    Around = Callable[[], AbstractContextManager[None]]


class _Loading:
    """A finder, as ``sys.meta_path`` has them: each of these modules is executed within its context."""

    def __init__(self, around: Mapping[str, Around]) -> None:
        self._around = around

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        around = self._around.get(fullname)
        spec = PathFinder.find_spec(fullname, path, target) if around else None
        if around and spec and spec.loader:
            spec.loader.exec_module = partial(_executed, around, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _executed(around: Around, execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    with around():
        execute(module)


def lean_modules() -> None:
    """From here on these modules are loaded without what takes most of their time. For the command line alone.

    - sqlglot loads what finds other people's dialects, which takes 10 ms: it does so when it is asked for a dialect
      that it does not have.
    - Its DuckDB reads the texts of two dozen functions of other databases: 16 ms. Each is read when it is wanted.
    - DuckDB's client has the metadata of all packages read for its own version: 16 ms. Ctrl-C waits for it: what is
      raised while it makes its own classes ends the process at once (SIGABRT).
    - pydantic's core describes its schemas for type checkers, in classes that nobody looks at: 6 ms.
    - PyYAML prepares to look for characters that only its slow reader looks for: 4 ms.
    """
    if not any(isinstance(one, _Loading) for one in sys.meta_path):
        sys.meta_path.insert(0, _Loading(_AROUND))


class Later(ModuleType):
    """In the place of a module of which another takes functions when it loads: each loads it when it is called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A function of the module."""
        if name.startswith("__"):
            raise AttributeError(name)
        return partial(_called, self.__name__, name)


def _called(module: str, name: str, /, *arguments: Any, **named: Any) -> Any:
    """What the function ``name`` of ``module`` gives, which is loaded for it."""
    return getattr(import_module(module), name)(*arguments, **named)


@contextmanager
def in_place(*modules: ModuleType) -> Iterator[None]:
    """Who imports one of these names within a ``with`` block gets this module, unless the real one is there."""
    mine = [one for one in modules if sys.modules.setdefault(one.__name__, one) is one]
    try:
        yield
    finally:
        for one in mine:
            del sys.modules[one.__name__]


@contextmanager
def _set(place: Any, name: str, value: Any) -> Iterator[None]:
    """For the length of a ``with`` block ``place`` has this value under this name."""
    kept = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, kept)


class _Template:
    """An expression that is read when a class is asked for it, or it is copied."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read
        self._expression: Any = None

    def __get__(self, instance: object, owner: type) -> Any:
        """The expression, for which this stands in a class."""
        if self._expression is None:
            self._expression = self._read()
        return self._expression

    def copy(self) -> Any:
        """A copy of the expression."""
        return self.__get__(None, object).copy()


def _templates_later() -> AbstractContextManager[None]:
    from sqlglot import exp

    read = exp.maybe_parse
    return _set(exp, "maybe_parse", lambda *text, **named: _Template(partial(read, *text, **named)))


class _Untyped(dict[str, Any]):
    """In the place of a class that says which keys a dictionary has."""

    def __init_subclass__(cls, **_: Any) -> None:
        super().__init_subclass__()


@contextmanager
def _untyped() -> Iterator[None]:
    import typing

    import typing_extensions

    with _set(typing, "TypedDict", _Untyped), _set(typing_extensions, "TypedDict", _Untyped):
        yield


def _versioned(package: str) -> AbstractContextManager[None]:
    """The package asks for its own version, and has that of the folder which its installer named after it."""
    found = _version_of(package)
    if found is None:
        return nullcontext()
    metadata = ModuleType("importlib.metadata")
    metadata.__dict__["version"] = lambda _: found
    return in_place(metadata)


def _version_of(package: str) -> str | None:
    """As ``importlib.metadata`` has it; None where that is not plain to see."""
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.origin:
        return None
    head, tail = f"{package}-", ".dist-info"
    installed = os.listdir(os.path.dirname(os.path.dirname(spec.origin)))  # noqa: PTH120, PTH208 - pathlib is slower
    found = [one[len(head) : -len(tail)] for one in installed if one.startswith(head) and one.endswith(tail)]
    return found[0] if len(found) == 1 else None


_AROUND: dict[str, Around] = {
    "duckdb": uninterrupted,
    "duckdb._version": partial(_versioned, "duckdb"),
    "sqlglot.dialects.dialect": lambda: in_place(Later("importlib.metadata")),
    "sqlglot.generators.duckdb": _templates_later,
    "pydantic_core.core_schema": _untyped,
    "yaml.reader": lambda: _set(re, "compile", late),
}
