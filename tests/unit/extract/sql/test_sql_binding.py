"""A placeholder is found where it is one, and nothing but placeholders is rewritten."""

from __future__ import annotations

import re
import sqlite3

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.extract.sql.binding import bound
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.statement import parse

NAMES = st.sampled_from(
    [
        "a",
        "day",
        "day2",
        "from",
        "limit",
        "end",
        "date",
        "in",
        "is",
        "as",
        "_x",
        "日",
        "開始日",
        "user",
        "null",
        "Day",
    ]
)
#: Text that holds a colon and a name, but no placeholder.
NOISE = [
    "'x :day'", "'it''s :day'", "E'\\':day'", '"q:day"', '"a"":day"', "$$ :day $$", "$t$ :day $$ :day $t$", "b::int",
    "b::text::date", "x[1:2]", "x[1:n]", "x[1 :n]", "(x[b:c])", "/* :day */ 1", "/* /* :day */ :day */ 1",
    "1 -- :day\n",
    "'日本 :day'", "'🙂:day'", "'\n:day\n'", "N':day'", "U&':day'", "b'1'::bit(1)", "1", "b.c", "count(*)",
]  # fmt: skip
#: How a placeholder may stand.
AROUND = ["{}", "({})", "1+{}", "-{}", "{}::date", "coalesce({}, 1)", "CAST({} AS int)", "b = {}", "b IN ({})",
          "ARRAY[{}]", "(x)[({})]", "CASE WHEN {} THEN 1 END", "\n{}\n", "/* c */{}/* :no */",
          "b || {} || 'x'"]  # fmt: skip
PIECES = st.lists(
    st.one_of(st.sampled_from(NOISE), st.tuples(NAMES, st.sampled_from(AROUND))), min_size=1, max_size=8
)


def written(pieces):
    """The SELECT of the pieces, and the (name, start, end) of its placeholders."""
    text, places = "SELECT ", []
    for number, piece in enumerate(pieces):
        text += "" if number == 0 else ", "
        if isinstance(piece, str):
            text += piece
            continue
        name, around = piece
        before, after = around.split("{}")
        start = len(text) + len(before)
        text += f"{before}:{name}{after}"
        places.append((name, start, start + len(name) + 1))
    return text + "\nFROM t", tuple(places)


@given(PIECES)
@settings(max_examples=400, deadline=None)
def test_exactly_the_placeholders_are_found(pieces):
    text, places = written(pieces)
    assert parse(text, "postgres").placeholders == places


@given(PIECES, st.sampled_from(["numbered", "question", "named", "at", "dollar", "percent"]))
@settings(max_examples=300, deadline=None)
def test_everything_else_stays_byte_for_byte(pieces, style):
    text, places = written(pieces)
    found = bound(parse(text, "postgres"), style)
    rest, at = found.sql, 0
    for name, start, end in (*places, ("", len(text), len(text))):
        kept = text[at:start]
        kept = kept.replace("%", "%%") if style == "percent" else kept
        assert rest.startswith(kept)
        rest, at = rest[len(kept) :], end
        if name:
            form = re.match(r"\$\d+|\?|:\w+|@\w+|\$\w+|%\(\w+\)s", rest)
            assert form
            rest = rest[form.end() :]
    assert rest == ""


@given(PIECES)
@settings(max_examples=100, deadline=None)
def test_named_is_the_text_itself_and_a_number_is_one_name(pieces):
    text, places = written(pieces)
    statement = parse(text, "postgres")
    assert bound(statement, "named").sql == text
    numbered, question = bound(statement, "numbered"), bound(statement, "question")
    assert question.names == tuple(name for name, _, _ in places)
    assert numbered.names == tuple(dict.fromkeys(question.names))
    assert list(numbered.names) == sorted(set(question.names), key=question.names.index)


@pytest.mark.parametrize(
    ("style", "sql", "names"),
    [
        ("numbered", "SELECT $1, $2, $1 WHERE a LIKE '10%:a'", ("a", "b")),
        ("question", "SELECT ?, ?, ? WHERE a LIKE '10%:a'", ("a", "b", "a")),
        ("named", "SELECT :a, :b, :a WHERE a LIKE '10%:a'", ("a", "b")),
        ("at", "SELECT @a, @b, @a WHERE a LIKE '10%:a'", ("a", "b")),
        ("dollar", "SELECT $a, $b, $a WHERE a LIKE '10%:a'", ("a", "b")),
        ("percent", "SELECT %(a)s, %(b)s, %(a)s WHERE a LIKE '10%%:a'", ("a", "b")),
    ],
)
def test_each_style(style, sql, names):
    found = bound(parse("SELECT :a, :b, :a WHERE a LIKE '10%:a'", "postgres"), style)
    assert (found.sql, found.names) == (sql, names)


@pytest.mark.parametrize(
    ("dialect", "text", "names"),
    [
        ("snowflake", "SELECT src:name, src :x, s.src:a.b, :p FROM t WHERE a=:p", ["p", "p"]),
        ("databricks", "SELECT c:item, :p FROM t", ["p"]),
        ("duckdb", "SELECT {'a':b, 'c': :d, 'e':(:f)}, {a:b}, [:n] FROM t", ["d", "f", "n"]),
        ("duckdb", "SELECT {'a' :b, 'c':d}, :e FROM t", ["e"]),
        ("duckdb", "SELECT :day, :from, x[1:2] FROM t LIMIT :limit", ["day", "from", "limit"]),
        ("mysql", "SELECT `a:b`, ':c', \":d\", :e # :f\n FROM t", ["e"]),
        ("bigquery", 'SELECT ":a", r\':b\', """:c""", :d FROM t', ["d"]),
        ("tsql", "SELECT [a:b], N':c', :d", ["d"]),
        ("oracle", "SELECT q'[it's :a]', :b FROM dual", ["b"]),
        ("postgres", "SELECT a FROM t WHERE at > now() AT TIME ZONE :zone", ["zone"]),
        ("postgres", "SELECT a FROM t FETCH FIRST :n ROWS ONLY", ["n"]),
        ("postgres", "SELECT x AS y FROM f(a => :b)", ["b"]),
        ("postgres", "SELECT :a:: date", ["a"]),
    ],
)
def test_a_colon_means_what_it_means_in_its_dialect(dialect, text, names):
    assert [name for name, _, _ in parse(text, dialect).placeholders] == names


@pytest.mark.parametrize("text", ["SELECT x[:n] FROM t", "SELECT x[ :n ] FROM t", "SELECT (x)[:n:2] FROM t"])
def test_what_two_readers_take_for_two_things_is_refused(text):
    for dialect in ("postgres", "duckdb"):
        with pytest.raises(QueryRefused, match="slice or a parameter") as caught:
            parse(text, dialect)
        assert "[(:n)]" in caught.value.next_step


def test_real_databases_take_what_is_bound():
    text = "SELECT :from AS a, 'x :b' AS b, :日 + 1 AS c, :from AS d -- :e"
    lite = bound(parse(text, "sqlite"), "question")
    values = {"from": "f", "日": 2}
    assert sqlite3.connect(":memory:").execute(
        lite.sql, [values[name] for name in lite.names]
    ).fetchall() == [("f", "x :b", 3, "f")]
    duck = bound(parse(text.replace(":日", ":n"), "duckdb"), "dollar")
    values = {"from": "f", "n": 2}
    assert duckdb.execute(duck.sql, {name: values[name] for name in duck.names}).fetchall() == [
        ("f", "x :b", 3, "f")
    ]
