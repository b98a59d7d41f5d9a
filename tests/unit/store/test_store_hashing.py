import hashlib
import os

import pytest

from datakeep.core.errors import SourceChanged, SourceUnreadable
from datakeep.store.hashing import HashingReader, hash_file
from datakeep.store.scan import scan

BIG = bytes(range(256)) * 12_000  # three chunks


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "export.csv"
    file.write_bytes(BIG)
    return scan([file]).files[0]


def test_one_read_gives_the_bytes_and_both_digests(source):
    with HashingReader(source) as reader:
        assert b"".join(reader) == BIG
    assert reader.entry.md5 == hashlib.md5(BIG).digest()
    assert reader.entry.sha256 == hashlib.sha256(BIG).digest()
    assert (reader.entry.path, reader.entry.size_bytes) == ("export.csv", len(BIG))
    assert hash_file(source.origin) == (len(BIG), reader.entry.md5, reader.entry.sha256)


def test_there_is_no_entry_of_a_file_that_was_not_read_to_its_end(source):
    with HashingReader(source) as reader:
        next(iter(reader))
        with pytest.raises(ValueError, match="not read to its end"):
            _ = reader.entry


def append(path):
    with path.open("ab") as file:
        file.write(b"more")


def cut(path):
    os.truncate(path, 10)


def rewrite(path):
    with path.open("r+b") as file:
        file.write(b"!")
    os.utime(path, ns=(0, 0))


def replace(path):
    other = path.with_name("other")
    other.write_bytes(BIG)
    other.replace(path)


@pytest.mark.parametrize("change", [append, cut, rewrite, replace, os.unlink])
def test_a_file_that_changed_since_the_scan_is_refused(source, change):
    change(source.origin)
    with pytest.raises(SourceChanged, match=r"export\.csv") as caught, HashingReader(source) as reader:
        list(reader)
    assert caught.value.next_step == "re-run when the export has finished"


@pytest.mark.parametrize("change", [append, cut, rewrite])
def test_a_file_that_changes_while_it_is_read_is_refused(source, change):
    with HashingReader(source) as reader:
        chunks = iter(reader)
        next(chunks)
        change(source.origin)
        with pytest.raises(SourceChanged, match="while it was read"):
            list(chunks)


def test_a_link_put_in_the_files_place_is_not_followed(source):
    source.origin.unlink()
    source.origin.symlink_to("/etc/passwd")
    with pytest.raises(SourceUnreadable, match="cannot be read"), HashingReader(source) as reader:
        list(reader)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        hash_file(tmp_path / "pipe")
