import os
import socket
import unicodedata
from pathlib import Path

import pytest

from datakeep.core.errors import (
    SourceEmpty,
    SourceFault,
    SourceMissing,
    SourceUnreadable,
    UnsafePath,
    UsageError,
)
from datakeep.store.scan import scan

NFD = unicodedata.normalize("NFD", "é.csv")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "x.csv").write_bytes(b"1")
    (folder / "a.csv").write_bytes(b"22")
    return folder


def paths(found):
    return [file.path for file in found.files]


def test_a_folders_contents_are_taken_in_the_order_of_bytes(source):
    for name in ("日本.csv", "Z", "ü"):
        (source / name).touch()
    found = scan([source])
    assert paths(found) == ["Z", "a.csv", "deep/er/x.csv", "ü", "日本.csv"]
    assert found.size_bytes == 3
    assert found.warnings == []
    assert found.files[1].origin == source / "a.csv"


def test_files_are_taken_by_their_names(source):
    assert paths(scan([source / "a.csv", source / "deep" / "er" / "x.csv"])) == ["a.csv", "x.csv"]


def test_a_relative_path_means_the_users_folder(source, monkeypatch):
    monkeypatch.chdir(source / "deep")
    assert paths(scan([Path("er")])) == ["x.csv"]
    assert scan([Path("er/x.csv")]).files[0].origin.is_absolute()
    with pytest.raises(SourceMissing, match=r"'nowhere' does not exist in .*/source/deep"):
        scan([Path("nowhere")])


def test_a_folder_beside_files_is_not_guessed_at(source):
    with pytest.raises(UsageError):
        scan([source, source / "a.csv"])


def test_an_empty_source_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceEmpty, match="holds no file"):
        scan([tmp_path / "empty"])


def test_empty_folders_are_warned_of(source):
    (source / "none" / "here").mkdir(parents=True)
    assert scan([source]).warnings == ["empty folders are not kept (1): none/here"]


@pytest.mark.parametrize("keep", [".", "..", "deep", "deep/er"])
def test_the_keep_and_the_source_are_apart(source, keep):
    with pytest.raises(SourceFault, match="the keep"):
        scan([source], keep=source / keep)
    assert scan([source], keep=source.parent / "elsewhere").files


def make_link(path):
    path.symlink_to("/etc/passwd")


def make_link_to_nothing(path):
    path.symlink_to("nothing")


def make_loop(path):
    path.symlink_to(path.parent)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(path.parent)  # the names of sockets are short
        listening.bind(path.name)
        os.chdir(here)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_link, "a symbolic link"),
        (make_link_to_nothing, "a symbolic link"),
        (make_loop, "a symbolic link"),
        (os.mkfifo, "a named pipe"),
        (make_socket, "a socket"),
    ],
)
def test_what_is_not_a_file_is_refused_by_name(source, make, reason):
    make(source / "deep" / "odd")
    with pytest.raises(UnsafePath, match=f"'deep/odd': it is {reason}"):
        scan([source])
    with (
        pytest.raises(UnsafePath, match=f"'odd': it is {reason}")
        if make is not make_loop
        else (pytest.raises(UsageError))
    ):
        scan([source / "deep" / "odd", source / "a.csv"])


@pytest.mark.parametrize("name", [".git", ".dvc", ".Git", ".hg"])
def test_a_nested_repository_is_one_refusal(source, name):
    (source / "deep" / name).mkdir()
    for number in range(20):
        (source / "deep" / name / str(number)).touch()
    with pytest.raises(UnsafePath, match="git's or DVC's own") as caught:
        scan([source])
    assert len(caught.value.things) == 1


def test_every_unsafe_name_is_named_at_once(source):
    (source / "Deep").mkdir()
    (source / "Deep" / "x").touch()
    (source / "A.csv").touch()
    with pytest.raises(UnsafePath, match="2 names") as caught:
        scan([source])
    assert "'a.csv': it is the same as 'A.csv'" in "".join(caught.value.things)
    (source / ".dvcignore").touch()
    (source / "new\nline").touch()
    (source / "link").symlink_to("a.csv")
    with pytest.raises(UnsafePath, match="3 names") as caught:
        scan([source])
    assert {thing.split(":")[0] for thing in caught.value.things} == {
        "'.dvcignore'",
        r"'new\nline'",
        "'link'",
    }


def test_a_file_named_dash_is_refused(source):
    """The printed recipe of the content id would read its standard input instead."""
    (source / "-").touch()
    with pytest.raises(UnsafePath, match="standard input"):
        scan([source])


def test_a_name_that_is_not_utf8_is_refused_and_shown(source):
    os.close(os.open(os.fsencode(source) + b"/bad\xff.csv", os.O_CREAT))
    with pytest.raises(UnsafePath, match="not UTF-8") as caught:
        scan([source])
    caught.value.what.encode()


def test_an_nfd_name_is_refused_with_the_way_out(source):
    (source / NFD).touch()
    with pytest.raises(UnsafePath, match="--normalise-names"):
        scan([source])
    found = scan([source], normalise_names=True)
    assert unicodedata.normalize("NFC", NFD) in paths(found)
    assert found.files[-1].origin.name == NFD


def test_normalising_never_makes_two_files_one(source):
    (source / NFD).touch()
    (source / unicodedata.normalize("NFC", NFD)).touch()
    with pytest.raises(UnsafePath, match="same name as"):
        scan([source], normalise_names=True)


def test_two_files_of_one_name_are_refused(source):
    (source / "deep" / "a.csv").touch()
    with pytest.raises(UnsafePath, match="same name as"):
        scan([source / "a.csv", source / "deep" / "a.csv"])


def test_all_unreadable_files_are_listed(tmp_path, unprivileged):
    folder = tmp_path / "source"
    (folder / "closed").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (folder / name).touch(0o000 if name != "c" else 0o644)
    (folder / "closed").chmod(0)
    folder.chmod(0o755)
    with unprivileged(), pytest.raises(SourceUnreadable, match="3 files") as caught:
        scan([folder])
    assert [Path(thing.split(":")[0]).name for thing in caught.value.things] == ["a", "b", "closed"]


def test_names_that_windows_cannot_have_are_taken_with_a_warning(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("CON.txt", "a:b", "fine.txt", "why?", "x|y"):
        (source / name).write_text("x")
    found = scan([source])
    assert len(found.files) == 5
    assert found.warnings == [
        "4 names are impossible on Windows, where nobody can check the data out: 'CON.txt', 'a:b', 'why?' …"
    ]
