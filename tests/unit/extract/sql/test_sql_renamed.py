"""What a column of the result was called where it came from: a name that suggests people does not get lost."""

import pytest

from datakeep.extract.sql.advice import advise
from datakeep.extract.sql.interface import Table, TableColumn
from datakeep.extract.sql.renamed import former_names
from datakeep.extract.sql.statement import parse

VIEWS = {
    "public.v": "SELECT p.id, p.email AS c1 FROM s.p p",
    "public.w": "SELECT v.c1 AS c2, v.id FROM v",
    "public.u": "CREATE VIEW u (a, b) AS SELECT lower(c2), id FROM w",
    "public.loop": "SELECT x AS y FROM loop",
    "public.odd": "SELECT FROM WHERE",
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT id, email AS contact FROM s.p", {"contact": ("email",)}),
        ("SELECT length(email) AS n, email IS NULL AS m, count(DISTINCT email) AS c FROM s.p", {}),
        (
            "SELECT row_number() OVER (PARTITION BY email) AS r, lag(email) OVER () AS l FROM s.p",
            {"l": ("email",)},
        ),
        ("SELECT CASE WHEN sex = 'f' THEN 1 END AS a, email || '' AS b FROM s.p", {"b": ("email",)}),
        ("SELECT (SELECT max(email) FROM s.p AS k WHERE k.id = p.id) AS y FROM s.p", {"y": ("email",)}),
        ("SELECT l.foo FROM s.p CROSS JOIN LATERAL (SELECT p.email AS foo) AS l", {"foo": ("email",)}),
        ("SELECT x.bar FROM s.p CROSS JOIN LATERAL (VALUES (p.email)) AS x (bar)", {"bar": ("email",)}),
        (
            "SELECT id, c FROM (SELECT * FROM r UNION ALL SELECT id, email AS c FROM p) AS u",
            {"c": ("email",)},
        ),
        ("SELECT e AS z FROM (SELECT *, email AS e FROM t) AS x (i)", {"z": ("e", "email")}),
        ("WITH x (a) AS ((SELECT email FROM p)) SELECT a FROM x", {"a": ("email",)}),
        (
            "SELECT lower(email) AS a, name::text AS b, count(email) AS c FROM s.p",
            {"a": ("email",), "b": ("name",)},
        ),
        ("WITH x AS (SELECT id, email AS k FROM s.p) SELECT x.k AS z, id FROM x", {"z": ("k", "email")}),
        ("WITH x (id, k) AS (SELECT id, email FROM s.p) SELECT k FROM x", {"k": ("email",)}),
        ("SELECT * FROM (SELECT id, email FROM s.p) AS x (i, k)", {"i": ("id",), "k": ("email",)}),
        (
            "SELECT a.q FROM (SELECT email AS q FROM s.p UNION ALL SELECT phone FROM s.r) AS a",
            {"q": ("email", "phone")},
        ),
        (
            "SELECT p.email, q.k AS email2 FROM s.p JOIN (SELECT mail AS k FROM s.q) AS q ON true",
            {"email2": ("k", "mail")},
        ),
        ("SELECT id AS ID, * FROM s.p", {}),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n AS m FROM r",
            {"m": ("n",)},
        ),
        ("SELECT c1 FROM v", {"c1": ("email",)}),
        ("SELECT * FROM public.v", {"c1": ("email",)}),
        ('SELECT x.c2 AS k FROM "public"."w" AS x', {"k": ("c2", "c1", "email")}),
        ("SELECT a, 1 AS one FROM u", {"a": ("c2", "c1", "email")}),
        ("SELECT c1 FROM other.v", {}),
        ("SELECT y FROM loop", {"y": ("x",)}),
        ("SELECT y AS z FROM odd", {"z": ("y",)}),
    ],
)
def test_a_column_is_known_by_its_names_on_the_way(query, found):
    assert former_names(query, "postgres", VIEWS) == found


@pytest.mark.parametrize(
    ("query", "column", "name"),
    [
        ("SELECT * RENAME (email AS c), 1 AS n FROM people", "c", "email"),
        ("SELECT id FROM a UNION BY NAME SELECT id, phone AS c FROM b", "c", "phone"),
        ("SELECT id, x AS c FROM a UNION ALL BY NAME SELECT phone AS c, id FROM b", "c", "phone"),
        ("SELECT COLUMNS('c.*') FROM (SELECT email AS c FROM a)", "c", "email"),
        ("SELECT * EXCLUDE (a) FROM (SELECT id AS a, email AS c FROM p)", "c", "email"),
        (
            "SELECT r FROM (SELECT * RENAME (c AS d) FROM (SELECT id AS i, email AS c FROM p)) AS z(q, r)",
            "r",
            "email",
        ),
    ],
)
def test_what_duckdb_does_with_columns_is_known(query, column, name):
    assert name in former_names(query, "duckdb")[column]


def test_a_view_that_may_be_another_of_its_name_has_the_names_of_both():
    views = {"a.v": "SELECT id FROM a.q", "public.v": "SELECT id, email AS c FROM p"}
    assert "email" in former_names("SELECT v.c AS k FROM a.v q JOIN v ON v.id = q.id", "postgres", views)["k"]
    assert "email" in former_names("SELECT c FROM d.public.v", "postgres", views)["c"]


@pytest.mark.parametrize(
    "view", ["CREATE VIEW v", "CREATE TABLE v (a int)", "(withheld: it holds a password)", ""]
)
def test_a_definition_that_is_no_query_tells_nothing(view):
    assert former_names("SELECT c AS k FROM v", "postgres", {"v": view}) == {"k": ("c",)}


def test_hundreds_of_queries_one_after_the_other_or_within_each_other_are_no_fault():
    chain = ", ".join(f"c{n} AS (SELECT x{n - 1} AS x{n} FROM c{n - 1})" for n in range(1, 300))
    found = former_names(
        f"WITH c0 AS (SELECT email AS x0 FROM p), {chain} SELECT x299 AS z FROM c299", "postgres"
    )
    assert found["z"][-1] == "email"
    nested = "SELECT email AS x FROM p"
    for _ in range(60):
        nested = f"SELECT x FROM ({nested}) AS q"
    assert former_names(nested, "postgres") in ({}, {"x": ("email",)})


def test_views_of_views_are_read_once_each():
    views = {f"v{n}": f"SELECT a.x AS y, b.y AS x FROM v{n + 1} a, v{n + 1} b" for n in range(100)}
    assert former_names("SELECT x FROM v0", "postgres", views)["x"][0] == "y"


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("WITH x AS (SELECT id, email AS k FROM s.p) SELECT id, k FROM x", "k (from email)"),
        ("SELECT c1 FROM s.v", "c1 (from email)"),
        ("SELECT s.v.* FROM s.v", "c1 (from email)"),
        ("SELECT * FROM (SELECT id, email AS c FROM s.p) AS x", "c (from email)"),
        ("SELECT email FROM s.p", "email"),
    ],
)
def test_a_column_of_a_person_is_advised_on_whatever_it_is_called(query, what):
    table = Table("s.v", "view", (TableColumn("c1", "text"),), definition="SELECT email AS c1 FROM s.p")
    advised = advise(parse(query, "postgres"), {"s.v": table}, {"s.v": str(table.definition)})
    assert [one.what.partition(":")[0] for one in advised if one.id == "personal-column"] == [what]
