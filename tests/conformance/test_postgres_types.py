"""psycopg is the judge: every value of every type of PostgreSQL arrives the same, through Parquet, or is refused."""

from __future__ import annotations

import json
import math
import re
import struct
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from databases import statement
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datakeep.core.progress import Silent
from datakeep.extract.sql.address import address_of
from datakeep.extract.sql.faults import NotExact, QueryRefused
from datakeep.extract.sql.interface import Exactness, Parameter, Statement
from datakeep.extract.sql.parquet_parts import write_parts
from datakeep.extract.sql.postgres import PostgresDatabase

SETUP = """
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'ok', '幸せ');
CREATE TYPE place AS (x int, label text);
CREATE DOMAIN price AS numeric(8,2) CHECK (VALUE >= 0);
CREATE DOMAIN dear AS price;
CREATE DOMAIN tags AS text[];
CREATE DOMAIN share AS double precision;
CREATE DOMAIN prices AS price[];
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN moods AS mood;
CREATE TYPE nested AS (at place, list place[], mood moods, by bytea);
CREATE TYPE floats AS RANGE (subtype = float8);
"""


@pytest.fixture(scope="module")
def url(postgres):
    made = postgres.create("types")
    with postgres.connect("types") as connection:
        connection.execute(SETUP)
    return made


@pytest.fixture(scope="module")
def judge(url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        yield connection


def extracted(url, query, folder, exactness=None):
    """The rows, as they are read from the Parquet files."""
    with PostgresDatabase(address_of(url)).session() as session:
        statement = Statement(query, "postgres", query)
        with session.run(statement, {}, exactness or Exactness()) as result:
            parts = write_parts(result, Path(folder), progress=Silent())
            assert [column.name for column in result.columns] == result.schema.names
            assert [column.arrow_type for column in result.columns] == [
                str(kind) for kind in result.schema.types
            ]
    tables = [pq.read_table(file) for file in parts.files]
    for file in parts.files:
        file.unlink()
    assert all(table.schema == parts.schema for table in tables)
    return pa.concat_tables(tables)


def decimals(digits, places):
    """Every number of so many digits, so many of them behind the point; written without Python's own rounding."""
    most = 10**digits - 1
    return st.integers(-most, most).map(lambda number: Decimal(f"{number}e-{places}"))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999))  # noqa: DTZ001
FLOAT4 = st.floats(width=32)
#: Column to its type, the values put into it, and whether PostgreSQL's own text is what is kept.
COLUMNS = {
    "b": ("boolean", st.booleans(), False),
    "i2": ("smallint", st.integers(-(2**15), 2**15 - 1), False),
    "i4": ("integer", st.integers(-(2**31), 2**31 - 1), False),
    "i8": ("bigint", st.integers(-(2**63), 2**63 - 1), False),
    "o": ("oid", st.integers(0, 2**32 - 1), False),
    "f4": ("real", FLOAT4, False),
    "f8": ("double precision", st.floats(), False),
    "share": ("share", st.floats(), False),
    "n18": ("numeric(38,18)", decimals(38, 18), False),
    "n48": ("numeric(48,3)", decimals(48, 3), False),
    "n76": ("numeric(76,76)", decimals(76, 76), False),
    "minus": ("numeric(4,-3)", decimals(4, 0).map(lambda number: number * 1000), False),
    "above": ("numeric(3,6)", decimals(3, 6), False),
    "price": ("dear", decimals(8, 2).map(abs), False),
    "free": ("numeric", st.one_of(decimals(300, 150), st.sampled_from([Decimal("NaN"), Decimal("1e-18")])), True),
    "n77": ("numeric(77,2)", decimals(77, 2), True),
    "t": ("text", TEXT, False),
    "vc": ("varchar(30)", TEXT, False),
    "bc": ("char(8)", st.text("aé 😀", max_size=8), False),
    "nm": ("name", st.text("abc é", max_size=20), False),
    "ci": ("citext", TEXT, True),
    "ch": ('"char"', st.sampled_from(["a", "", "~"]), True),
    "by": ("bytea", st.binary(max_size=40), False),
    "d": ("date", st.dates(), False),
    "ts": ("timestamp", TIMES, False),
    "ts0": ("timestamp(0)", TIMES.map(lambda moment: moment.replace(microsecond=0)), False),
    "tz": ("timestamptz", TIMES.map(lambda moment: moment.replace(tzinfo=UTC)), False),
    "tm": ("time", st.times(), False),
    "ttz": ("timetz", st.times().map(lambda moment: f"{moment}+09:30"), True),
    "iv": ("interval", st.timedeltas(timedelta(-10**6), timedelta(10**6)), True),
    "ivm": ("interval", st.sampled_from(["1 year 2 mons -3 days 04:05:06.000007", "-1 mon 30 days -00:00:01"]), True),
    "ttn": ("timetz", st.sampled_from(["00:00:00-15:59", "24:00:00+00", "23:59:59.999999+05:45:30"]), True),
    "jn": ("jsonb", st.one_of(decimals(40, 0), decimals(60, 20)).map(str), True),
    "tsr": ("tstzrange", st.sampled_from(["[2020-01-01 00:00:00+09,)", "empty"]), True),
    "u": ("uuid", st.uuids(), True),
    "j": ("json", st.just('{"b": 1.000000000000000000001, "a":  [1, null], "b": 2}'), True),
    "jb": ("jsonb", st.dictionaries(TEXT, st.integers(), max_size=3).map(json.dumps), True),
    "m": ("money", st.integers(-(10**15), 10**15).map(lambda cents: f"{cents}.25"), True),
    "e": ("mood", st.sampled_from(["sad", "ok", "幸せ"]), True),
    "net": ("inet", st.ip_addresses().map(str), True),
    "mac": ("macaddr", st.just("08:00:2b:01:02:03"), True),
    "bits": ("bit(3)", st.sampled_from(["101", "000"]), True),
    "vbits": ("varbit", st.text("01", max_size=40), True),
    "x": ("xml", st.just("<a>é</a>"), True),
    "tsv": ("tsvector", st.just("'a':1 'b':2A"), True),
    "rng": ("int4range", st.sampled_from(["[1,5)", "empty", "(,)"]), True),
    "pl": ("place", st.sampled_from(['(1,"a b")', "(,)", '(3,"q\\"q")']), True),
    "pt": ("point", st.just("(0.1,2)"), True),
    "mr": ("nummultirange", st.sampled_from(["{}", "{[1.50,2],(3,)}"]), True),
    "dr": ("daterange", st.sampled_from(["[2020-01-01,infinity]", "(,0044-03-15 BC]"]), True),
    "fr": ("floats", st.sampled_from(["[0.1,1e300)", "(NaN,)"]), True),
    "em": ("moods", st.sampled_from(["sad", "幸せ"]), True),
    "ns": ("nested", st.sampled_from(['("(1,)","{}",ok,"\\\\x00ff")', "(,,,)"]), True),
    "hs": ("hstore", st.just('"k"=>"v", "n"=>NULL'), True),
    "ai": ("integer[]", st.lists(st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)), max_size=4), False),
    "an": ("numeric(30,10)[]", st.lists(st.one_of(st.none(), decimals(30, 10)), max_size=4), False),
    "at": ("tags", st.lists(st.one_of(st.none(), TEXT), max_size=4), False),
    "ad": ("date[]", st.lists(st.one_of(st.none(), st.dates()), max_size=4), False),
    "ay": ("bytea[]", st.lists(st.binary(max_size=4), max_size=4), False),
    "ab": ("boolean[]", st.lists(st.booleans(), max_size=4), False),
    "af": ("float8[]", st.lists(st.floats(), max_size=4), False),
    "atz": ("timestamptz[]", st.lists(TIMES.map(lambda moment: moment.replace(tzinfo=UTC)), max_size=3), False),
    "atm": ("time[]", st.lists(st.times(), max_size=3), False),
    "avc": ("varchar(5)[]", st.lists(st.text("aé", max_size=5), max_size=3), False),
}  # fmt: skip
#: Arrays of domains, which psycopg does not know: column to its type, the values, and what the judge casts it to.
DOMAINS = {
    "dp": ("prices", st.lists(st.one_of(st.none(), decimals(8, 2).map(abs)), max_size=3), "numeric(8,2)[]"),
    "di": ("positive[]", st.lists(st.one_of(st.none(), st.integers(1, 2**31 - 1)), max_size=3), "int[]"),
}
#: Arrays whose elements are kept as text; each element is compared with PostgreSQL's text of it.
TEXT_ARRAYS = {
    "au": ("uuid[]", st.lists(st.uuids(), max_size=3)),
    "ae": ("mood[]", st.lists(st.sampled_from(["sad", "幸せ"]), max_size=3)),
    "ar": ("int4range[]", st.lists(st.sampled_from(["[1,5)", "empty"]), max_size=3)),
    "aj": ("jsonb[]", st.lists(decimals(40, 10).map(str), max_size=3)),
    "aiv": ("interval[]", st.lists(st.just("1 mon -2 days 00:00:00.5"), max_size=2)),
    "apl": ("place[]", st.lists(st.sampled_from(['(1,"a,b")', "(,)"]), max_size=3)),
    "aem": ("moods[]", st.lists(st.sampled_from(["sad", "幸せ"]), max_size=3)),
    "amr": ("int4multirange[]", st.lists(st.sampled_from(["{}", "{[1,3),[5,7)}"]), max_size=2)),
    "afree": ("numeric[]", st.lists(st.one_of(st.none(), decimals(50, 25)), max_size=3)),
}
ROW = st.fixed_dictionaries(
    {name: st.one_of(st.none(), values) for name, (_, values, _) in COLUMNS.items()}
    | {name: st.one_of(st.none(), values) for name, (_, values, _) in DOMAINS.items()}
    | {name: st.one_of(st.none(), values) for name, (_, values) in TEXT_ARRAYS.items()}
)
TYPES = {name: kind for name, (kind, *_) in (COLUMNS | DOMAINS | TEXT_ARRAYS).items()}


def same(kept, judged, kind):
    if isinstance(judged, list):
        return (
            isinstance(kept, list)
            and len(kept) == len(judged)
            and all(map(same, kept, judged, [kind] * len(kept)))
        )
    if isinstance(judged, float):
        form = "f" if kind == "real" else "d"
        return kept is not None and (struct.pack(form, kept) == struct.pack(form, judged)
                                     or (math.isnan(kept) and math.isnan(judged)))  # fmt: skip
    if isinstance(judged, Decimal):
        return isinstance(kept, Decimal) and kept == judged
    return type(kept) is type(judged) and kept == judged


@pytest.fixture(scope="module")
def everything(judge):
    columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    judge.execute(f"CREATE TABLE everything (nr int PRIMARY KEY, {columns})")
    return judge


@given(st.lists(ROW, min_size=1, max_size=8))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_value_of_every_type_arrives_the_same(url, everything, tmp_path_factory, rows):
    places = ", ".join(f"%s::{kind}" for kind in TYPES.values())
    everything.execute("TRUNCATE everything")
    with everything.cursor() as cursor:
        for number, row in enumerate(rows):
            cursor.execute(
                f"INSERT INTO everything VALUES ({number}, {places})", [row[name] for name in TYPES]
            )
    judged = [f"{name}::text" if own else name for name, (_, _, own) in COLUMNS.items()]
    judged += [f"{name}::{cast}" for name, (_, _, cast) in DOMAINS.items()]
    judged += [f"{name}::text[]" for name in TEXT_ARRAYS]
    table = extracted(url, "SELECT * FROM everything ORDER BY nr;", tmp_path_factory.mktemp("parts"))
    expected = everything.execute(f"SELECT {', '.join(judged)} FROM everything ORDER BY nr").fetchall()
    assert table.num_rows == len(expected)
    for at, name in enumerate(TYPES):
        for kept, row in zip(table[name].to_pylist(), expected, strict=True):
            assert same(kept, row[at], TYPES[name]), (name, kept, row[at])


def test_large_values_arrive_the_same(url, judge, tmp_path):
    judge.execute("CREATE TABLE large AS SELECT g, decode(repeat(md5(g::text), 640000), 'hex') AS bytes,"
                  " repeat('😀' || g, 1000000) AS emoji FROM generate_series(1, 3) AS g")  # fmt: skip
    table = extracted(url, "SELECT * FROM large ORDER BY g", tmp_path)
    expected = judge.execute("SELECT bytes, emoji FROM large ORDER BY g").fetchall()
    assert len(expected[0][0]) == 10_240_000
    assert list(zip(table["bytes"].to_pylist(), table["emoji"].to_pylist(), strict=True)) == expected


REFUSED = {
    "'infinity'::date": "infinity",
    "'-infinity'::date": "-infinity",
    "'0044-03-15 BC'::date": "0044-03-15 BC",
    "'10000-01-01'::date": "10000-01-01",
    "'infinity'::timestamp": "infinity",
    "'-infinity'::timestamptz": "-infinity",
    "'4713-01-01 BC'::timestamp": "4713-01-01 BC",
    "'294276-12-31 23:59:59'::timestamptz": "294276-12-31",
    "'24:00:00'::time": "24:00:00",
    "array['2020-01-01', 'infinity']::date[]": "infinity",
    "array['24:00']::time[]": "24:00:00",
    "array[[1,2],[3,4]]": "{{1,2},{3,4}}",
    "'[0:1]={7,8}'::int[]": "[0:1]={7,8}",
    "'[-1:0]={7,8}'::int[]": "[-1:0]={7,8}",
    "'[5:6]={7,8}'::numeric(5,2)[]": "[5:6]={7.00,8.00}",
    "array[array[]::text[], array[]::text[]] || array[array['x']]": "{{x}}",
}


@pytest.mark.parametrize("value", REFUSED)
def test_a_value_without_an_equal_is_refused_with_its_place_or_kept_as_text(url, judge, tmp_path, value):
    query = f"SELECT g, CASE WHEN g = 70001 THEN {value} END AS odd FROM generate_series(1, 70003) AS g"
    with pytest.raises(NotExact) as caught:
        extracted(url, query, tmp_path)
    assert f"column odd, row 70001: '{REFUSED[value]}'" in caught.value.what
    assert "--as-text odd" in caught.value.next_step
    assert not list(tmp_path.iterdir())
    kept = extracted(url, query, tmp_path, Exactness(as_text=frozenset(["odd"])))["odd"].to_pylist()
    assert kept[70000] == judge.execute(f"SELECT ({value})::text").fetchone()[0]
    assert kept[69999] is kept[70001] is None


def test_a_numeric_that_is_no_number_is_refused_in_a_column_of_decimals(url, judge, tmp_path):
    judge.execute("CREATE TABLE nan (v numeric(5,2)); INSERT INTO nan VALUES (1.25), ('NaN')")
    with pytest.raises(NotExact, match="column v, row 2: 'NaN' is no decimal"):
        extracted(url, "SELECT v FROM nan", tmp_path)
    kept = extracted(url, "SELECT v FROM nan", tmp_path, Exactness(as_text=frozenset(["v"])))
    assert kept["v"].to_pylist() == ["1.25", "NaN"]


@pytest.mark.parametrize(("value", "digits", "kept"), [
    ("1.5", (5, 2), Decimal("1.50")),
    ("1.500000000000000000000000000000000000000000000000000000000000", (5, 2), Decimal("1.50")),
    ("-999.99", (5, 2), Decimal("-999.99")),
    ("1e-18", (38, 18), Decimal("1e-18")),
    ("1.005", (5, 2), None),
    ("1000", (5, 2), None),
    ("NaN", (5, 2), None),
    ("Infinity", (38, 0), None),
    # Arrow's own cast makes 1 of the first and 0 of the second, without an error.
    ("340282366920938463463374607431768211457", (38, 0), None),
    ("115792089237316195423570985008687907853269984665640564039457584007913129639936", (76, 0), None),
])  # fmt: skip
def test_stated_digits_hold_the_value_or_refuse_it(url, tmp_path, value, digits, kept):
    for query in (f"SELECT '{value}'::numeric AS v", f"SELECT array['{value}'::numeric] AS v"):
        exactness = Exactness(decimals={"v": digits})
        if kept is None:
            with pytest.raises(NotExact, match="column v, row 1"):
                extracted(url, query, tmp_path, exactness)
        else:
            found = extracted(url, query, tmp_path, exactness)["v"].to_pylist()[0]
            assert found in (kept, [kept])


def test_columns_that_are_named_must_be_there_and_be_numeric(url, tmp_path):
    with pytest.raises(QueryRefused, match="no column nope"):
        extracted(url, "SELECT 1 AS a", tmp_path, Exactness(as_text=frozenset(["nope"])))
    with pytest.raises(QueryRefused, match="column a is text"):
        extracted(url, "SELECT 'x'::text AS a", tmp_path, Exactness(decimals={"a": (5, 2)}))


def test_bytes_that_are_no_utf8_in_an_unchecked_database_are_refused_with_their_place(postgres, tmp_path):
    url = postgres.create("unchecked", encoding="SQL_ASCII")
    with psycopg.connect(url, autocommit=True, client_encoding="sql_ascii") as connection:
        connection.execute("CREATE TABLE names (nr int, name text, alias text[])")
        connection.execute(
            b"INSERT INTO names VALUES (1, 'Zo\xc3\xab', '{a}'), (2, 'caf\xe9', '{b}'), (3, NULL, '{\xe9}')"
        )
        connection.execute(b'CREATE TABLE odd ("n\xe9" int)')
        connection.execute(b"COMMENT ON TABLE names IS 'caf\xe9'")
    assert extracted(url, "SELECT name FROM names WHERE nr = 1", tmp_path)["name"].to_pylist() == ["Zoë"]
    with pytest.raises(NotExact, match=r"column name, row 2: 'caf\\xe9' is no UTF-8"):
        extracted(url, "SELECT nr, name FROM names ORDER BY nr", tmp_path)
    with pytest.raises(NotExact, match="column alias, row 3"):
        extracted(url, "SELECT nr, alias FROM names ORDER BY nr", tmp_path)
    with pytest.raises(NotExact, match="the name of a column is no UTF-8"):
        extracted(url, "SELECT * FROM odd", tmp_path)
    with PostgresDatabase(address_of(url)).session() as session:
        found = session.tables(["names", "odd"])
    assert found["names"].comment == "caf\\xe9"
    assert found["odd"].columns[0].name == "n\\xe9"


@pytest.mark.parametrize(
    ("encoding", "words"), [("EUC_JP", ("発電所", "東京")), ("LATIN1", ("Größe", "café"))]
)
def test_text_of_any_server_encoding_arrives_as_unicode(postgres, tmp_path, encoding, words):
    name, text = words
    url = postgres.create(f"in_{encoding}", encoding=encoding)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE TABLE "{name}" ("{name}" text, list text[])')
        connection.execute(f'INSERT INTO "{name}" VALUES (%s, %s)', (text, [text, None]))
    found = extracted(url, f'SELECT "{name}", list FROM "{name}"', tmp_path).to_pylist()
    assert found == [{name: text, "list": [text, None]}]


def test_text_that_unicode_does_not_have_is_refused_with_its_place(postgres, tmp_path):
    url = postgres.create("windows", encoding="WIN1252")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE words AS SELECT g, CASE WHEN g = 70001 THEN convert_from('\\x6181', 'WIN1252') ELSE '€' END"
            " AS word FROM generate_series(1, 70003) AS g"
        )
    query = "SELECT {} FROM words WHERE g > :least::int ORDER BY g"
    with (
        PostgresDatabase(address_of(url)).session() as session,
        pytest.raises(NotExact, match="column word, row 70000: x'81' in the encoding WIN1252") as caught,
        session.run(
            statement(query.format("g, word"), "postgres"), {"least": Parameter("integer", 1)}, Exactness()
        ) as result,
    ):
        list(result.batches())
    found = re.search(r"convert_to.*? AS word", caught.value.next_step)[0]
    assert extracted(url, f"SELECT {found} FROM words WHERE g = 70001", tmp_path)["word"].to_pylist() == [
        b"a\x81"
    ]


def test_a_row_of_uuid_is_what_python_reads(url, tmp_path):
    text = extracted(url, "SELECT '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'::uuid AS u", tmp_path)["u"][
        0
    ].as_py()
    assert str(uuid.UUID(text)) == text


def test_hours_minutes_and_dates_are_pythons(url, tmp_path):
    row = extracted(url, "SELECT '2024-02-29'::date d, '23:59:59.999999'::time t", tmp_path).to_pylist()[0]
    assert row == {"d": date(2024, 2, 29), "t": time(23, 59, 59, 999999)}


PAGE = (Path(__file__).parents[2] / "docs" / "types.md").read_text("utf-8")
SECTION = PAGE.partition("## PostgreSQL\n")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \|(.*?)\|$", SECTION, re.MULTILINE)


def described(url, query):
    statement = Statement(query, "postgres", query)
    with (
        PostgresDatabase(address_of(url)).session() as session,
        session.run(statement, {}, Exactness()) as result,
    ):
        return result.columns


def test_the_page_of_types_says_what_is_done(url):
    assert len(ROWS) > 40
    query = "SELECT " + ", ".join(f"NULL::{kind} AS x{at}" for at, (kind, _, _) in enumerate(ROWS))
    for column, (kind, arrow, note) in zip(described(url, query), ROWS, strict=True):
        assert (column.arrow_type, column.note or "") == (arrow, note.strip()), kind
        assert column.database_type == kind


def test_no_type_of_the_server_is_unknown_to_the_page_and_other_than_text(url, judge):
    listed = {kind.replace('"', "") for kind, _, _ in ROWS}
    kinds = judge.execute(
        "SELECT format_type(oid, NULL), typarray <> 0 FROM pg_type WHERE typtype IN ('b', 'r', 'm', 'e', 'c')"
        " AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.typarray = pg_type.oid)"
    ).fetchall()
    assert len(kinds) > 150
    arrays = [kind for kind, has_array in kinds if has_array]
    query = "SELECT " + ", ".join(
        [f"NULL::{kind} AS x{at}" for at, (kind, _) in enumerate(kinds)]
        + [f"NULL::{kind}[] AS y{at}" for at, kind in enumerate(arrays)]
    )
    columns = described(url, query)
    found = dict(zip([kind for kind, _ in kinds], columns, strict=False))
    of_arrays = columns[len(kinds) :]
    for kind, column in zip(arrays, of_arrays, strict=True):
        assert column.arrow_type == f"list<element: {found[kind].arrow_type}>", kind
    for kind, column in found.items():
        if kind.replace('"', "") not in listed:
            assert (column.arrow_type, column.note) == ("string", "kept as PostgreSQL's own text"), kind


REFUSALS = re.findall(r"^\| `(.+?)`( as text.*?)? \|", SECTION.partition("| value | why |")[2], re.MULTILINE)


def test_the_page_names_values_that_are_refused(url, judge, tmp_path):
    values = [value for value, unchecked in REFUSALS if not unchecked]
    assert len(values) == 6
    for value in values:
        judge.execute("DROP TABLE IF EXISTS odd")
        judge.execute(f"CREATE TABLE odd AS SELECT {value} AS odd")
        with pytest.raises(NotExact, match="column odd, row 1"):
            extracted(url, "SELECT odd FROM odd", tmp_path)
        assert (
            extracted(url, "SELECT odd FROM odd", tmp_path, Exactness(as_text=frozenset(["odd"]))).num_rows
            == 1
        )
