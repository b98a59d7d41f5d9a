"""Classes of data, whose methods are compiled when they are first called."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def lean_dataclasses() -> None:
    """From here on ``@dataclass`` compiles what a class is made with at once, and all else later. For commands alone.

    Python compiles six functions for each class, one by one, which takes half a millisecond: of the 150 classes that
    a command loads nobody ever compares most, nor shows them. They are what they were, once they are called. From
    Python 3.13 on it compiles a class in one piece, and is left alone.
    """
    create = getattr(dataclasses, "_create_fn", None)
    if create is not None and not hasattr(create, "compiled_later"):
        later = _later(create)
        later.compiled_later = True  # type: ignore[attr-defined]
        dataclasses._create_fn = later  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way in


def _later(create: Callable[..., Any]) -> Callable[..., Any]:
    """In the place of what ``create``s a function of a dataclass out of its text."""

    def created(name: str, *text: Any, **named: Any) -> Any:
        if name == "__init__":  # nearly every class is made, and some have their signature looked at
            return create(name, *text, **named)
        function: Callable[..., Any] | None = None

        def method(*arguments: Any) -> Any:
            nonlocal function
            if function is None:
                function = create(name, *text, **named)
            return function(*arguments)

        method.__name__ = name
        return method

    return created
