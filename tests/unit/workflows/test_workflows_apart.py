"""No store lies in the keep, the git base or another store, whatever way leads there."""

from __future__ import annotations

import pytest

from datakeep.core.errors import AlreadyExists, UsageError
from datakeep.core.progress import Silent
from datakeep.store.opening import open_store
from datakeep.workflows import init
from datakeep.workflows.apart import require_apart
from datakeep.workflows.checkout import checkout
from datakeep.workflows.vault_stores import add_store


def add(bench, place):
    return add_store(bench.keep, "nas", str(place), who=bench.aiko, now=bench.now)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("keep/nas", "inside the keep"),
        ("keep.vault/git/nas", "inside the git base"),
        ("keep.vault/data/nas", "inside store 'main'"),
        ("keep.vault", "around the git base"),
        (".", "around the keep"),
    ],
)
def test_a_store_inside_or_around_something_else_is_refused(bench, place, words):
    before = sorted(bench.folder.rglob("*"))
    with pytest.raises(UsageError, match=words):
        add(bench, bench.folder / place)
    assert sorted(bench.folder.rglob("*")) == before


def test_a_symbolic_link_hides_nothing(bench):
    (bench.folder / "mnt").symlink_to(bench.store)
    with pytest.raises(UsageError, match="inside store 'main'"):
        add(bench, bench.folder / "mnt" / "nas")
    with pytest.raises(UsageError, match="the same place as store 'main'"):
        add(bench, bench.folder / "mnt")


def test_a_place_whose_name_only_begins_alike_is_apart(bench):
    assert add(bench, bench.folder / "keep.vault" / "data-2").created


def test_init_refuses_before_it_makes_anything(bench):
    for stores in (["new/data"], ["a", "b=a/b"], ["base/data"], ["b=a", "a"]):
        with pytest.raises(UsageError):
            init.init(
                bench.folder / "new", name=None, vault_git=str(bench.folder / "base"),
                vault_data=[_absolute(bench.folder, text) for text in stores], who=bench.aiko, now=bench.now,
                progress=Silent(),
            )  # fmt: skip
        assert not any((bench.folder / name).exists() for name in ("new", "a", "base"))


def _absolute(folder, text):
    name, equals, path = text.rpartition("=")
    return f"{name}{equals}{folder / path}"


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("s3://bucket/team", "s3://bucket/team/keep", False),
        ("s3://bucket", "s3://bucket/team", False),
        ("s3://bucket/team", "s3://bucket/team-2", True),
        ("s3://bucket/team", "s3://other/team", True),
        ("s3://bucket/team?endpoint_url=https://one", "s3://bucket/team?endpoint_url=https://two", True),
        ("s3://bucket/team?endpoint_url=https://One/", "s3://bucket/team/x?endpoint_url=https://one", False),
        ("gs://bucket/team", "s3://bucket/team", True),
    ],
)
def test_places_in_buckets(tmp_path, one, other, apart):
    first, second = open_store("one", one), open_store("two", other)
    for store, others in ((first, [second]), (second, [first])):
        if apart:
            require_apart(store, tmp_path, str(tmp_path / "git"), others)
        else:
            with pytest.raises(UsageError, match="lies"):
                require_apart(store, tmp_path, str(tmp_path / "git"), others)


def test_no_checkout_among_the_files_of_the_vault_or_of_git(bench):
    bench.register()
    repository = bench.folder / "keep.vault/git/datasets/orders.git"
    (bench.folder / "code" / ".git").mkdir(parents=True)
    for place, words in (
        (bench.store / "orders/data", "the store"),
        (bench.folder / "keep.vault/git/here", "the git base"),
        (repository / "here", "the git repository"),
        (bench.folder / "code/.git/here", "the git repository"),
    ):
        with pytest.raises(AlreadyExists, match=words):
            checkout(bench.keep, "orders", place)
        assert not place.exists()


@pytest.mark.parametrize("marker", ["k2/.git/HEAD", "k2/.git"])
def test_no_store_in_another_keep_or_working_tree(bench, marker):
    path = bench.folder / marker
    path.parent.mkdir(parents=True)
    path.write_text("")
    with pytest.raises(UsageError, match=r"inside the git repository .*/k2"):
        add(bench, bench.folder / "k2" / "nas2")
    (bench.folder / "k2" / "keep.yaml").write_text("")
    with pytest.raises(UsageError, match=r"inside the keep .*/k2"):
        init.init(
            bench.folder / "k3", name=None, vault_git=None, vault_data=[str(bench.folder / "k2/nas2")],
            who=bench.aiko, now=bench.now, progress=Silent(),
        )  # fmt: skip
    assert not (bench.folder / "k3").exists()
