from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datakeep.core.errors import SourceMalformed, SourceMissing, SourceUnreadable
from datakeep.core.progress import Silent
from datakeep.extract import csv_file, interface, jsonlines_file
from datakeep.extract.describe import Description, describe

PENGUINS = Path(__file__).parents[3] / "datakeep/samples/penguins/penguins.csv"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(50)


def look(folder: Path, **files: bytes | str) -> Description:
    """Describes files; ``a__csv`` is written as ``a.csv``."""
    pairs = []
    for name, content in files.items():
        path = name.replace("__", ".")
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
        pairs.append((path, folder / path))
    return describe(pairs, progress=Silent())


def types(description: Description) -> dict[str, str | None]:
    return {column.name: column.type for column in description.columns}


def test_penguins_fill_themselves() -> None:
    found = describe([("penguins.csv", PENGUINS)], progress=Silent())
    assert found.formats == {"csv": 1}
    assert found.rows == 344
    assert types(found) == {
        "species": "string",
        "island": "string",
        "bill_length_mm": "double",
        "bill_depth_mm": "double",
        "flipper_length_mm": "int64",
        "body_mass_g": "int64",
        "sex": "string",
        "year": "int64",
    }
    assert found.encodings == {}
    assert found.notes == []


def test_types_of_csv_values(tmp_path: Path) -> None:
    text = "day,at,flag,n,x,s,none\n2026-11-01,2026-11-01T10:00:00,true,1,1.5,a,\n,,false,NA,2,NA,NA\n"
    assert types(look(tmp_path, a__csv=text)) == {
        "day": "date32[day]",
        "at": "timestamp[s]",
        "flag": "bool",
        "n": "int64",
        "x": "double",
        "s": "string",
        "none": None,
    }


def test_every_row_tells_the_type(tmp_path: Path) -> None:
    text = "n\n" + "1\n" * 300_000 + "x\n"
    found = look(tmp_path, a__csv=text)
    assert (types(found), found.rows) == ({"n": "string"}, 300_001)


def test_quoted_fields_hold_newlines_and_separators(tmp_path: Path) -> None:
    found = look(tmp_path, a__csv='a,b\n1,"x\ny, ""z"""\n2,ok\n')
    assert (types(found), found.rows) == ({"a": "int64", "b": "string"}, 2)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_found_and_noted(tmp_path: Path, separator: str) -> None:
    found = look(tmp_path, a__csv=f"a{separator}b\n1,5{separator}2\n")
    assert list(types(found)) == ["a", "b"]
    assert repr(separator) in found.notes[0]


def test_long_fields_and_lone_quotation_marks_are_fine(tmp_path: Path) -> None:
    found = look(tmp_path, a__csv='a,b\n5" pipe,"' + "x" * 200_000 + '"\n')
    assert found.rows == 1


def test_tsv_is_separated_by_tabs(tmp_path: Path) -> None:
    found = look(tmp_path, a__tsv="a,b\tc\n1\t2\n")
    assert types(found) == {"a,b": "int64", "c": "int64"}
    assert found.notes == []


JAPANESE = "氏名,住所,数量\n田中太郎,東京都千代田区,3\n鈴木 花子,ｱｲｳ大阪,4\n"
KATAKANA = "ｼﾒｲ,ｽｳﾘｮｳ\nﾀﾅｶ ﾀﾛｳ,3\nｽｽﾞｷ ﾊﾅｺ,4\n"
FRENCH = "prénom,ville\nLéa,Orléans\nJosé,Besançon\nZoé,Paris\n"
GERMAN = "Straße,Größe\nMüllerstraße,3\nKönigsallee,4\nÄpfel,5\n"


@pytest.mark.parametrize(
    ("text", "written", "found"),
    [
        (JAPANESE, "utf-8-sig", "utf-8-sig"),
        (JAPANESE, "utf-16", "utf-16"),
        (JAPANESE, "cp932", "cp932"),
        (JAPANESE.replace("ｱｲｳ", "あ"), "euc_jp", "euc_jp"),
        ("名前,値\n田中,1\n山田,2\n", "euc_jp", "euc_jp"),
        (KATAKANA, "cp932", "cp932"),
        (FRENCH, "latin-1", "latin-1"),
        (GERMAN, "latin-1", "latin-1"),
        (GERMAN + "“Anführung”,€\n", "cp1252", "cp1252"),
        ("temp (°C),n\n1,2\n", "latin-1", "latin-1"),
    ],
)
def test_encodings(tmp_path: Path, text: str, written: str, found: str) -> None:
    description = look(tmp_path, a__csv=text.encode(written))
    assert description.encodings == {"a.csv": found}
    header = text.splitlines()[0].split(",")
    assert list(types(description)) == header
    assert description.rows == text.count("\n") - 1


def test_utf16_big_endian(tmp_path: Path) -> None:
    description = look(tmp_path, a__csv=b"\xfe\xff" + JAPANESE.encode("utf-16-be"))
    assert description.encodings == {"a.csv": "utf-16"}
    assert list(types(description)) == ["氏名", "住所", "数量"]


def test_the_encoding_is_that_of_the_whole_file(tmp_path: Path) -> None:
    text = "名前,数\n" + "plain,1\n" * 400_000 + "東京都の田中,2\n"
    description = look(tmp_path, a__csv=text.encode("cp932"))
    assert description.encodings == {"a.csv": "cp932"}
    assert description.rows == 400_001


MALFORMED = [
    ("a.csv", PNG, "a.csv, line 1: not a CSV, it is a PNG image"),
    ("a.csv", b"PK\x03\x04rest", "an Excel workbook"),
    ("a.csv", b"a,b\n1,2\n1,\x00\n", "a.csv, line 3: not a CSV, it holds NUL bytes"),
    ("a.csv", b"", "a.csv is empty"),
    ("a.csv", b"\n \n", "a.csv is empty"),
    ("a.csv", b"\xef\xbb\xbf", "a.csv is empty"),
    ("a.csv", b'a,b\n"x\ny",2\n\n1,2,3\n4,5\n', "a.csv, line 5: 3 fields where the header has 2"),
    ("a.tsv", b"a\tb\n1\n", "a.tsv, line 2: 1 fields where the header has 2"),
    ("a.csv", b'a,b\n1,2\n3,"cut off\n5,6\n', "a.csv, line 3: a quoted field begins here"),
    ("a.csv", b"a,b\n1,\x81\x00", "a.csv, line 2: not a CSV, it holds NUL"),
    (
        "a.csv",
        b"a,b\n1,2\n\xfe\xfe\x80\x81\xff,\xff\xff\x81\n",
        "a.csv, line 3: not a CSV, its encoding",
    ),
    ("a.csv", b"\xff\xfea\x00\n", "a.csv, line 1: not a CSV, it is not valid UTF-16"),
    ("a.parquet", b"", "a.parquet is empty"),
    ("a.parquet", b"PAR1 not at all PAR1", "a.parquet is not whole Parquet"),
    ("a.jsonl", b"", "a.jsonl is empty"),
    ("a.jsonl", b'{"a":1}\n\n{"a":\n', "a.jsonl, line 3: is not JSON"),
    ("a.jsonl", b'{"a":1}\n[1]\n', "a.jsonl, line 2: is not an object"),
    ("a.jsonl", b'{"a":1}\n{"a":"\xff"}\n', "a.jsonl, line 2: is not UTF-8"),
    ("a.jsonl", b'{"a":' + b"[" * 100_000 + b"\n", "a.jsonl, line 1: is n"),
    ("a.ndjson", PNG, "a.ndjson, line 1: is not UTF-8"),
]


@pytest.mark.parametrize(("name", "content", "message"), MALFORMED)
def test_what_is_not_what_its_name_says_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(SourceMalformed) as caught:
        look(tmp_path, **{name.replace(".", "__"): content})
    assert message in caught.value.what
    assert caught.value.next_step


def test_all_bad_files_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceMalformed, match="and 1 more") as caught:
        look(tmp_path, a__csv=PNG, b__csv="a\n1\n", c__csv="")
    assert [thing.split()[0] for thing in caught.value.things] == ["a.csv,", "c.csv"]


def parquet(folder: Path, name: str, table: pa.Table) -> tuple[str, Path]:
    pq.write_table(table, folder / name)
    return name, folder / name


def test_parquet(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int32()),
            "at": pa.array([0, 1], pa.timestamp("us")),
            "kind": pa.array(["a", "b"]).dictionary_encode(),
            "text": pa.array(["a", None], pa.large_string()),
        }
    )
    found = describe([parquet(tmp_path, "a.parquet", table)], progress=Silent())
    assert types(found) == {"id": "int32", "at": "timestamp[us]", "kind": "string", "text": "string"}
    assert found.rows == 2


@pytest.mark.parametrize("position", [0.02, 0.3, 0.5, 0.98])
def test_parquet_cut_off(tmp_path: Path, position: float) -> None:
    name, file = parquet(tmp_path, "a.parquet", pa.table({"x": [f"{n * 7919 % 1000}" for n in range(5000)]}))
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * position)])
    with pytest.raises(SourceMalformed, match=r"a\.parquet is not whole Parquet"):
        describe([(name, file)], progress=Silent())


def test_parquet_with_a_broken_page(tmp_path: Path) -> None:
    name, file = parquet(tmp_path, "a.parquet", pa.table({"x": [f"{n * 7919 % 1000}" for n in range(5000)]}))
    data = bytearray(file.read_bytes())
    data[4:60] = bytes(byte ^ 0xFF for byte in data[4:60])
    file.write_bytes(data)
    with pytest.raises(SourceMalformed, match=r"a\.parquet is not whole Parquet"):
        describe([(name, file)], progress=Silent())


def test_json_lines(tmp_path: Path) -> None:
    lines = '{"id": 1, "who": "a", "mixed": 1}\n\n{"id": 2.5, "mixed": "x", "late": true}\n'
    found = look(tmp_path, a__jsonl="\ufeff" + lines)
    assert types(found) == {"id": "double", "who": "string", "mixed": "string", "late": "bool"}
    assert found.rows == 2
    assert found.encodings == {"a.jsonl": "utf-8-sig"}


def test_json_lines_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines_file, "_BLOCK_BYTES", 100)
    lines = "".join(f'{{"n": {n}}}\n' for n in range(50)) + '{"n": 0.5, "end": "あ"}\n'
    found = look(tmp_path, a__jsonl=lines)
    assert (types(found), found.rows) == ({"n": "double", "end": "string"}, 51)
    with pytest.raises(SourceMalformed, match="line 52: is longer than"):
        look(tmp_path, a__jsonl=lines + '{"n": "' + "x" * 300 + '"}\n')


def test_large_csv_is_sampled_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "HELD_BYTES", 1000)
    monkeypatch.setattr(csv_file, "_BLOCK_BYTES", 2000)
    found = look(tmp_path, a__csv="n,s\n" + "1,x\n" * 2000 + "1.5,y\n")
    assert (types(found), found.rows) == ({"n": "int64", "s": "string"}, 2001)
    assert "is large: types are those of its first" in found.notes[0]
    with pytest.raises(SourceMalformed, match="line 2002: 3 fields"):
        look(tmp_path, a__csv="n,s\n" + "1,x\n" * 2000 + "1,2,3\n")


def test_very_large_csv_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("HELD_BYTES", 1000), ("_BLOCK_BYTES", 2000), ("STREAMED_BYTES", 4001)):
        monkeypatch.setattr(csv_file, name, limit)
    text = "n,s\n" + "1,東京\n" * 2000
    found = look(tmp_path, a__csv=text.encode("cp932"), b__csv=text)
    assert found.rows is None
    assert found.encodings == {"a.csv": "cp932"}
    assert any("rows are not counted" in note for note in found.notes)


def test_memory_is_bounded(tmp_path: Path) -> None:
    assert interface.HELD_BYTES <= 64 << 20
    file = tmp_path / "big.csv"
    with file.open("wb") as out:
        out.write(b"n,s\n")
        for _ in range(100):
            out.write(b"123456,some text that is long enough\n" * 27_000)
    code = (
        "import resource, sys; from pathlib import Path; from datakeep.core.progress import Silent\n"
        "from datakeep.extract import csv_file; from datakeep.extract.describe import describe\n"
        "csv_file.HELD_BYTES = 1 << 20; csv_file._BLOCK_BYTES = 1 << 20\n"
        "import pyarrow.csv\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert describe([('big.csv', Path(sys.argv[1]))], progress=Silent()).rows == 2_700_000\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < file.stat().st_size // 2**20 * 0.8


def test_same_columns_are_merged(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        a__csv="n,s,d\n1,,2026-01-01\n",
        b__csv="d,s,n\n2026-01-01T10:00:00,x,1.5\n",
        c__jsonl='{"n": 1, "s": null, "d": null}\n',
    )
    assert types(found) == {"n": "double", "s": "string", "d": "timestamp[s]"}
    assert found.rows == 3
    assert found.formats == {"csv": 2, "jsonl": 1}


def test_the_largest_group_gives_the_columns(tmp_path: Path) -> None:
    found = look(tmp_path, a__csv="x\n1\n2\n3\n", b__csv="n\n1\n", c__csv="n\n2\n", d__csv="z,y\n1,1\n")
    assert types(found) == {"n": "int64"}
    assert found.rows == 2
    assert found.notes == [
        "columns and rows are those of 2 of 4 tabular files, such as b.csv; other columns are in a.csv, d.csv"
    ]


def test_of_equal_groups_the_one_with_more_rows(tmp_path: Path) -> None:
    assert types(look(tmp_path, a__csv="x\n1\n", b__csv="y\n1\n2\n")) == {"y": "int64"}


def test_duplicate_columns_are_noted(tmp_path: Path) -> None:
    found = look(tmp_path, a__csv="a,a,b\n1,2,3\n")
    assert list(types(found)) == ["a", "b"]
    assert "more than one column named 'a'" in found.notes[0]


def test_only_a_hundred_tables_are_opened(tmp_path: Path) -> None:
    pairs = []
    for number in range(103):
        file = tmp_path / f"{number:03}.csv"
        file.write_text("n\n1\n")
        pairs.append((file.name, file))
    pairs[-1][1].write_bytes(PNG)
    found = describe(pairs[::-1], progress=Silent())
    assert found.formats == {"csv": 103}
    assert types(found) == {"n": "int64"}
    assert found.rows is None
    assert found.notes == ["columns are those of the first 100 of 103 tabular files"]


def test_other_files_are_counted_by_extension(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    paths = ["b/1.PNG", "b/2.png", "c.json", "d.csv.gz", "e.tar.gz", "LICENSE", ".hidden", "f.gz", "写真.jpg"]
    found = describe([(path, missing) for path in paths], progress=Silent())
    assert found.formats == {
        "no extension": 2,
        "png": 2,
        "csv.gz": 1,
        "gz": 1,
        "jpg": 1,
        "json": 1,
        "tar.gz": 1,
    }
    assert (found.columns, found.rows, found.notes) == ([], None, [])


def test_many_images_import_no_pyarrow() -> None:
    code = (
        "import sys; from pathlib import Path; from datakeep.core.progress import Silent\n"
        "from datakeep.extract.describe import describe\n"
        "found = describe([(f'i/{n}.png', Path('x')) for n in range(50_000)], progress=Silent())\n"
        "assert found.formats == {'png': 50_000}\n"
        "assert 'pyarrow' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet", "a.jsonl"):
        with pytest.raises(SourceMissing, match="is not there any more"):
            describe([(name, tmp_path / name)], progress=Silent())


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet", "a.jsonl"):
        with pytest.raises(SourceUnreadable, match="cannot be read: Is a directory"):
            describe([(name, tmp_path)], progress=Silent())


@pytest.mark.parametrize("seed", range(60))
def test_random_bytes_are_refused_or_described_but_never_crash(tmp_path: Path, seed: int) -> None:
    import random

    chance = random.Random(seed)
    alphabet = [*(bytes([byte]) for byte in b'a,\n"1\xe9\r;{}'), b"\xe3\x81\x82", b"\x82\xa0", b"\xa4\xa2"]
    content = b"".join(chance.choices(alphabet, k=chance.randint(0, 60)))
    for name in ("a__csv", "b__tsv", "c__jsonl", "d__parquet"):
        try:
            found = look(tmp_path, **{name: content})
        except SourceMalformed:
            continue
        assert found.columns
