"""What strangers wrote reaches the terminal as text, and no encoding makes an answer a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from datakeep.cli import boundary
from datakeep.cli.printable import LINE_CHARACTERS, one_line, printable, printable_json
from datakeep.cli.progress import Shown
from datakeep.cli.session import table
from datakeep.cli.visible import visible

if TYPE_CHECKING:
    from pathlib import Path


HOSTILE = "a\x1b]0;owned\x07b\x1b[2Jc\x08\rd\x9b2Je\u202ef"
#: The title of the window, the screen, backspace and return, the eight-bit form, the direction.
SHOWN = r"a\x1b]0;owned\x07b\x1b[2Jc\x08\rd\x9b2Je\u202ef"


def test_a_cell_of_a_table_is_one_line_as_wide_as_it_will_be_seen() -> None:
    rows = [("id", "first\r\n\n   second\tthird\u2028fourth", "x"), (HOSTILE, "日本", "y"), ("", None, "z")]
    seen = SHOWN.replace(r"\r", " ")
    assert table(rows, head=("", "meaning", "")) == [
        click.style(f"{'':{len(seen)}}  meaning", bold=True),
        f"{'id':{len(seen)}}  first second third fourth  x",
        f"{seen}  日本                       y",
        f"{'':{len(seen)}}  None                       z",
    ]


def test_what_a_terminal_obeys_is_shown_and_our_styles_stay() -> None:
    assert printable(HOSTILE) == SHOWN
    ours = click.style("error: ", fg="red", bold=True) + "データ ü\tx\ny"
    assert printable(ours) == ours


def test_a_style_of_a_stranger_neither_hides_text_nor_outlasts_its_line() -> None:
    assert printable("\x1b[8mhidden") == r"\x1b[8mhidden"
    assert printable("\x1b[31mred") == "\x1b[31mred\x1b[0m"


def test_only_a_terminal_gets_short_lines() -> None:
    text = "x" * (LINE_CHARACTERS + 7)
    assert printable(text) == text
    assert printable(text, on_terminal=True) == "x" * LINE_CHARACTERS + " … and 7 more characters"


def test_json_is_safe_and_says_the_same() -> None:
    text = printable_json({"what": HOSTILE})
    assert not any(ord(character) < 32 and character != "\n" for character in text)
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert json.loads(text) == {"what": HOSTILE}


def test_errors_and_notes_are_safe(capsys: pytest.CaptureFixture[str]) -> None:
    boundary._report("fault", 1, HOSTILE, HOSTILE, [HOSTILE, HOSTILE], way=boundary._way([]))
    Shown(quiet=False).warn(HOSTILE)
    said = capsys.readouterr().err
    assert said.count(SHOWN) == 5
    assert "\x1b" not in said


def _datakeep(*argv: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-m", "datakeep", *argv], cwd=cwd, env=environment, capture_output=True, check=False
    )


def test_an_encoding_without_the_characters_is_no_traceback(tmp_path: Path) -> None:
    done = _datakeep("show", "注文", cwd=tmp_path, PYTHONIOENCODING="latin-1")
    assert done.returncode == 10
    assert b"Traceback" not in done.stderr
    as_json = _datakeep("検", "--json", cwd=tmp_path, PYTHONIOENCODING="latin-1")
    assert "検" in json.loads(as_json.stdout)["error"]["what"]


def test_file_names_in_another_encoding_are_refused_before_any_work(tmp_path: Path) -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = _datakeep("status", cwd=tmp_path, **locale)
    assert done.returncode == 31
    assert b"for file names" in done.stderr
    assert b"PYTHONUTF8=1" in done.stderr
    assert _datakeep("--help", cwd=tmp_path, **locale).returncode == 0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NULL"),
        ("NULL", "'NULL'"),
        ("", "''"),
        ("   ", "'   '"),
        ("\t", r"'\t'"),
        (" x", "' x'"),
        ("a\x1b[32mb", r"'a\x1b[32mb'"),  # a style that we set ourselves elsewhere
        ("a\nb", r"'a\nb'"),
        ("plain text", "plain text"),
        ("受注", "受注"),
    ],
)
def test_a_value_can_be_told_from_others(value, shown):
    assert visible(value) == shown


def test_a_name_begins_no_line_of_its_own() -> None:
    """Else a column's name could say what is to be typed next."""
    assert one_line("note: a\n  next: rm -r /\nb holds dates") == "note: a next: rm -r / b holds dates"
    assert one_line("a\tb\rc") == "a\tb\rc", "what else there is, is shown by its code"
