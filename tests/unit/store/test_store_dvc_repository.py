"""What is read out of a DVC repository that somebody else wrote."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from dvc_data.hashfile.hash import fobj_md5
from hypothesis import given
from hypothesis import strategies as st

from datakeep.core.errors import HostileRepository, InvalidFile, Unsupported
from datakeep.store.dvc_repository import places, read_outputs
from datakeep.store.folder import FolderStore
from datakeep.store.foreign_objects import legacy_md5s

if TYPE_CHECKING:
    from pathlib import Path

MD5 = "a" * 32
CONFIG = b"""\
[core]
    remote = 'second'
    analytics = false
['remote "main"']
    url = /mnt/a #1
['remote "second"']
    url = "/mnt/b # not a comment"
['remote "part"']
    url = remote://main/below
"""


def out(path: str, more: str = "  hash: md5\n") -> str:
    return f"- md5: {MD5}\n  path: {path}\n{more}"


def found(files: dict[str, str], tracked: set[str] | None = None) -> list[tuple[str, bool]]:
    texts = {path: text.encode() for path, text in files.items()}
    return [(one.path, one.legacy) for one in read_outputs(texts, tracked or set()).found]


def test_single_files_are_relative_to_their_folder_and_working_folder() -> None:
    assert found({"a/b.dvc": f"outs:\n{out('b')}"}) == [("a/b", False)]
    assert found({"a/b.dvc": f"wdir: ..\nouts:\n{out('c/d', '')}"}) == [("c/d", True)]
    assert found({"b.dvc": f"outs:\n{out('b')}{out('c')}"}) == [("b", False), ("c", False)]
    assert found({"b.dvc": f"outs:\n{out('b', '  cache: false')}"}) == []


@pytest.mark.parametrize("schema", ["schema: '2.0'\nstages:\n", ""])
def test_a_pipelines_outputs_are_those_of_stages_that_are_still_there(schema: str) -> None:
    indent = "  " if schema else ""
    outs = "".join(f"{indent}  {line}\n" for line in out("m.bin").splitlines())
    lock = schema + "".join(
        f"{indent}{name}:\n{indent}  cmd: x\n{indent}  outs:\n{outs}" for name in ("t@1", "gone")
    )
    pipeline = "stages:\n  t:\n    foreach: [1]\n    do: {cmd: x, wdir: work}\n  new: {cmd: y}\n"
    files = {"p/dvc.lock": lock, "p/dvc.yaml": pipeline}
    assert found(files) == [("p/work/m.bin", False)]
    notes = read_outputs({path: text.encode() for path, text in files.items()}, set()).notes
    assert notes == ["stages of p/dvc.lock without recorded outputs, never run: new"]
    assert found(files, {"p/work/m.bin"}) == []  # in git: cache: false


def test_the_same_output_twice_is_refused() -> None:
    with pytest.raises(InvalidFile, match=r"is an output of a\.dvc too"):
        found({"a.dvc": f"outs:\n{out('x')}", "b.dvc": f"outs:\n{out('./x')}"})


def test_a_template_in_the_way_of_a_path_is_refused() -> None:
    lock = f"schema: '2.0'\nstages:\n  t:\n    cmd: x\n    outs:\n    - {{md5: {MD5}, path: m, hash: md5}}\n"
    with pytest.raises(Unsupported, match="a template"):
        found({"dvc.lock": lock, "dvc.yaml": "stages:\n  t: {cmd: x, wdir: '${where}'}\n"})


@pytest.mark.parametrize("path", ["../x", ".", ".git/x", "a/.GIT/x", "a/../../b"])
def test_paths_that_lead_out_are_hostile(path: str) -> None:
    with pytest.raises(HostileRepository):
        found({"a.dvc": f"outs:\n{out(path)}"})


@pytest.mark.parametrize(
    "text", ["outs: 3\n", "outs: [3]\n", "outs:\n- md5: xyz\n  path: a\n", f"outs:\n- md5: {MD5}\n"]
)
def test_what_is_no_pointer_is_invalid(text: str) -> None:
    with pytest.raises(InvalidFile):
        found({"a.dvc": text})


def test_places_of_a_repository_named_by_an_address() -> None:
    there = places(CONFIG, None)
    assert [(store.name, store.url) for store in there.stores] == [
        ("second", "/mnt/b # not a comment"), ("main", "/mnt/a"), ("part", "/mnt/a/below"),
    ]  # fmt: skip
    assert not there.unusable


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            "url = s3://b/p\nendpointurl = https://evil.example",
            "evil.example, which would be shown your credentials",
        ),
        ("url = azure://c/p\naccount_name = evil", "which would be shown your credentials"),
        ("url = ../store", "a path in somebody's clone"),
        ("url = ssh://host/path", "names its server, ssh://host/path, which would be shown your credentials"),
        ("url = webdavs://host/path\nuser = aiko", "which would be shown your credentials"),
        ("url = warp://host/path", "knows warp stores"),
        ("url = s3://b/p\nversion_aware = true", "version_aware"),
        ("url = remote://nowhere/x", "names no other remote"),
        ("url = remote://r/x", "names no other remote"),
        ("", "a path in somebody's clone"),
    ],
)
def test_remotes_that_are_not_asked(options: str, why: str) -> None:
    there = places(f"['remote \"r\"']\n{options}\n".encode(), None)
    assert there.stores == []
    assert why in there.unusable["remote r"]


def test_a_users_own_clone_adds_its_cache_and_its_own_settings(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config.local").write_text(
        "['remote \"main\"']\n    url = ../../store\n[cache]\n    dir = ../c\n"
    )
    stores = {store.name: store for store in places(CONFIG, tmp_path).stores}
    assert list(stores) == ["the local cache", "second", "main", "part"]
    assert isinstance(stores["main"], FolderStore)
    assert stores["main"].root == tmp_path.parent / "store"
    assert stores["the local cache"].url == str(tmp_path / "c")
    far = b"['remote \"r\"']\nurl = s3://bucket/p\nendpointurl = http://127.0.0.1:9000\n"
    assert not places(far, tmp_path).unusable


def test_servers_of_a_users_own_clone_are_asked_as_dvc_asks_them(tmp_path: Path) -> None:
    config = (
        b"['remote \"nas\"']\nurl = ssh://nas/srv/dvc\nuser = aiko\nport = 2222\n"
        b"['remote \"dav\"']\nurl = webdavs://dav.corp.example/dvc\nuser = aiko\n"
        b"['remote \"web\"']\nurl = https://data.corp.example/dvc\n"
    )
    stores = {store.name: store for store in places(config, tmp_path).stores}
    assert stores["nas"].url == "ssh://aiko@nas:2222/srv/dvc"
    assert stores["dav"].dvc_remote("x") == {"url": "webdavs://dav.corp.example/dvc/x", "user": "aiko"}
    assert stores["web"].credentials is None
    assert [store.name for store in places(config, None).stores] == ["web"]


@pytest.mark.parametrize("text", [b"url = before any section\n", b"[core\n", b"\xff\xfe"])
def test_a_broken_configuration_is_invalid(text: bytes) -> None:
    with pytest.raises(InvalidFile):
        places(text, None)


blocks = st.sampled_from(
    [b"a\r\n" * 300, b"\0\r\n" * 300, b"\r\n", b"\xff\r\n" * 400, b"x" * (1 << 20), b"\r"]
)


@given(st.lists(blocks, max_size=6).map(b"".join))
def test_legacy_md5s_are_those_of_dvc(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "legacy"
    file.write_bytes(data)
    assert fobj_md5(io.BytesIO(data), name="md5-dos2unix") in legacy_md5s(file)
