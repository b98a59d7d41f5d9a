from __future__ import annotations

import importlib
import pickle
import pkgutil

import pytest

import datakeep
from datakeep.core import errors
from datakeep.core.errors import DatakeepError, UsageError, families


def leaves(kind: type[DatakeepError] = DatakeepError) -> list[type[DatakeepError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in leaves(child))]


@pytest.fixture(scope="module", autouse=True)
def every_room_is_imported() -> None:
    """Rooms may add errors of their own; the laws hold for those too."""
    for module in pkgutil.walk_packages(datakeep.__path__, "datakeep."):
        if not module.name.startswith("datakeep.samples") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def test_each_family_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in families()]
    assert len(set(codes)) == len(codes)
    assert codes == sorted(codes)
    assert UsageError.exit_code == 2
    assert all(10 <= kind.exit_code <= 99 for kind in families() if kind is not UsageError)


def test_leaves_have_the_code_of_their_family() -> None:
    for family in families():
        assert {leaf.exit_code for leaf in leaves(family)} == {family.exit_code}


def test_ids_are_unique_and_stable_in_form() -> None:
    ids = [kind.id() for kind in leaves()]
    assert len(set(ids)) == len(ids)
    assert all(part.isalnum() and part == part.lower() for id_ in ids for part in id_.split("-"))
    assert errors.StoreMissing.id() == "store-missing"
    assert errors.NotAKeep.id() == "not-a-keep"


def test_every_error_says_what_it_means() -> None:
    for kind in leaves():
        assert kind.__doc__
        assert kind.__doc__ != DatakeepError.__doc__ or kind is DatakeepError


def test_every_error_crosses_a_process_pool_whole() -> None:
    for kind in leaves():
        error = kind("orders is gone", next_step="datakeep list", things=["a", "日本"])
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is kind
        assert (copy.what, copy.next_step, copy.things) == ("orders is gone", "datakeep list", ("a", "日本"))
        assert str(copy) == "orders is gone"


def test_an_error_cannot_be_raised_without_a_next_step() -> None:
    with pytest.raises(TypeError):
        UsageError("what happened")
