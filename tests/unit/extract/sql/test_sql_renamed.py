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


def test_what_duckdb_renames_in_a_star_is_known():
    found = former_names("SELECT * RENAME (email AS c), 1 AS n FROM people", "duckdb")
    assert found == {"c": ("email",)}


def test_views_of_views_are_read_once_each():
    views = {f"v{n}": f"SELECT a.x AS y, b.y AS x FROM v{n + 1} a, v{n + 1} b" for n in range(100)}
    assert former_names("SELECT x FROM v0", "postgres", views)["x"][0] == "y"


@pytest.mark.parametrize("query", [
    "WITH x AS (SELECT id, email AS k FROM s.p) SELECT id, k FROM x", "SELECT c1 FROM s.v", "SELECT s.v.* FROM s.v",
])  # fmt: skip
def test_a_column_of_a_person_is_advised_on_whatever_it_is_called(query):
    table = Table("s.v", "view", (TableColumn("c1", "text"),), definition="SELECT email AS c1 FROM s.p")
    advised = advise(parse(query, "postgres"), {"s.v": table}, {"s.v": str(table.definition)})
    assert [one.what.partition(":")[0] for one in advised if one.id == "personal-column"] == ["email"]
