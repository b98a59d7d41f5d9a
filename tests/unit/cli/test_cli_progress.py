"""The live line of a terminal says how fast it goes."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from datakeep.cli.progress import Shown

if TYPE_CHECKING:
    import pytest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def rates(monkeypatch: pytest.MonkeyPatch, unit: str, *, size_bytes: int) -> str:
    monkeypatch.setattr(sys, "stderr", Terminal())
    shown = Shown(quiet=False)
    shown.stage("extracting rows", unit=unit)
    assert shown._bars is not None
    try:
        shown.advance(300, size_bytes=size_bytes)
        return str(shown._bars.tasks[-1].fields["rate"])
    finally:
        shown.close()


def test_rows_a_second_beside_bytes_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, size = rates(monkeypatch, "rows", size_bytes=4_000_000).split(", ")
    assert int(rows.removesuffix(" rows/s").replace(",", "")) > 300
    assert float(size.removesuffix(" MB/s")) > 4
    assert rates(monkeypatch, "rows", size_bytes=0).endswith(" rows/s")
    assert rates(monkeypatch, "files", size_bytes=4_000_000).endswith(" MB/s")
    assert "rows" not in rates(monkeypatch, "files", size_bytes=4_000_000)
    assert rates(monkeypatch, "files", size_bytes=0) == ""
