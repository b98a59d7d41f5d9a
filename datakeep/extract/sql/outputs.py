"""The columns that come out of a query or of a source of one, and the names that they had before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Output(NamedTuple):
    """A column of a query: its name, and the names that it had, the nearest first."""

    name: str
    former: tuple[str, ...] = ()


class Outputs(NamedTuple):
    """The columns of a query.

    Attributes:
        columns: Those that are known.
        whole: Whether these are all, in their order.
        rest: The names that any other column may have had.
    """

    columns: tuple[Output, ...] = ()
    whole: bool = False
    rest: tuple[str, ...] = ()

    @property
    def unsaid(self) -> tuple[str, ...]:
        """The names that a column may have had whose own is not known: the database gives it, or the data."""
        unnamed = [name for one in self.columns if not one.name for name in one.former]
        return others("", [*self.rest, *unnamed]) if unnamed else self.rest

    def by_name(self) -> dict[str, tuple[str, ...]]:
        """The former names of those that are known, by their own in lower case."""
        found: dict[str, tuple[str, ...]] = {}
        for name, former in self.columns:
            if not name:
                continue
            found[name.lower()] = others(name, (*found.get(name.lower(), ()), *former))
        return found

    def names(self) -> tuple[str, ...]:
        """All the names that its columns have or had."""
        return others("", [*(name for one in self.columns for name in (one.name, *one.former)), *self.rest])

    def called(self, names: Sequence[str]) -> Outputs:
        """The columns by the names that a list gives them, in their order: ``v (a, b)``; it may end before them."""
        if not names:
            return self
        if not self.whole or len(names) > len(self.columns):
            # Which columns the list names is not known; each may be any of them.
            any_of_them = self.names()
            anyones = (Output(name, others(name, any_of_them)) for name in names)
            return Outputs((*self.columns, *anyones), rest=self.rest)
        renamed = [
            Output(name, others(name, (one.name, *one.former)))
            for name, one in zip(names, self.columns, strict=False)
        ]
        return Outputs((*renamed, *self.columns[len(names) :]), whole=True)


def united(found: Sequence[Outputs], *, by_name: bool) -> Outputs:
    """The columns of a UNION: they have the names of the first of ``found``, and the values of all.

    Args:
        found: The columns of its SELECTs.
        by_name: Whether they are put together by their names, not their places.
    """
    if len(found) < 2:
        return found[0] if found else Outputs()
    first = found[0]
    # By their names as well: where columns go by name, or by places that are not known.
    columns = [*first.columns, *(output for one in found[1:] for output in one.columns)]
    at_place: list[tuple[str, ...]] = []
    alike = all(one.whole and len(one.columns) == len(first.columns) for one in found)
    if alike:
        at_place = [
            others("", [name for one in place for name in one.former])
            for place in zip(*(one.columns for one in found), strict=True)
        ]
        columns += [Output(one.name, place) for one, place in zip(first.columns, at_place, strict=True)]
    names = Outputs(tuple(columns)).by_name()
    if alike and not by_name:
        same = (
            Output(one.name, names[one.name.lower()] if one.name else place)
            for one, place in zip(first.columns, at_place, strict=True)
        )
        return Outputs(tuple(same), whole=True)
    rest = others("", [name for one in found for name in one.unsaid])
    return Outputs(tuple(Output(name, former) for name, former in names.items()), rest=rest)


def beside(found: Sequence[Outputs]) -> Outputs:
    """The columns of several, one after the other."""
    columns = tuple(output for one in found for output in one.columns)
    rest = others("", [name for one in found for name in one.rest])
    return Outputs(columns, bool(found) and all(one.whole for one in found), rest)


def others(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Each of ``names`` once, but ``name`` itself."""
    return tuple(dict.fromkeys(one for one in names if one and one.lower() != name.lower()))
