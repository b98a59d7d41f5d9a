"""What a column of the result was called where it came from: a name that suggests people does not get lost."""

import pytest

from datakeep.extract.sql.advice import advise
from datakeep.extract.sql.former import former_names
from datakeep.extract.sql.interface import Table, TableColumn
from datakeep.extract.sql.renamed import Behind
from datakeep.extract.sql.statement import parse

VIEWS = {
    name: Behind(definition=text)
    for name, text in {
        "public.v": "SELECT p.id, p.email AS c1 FROM s.p p",
        "public.w": "SELECT v.c1 AS c2, v.id FROM v",
        "public.u": "CREATE VIEW u (a, b) AS SELECT lower(c2), id FROM w",
        "public.loop": "SELECT x AS y FROM loop",
        "public.odd": "SELECT FROM WHERE",
    }.items()
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


QS = "(SELECT id, email AS m FROM p) q"
TABLES = {"public.c": Behind(("id", "email", "city")), "u": Behind(("id", "emails", "doc", "rec"))}


@pytest.mark.parametrize(
    ("dialect", "query", "found"),
    [
        ("postgres", "SELECT id, x FROM u, unnest(u.emails) t(x)", {"x": ("emails",)}),
        ("postgres", "SELECT x, n FROM u, unnest(u.emails) WITH ORDINALITY t(x, n)", {"x": ("emails",)}),
        ("postgres", "SELECT t AS z FROM u, unnest(u.emails) t", {"z": ("t", "emails")}),
        ("postgres", f"SELECT q.id, x FROM {QS}, regexp_split_to_table(q.m, ',') x", {"x": ("m", "email")}),
        ("postgres", f"SELECT own FROM {QS}, LATERAL mine(q.m)", {"own": ("m", "email")}),
        ("postgres", "SELECT f FROM p, ROWS FROM (unnest(p.emails), g(p.x)) AS t(e, f)", {"f": ("emails", "x")}),
        ("postgres", "SELECT a FROM p, jsonb_to_recordset(p.phones) AS x(a text)", {"a": ("phones",)}),
        ("sqlite", "SELECT id, value FROM u, json_each(u.emails)", {"value": ("emails",)}),
        ("bigquery", "SELECT id, e FROM u, UNNEST(u.emails) AS e WITH OFFSET o", {"e": ("emails",)}),
        ("spark", "SELECT e FROM u LATERAL VIEW explode(u.emails) t AS e", {"e": ("emails",)}),
        ("mysql", "SELECT x FROM u, json_table(doc, '$' COLUMNS (x INT PATH '$.mail')) j", {"x": ("doc", "mail")}),
        ("tsql", "SELECT a FROM u CROSS APPLY openjson(doc) WITH (a INT '$.email') j", {"a": ("doc", "email")}),
        (
            "oracle",
            "SELECT j.x FROM u, xmltable('/a' PASSING doc COLUMNS x INT PATH 'email') j",
            {"x": ("a", "doc", "email")},
        ),
        ("postgres", "SELECT doc->'a'->>'email' AS e, doc->>'n' AS n FROM u", {
            "e": ("doc", "email", "a"), "n": ("doc",),
        }),
        ("postgres", "SELECT jsonb_path_query(doc, '$.a[0].email') AS e FROM u", {"e": ("doc", "email", "a")}),
        ("duckdb", "SELECT rec.email AS v, u.rec.zip AS w FROM u", {"v": ("email", "rec"), "w": ("zip", "rec")}),
        ("duckdb", "SELECT rec['email'] AS v FROM u", {"v": ("rec", "email")}),
        ("postgres", "SELECT (c).email AS y, (c).id AS i, ((c).home).zip AS z FROM c", {
            "y": ("email",), "i": ("id",), "z": ("zip", "home"),
        }),
        ("postgres", "SELECT c::text AS w FROM c", {"w": ("c", "id", "email", "city")}),
        ("postgres", "SELECT to_jsonb(x) AS w FROM c x", {"w": ("x", "id", "email", "city")}),
        ("postgres", f"SELECT row_to_json(q.*) AS k, (q).m AS z FROM {QS}", {
            "k": ("id", "m", "email"), "z": ("m", "email"),
        }),
        ("postgres", "SELECT (SELECT c::text FROM o) AS j FROM c", {"j": ("c", "id", "email", "city")}),
        ("postgres", "SELECT (SELECT c.email) AS e, (SELECT count(*) FROM c) AS n FROM c", {"e": ("email",)}),
        ("duckdb", "SELECT email AS m, upper(m) AS k, k || k AS l FROM p", {
            "m": ("email",), "k": ("m", "email"), "l": ("k", "m", "email"),
        }),
        ("duckdb", f"SELECT v FROM {QS} UNPIVOT (v FOR k IN (m, n))", {"v": ("m", "email", "n")}),
        ("duckdb", f"SELECT v FROM {QS} UNPIVOT ((v, w) FOR k IN ((m, n)))", {"v": ("m", "email", "n")}),
        ("tsql", f"SELECT p.v FROM {QS} UNPIVOT (v FOR k IN (m, n)) AS p", {"v": ("p", "m", "email", "n")}),
        ("duckdb", f"SELECT v FROM (UNPIVOT (FROM {QS}) ON m, n INTO NAME k VALUE v) z", {"v": ("m", "email", "n")}),
        (
            "duckdb",
            "WITH q AS (SELECT email AS m FROM p), x AS (UNPIVOT q ON m, n) SELECT value FROM x",
            {"value": ("m", "email", "n")},
        ),
        ("duckdb", "SELECT * FROM q PIVOT (max(email) FOR k IN ('a', 'b'))", {"a": ("email",), "b": ("email",)}),
        ("postgres", "SELECT b.m FROM (SELECT email AS m FROM p) a, (SELECT m FROM o) b", {}),
        (
            "postgres",
            "SELECT email ~ 'a' a, octet_length(email) b, array_length(emails, 1) c, strpos(email, '@') d FROM p",
            {},
        ),
        (
            "postgres",
            "SELECT starts_with(email, 'a') e, position('@' IN email) p, string_agg(id, ',' ORDER BY email) f FROM p",
            {"f": ("id",)},
        ),
        ("postgres", "SELECT mode() WITHIN GROUP (ORDER BY email) AS f FROM p", {"f": ("email",)}),
        ("duckdb", "SELECT * EXCLUDE (m) FROM (SELECT id AS i, email AS m FROM p)", {"i": ("id",)}),
        ("postgres", "SELECT max AS z FROM (SELECT max(email) FROM p) q", {"z": ("max", "email")}),
        ("postgres", "SELECT column1 FROM p, LATERAL (VALUES (p.email), (p.k)) v", {"column1": ("email", "k")}),
        ("snowflake", "SELECT OBJECT_CONSTRUCT(*) AS a FROM c", {"a": ("id", "email", "city")}),
        ("spark", "SELECT to_json(struct(*)) AS a, count(*) AS n FROM c", {"a": ("id", "email", "city")}),
        ("duckdb", "SELECT struct_pack(*COLUMNS(*)) AS a FROM c", {"a": ("id", "email", "city")}),
        ("duckdb", "SELECT COLUMNS(['email']) AS k FROM p", {"k": ("email",)}),
        ("duckdb", "SELECT #2 AS k FROM c", {"k": ("id", "email", "city")}),
        ("postgres", "SELECT jsonb_array_elements_text(doc->'emails') AS x FROM u", {"x": ("emails", "doc")}),
        ("postgres", "SELECT lower(doc->'a'->>'email') AS x FROM u", {"x": ("doc", "a", "email")}),
        ("postgres", "SELECT doc #>> ARRAY['a', 'email'] AS x FROM u", {"x": ("doc", "a", "email")}),
        ("postgres", "SELECT json_value(doc, '$.email') AS x FROM u", {"x": ("doc", "email")}),
        ("snowflake", "SELECT get(doc, 'email') AS a FROM u", {"a": ("doc", "email")}),
        ("tsql", "SELECT j.value AS v FROM u CROSS APPLY openjson(doc, '$.emails') j", {
            "v": ("value", "doc", "emails"),
        }),
        ("duckdb", "SELECT email.lower().trim() AS a FROM p", {"a": ("email",)}),
        ("duckdb", f"SELECT q.m.lower() AS a, m.upper() AS b FROM {QS}", {"a": ("m", "email"), "b": ("m", "email")}),
        ("spark", "SELECT explode(map(id, email)) AS (k, a) FROM p", {"k": ("id", "email"), "a": ("id", "email")}),
        ("postgres", "SELECT x FROM (c JOIN p USING (id)) AS q(i, x)", {"x": ("id", "email", "city")}),
        ("tsql", "SELECT (SELECT c.* FOR JSON PATH) AS v FROM c", {"v": ("id", "email", "city")}),
        ("snowflake", "SELECT m FROM p MATCH_RECOGNIZE (MEASURES last(email) AS m PATTERN (a) DEFINE a AS true)", {
            "m": ("email",),
        }),
        ("oracle", "SELECT decode(email, 'x', 1) a, nvl2(email, 1, 0) b, lengthb(email) d FROM p", {}),
        ("mysql", "SELECT if(email, 'x', 'y') a, isnull(email) b, strcmp(email, 'a') c FROM p", {}),
        ("postgres", "SELECT CASE email WHEN 'a' THEN city END AS c FROM p", {"c": ("city",)}),
        ("spark", "SELECT pos, e FROM u LATERAL VIEW posexplode(u.emails) t AS pos, e", {"e": ("emails",)}),
        ("postgres", "SELECT city FROM p EXCEPT SELECT email FROM p", {}),
        ("postgres", "SELECT x.id FROM p, unnest(array[p.email]) AS x(id)", {"id": ("email",)}),
        ("postgres", "SELECT type FROM p, regexp_split_to_table(email, '@') AS type", {"type": ("email",)}),
        ("snowflake", "SELECT prefix(email, 5) AS z FROM p", {"z": ("email",)}),
    ],
)  # fmt: skip
def test_a_value_is_followed_through_functions_rows_documents_and_pivots(dialect, query, found):
    assert former_names(query, dialect, TABLES) == found


def test_a_list_of_names_behind_a_table_goes_by_place_where_the_columns_are_known():
    text = "SELECT x.a, x.b FROM c AS x(a, b)"
    known = {"c": Behind(("id", "email", "city"), ordered=True)}
    assert former_names(text, "postgres", known) == {"a": ("id",), "b": ("email",)}
    assert "email" in former_names(text, "postgres", {"c": Behind(("email", "id"))})["b"]
    rows = "SELECT a, b FROM u, unnest(u.tags, ARRAY[u.email]) AS t(a, b)"
    assert former_names(rows, "postgres") == {"a": ("tags",), "b": ("email",)}


def test_a_function_of_somebodys_own_in_from_gives_what_it_names():
    made = {"crm.people()": "CREATE FUNCTION crm.people() RETURNS TABLE (id int, mail text) AS $$ … $$"}
    for text in (
        "SELECT f.v FROM crm.people() AS f(k, v)",
        "SELECT v FROM (SELECT (crm.people()).*) AS f(k, v)",
    ):
        assert "mail" in former_names(text, "postgres", {}, ["v"], made)["v"]
    assert former_names("SELECT crm.score(id) AS s FROM p", "postgres", {}, ["s"], made) == {"s": ("id",)}


@pytest.mark.parametrize(
    ("dialect", "query"),
    [
        ("postgres", "SELECT kv.value AS v FROM u, jsonb_each_text(u.doc) kv WHERE kv.key = 'email'"),
        ("sqlite", "SELECT j.value AS v FROM u JOIN json_each(u.doc) j ON j.key IN ('email')"),
    ],
)
def test_a_value_of_a_key_that_is_asked_for_has_its_name(dialect, query):
    assert "email" in former_names(query, dialect)["v"]


@pytest.mark.parametrize(
    ("dialect", "query"),
    [
        ("duckdb", "SELECT arg_max(id, email) AS i FROM p"),
        ("postgres", "SELECT doc #- '{email}' AS i FROM p"),
        ("postgres", "SELECT email.norm(id) AS i FROM p"),
    ],
)
def test_what_is_only_looked_at_or_taken_away_is_not_told(dialect, query):
    assert "email" not in former_names(query, dialect)["i"]


def test_a_column_that_the_text_does_not_name_may_be_whatever_goes_in():
    pivoted = "SELECT * FROM (PIVOT q ON k USING max(email) GROUP BY id) z"
    assert former_names(pivoted, "duckdb", TABLES, ["id", "x", "Y"]) == {"x": ("email",), "y": ("email",)}
    counted = "SELECT * FROM (PIVOT p ON city USING count(*), count(email) AS n GROUP BY age) z"
    assert former_names(counted, "duckdb", TABLES, ["age", "x"]) == {}
    called = "SELECT * FROM u, mine(u.emails)"
    assert former_names(called, "postgres", TABLES, ["id", "emails", "doc", "n"]) == {"n": ("emails",)}
    assert former_names("SELECT * FROM u", "postgres", TABLES, ["id", "n"]) == {}


@pytest.mark.parametrize(
    ("dialect", "query", "result", "names"),
    [
        ("postgres", "SELECT lower(email), id FROM p", ["lower", "id"], {"lower": ("email",), "id": ("id",)}),
        ("bigquery", "SELECT max(email) FROM p", ["f0_"], {"f0_": ("email",)}),
        ("duckdb", f"SELECT max(m) FROM {QS}", ["max(m)"], {"max(m)": ("m", "email")}),
        ("duckdb", "SELECT c.* FROM (SELECT {'k': email} AS c FROM p)", ["k"], {"k": ("c", "email")}),
        ("duckdb", "SELECT unnest(c) FROM (SELECT {'k': email} AS c FROM p)", ["k"], {"k": ("c", "email")}),
        ("duckdb", "SELECT COLUMNS('(.*)') AS 'x_\\1' FROM c", ["x_id"], {"x_id": ("id", "email", "city")}),
        ("duckdb", "FROM (SUMMARIZE c)", ["min"], {"min": ("id", "email", "city")}),
        ("postgres", "SELECT (each(to_jsonb(c))).* FROM c", ["v"], {"v": ("c", "id", "email", "city")}),
        ("bigquery", "SELECT AS VALUE STRUCT(email AS k) FROM p", ["k"], {"k": ("email",)}),
    ],
)  # fmt: skip
def test_a_column_that_the_database_names_is_found_in_the_result(dialect, query, result, names):
    found = former_names(query, dialect, TABLES, result)
    assert {name: former for name, former in found.items() if former != (name,)} == {
        name: former for name, former in names.items() if former != (name,)
    }


def test_thousands_of_aliases_that_name_each_other_are_no_fault():
    chain = ", ".join(f"a{n - 1} || a{n - 1} AS a{n}" for n in range(1, 2000))
    found = former_names(f"SELECT email AS a0, {chain} FROM p", "duckdb")
    assert found["a1999"][-1] == "email"


def test_a_view_that_may_be_another_of_its_name_has_the_names_of_both():
    views = {
        "a.v": Behind(definition="SELECT id FROM a.q"),
        "public.v": Behind(definition="SELECT id, email AS c FROM p"),
    }
    assert "email" in former_names("SELECT v.c AS k FROM a.v q JOIN v ON v.id = q.id", "postgres", views)["k"]
    assert "email" in former_names("SELECT c FROM d.public.v", "postgres", views)["c"]


@pytest.mark.parametrize(
    "view", ["CREATE VIEW v", "CREATE TABLE v (a int)", "(withheld: it holds a password)", ""]
)
def test_a_definition_that_is_no_query_tells_nothing(view):
    assert former_names("SELECT c AS k FROM v", "postgres", {"v": Behind(definition=view)}) == {"k": ("c",)}


def test_hundreds_of_queries_one_after_the_other_or_within_each_other_are_no_fault():
    chain = ", ".join(f"c{n} AS (SELECT x{n - 1} AS x{n} FROM c{n - 1})" for n in range(1, 300))
    found = former_names(
        f"WITH c0 AS (SELECT email AS x0 FROM p), {chain} SELECT x299 AS z FROM c299", "postgres"
    )
    assert found["z"][-1] == "email"
    nested = "SELECT email AS x FROM p"
    for _ in range(60):
        nested = f"SELECT x FROM ({nested}) AS q"
    assert former_names(nested, "postgres", result=["x"]) == {"x": ("email",)}


def test_lists_of_a_thousand_columns_are_read_at_once():
    first, second, third = (", ".join(f"{letter}{n}" for n in range(1000)) for letter in "cde")
    text = f"SELECT * FROM (SELECT * FROM (SELECT {first}, * FROM z) AS q({second})) AS r({third})"
    assert "c0" in former_names(text, "postgres")["e999"]


def test_views_of_views_are_read_once_each():
    views = {
        f"v{n}": Behind(definition=f"SELECT a.x AS y, b.y AS x FROM v{n + 1} a, v{n + 1} b")
        for n in range(100)
    }
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
