"""A report of ours, into a folder that takes none."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from datakeep.core.errors import AccessDenied
from datakeep.workflows.report_file import write_report


def test_a_read_only_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(AccessDenied, match="is read-only: cannot write the report"):
        write_report(tmp_path / "x.html", b"data")
