"""A store leaves the keep only when nothing depends on it, and its name can be taken again by another place."""

from __future__ import annotations

import textwrap

import pytest

from datakeep.core.errors import Conflict, StillNeeded, UnknownName
from datakeep.core.progress import Silent
from datakeep.formats import yaml
from datakeep.workflows import publish
from datakeep.workflows.keep import open_keep
from datakeep.workflows.store_removal import remove_store
from datakeep.workflows.vault_stores import add_store


def add(bench, name="nas", place=None):
    return add_store(bench.keep, name, str(place or bench.folder / name), who=bench.aiko, now=bench.now)


def remove(bench, name="nas", **options):
    return remove_store(bench.keep, name, who=bench.aiko, now=bench.now, **options)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(bench):
    return [store.name for store in bench.reopen().file.vault.stores]


@pytest.fixture
def three(bench):
    """A keep whose two versions, one of each backend, lie in three stores."""
    bench.register()
    bench.register("tab", "git")
    add(bench)
    add(bench, "cloud")
    return bench


def test_a_store_leaves_and_keeps_its_bytes(three):
    before = files(three.folder / "nas")
    done = remove(three, message="switched off")
    assert (done.url, done.below_policy) == (str(three.folder / "nas"), ())
    assert files(three.folder / "nas") == before
    assert names(three) == ["main", "cloud"]
    assert three.keep.holding(three.keep.entry("orders")) == ("main", "cloud")
    with pytest.raises(UnknownName):
        remove(three)
    with pytest.raises(UnknownName, match="did you mean 'cloud'"):
        remove(three, "clou")


def test_too_few_copies_must_be_meant(bench):
    bench.register()
    add(bench)
    head = bench.keep.repository.head()
    with pytest.raises(StillNeeded, match="orders@v1") as caught:
        remove(bench, "main")
    assert "--below-policy" in caught.value.next_step
    assert bench.keep.repository.head() == head
    assert remove(bench, "main", below_policy=True).below_policy == ("orders@v1",)
    with pytest.raises(StillNeeded, match="only store"):
        remove(bench, below_policy=True)


def test_the_only_copy_is_never_given_up(three):
    remove(three, "cloud")
    victim = next(path for path in three.objects().files if path.read_bytes() == b"alpha")
    victim.unlink()
    with pytest.raises(StillNeeded, match="orders@v1") as caught:
        remove(three, below_policy=True)
    assert "orders@v1" in caught.value.things
    three.store.rename(three.folder / "unmounted")
    with pytest.raises(StillNeeded) as caught:
        remove(three, below_policy=True)
    assert any("is the share mounted" in thing for thing in caught.value.things)
    assert names(three) == ["main", "nas"]


COMMENTED = """\
  # the first one
  - name: main
    url: {main}
  # room 3
  - name: nas  # loud
    url: {nas}
    x-bought: {{year: 2020}}

  # after the stores
"""


@pytest.mark.parametrize("style", ["block", "flow", "indented"])
def test_comments_stay(three, style):
    document = yaml.plain(yaml.load(three.keep.tree.read("keep.yaml"), what="keep.yaml"))
    stores = {store["name"]: store["url"] for store in document["vault"].pop("stores")}
    head = f"# ours\nformat: {document['format']}\nname: keep\n"
    policy = "policy:  # strict\n  copies: 1\n"
    flow = ", ".join(f"{{name: {name}, url: {stores[name]}}}" for name in ("main", "nas"))
    body = {
        "block": "  stores:\n" + COMMENTED.format(**stores),
        "indented": "  stores:\n" + textwrap.indent(COMMENTED.format(**stores), "    "),
        "flow": f"  stores: [{flow}]  # short\n",
    }
    three.commit(**{"keep.yaml": f"{head}vault:\n  git: {document['vault']['git']}\n{body[style]}{policy}"})
    remove(three)
    text = three.keep.tree.read("keep.yaml").decode()
    assert names(three) == ["main"]
    assert "# ours" in text
    assert "policy:  # strict" in text
    if style != "flow":
        assert "# the first one" in text
        assert "# after the stores" in text
        assert "loud" not in text


def test_a_new_store_of_an_old_name_is_filled_before_it_counts(three):
    remove(three)
    (three.source / "new.txt").write_text("new")
    three.update(source=three.source)
    done = add(three, place=three.folder / "other")
    assert (done.created, done.versions) == (True, 3)
    for label in ("orders@v1", "orders@v2", "tab@v1"):
        assert "nas" in three.keep.holding(three.keep.entry(label))
    old = {path.relative_to(three.folder / "other").as_posix() for path in files(three.folder / "other")}
    assert old == {path.relative_to(three.store).as_posix() for path in files(three.store)}


def test_an_entry_never_names_a_place_that_its_bytes_did_not_go_to(three, monkeypatch):
    """Another person gives the name to another place while a version is on its way."""
    real, done = publish.Publisher.publish, []

    def late(self, prepared):
        if not done:
            done.append(True)
            remove(_Beside(three))
            add(_Beside(three), place=three.folder / "other")
        return real(self, prepared)

    monkeypatch.setattr(publish.Publisher, "publish", late)
    (three.source / "new.txt").write_text("new")
    with pytest.raises(Conflict, match="store nas was removed"):
        three.update(source=three.source)
    three.reopen()
    assert three.keep.versions("orders") == ["v1"]
    entry = three.update(source=three.source)
    assert set(entry.stores) == {"main", "cloud", "nas"}
    there = {path.read_bytes() for path in files(three.folder / "other")}
    assert b"new" in there


class _Beside:
    """The same clone, opened anew, as another process would."""

    def __init__(self, bench):
        self.keep = open_keep(bench.keep.root, Silent())
        self.folder, self.aiko, self.now = bench.folder, bench.aiko, bench.now
