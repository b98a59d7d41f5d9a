"""What a query reads is named through every view, and what cannot be told is unknown, never none."""

from __future__ import annotations

import sqlite3

import duckdb
import pytest
from sql_judged import ACCEPTED

from datakeep.extract.sql.advice import advise, verify_joins
from datakeep.extract.sql.interface import Table, TableColumn
from datakeep.extract.sql.lineage import TableRead, column_origins, read_tables, trace
from datakeep.extract.sql.statement import parse


def table(name, columns, kind="table", **more):
    return Table(name, kind, tuple(TableColumn(one, "text") for one in columns.split()), **more)


CATALOGUE = {
    "s.orders": table("s.orders", "id customer_id amount Day", comment="all orders", owner="sales"),
    "customers": table("public.customers", "id country email"),
    "public.customers": table("public.customers", "id country email"),
    "w": table("public.w", "id", "view", definition="CREATE VIEW w AS SELECT id FROM s.orders"),
    "v": table(
        "public.v", "id country", "view", comment="a view",
        definition="SELECT c.id, c.country FROM customers c JOIN w ON w.id = c.id;",
    ),
    "m": table("public.m", "id", "materialized view", definition="SELECT id FROM v"),
    "hidden": table("public.hidden", "id", "view"),
    "bad": table("public.bad", "id", "view", definition="SELECT FROM WHERE"),
    "loop": table("public.loop", "id", "view", definition="SELECT id FROM loop"),
    '"T"': table('public."T"', "Aa b"),
    "Mixed": table("main.Mixed", "Aa Bb"),
}  # fmt: skip


def lookup(names):
    return {name: CATALOGUE[name] for name in names if name in CATALOGUE}


def reads(text, dialect="postgres"):
    return [(one.name, one.columns, one.reached_through) for one in trace(parse(text, dialect), lookup)]


def origins(text, dialect="postgres"):
    statement = parse(text, dialect)
    return column_origins(statement, lookup(read_tables(statement)))


@pytest.mark.parametrize(
    ("dialect", "text", "names"),
    [
        ("postgres", "SELECT 1", []),
        ("postgres", 'SELECT * FROM a, s.b AS x, "S"."T"', ["a", "s.b", '"S"."T"']),
        ("postgres", "SELECT * FROM a JOIN a AS b ON a.i = b.i", ["a"]),
        ("postgres", "WITH a AS (SELECT * FROM b) SELECT * FROM a", ["b"]),
        ("postgres", "WITH a AS (SELECT * FROM a) SELECT * FROM a", ["a"]),
        ("postgres", "WITH a AS (SELECT * FROM s.a) SELECT * FROM a JOIN s.a AS b ON true", ["s.a"]),
        ("postgres", "WITH RECURSIVE r AS (SELECT i FROM a UNION SELECT r.i FROM r, b) TABLE r", ["a", "b"]),
        ("postgres", "SELECT (SELECT x FROM a) FROM b WHERE EXISTS (SELECT 1 FROM c) AND i IN (SELECT i FROM d)",
         ["a", "b", "c", "d"]),
        ("postgres", "SELECT x FROM a UNION (SELECT x FROM b EXCEPT SELECT x FROM c)", ["a", "b", "c"]),
        ("postgres", "SELECT * FROM a, LATERAL (SELECT x FROM b WHERE b.i = a.i) y", ["a", "b"]),
        ("postgres", "SELECT * FROM (a JOIN b ON a.i = b.i) JOIN c ON true", ["a", "b", "c"]),
        ("postgres", "SELECT * FROM generate_series(1, 2) g, unnest(ARRAY[1]) u, f(1) x", []),
        ("postgres", "TABLE a", ["a"]),
        ("postgres", "(SELECT x FROM a) ORDER BY x", ["a"]),
        ("postgres", "SELECT * FROM 会社.顧客", ["会社.顧客"]),
        ("duckdb", "SELECT * FROM 'data/x.parquet', read_csv('y.csv') y, \"t\"", ["data/x.parquet", "y.csv", '"t"']),
        ("duckdb", "SELECT * FROM read_parquet(['a.parquet', 'b.parquet'])", ["a.parquet", "b.parquet"]),
        ("duckdb", "FROM a", ["a"]),
        ("sqlite", "SELECT * FROM [my table], `x`, main.y", ['"my table"', '"x"', "main.y"]),
        ("tsql", "SELECT * FROM [dbo].[My Table]", ["[dbo].[My Table]"]),
        ("mysql", "SELECT * FROM `a b`.t", ["`a b`.t"]),
        ("bigquery", "SELECT * FROM p.d.t", ["p.d.t"]),
        ("snowflake", "SELECT * FROM db.s.t, LATERAL FLATTEN(input => t.x) f", ["db.s.t"]),
    ],
)  # fmt: skip
def test_tables_are_named_as_the_query_writes_them(dialect, text, names):
    assert read_tables(parse(text, dialect)) == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT id FROM s.orders", [("s.orders", ("id",), ())]),
        ("SELECT * FROM s.orders", [("s.orders", ("Day", "amount", "customer_id", "id"), ())]),
        ("SELECT count(*) FROM s.orders", [("s.orders", (), ())]),
        ('SELECT amount FROM s.orders WHERE "Day" > :day ORDER BY id', [("s.orders", ("Day", "amount", "id"), ())]),
        ("SELECT amount AS x FROM s.orders ORDER BY x", [("s.orders", ("amount",), ())]),
        ("SELECT s.orders.amount, orders.id FROM s.orders", [("s.orders", ("amount", "id"), ())]),
        ("SELECT country, amount FROM s.orders o JOIN customers c ON o.customer_id = c.id",
         [("s.orders", ("amount", "customer_id"), ()), ("public.customers", ("country", "id"), ())]),
        ("WITH x AS (SELECT id, country FROM customers) SELECT id FROM x",
         [("public.customers", ("country", "id"), ())]),
        ("WITH customers AS (SELECT id FROM customers) SELECT id FROM customers",
         [("public.customers", ("id",), ())]),
        ("SELECT (SELECT max(amount) FROM s.orders o WHERE o.customer_id = c.id) FROM customers c",
         [("s.orders", ("amount", "customer_id"), ()), ("public.customers", ("id",), ())]),
        ("SELECT id FROM customers UNION SELECT id FROM public.customers WHERE country = 'JP'",
         [("public.customers", ("country", "id"), ())]),
        ('SELECT "Aa", B FROM "T"', [('public."T"', ("Aa", "b"), ())]),
    ],
)  # fmt: skip
def test_the_columns_that_are_read(text, expected):
    assert reads(text) == expected


def test_views_are_followed_to_their_tables():
    assert reads("SELECT id FROM m") == [
        ("public.m", ("id",), ()),
        ("public.v", ("id",), ("public.m",)),
        ("public.customers", ("country", "id"), ("public.m", "public.v")),
        ("public.w", ("id",), ("public.m", "public.v")),
        ("s.orders", ("id",), ("public.m", "public.v", "public.w")),
    ]


def test_what_the_catalogue_says_goes_along():
    found = trace(parse("SELECT amount FROM s.orders, v", "postgres"), lookup)
    assert found[0] == TableRead("s.orders", "table", ("amount",), None, "all orders", (), "sales")
    assert (found[1].kind, found[1].comment, found[1].definition) == (
        "view", "a view", CATALOGUE["v"].definition,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["hidden", "bad"])
def test_a_view_that_cannot_be_followed_has_unknown_columns(name):
    assert reads(f"SELECT id FROM {name}") == [(f"public.{name}", None, ())]


def test_a_view_that_reads_itself_ends():
    assert reads("SELECT id FROM loop") == [
        ("public.loop", ("id",), ()),
        ("public.loop", None, ("public.loop",)),
    ]


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("postgres", "SELECT * FROM nowhere"),
        ("postgres", "SELECT n.* FROM nowhere n, customers c"),
        ("postgres", "SELECT x, country FROM nowhere, customers"),
        ("duckdb", "SELECT sum(b) FROM (PIVOT nowhere ON a USING sum(b))"),
        ("duckdb", "SELECT COLUMNS('a.*') FROM nowhere"),
        ("duckdb", "SELECT * FROM read_csv('nowhere')"),
    ],
)
def test_columns_that_cannot_be_told_are_unknown_never_none(dialect, text):
    found = {one.name: one for one in trace(parse(text, dialect), lookup)}["nowhere"]
    assert (found.kind, found.columns) == ("unknown", None)


def test_a_function_that_may_read_anything_is_unknown_and_one_that_computes_is_nothing():
    assert reads("SELECT amount FROM s.orders, f(1) AS g(x), LATERAL h(2) AS i(y)") == [
        ("s.orders", ("amount",), ()),
        ("f()", None, ()),
        ("h()", None, ()),
    ]
    assert reads("SELECT x FROM read_csv(:file)", "duckdb") == [("read_csv()", None, ())]
    assert (
        reads(
            "SELECT * FROM generate_series(1, 2) a, json_to_recordset('[]') AS b(x int), unnest(ARRAY[1]) c"
        )
        == []
    )
    assert reads("SELECT value FROM json_each('[1]')", "sqlite") == []


def test_columns_that_the_query_names_are_known_without_the_catalogue():
    assert reads("SELECT a FROM nowhere n WHERE n.b > 1") == [("nowhere", ("a", "b"), ())]


def test_a_query_that_the_optimizer_cannot_take_has_unknown_columns(monkeypatch):
    from sqlglot.errors import OptimizeError

    def fails(*_, **__):
        raise OptimizeError

    monkeypatch.setattr("datakeep.extract.sql.qualifying.qualify", fails)
    assert reads("SELECT id FROM customers") == [("public.customers", None, ())]
    assert origins("SELECT id FROM customers") == {}


def test_spelling_does_not_matter_where_it_does_not_to_the_database():
    assert reads("SELECT aa, BB FROM Mixed", "sqlite") == [("main.Mixed", ("Aa", "Bb"), ())]
    assert reads("SELECT Mixed.AA FROM Mixed", "duckdb") == [("main.Mixed", ("Aa",), ())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT id FROM customers", {"id": ("public.customers", "id")}),
        ("SELECT id AS key, country || 'x' AS c, 1 AS one FROM customers",
         {"key": ("public.customers", "id"), "c": None, "one": None}),
        ("SELECT * FROM customers", {name: ("public.customers", name) for name in ("id", "country", "email")}),
        ("SELECT c.id, amount FROM s.orders o JOIN customers c ON c.id = o.customer_id",
         {"id": ("public.customers", "id"), "amount": ("s.orders", "amount")}),
        ("WITH x AS (SELECT id AS k FROM customers) SELECT k AS z FROM x", {"z": ("public.customers", "id")}),
        ("SELECT x.a FROM (SELECT (id) AS a FROM customers) AS x", {"a": ("public.customers", "id")}),
        ("SELECT id FROM customers UNION ALL SELECT customers.id FROM public.customers",
         {"id": ("public.customers", "id")}),
        ("SELECT id FROM customers UNION ALL SELECT id FROM s.orders", {"id": None}),
        ("SELECT max(id) AS id FROM customers", {"id": None}),
        ("SELECT id::text AS id FROM customers", {"id": None}),
        ("SELECT c.id, o.id FROM customers c, s.orders o", {"id": None}),
        ('SELECT "Day" FROM s.orders', {"Day": ("s.orders", "Day")}),
        ("(SELECT id FROM customers) ORDER BY id", {"id": ("public.customers", "id")}),
        ("SELECT a FROM nowhere", {"a": ("nowhere", "a")}),
        ("SELECT * FROM nowhere", {}),
        ("VALUES (1)", {}),
        (("WITH RECURSIVE r AS (SELECT id FROM customers UNION ALL SELECT c.id FROM customers c, r WHERE r.id = c.id)"
         " SELECT id FROM r"), {"id": ("public.customers", "id")}),
    ],
)  # fmt: skip
def test_where_a_column_comes_from(text, expected):
    assert origins(text) == expected


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
def test_a_result_is_named_as_the_database_names_it(dialect):
    text = 'SELECT aa, BB AS Other, Mixed.AA AS "x Y" FROM Mixed'
    connection = sqlite3.connect(":memory:") if dialect == "sqlite" else duckdb.connect()
    connection.execute("CREATE TABLE Mixed (Aa TEXT, Bb TEXT)")
    named = [one[0] for one in connection.execute(text).description]
    connection.close()
    assert list(origins(text, dialect)) == named == ["Aa", "Other", "x Y"]
    assert list(origins(text, dialect).values()) == [
        ("main.Mixed", "Aa"), ("main.Mixed", "Bb"), ("main.Mixed", "Aa"),
    ]  # fmt: skip


def test_reading_a_tree_leaves_it_as_it_was():
    statement = parse("SELECT c.* FROM customers c WHERE id = :id", "postgres")
    first = (trace(statement, lookup), column_origins(statement, CATALOGUE), read_tables(statement))
    assert (trace(statement, lookup), column_origins(statement, CATALOGUE), read_tables(statement)) == first
    assert parse(statement.text, "postgres") == statement


@pytest.mark.parametrize(("dialect", "text"), ACCEPTED, ids=[text[:40] for _, text in ACCEPTED])
def test_whatever_is_accepted_can_be_asked_about(dialect, text):
    statement = parse(text, dialect)
    names = read_tables(statement)
    tables = {name: table(name, "a b c id") for name in names}
    assert {one.name for one in trace(statement, lambda _: {}) if "()" not in one.name} == set(names)
    assert {one.name for one in trace(statement, lambda _: tables) if "()" not in one.name} == set(names)
    assert all(one is None or one[0] in names for one in column_origins(statement, tables).values())
    assert all(
        one.line >= 1 and one.column >= 1 for one in (*advise(statement, None), *advise(statement, tables))
    )
    verify_joins(statement, tables, lambda _: [(0, 0, 0, 0)])


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("SELECT to_jsonb(c) FROM customers c", None),
        ("SELECT c::text FROM customers c", None),
        ("SELECT row_to_json(customers.*) FROM customers", None),
        ("SELECT 1 AS one, (SELECT to_jsonb(c)) AS j FROM customers c", None),
        ("SELECT x.j FROM (SELECT json_agg(c) AS j FROM customers c) x", None),
        ("SELECT (c).id FROM customers c", ("id",)),
        ("SELECT count(c), count(c.*) FROM customers c", ()),
        ("SELECT count(*) AS customers FROM customers ORDER BY customers", ()),
        ("SELECT count(*) FROM customers", ()),
    ],
)
def test_a_row_that_is_taken_whole_is_all_its_columns(text, columns):
    known = CATALOGUE["customers"]
    every = tuple(sorted(one.name for one in known.columns))
    [read] = trace(parse(text, "postgres"), lambda _: {"customers": known})
    assert read.columns == (every if columns is None else columns)
    [unknown] = trace(parse(text, "postgres"), lambda _: {})
    assert unknown.columns == columns, "of an unknown table it is not known which these are"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT * FROM a, a", ["a"]),
        ("SELECT a.x FROM a JOIN b a ON true", ["a", "b"]),
        ("SELECT x.* FROM (PIVOT t ON k USING max(e)) x", ["t"]),
        ("WITH x AS (UNPIVOT q ON m, n) SELECT value FROM x", ["q"]),
        ("SELECT 1 FROM (SUMMARIZE t) s", ["t"]),
        ("SELECT x FROM (c JOIN p USING (id)) AS q(i, x)", ["c", "p"]),
    ],
)
def test_what_the_optimizer_gives_up_on_is_no_fault(text, names, capfd):
    assert read_tables(parse(text, "duckdb")) == names
    assert all(one.line for one in advise(parse(text, "duckdb"), {}))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("dialect", "text", "columns"),
    [
        (
            "postgres",
            "WITH q AS (SELECT to_jsonb(c) j FROM o c) SELECT c.id, q.j FROM customers c, q",
            ("id",),
        ),
        ("postgres", "WITH q AS (SELECT (c).amount FROM o c) SELECT c.id FROM customers c, q", ("id",)),
        (
            "postgres",
            "SELECT c.id FROM customers c WHERE EXISTS (SELECT 1 FROM o c WHERE c IS NULL)",
            ("id",),
        ),
        ("snowflake", "SELECT OBJECT_CONSTRUCT(*) AS a FROM customers", ("country", "email", "id")),
        ("postgres", "SELECT jsonb_array_elements(email->'x') FROM customers", ("email",)),
        ("postgres", "SELECT x FROM customers, jsonb_array_elements_text(email) x", ("email",)),
        ("sqlite", "SELECT value FROM customers, json_each(email)", ("email",)),
        ("duckdb", "SELECT email.lower(), customers.country.x.y FROM customers", ("country", "email")),
        ("duckdb", "SELECT list_filter(email, x -> x > 1) FROM customers", ("email",)),
        ("postgres", "SELECT x.a, x.b FROM customers AS x(a, b)", ("country", "id")),
        ("postgres", "SELECT b, email FROM customers AS x(a, b)", ("country", "email")),
        ("postgres", "SELECT c.id, crm.score(c.country) FROM customers c", ("country", "id")),
        ("duckdb", "SELECT c.id, main.mk(c.email) FROM customers c", ("email", "id")),
        (
            "duckdb",
            "SELECT u.v FROM customers c, (SELECT unnest([c.email, c.country]) AS v) u",
            ("country", "email"),
        ),
        ("postgres", "SELECT (c.country).*, c.id FROM customers c", ("country", "id")),
        ("duckdb", "SELECT id, country.* FROM customers", ("country", "id")),
        ("duckdb", "SELECT list_transform(email, id -> 1 + id) FROM customers", ("email",)),
        ("duckdb", "SELECT list_transform(email, lambda x : 1) FROM customers", ("email",)),
        ("duckdb", "SELECT coalesce(email->'x', '') FROM customers", ("email",)),
        ("postgres", "SELECT f(email -> country) FROM customers", ("country", "email")),
        (
            "postgres",
            "SELECT (SELECT to_jsonb(c) UNION ALL SELECT null) FROM customers c",
            ("country", "email", "id"),
        ),
        ("postgres", "SELECT (WITH q AS (SELECT c.email AS e) SELECT e FROM q) FROM customers c", ("email",)),
        (
            "postgres",
            "SELECT id FROM customers WHERE id IN (SELECT g FROM generate_series(1, country) g)",
            ("country", "id"),
        ),
        ("tsql", "SELECT c.email.value('(/x)[1]', 'int') FROM customers c", ("email",)),
        ("duckdb", "SELECT id, #2 FROM customers", ("country", "email", "id")),
    ],
)
def test_what_is_read_within_functions_and_by_aliases_used_twice(dialect, text, columns):
    read = {one.name: one.columns for one in trace(parse(text, dialect), lambda names: {
        name: CATALOGUE["customers"] if name == "customers" else table("o", "id amount") for name in names
    })}  # fmt: skip
    assert read["public.customers"] == columns


def test_a_column_called_as_its_table_is_no_row_where_there_are_none():
    [read] = trace(parse("SELECT id, city FROM city", "sqlite"), lambda _: {})
    assert read.columns == ("city", "id")


def test_aliases_that_double_each_other_end_soon():
    chain = ", ".join(f"a{n} || a{n} AS a{n + 1}" for n in range(60))
    [read] = trace(parse(f"SELECT email AS a0, {chain} FROM customers", "duckdb"), lookup)
    assert read.columns is None, "they are too many to be told"


def test_a_list_of_names_behind_a_table_leads_to_its_columns():
    statement = parse("SELECT x.a, x.b AS z, x.email FROM customers AS x(a, b)", "postgres")
    found = column_origins(statement, {"customers": CATALOGUE["customers"]})
    assert found == {
        name: ("public.customers", to) for name, to in (("a", "id"), ("z", "country"), ("email", "email"))
    }
    [read] = trace(statement, lambda _: {})
    assert read.columns is None


def test_fields_of_a_value_are_no_star_of_a_table():
    text = "SELECT c.id, (c.country).*, (f(c.id)).* FROM customers c"
    assert "select-star" not in {one.id for one in advise(parse(text, "postgres"), {})}
    assert "select-star" in {one.id for one in advise(parse("SELECT (c).* FROM customers c", "postgres"), {})}


def test_thousands_within_a_union_and_unions_within_each_other_are_read_at_once():
    wide = " UNION ALL ".join(f"SELECT {n} AS z" for n in range(1500))
    [read] = trace(parse(f"SELECT x.z FROM customers, ({wide}) x", "postgres"), lookup)
    assert read.columns == ()
    deep = "SELECT customers.email"
    for _ in range(20):
        deep = f"SELECT 1 WHERE EXISTS ({deep} UNION ALL SELECT null)"
    [read] = trace(parse(f"SELECT id FROM customers WHERE EXISTS ({deep})", "postgres"), lookup)
    assert read.columns == ("email", "id")
