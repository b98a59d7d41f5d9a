"""``.gitmodules``: written as git reads it, fast; read with suspicion."""

from __future__ import annotations

import pytest

from datakeep.core.errors import HostileRepository, InvalidFile
from datakeep.repository.submodules import Submodule, add, check, parse, relative_url, resolve_url

ORDERS = Submodule("orders", "datasets/orders", "../../datasets/orders.git")


def test_what_is_written_is_read_back():
    entries = [
        ORDERS,
        Submodule("b", "datasets/b", "/mnt/a b/#1;x/datasets/b.git"),
        Submodule("c", "datasets/c", 'ssh://h/"q"\\x.git'),
        Submodule("d", "datasets/d", "/日本/d.git"),
    ]
    text = "# of the team"
    for entry in entries:
        text = add(text, entry)
    assert text.startswith("# of the team\n[submodule")
    assert parse(text) == entries


def test_adding_again_changes_nothing_and_a_new_address_replaces():
    text = add(add("", ORDERS), Submodule("b", "datasets/b", "u"))
    assert add(text, ORDERS) == text
    moved = Submodule("orders", "datasets/orders", "https://h/orders.git")
    assert sorted(entry.url for entry in parse(add(text, moved))) == ["https://h/orders.git", "u"]


def test_the_ten_thousandth_entry_is_appended():
    text = "".join(
        f'[submodule "d{n}"]\n\tpath = datasets/d{n}\n\turl = ../../datasets/d{n}.git\n'
        for n in range(10_000)
    )
    longer = add(text, ORDERS)
    assert longer == text + add("", ORDERS)


@pytest.mark.parametrize(
    "entry",
    [
        Submodule("-c", "a", "u"),
        Submodule("../../hooks", "a", "u"),
        Submodule("a\\..\\b", "a", "u"),
        Submodule("", "a", "u"),
        Submodule("a", "-p", "u"),
        Submodule("a", "../x", "u"),
        Submodule("a", "/etc/x", "u"),
        Submodule("a", "b/.git/hooks", "u"),
        Submodule("a", ".GIT", "u"),
        Submodule("a", "a\nb", "u"),
        Submodule("a", "", "u"),
        Submodule("a", "a", "-u./payload"),
        Submodule("a", "a", "--upload-pack=touch x"),
        Submodule("a", "a", "ext::sh -c touch% x"),
        Submodule("a", "a", "fd::17"),
        Submodule("a", "a", "gopher://h/x"),
        Submodule("a", "a", "https://h/%0aHost: x"),
        Submodule("a", "a", ""),
        Submodule("a", "a", "u", update="!touch x"),
        Submodule("a", "a", "u", branch="--output=x"),
    ],
    ids=str,
)
def test_attacks_are_refused(entry):
    with pytest.raises(HostileRepository):
        check([ORDERS, entry])


def test_two_at_one_place_are_refused():
    with pytest.raises(HostileRepository):
        check([Submodule("a", "Data", "u"), Submodule("b", "data", "u")])
    with pytest.raises(HostileRepository, match="twice"):
        parse('[submodule "a"]\n\tpath = a\n\turl = u\n\turl = -x\n')
    with pytest.raises(InvalidFile):
        parse("[submodule")
    with pytest.raises(HostileRepository):
        add("", Submodule("a", "../x", "u"))
    check([ORDERS, Submodule("b", "datasets/b", "git@h:b.git", update="rebase", branch="main")])


def test_addresses_are_relative_within_one_base():
    assert relative_url("/v/git/keeps/k.git", "/v/git/datasets/o.git") == "../../datasets/o.git"
    assert relative_url("ssh://h/ml/keeps/k.git", "ssh://h/ml/datasets/o.git") == "../../datasets/o.git"
    assert relative_url("ssh://h/ml/keeps/k.git", "ssh://i/ml/datasets/o.git") == "ssh://i/ml/datasets/o.git"
    assert relative_url("git@h:ml/keeps/k.git", "git@h:ml/datasets/o.git") == "../../datasets/o.git"
    for keep in ("/v/git/keeps/k.git", "ssh://h/ml/keeps/k.git", "git@h:ml/keeps/k.git"):
        assert resolve_url(keep, "../../datasets/o.git") == keep.replace("keeps/k", "datasets/o")
    assert resolve_url("https://h/a", "https://i/b") == "https://i/b"
    with pytest.raises(HostileRepository):
        resolve_url("https://h/a", "../../../x")
