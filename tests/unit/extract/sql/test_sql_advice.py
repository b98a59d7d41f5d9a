"""What differs from run to run is named with its place; a query that is well is left alone."""

from __future__ import annotations

import pytest

from datakeep.extract.sql.advice import KINDS, advise
from datakeep.extract.sql.interface import Table, TableColumn
from datakeep.extract.sql.statement import parse

#: Dialect, text, and the advice on it as (id, column) in order; the text is one line.
BY_TEXT = [
    ("postgres", "SELECT now() AS t FROM s.a", [("clock", 8)]),
    ("postgres", "SELECT a FROM s.a WHERE d < current_date", [("clock", 29)]),
    ("postgres", "SELECT a FROM s.a WHERE d < current_timestamp(0)", [("clock", 29)]),
    ("postgres", "SELECT a FROM s.a WHERE d < 'now'::timestamp", [("clock", 29)]),
    ("postgres", "SELECT a FROM s.a WHERE d < date 'today'", [("clock", 34)]),
    ("postgres", "SELECT a FROM s.a WHERE d = 'yesterday' OR 'now' < d", [("clock", 29), ("clock", 44)]),
    ("postgres", "SELECT a FROM s.a WHERE d < cast('yesterday' AS date)", [("clock", 29)]),
    ("postgres", "SELECT a FROM s.a WHERE d < cast('now' AS date) - 7", [("relative-date", 29)]),
    ("postgres", "SELECT a FROM s.a WHERE d IN ('today', '2026-01-01') OR coalesce(d, 'now') > e",
     [("clock", 31), ("clock", 69)]),
    ("postgres", "SELECT a FROM s.a WHERE n IN ('today', 'later') OR lower(n) = 'now' OR n = x || 'today'", []),
    ("postgres", "SELECT a FROM s.a WHERE d < ('today')", [("clock", 30)]),
    ("postgres", "SELECT a FROM s.a WHERE n::text = 'now' OR coalesce(n, '') = 'now'", []),
    ("postgres", "SELECT a FROM s.a WHERE (replace(n, 'a', 'b')) = 'now'", []),
    ("postgres", "SELECT a FROM s.a WHERE u = user AND s = current_schema AND c = current_catalog",
     [("session-value", 29), ("session-value", 42), ("session-value", 65)]),
    ("oracle", "SELECT a FROM s.a WHERE u = USER", [("session-value", 29)]),
    ("mysql", "SELECT a, x.user FROM s.a AS x WHERE user = 1", []),
    ("postgres", 'SELECT a, x."user", "user" FROM s.a AS x', []),
    ("postgres", "SELECT a, 'now' AS b FROM s.a WHERE lower(x) <> 'nowhere'", []),
    ("duckdb", "SELECT a FROM s.a WHERE d = 'yesterday'", []),
    ("postgres", "SELECT a.x FROM s.a NATURAL JOIN s.b", [("natural-join", 34)]),
    ("mysql", "SELECT a.x FROM s.a NATURAL LEFT JOIN s.b", [("natural-join", 39)]),
    ("postgres", "SELECT clock_timestamp(), localtimestamp FROM s.a", [("clock", 8), ("clock", 27)]),
    ("postgres", "SELECT ctid, a.xmin, tableoid FROM s.a", [("row-place", 8), ("row-place", 16), ("row-place", 22)]),
    ("postgres", "SELECT q.xmin FROM (SELECT min(x) AS xmin FROM s.a) AS q", []),
    ("postgres", "SELECT pg_catalog.now() FROM s.a", [("clock", 19)]),
    ("postgres", "SELECT a FROM s.a WHERE d > current_date - interval '7 days'", [("relative-date", 29)]),
    ("postgres", "SELECT a FROM s.a WHERE d > now()::date - 7", [("relative-date", 29)]),
    ("postgres", "SELECT a FROM s.a WHERE d > date_trunc('day', now()) ", [("clock", 47)]),
    ("postgres", "SELECT current_date - born AS days FROM s.a", [("relative-date", 8)]),
    ("postgres", "SELECT age(made) AS old FROM s.a", [("relative-date", 8)]),
    ("sqlite", "SELECT a FROM a WHERE d > date('now', '-7 days')", [("relative-date", 32)]),
    ("sqlite", "SELECT datetime('now'), CURRENT_TIMESTAMP FROM a", [("clock", 17), ("clock", 25)]),
    ("sqlite", "SELECT date(), julianday() FROM a", [("clock", 8), ("clock", 16)]),
    ("duckdb", "SELECT a FROM a WHERE d > today() - 7", [("relative-date", 27)]),
    ("mysql", "SELECT a FROM a WHERE d > DATE_SUB(CURDATE(), INTERVAL 7 DAY)", [("relative-date", 36)]),
    ("mysql", "SELECT UNIX_TIMESTAMP(), UNIX_TIMESTAMP(d) FROM a", [("clock", 8)]),
    ("snowflake", "SELECT a FROM s.a WHERE d > DATEADD(day, -7, CURRENT_DATE())", [("relative-date", 46)]),
    ("bigquery", "SELECT a FROM s.a WHERE d > DATE_SUB(CURRENT_DATE(), INTERVAL 7 DAY)", [("relative-date", 38)]),
    ("oracle", "SELECT a FROM s.a WHERE d > SYSDATE - 7", [("relative-date", 29)]),
    ("oracle", "SELECT a FROM s.a WHERE d > ADD_MONTHS(SYSDATE, -1)", [("relative-date", 40)]),
    ("tsql", "SELECT a FROM s.a WHERE d > DATEADD(day, -7, GETDATE())", [("relative-date", 46)]),
    ("postgres", "SELECT random() AS r, gen_random_uuid() AS u FROM s.a", [("random", 8), ("random", 23)]),
    ("postgres", "SELECT a FROM s.a ORDER BY random() LIMIT 9", [("random", 28)]),
    ("sqlite", "SELECT abs(random()) AS r FROM a", [("random", 12)]),
    ("mysql", "SELECT RAND(), UUID() FROM a", [("random", 8), ("random", 16)]),
    ("tsql", "SELECT NEWID() AS u FROM s.a", [("random", 8)]),
    ("bigquery", "SELECT GENERATE_UUID() AS u FROM s.a", [("random", 8)]),
    ("oracle", "SELECT dbms_random.value, SYS_GUID() FROM dual", [("random", 8), ("random", 27)]),
    ("postgres", "SELECT a FROM s.a WHERE o = current_user", [("session-value", 29)]),
    ("postgres", "SELECT current_setting('x') AS x FROM s.a", [("session-value", 8)]),
    ("postgres", "SELECT a FROM s.a LIMIT 10", [("limit-unordered", 19)]),
    ("postgres", "SELECT a FROM s.a OFFSET :n", [("limit-unordered", 19)]),
    ("postgres", "SELECT a FROM s.a FETCH FIRST 3 ROWS ONLY", [("limit-unordered", 19)]),
    ("tsql", "SELECT TOP 10 a FROM s.a", [("limit-unordered", 8)]),
    ("oracle", "SELECT a FROM s.a WHERE ROWNUM <= 10", [("limit-unordered", 25)]),
    ("postgres", "SELECT a FROM s.a WHERE b IN (SELECT b FROM s.b LIMIT 3)", [("limit-unordered", 49)]),
    ("postgres", "SELECT a FROM s.a UNION ALL SELECT a FROM s.b LIMIT 3", [("limit-unordered", 47)]),
    ("postgres", "SELECT DISTINCT ON (a) a, b FROM s.a", [("distinct-on-unordered", 8)]),
    ("postgres", "SELECT DISTINCT ON (a) a, b FROM s.a ORDER BY a", [("distinct-on-unordered", 8)]),
    ("postgres", "SELECT a FROM s.a TABLESAMPLE BERNOULLI (1)", [("sampling", 19)]),
    ("snowflake", "SELECT a FROM s.a SAMPLE (10)", [("sampling", 19)]),
    ("duckdb", "SELECT a FROM a USING SAMPLE 10", [("sampling", 23)]),
    ("postgres", "SELECT * FROM s.a", [("select-star", 8)]),
    ("postgres", "SELECT x.*, b FROM s.a AS x, LATERAL f(x.b)", [("select-star", 8)]),
    ("postgres", "SELECT * FROM (SELECT * FROM s.a) AS x", [("select-star", 23)]),
    ("postgres", "WITH x AS (SELECT * FROM s.a) SELECT * FROM x", [("select-star", 19)]),
    ("postgres", "SELECT a FROM s.b UNION SELECT * FROM s.a", [("select-star", 32)]),
    ("duckdb", "SELECT * EXCLUDE (b) FROM a", [("select-star", 8)]),
    ("postgres", "SELECT a FROM a", [("unqualified-table", 15)]),
    ("postgres", "SELECT a FROM a UNION SELECT a FROM a", [("unqualified-table", 15)]),
    ("postgres", "WITH a AS (SELECT a FROM a) SELECT a FROM a", [("unqualified-table", 26)]),
    ("snowflake", "SELECT a FROM a", [("unqualified-table", 15)]),
    ("postgres", "SELECT a.x FROM s.a CROSS JOIN s.b", [("cross-join", 32)]),
    ("postgres", "SELECT a.x FROM s.a, s.b", [("cross-join", 22)]),
    ("postgres", "SELECT a.x FROM s.a JOIN s.b ON true", [("cross-join", 26)]),
    ("postgres", "SELECT a.x FROM s.a JOIN s.b ON b.y = 1", [("cross-join", 26)]),
    ("postgres", "SELECT a.x FROM s.a, s.b, s.c WHERE a.i = b.i", [("cross-join", 27)]),
    ("postgres", "SELECT DISTINCT c.x FROM s.c JOIN s.o ON o.c = c.i", [("distinct-hides-join", 8)]),
    ("postgres", "SELECT b, array_agg(a) FROM s.a GROUP BY b", [("aggregate-unordered", 11)]),
    ("postgres", "SELECT string_agg(a, ',') AS x FROM s.a", [("aggregate-unordered", 8)]),
    ("postgres", "SELECT jsonb_agg(a) AS x FROM s.a", [("aggregate-unordered", 8)]),
    ("postgres", "SELECT b, json_agg(a)::text AS x FROM s.a GROUP BY b ORDER BY b", [("aggregate-unordered", 11)]),
    ("postgres", "SELECT json_agg(a ORDER BY b), jsonb_agg(a ORDER BY b) FROM s.a", []),
    ("postgres", "SELECT b, json_object_agg(a, c) AS x FROM s.a GROUP BY b", [("aggregate-unordered", 11)]),
    ("postgres", "SELECT JSON_OBJECTAGG(a : c) AS x FROM s.a", [("aggregate-unordered", 8)]),
    ("postgres", "SELECT json_object_agg(a, c ORDER BY a) AS x FROM s.a", []),
    ("postgres", "SELECT b, jsonb_object_agg(a, c) AS x FROM s.a GROUP BY b", [("aggregate-unordered", 11)]),
    ("postgres", "SELECT ARRAY(SELECT b FROM s.b WHERE b.i = a.i) AS x FROM s.a", [("aggregate-unordered", 8)]),
    ("postgres", "SELECT ARRAY(SELECT b FROM s.b ORDER BY b), ARRAY[a], ARRAY(SELECT max(b) FROM s.b) FROM s.a", []),
    ("postgres", "SELECT string_agg(a, ',') OVER (PARTITION BY b) AS x FROM s.a", [("aggregate-unordered", 8)]),
    ("postgres", "SELECT array_agg(a) FILTER (WHERE c) OVER (PARTITION BY b) FROM s.a", [("aggregate-unordered", 8)]),
    ("postgres", "SELECT sum(a) OVER (ROWS 2 PRECEDING) AS x FROM s.a", [("window-unordered", 8)]),
    ("postgres", "SELECT sum(a) OVER w FROM s.a WINDOW w AS (ROWS 2 PRECEDING)", [("window-unordered", 8)]),
    ("postgres", "SELECT sum(a) OVER (PARTITION BY b), max(a) OVER (ORDER BY b ROWS 2 PRECEDING) FROM s.a", []),
    ("sqlite", "SELECT json_group_array(a), json_group_object(a, b) FROM a",
     [("aggregate-unordered", 8), ("aggregate-unordered", 29)]),
    ("duckdb", "SELECT array(SELECT a FROM a), json_group_object(a, b) FROM b",
     [("aggregate-unordered", 8), ("aggregate-unordered", 32)]),
    ("sqlite", "SELECT group_concat(a) AS x FROM a", [("aggregate-unordered", 8)]),
    ("mysql", "SELECT GROUP_CONCAT(a SEPARATOR ';') AS x FROM a", [("aggregate-unordered", 8)]),
    ("snowflake", "SELECT LISTAGG(a, ',') AS x FROM s.a", [("aggregate-unordered", 8)]),
    ("duckdb", "SELECT list(a), first(b) FROM a", [("aggregate-unordered", 8), ("any-value", 17)]),
    ("bigquery", "SELECT ANY_VALUE(a) AS x FROM s.a", [("any-value", 8)]),
    ("duckdb", "SELECT mode(a), arbitrary(b) FROM a", [("any-value", 8), ("any-value", 17)]),
    ("duckdb", "SELECT any_value(a) OVER (PARTITION BY b) FROM a", [("window-unordered", 8)]),
    ("duckdb", "SELECT approx_quantile(a, 0.5), approx_count_distinct(b), reservoir_quantile(a, 0.5) FROM a",
     [("estimate", 8), ("estimate", 33), ("estimate", 59)]),
    ("snowflake", "SELECT HLL(a), APPROX_PERCENTILE(a, 0.5) FROM s.a", [("estimate", 8), ("estimate", 16)]),
    ("sqlite", "SELECT rowid, a._rowid_ FROM a", [("row-place", 8), ("row-place", 15)]),
    ("duckdb", "SELECT a FROM a ORDER BY rowid LIMIT 3", [("row-place", 26)]),
    ("sqlite", "SELECT datetime(d, 'localtime'), strftime('%H', d, 'utc') FROM a",
     [("session-value", 20), ("session-value", 52)]),
    ("duckdb", "SELECT COLUMNS('i.*'), a.COLUMNS('b') FROM a", [("select-star", 8), ("select-star", 24)]),
    ("duckdb", "SELECT min(COLUMNS(*)) FROM a", [("select-star", 12)]),
    ("duckdb", "SELECT * LIKE 'i%' FROM a", [("select-star", 8)]),
    ("postgres", "SELECT row_number() OVER () AS n FROM s.a", [("window-unordered", 8)]),
    ("postgres", "SELECT lag(a) OVER (PARTITION BY b) AS n FROM s.a", [("window-unordered", 8)]),
    ("postgres", "SELECT lead(a) OVER w AS n FROM s.a WINDOW w AS (PARTITION BY b)", [("window-unordered", 8)]),
    ("postgres", "SELECT b, sum(a::float8) AS x FROM s.a GROUP BY b", [("float-sum", 11)]),
    ("postgres", "SELECT avg(x.y) AS x FROM (SELECT a::real + 1 AS y FROM s.a) AS x", [("float-sum", 8)]),
    ("postgres", "SELECT sum(CASE WHEN b > 0 THEN a::float8 END) AS x FROM s.a", [("float-sum", 8)]),
    ("duckdb", "SELECT stddev(CAST(a AS DOUBLE)) AS x FROM a", [("float-sum", 8)]),
    ("postgres", "SELECT a FROM s.a WHERE d > ':day'", [("quoted-parameter", 29)]),
    ("postgres", "SELECT a FROM s.a WHERE d > '$1'", [("quoted-parameter", 29)]),
    ("postgres", "SELECT a FROM s.a WHERE d = :n OR d LIKE '%:n%'", [("quoted-parameter", 42)]),
    ("postgres", "SELECT a FROM s.a WHERE d LIKE '%:n%' AND e = 'HH24:MI' AND f = '?' AND g = '10:30'", []),
    ("postgres", "SELECT a, email FROM s.a", [("personal-column", 11)]),
    ("postgres", "SELECT x.birth_date AS d FROM s.a AS x", [("personal-column", 8)]),
    ("postgres", "SELECT 氏名, 売上 FROM s.a", [("personal-column", 8)]),
]  # fmt: skip

#: Good queries, on which nothing is to be said, with or without the shop's catalogue.
GOOD = [
    ("postgres", "SELECT id, amount FROM s.orders WHERE day >= :since AND day < :until ORDER BY id"),
    ("postgres", "SELECT id, amount FROM s.orders ORDER BY day, id LIMIT 10"),
    ("postgres", "SELECT id AS n, amount FROM s.orders ORDER BY 1 LIMIT 10"),
    ("postgres", "SELECT id AS n, amount FROM s.orders ORDER BY n DESC LIMIT 10 OFFSET 20"),
    ("postgres", "SELECT day, amount FROM s.orders ORDER BY day, amount LIMIT 10"),
    ("postgres", "SELECT day, sum(amount) FROM s.orders GROUP BY day ORDER BY day LIMIT 10"),
    ("postgres", "SELECT max(amount) FROM s.orders LIMIT 1"),
    ("postgres", "SELECT sum(CAST(amount AS numeric(12,2))) FROM s.orders"),
    ("postgres", "SELECT max(amount::float8), count(amount::float8) FROM s.orders"),
    ("postgres", "SELECT sum(amount::float8 ORDER BY id) AS x FROM s.orders"),
    ("postgres", "SELECT id, sum(amount::float8) OVER (ORDER BY id) AS x FROM s.orders"),
    ("postgres", "SELECT sum(CASE WHEN amount::float8 > 0 THEN 1 ELSE 0 END) AS x FROM s.orders"),
    ("postgres", "SELECT DISTINCT day FROM s.orders ORDER BY day LIMIT 3"),
    ("postgres", "SELECT o.id, c.country FROM s.orders o JOIN s.customers c ON c.id = o.customer_id"),
    ("postgres", "SELECT o.id, c.country FROM s.orders o LEFT JOIN s.customers c ON o.customer_id = c.id"),
    ("postgres", "SELECT o.id, c.country FROM s.orders o, s.customers c WHERE c.id = o.customer_id"),
    ("postgres", "SELECT o.id FROM s.orders o JOIN s.customers c ON c.id = o.customer_id ORDER BY o.id LIMIT 5"),
    ("postgres", ("SELECT i.price, o.day, c.country FROM s.items i JOIN s.orders o ON o.id = i.order_id "
                 "JOIN s.customers c ON c.id = o.customer_id")),
    ("postgres", "SELECT o.id, i.price FROM s.orders o JOIN s.items i ON i.order_id = o.id AND i.line = 1"),
    ("postgres", "SELECT o.id, sum(i.price) FROM s.orders o JOIN s.items i ON i.order_id = o.id GROUP BY o.id"),
    ("postgres", ("SELECT o.id, count(i.line), max(o.day) FROM s.orders o LEFT JOIN s.items i ON i.order_id = o.id "
                 "GROUP BY o.id")),
    ("postgres", ("SELECT o.id, n.many FROM s.orders o LEFT JOIN (SELECT order_id, count(*) AS many FROM s.notes "
                 "GROUP BY order_id) n ON n.order_id = o.id")),
    ("postgres", ("WITH n AS (SELECT order_id, count(*) AS many FROM s.notes GROUP BY 1) "
                 "SELECT o.id, n.many FROM s.orders o JOIN n ON n.order_id = o.id")),
    ("postgres", ("WITH r AS (SELECT country, max(rate) AS rate FROM s.rates GROUP BY country) "
                 "SELECT o.id, r.rate FROM s.orders o JOIN s.customers c ON c.id = o.customer_id "
                 "JOIN r ON r.country = c.country")),
    ("postgres", ("WITH f AS (SELECT order_id, price, row_number() OVER (PARTITION BY order_id ORDER BY line) AS rn "
                 "FROM s.items) SELECT o.id, f.price FROM s.orders o LEFT JOIN f ON f.order_id = o.id AND f.rn = 1")),
    ("postgres", "SELECT o.id, o.amount / t.s FROM s.orders o CROSS JOIN (SELECT sum(amount) AS s FROM s.orders) t"),
    ("postgres", "SELECT o.id FROM s.orders o WHERE EXISTS (SELECT * FROM s.notes n WHERE n.order_id = o.id)"),
    ("postgres", "SELECT id FROM s.orders WHERE id IN (SELECT order_id FROM s.notes)"),
    ("postgres", "SELECT count(*) AS n, count(DISTINCT customer_id) AS m FROM s.orders"),
    ("postgres", "WITH x AS (SELECT id, day FROM s.orders) SELECT * FROM x"),
    ("postgres", "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(id, kind)"),
    ("postgres", "SELECT customer_id, array_agg(id ORDER BY id) FROM s.orders GROUP BY customer_id"),
    ("postgres", "SELECT customer_id, string_agg(day, ',' ORDER BY day, id) FROM s.orders GROUP BY customer_id"),
    ("postgres", "SELECT id, lag(amount) OVER (PARTITION BY customer_id ORDER BY day, id) FROM s.orders"),
    ("postgres", "SELECT id, lag(amount) OVER w FROM s.orders WINDOW w AS (PARTITION BY customer_id ORDER BY id)"),
    ("postgres", "SELECT id, rank() OVER (ORDER BY amount), sum(amount) OVER (PARTITION BY day) FROM s.orders"),
    ("postgres", "SELECT DISTINCT ON (customer_id) customer_id, amount FROM s.orders ORDER BY customer_id, id"),
    ("postgres", "SELECT id FROM s.orders TABLESAMPLE SYSTEM (10) REPEATABLE (42)"),
    ("postgres", "SELECT id, date_trunc('month', day), extract(year FROM day), age(day, '2026-01-01') FROM s.orders"),
    ("postgres", "SELECT id AS now, day AS \"current_date\" FROM s.orders"),
    ("postgres", "SELECT id, 'now() and random()' AS kind FROM s.orders -- current_date"),
    ("postgres", "SELECT o.id, u.x FROM s.orders o CROSS JOIN unnest(ARRAY[1, 2]) AS u(x)"),
    ("postgres", ("SELECT o.id, x.line FROM s.orders o LEFT JOIN LATERAL (SELECT line FROM s.items i "
                 "WHERE i.order_id = o.id ORDER BY line LIMIT 1) x ON true")),
    ("postgres", "SELECT id FROM s.orders LIMIT ALL"),
    ("postgres", ("SELECT c.country, sum(i.price), count(DISTINCT o.id) FROM s.customers c, s.orders o, s.items i "
                 "WHERE o.customer_id = c.id AND i.order_id = o.id GROUP BY c.country")),
    ("postgres", "SELECT g FROM generate_series(1, 10) AS g"),
    ("postgres", "SELECT id FROM s.orders UNION ALL SELECT order_id FROM s.items ORDER BY id"),
    ("postgres", "SELECT product_name, mail_class, ip_count, racer FROM s.orders"),
    ("postgres", "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT n FROM r"),
    ("sqlite", "SELECT x.localtime, x.localtimestamp FROM orders x"),
    ("sqlite", "SELECT id, date(day), strftime('%Y', day), unixepoch(day) FROM orders"),
    ("sqlite", "SELECT id, date(day, '-7 days') FROM orders WHERE day < date(:day, '-1 month')"),
    ("duckdb", "SELECT id, list(line ORDER BY line) FROM 'x.parquet' GROUP BY id"),
    ("duckdb", "SELECT id, first(line ORDER BY line) FROM read_csv('x.csv') GROUP BY id"),
    ("duckdb", "SELECT id, mode(line ORDER BY line), COLUMNS(['a', 'b']) FROM 'x.parquet' GROUP BY id"),
    ("duckdb", "SELECT x.rowid FROM (SELECT id AS rowid FROM orders) AS x"),
    ("postgres", "SELECT mode() WITHIN GROUP (ORDER BY day) FROM s.orders"),
    ("sqlite", "SELECT id, 'localtime' AS zone, oid FROM orders"),
    ("mysql", "SELECT id, GROUP_CONCAT(line ORDER BY line SEPARATOR ',') FROM items GROUP BY id"),
    ("snowflake", "SELECT id, LISTAGG(line, ',') WITHIN GROUP (ORDER BY line) FROM s.x GROUP BY id"),
    ("snowflake", "SELECT id, src:now::string AS x FROM s.x WHERE day = :day"),
    ("bigquery", "SELECT id, ARRAY_AGG(line ORDER BY line LIMIT 3) AS x FROM `p.d.t` GROUP BY id"),
    ("bigquery", "SELECT id, DATE_SUB(day, INTERVAL 7 DAY) AS x FROM d.t WHERE day = :day"),
    ("oracle", "SELECT id FROM (SELECT id FROM s.x ORDER BY id) WHERE ROWNUM <= 10"),
    ("oracle", "SELECT 1 AS x FROM dual"),
    ("tsql", "SELECT TOP 10 id FROM dbo.x ORDER BY id"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "expected"), BY_TEXT, ids=[text[:50] for _, text, _ in BY_TEXT])
def test_the_text_alone_shows(dialect, text, expected):
    found = advise(parse(text, dialect), None)
    assert [(one.id, one.column) for one in found] == expected
    assert all(one.line == 1 and one.what and one.way_out for one in found)


@pytest.mark.parametrize(("dialect", "text"), GOOD, ids=[text[:50] for _, text in GOOD])
def test_no_false_alarm_on_a_good_query(dialect, text, shop):
    statement = parse(text, dialect)
    assert advise(statement, None) == []
    tables = shop if dialect == "postgres" and "s.orders" in text else {}
    assert advise(statement, tables) == []


def test_a_bad_query_of_several_lines_is_told_in_order():
    text = "SELECT o.*,\n  now() - o.day AS age_days\nFROM orders AS o,\n  items\nLIMIT 5"
    found = advise(parse(text, "postgres"), None)
    assert [(one.line, one.column, one.id) for one in found] == [
        (1, 8, "select-star"),
        (2, 3, "relative-date"),
        (3, 6, "unqualified-table"),
        (4, 3, "cross-join"),
        (4, 3, "unqualified-table"),
        (5, 1, "limit-unordered"),
    ]


def test_a_file_in_another_dialect_is_answered_with_duckdb():
    for name in ("'/data/orders.csv'", '"orders.parquet"', '"part/1.json.gz"'):
        (found,) = advise(parse(f"SELECT a FROM {name}", "postgres"), None)
        assert (found.id, "--database duckdb:" in found.way_out) == ("unqualified-table", True)
    (found,) = advise(parse("SELECT a FROM orders", "postgres"), None)
    assert found.way_out == "write its schema: schema.orders"


def test_every_kind_that_a_text_can_show_is_tested_here():
    seen = {kind for _, _, expected in BY_TEXT for kind, _ in expected}
    assert set(KINDS) - seen == {"join-multiplies", "volatile-function"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT id FROM s.orders ORDER BY day LIMIT 3", ["limit-unordered"]),
        ("SELECT day, amount, id FROM s.orders ORDER BY day, amount LIMIT 3", ["limit-unordered"]),
        ("SELECT day, amount FROM s.orders WHERE id = 5 LIMIT 1", []),
        ("SELECT day FROM s.orders WHERE id = :n OFFSET 1", []),
        ("SELECT day FROM s.orders WHERE id > 5 LIMIT 1", ["limit-unordered"]),
        ("SELECT price FROM s.items WHERE order_id = 5 LIMIT 1", ["limit-unordered"]),
        ("SELECT unnest(ARRAY[day, day]) FROM s.orders WHERE id = 5 LIMIT 1", ["limit-unordered"]),
        ("SELECT id FROM s.orders WHERE id = 5 GROUP BY ROLLUP (id) LIMIT 1", ["limit-unordered"]),
        ("SELECT price FROM s.items WHERE order_id = 5 AND line = 1 LIMIT 1", []),
        ("SELECT day FROM s.orders WHERE id = 5 UNION ALL SELECT day FROM s.orders LIMIT 1", ["limit-unordered"]),
        ("SELECT order_id, body FROM s.notes ORDER BY order_id LIMIT 3", ["limit-unordered"]),
        ("SELECT o.id, i.price FROM s.orders o JOIN s.items i ON i.order_id = o.id ORDER BY o.id LIMIT 3",
         ["join-multiplies", "limit-unordered"]),
        ("SELECT id, lag(amount) OVER (ORDER BY day) FROM s.orders", ["window-unordered"]),
        ("SELECT id, row_number() OVER (PARTITION BY day ORDER BY customer_id) FROM s.orders", ["window-unordered"]),
        ("SELECT DISTINCT ON (customer_id) customer_id, id FROM s.orders ORDER BY customer_id, day",
         ["distinct-on-unordered"]),
        ("SELECT c.id, c.country FROM s.customers c LEFT JOIN s.orders o ON o.id = c.id ORDER BY o.id LIMIT 3",
         ["limit-unordered"]),
        ("SELECT c.id, c.country FROM s.customers c JOIN s.orders o ON o.id = c.id ORDER BY o.id LIMIT 3", []),
        ("SELECT * FROM s.customers", ["personal-column", "select-star"]),
        ("SELECT c.id, any_value(c.country) FROM s.customers c GROUP BY c.id", []),
        ("SELECT o.day, any_value(o.amount) FROM s.orders o GROUP BY o.day", ["any-value"]),
        ("SELECT kind, array_agg(line ORDER BY price) FROM s.items GROUP BY kind", ["aggregate-unordered"]),
        ("SELECT order_id, array_agg(kind ORDER BY line) FROM s.items GROUP BY 1", []),
        ("SELECT kind, array_agg(price ORDER BY price, line) FROM s.items GROUP BY kind", []),
        ("SELECT order_id, json_agg(kind ORDER BY line) FROM s.items GROUP BY order_id", []),
        ("SELECT order_id, jsonb_object_agg(line, kind) FROM s.items GROUP BY order_id", []),
        ("SELECT jsonb_object_agg(line, kind) FROM s.items", ["aggregate-unordered"]),
        ("SELECT o.id, ARRAY(SELECT kind FROM s.items i WHERE i.order_id = o.id ORDER BY line) FROM s.orders o", []),
        ("SELECT o.id, ARRAY(SELECT kind FROM s.items i WHERE i.order_id = o.id ORDER BY price) FROM s.orders o",
         ["aggregate-unordered"]),
        ("SELECT id, array_agg(day) OVER (PARTITION BY customer_id ORDER BY id) FROM s.orders", []),
        ("SELECT id, array_agg(day) OVER (PARTITION BY customer_id ORDER BY amount) FROM s.orders",
         ["aggregate-unordered"]),
        ("SELECT id, sum(amount) OVER (ORDER BY amount ROWS 2 PRECEDING) FROM s.orders", ["window-unordered"]),
        ("SELECT id, sum(amount) OVER (ORDER BY day, id ROWS 2 PRECEDING) FROM s.orders", []),
        ("SELECT sum(amount) OVER (ORDER BY amount) FROM s.orders", []),
        ("SELECT count(*) OVER (ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM s.orders",
         []),
        ("SELECT order_id, line FROM s.items WHERE order_id = 1 ORDER BY line LIMIT 3", []),
        ("SELECT order_id, line FROM s.items WHERE order_id = ANY (ARRAY[1, 2]) ORDER BY line, price LIMIT 3",
         ["limit-unordered"]),
    ],
)  # fmt: skip
def test_with_the_catalogue_the_keys_are_known(text, expected, shop):
    assert [one.id for one in advise(parse(text, "postgres"), shop)] == expected


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        ("duckdb", "SELECT max(price), arg_max(kind, price) FROM items", [("any-value", 20)]),
        ("duckdb", "SELECT max_by(kind, price) OVER (PARTITION BY order_id) FROM items", [("any-value", 8)]),
        ("duckdb", "SELECT argmin(kind, price, 2) FROM items", [("any-value", 8)]),
        ("duckdb", "SELECT order_id, arg_max(kind, line), arg_min(price, price) FROM items GROUP BY order_id", []),
        ("duckdb", "SELECT arg_max(amount, id), mode(id ORDER BY id) FROM orders", []),
        ("duckdb", "SELECT arg_max(kind, (price, order_id, line)) FROM items", []),
        ("duckdb", "SELECT arg_max(kind, price ORDER BY order_id, line) FROM items", []),
        ("duckdb", "SELECT kind, first(price ORDER BY line) FROM items GROUP BY kind", [("any-value", 14)]),
        ("duckdb", "SELECT order_id, first(price ORDER BY line) FROM items GROUP BY order_id", []),
        ("duckdb", "SELECT id, mode(country), any_value(country) OVER (PARTITION BY id) FROM customers GROUP BY ALL",
         [("any-value", 12)]),
        ("duckdb", "SELECT id, mode(country) FROM customers GROUP BY id", []),
        ("bigquery", "SELECT ANY_VALUE(kind HAVING MAX price) FROM items",
         [("any-value", 8), ("unqualified-table", 46)]),
        ("bigquery", "SELECT order_id, ANY_VALUE(kind HAVING MAX line) FROM items GROUP BY order_id",
         [("unqualified-table", 55)]),
        ("sqlite", "SELECT customer_id, day, count(*) AS n FROM orders GROUP BY customer_id ORDER BY customer_id",
         [("any-value", 21)]),
        ("sqlite", "SELECT day, count(*) FROM orders", [("any-value", 8)]),
        ("sqlite", "SELECT max(amount), day FROM orders", [("any-value", 21)]),
        ("sqlite", "SELECT max(amount), min(amount), id FROM orders", [("any-value", 34)]),
        ("sqlite", "SELECT customer_id, total(amount) + length(day) FROM orders GROUP BY 1", [("any-value", 44)]),
        ("sqlite", "SELECT customer_id FROM orders GROUP BY customer_id HAVING day > 1", [("any-value", 60)]),
        ("mysql", "SELECT customer_id, day, max(id) FROM orders GROUP BY customer_id", [("any-value", 21)]),
        ("sqlite", "SELECT max(id), day, amount FROM orders", []),
        ("sqlite", "SELECT order_id, kind, max(line) FROM items GROUP BY order_id", []),
        ("sqlite", "SELECT id, country, count(*) FROM customers GROUP BY id", []),
        ("sqlite", ("SELECT c.id, c.country, sum(o.amount) AS s FROM customers c "
                    "JOIN orders o ON o.customer_id = c.id GROUP BY c.id HAVING s > 3"), []),
        ("sqlite", ("SELECT o.id, c.country, count(*) FROM orders o JOIN customers c ON c.id = o.customer_id "
                    "GROUP BY o.id"), []),
        ("sqlite", "SELECT substr(day, 1, 7) AS month, count(*) FROM orders GROUP BY substr(day, 1, 7)", []),
        ("sqlite", "SELECT substr(day, 1, 7) AS month, count(*) FROM orders GROUP BY month", []),
        ("sqlite", "SELECT o.id, (SELECT count(*) + o.amount FROM items i WHERE o.id = order_id) FROM orders o", []),
        ("sqlite", "SELECT id, sum(amount) OVER (ORDER BY id) FROM orders", []),
        ("sqlite", "SELECT oid, country FROM rates", [("row-place", 8)]),
    ],
)  # fmt: skip
def test_what_is_taken_of_one_row_is_told_where_rows_may_tie(dialect, text, expected, plain_shop):
    assert [(one.id, one.column) for one in advise(parse(text, dialect), plain_shop)] == expected


def test_without_the_catalogue_nothing_is_said_of_keys():
    for dialect, text in (
        ("duckdb", "SELECT arg_max(kind, price) FROM items"),
        ("sqlite", "SELECT id, country, count(*) FROM customers GROUP BY id"),
    ):
        assert advise(parse(text, dialect), None) == []


def test_a_row_id_that_is_a_key_or_a_column_is_no_place():
    key = Table("t", "table", (TableColumn("id", "INTEGER"), TableColumn("v", "TEXT")), primary_key=("id",))
    named = Table("t", "table", (TableColumn("rowid", "TEXT"), TableColumn("v", "TEXT")))
    for table, dialect, told in ((key, "sqlite", []), (named, "sqlite", []), (key, "duckdb", ["row-place"])):
        found = advise(parse("SELECT rowid, v FROM t", dialect), {"t": table})
        assert [one.id for one in found] == told


@pytest.mark.parametrize(
    ("kind", "told"),
    [("double precision", True), ("REAL", True), ("FLOAT64", True), ("float(24)", True), ("binary_double", True),
     ("numeric(12,2)", False), ("integer", False), ("realm", False), ("", False)],
)  # fmt: skip
def test_the_catalogue_tells_which_sums_are_of_floats(kind, told):
    tables = {
        "s.t": Table(
            "s.t",
            columns=(TableColumn("id", "integer", nullable=False), TableColumn("v", kind)),
            primary_key=("id",),
        )
    }
    query = "SELECT x.id, sum(x.v * 2) AS s FROM s.t AS x GROUP BY x.id ORDER BY x.id"
    assert [one.id for one in advise(parse(query, "postgres"), tables)] == (["float-sum"] if told else [])


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM s.a WHERE " + " AND ".join(f"a <> {n}" for n in range(3_000)),
        "SELECT a FROM s.a WHERE " + " OR ".join(f"a = {n}" for n in range(3_000)),
        "SELECT CASE " + " ".join(f"WHEN a = {n} THEN {n}" for n in range(3_000)) + " END AS x FROM s.a",
        "SELECT a FROM s.a WHERE a IN (" + ", ".join(map(str, range(20_000))) + ")",
        " UNION ALL ".join(["SELECT a FROM s.a"] * 2_000),
        "SELECT " + " || ".join(["a"] * 3_000) + " AS x FROM s.a",
    ],
    ids=["and", "or", "case", "in", "union", "operators"],
)
def test_a_query_that_a_tool_wrote_of_thousands_of_parts_is_read_as_any_other(text):
    """Each of these ended the process, or took minutes."""
    tables = {"s.a": Table("s.a", columns=(TableColumn("a", "integer"),))}
    assert advise(parse(text, "postgres"), None) == []
    assert advise(parse(text, "postgres"), tables) == []


def test_a_text_of_a_text_column_is_no_moment():
    text = "SELECT a FROM s.a WHERE Note = 'now' AND seen < 'now'"
    table = Table(
        "s.a", "table", (TableColumn("note", "text"), TableColumn("seen", "timestamp with time zone"))
    )
    advised = advise(parse(text, "postgres"), {"s.a": table})
    assert [one.column for one in advised if one.id == "clock"] == [49]
    assert [one.column for one in advise(parse(text, "postgres"), None) if one.id == "clock"] == [32, 49]
