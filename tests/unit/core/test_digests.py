from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datakeep.core import digests
from datakeep.core.paths import refuse

#: The command that the module's law names, word for word.
COMMAND = re.search(r"^    (find .*sha256sum)$", digests.__doc__ or "", re.MULTILINE)[1]


def by_coreutils(folder: Path) -> str:
    ran = subprocess.run(["bash", "-c", COMMAND], cwd=folder, capture_output=True, check=True)
    assert not ran.stderr
    return f"sha256:{ran.stdout.decode().split()[0]}"


def write(folder: Path, files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return [(path, hashlib.sha256(content).digest()) for path, content in files.items()]


component = st.one_of(
    st.text(st.sampled_from(list("ab -\\*?'\"$`.[é写\u3000😀\n\r\t~ÿ")), min_size=1, max_size=6),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8),
    st.sampled_from(
        ["-n", "--", "-rf", "\\\\", "a\\nb", "a\nb", "a\rb", " ", "A", "a", "Z", "é", "\uffff", "😀"]
    ),
).filter(lambda name: name not in (".", ".."))


some_path = st.lists(component, min_size=1, max_size=2).map("/".join).filter(lambda path: path != "-")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(some_path, st.binary(max_size=4), max_size=6))
def test_the_content_id_is_what_coreutils_say(files: dict[str, bytes]) -> None:
    taken = {path.split("/")[0] for path in files if "/" in path}
    files = {path: content for path, content in files.items() if "/" in path or path not in taken}
    with tempfile.TemporaryDirectory() as folder:
        assert digests.content_id(write(Path(folder), files)) == by_coreutils(Path(folder))


def test_the_one_name_that_coreutils_cannot_hash_is_refused(tmp_path: Path) -> None:
    assert digests.content_id(write(tmp_path, {"-": b"x"})) != by_coreutils(tmp_path)
    assert refuse("-")


@pytest.mark.parametrize("path", ["a/-", "--", "-n", "--help", "-rf/x", "\\", "a\\nb", "a\nb", "a b", "日本"])
def test_names_that_look_like_something_else(tmp_path: Path, path: str) -> None:
    assert digests.content_id(write(tmp_path, {path: b"x"})) == by_coreutils(tmp_path)


def test_more_files_than_one_call_of_sha256sum_takes(tmp_path: Path) -> None:
    files = {f"{'x' * 200}/{number:04}{'y' * 200}": b"" for number in range(500)}
    assert digests.content_id(write(tmp_path, files)) == by_coreutils(tmp_path)


def test_links_made_by_a_cache_count_as_their_files(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").symlink_to(tmp_path / "cache")
    assert by_coreutils(tmp_path / "data") == digests.content_id([("a", hashlib.sha256(b"x").digest())])


def test_order_is_that_of_bytes_not_of_the_caller(tmp_path: Path) -> None:
    files = write(
        tmp_path, {"b": b"1", "B": b"2", "é": b"3", "a/z": b"4", "a.z": b"5", "\uffff": b"", "😀": b""}
    )
    assert len({digests.content_id(files), digests.content_id(files[::-1]), by_coreutils(tmp_path)}) == 1


def test_no_file_has_the_id_of_nothing() -> None:
    assert digests.content_id([]) == digests.sha256_id(b"")


@pytest.mark.parametrize("change", ["path", "bytes"])
def test_any_change_changes_the_id(change: str) -> None:
    digest = os.urandom(32)
    other = {"path": ("b", digest), "bytes": ("a", digest[::-1])}[change]
    assert digests.content_id([("a", digest)]) != digests.content_id([other])
