"""Exactly one SELECT is taken; all else is refused at its place, with a way out, before anything is sent."""

from __future__ import annotations

import pytest

from datakeep.core.errors import SecretFound, UsageError
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.statement import parse

#: Dialect, text, and what the refusal must say of it.
REFUSED = [
    ("postgres", "", "empty"),
    ("postgres", "  -- nothing\n/* at all */ ;", "empty"),
    ("postgres", "SELECT 1; SELECT 2", "second statement"),
    ("postgres", "SELECT 1;\n-- and then\nDROP TABLE t", "second statement"),
    ("sqlite", "SELECT 1; PRAGMA writable_schema = 1", "second statement"),
    ("postgres", "INSERT INTO t VALUES (1)", "INSERT"),
    ("postgres", "UPDATE t SET a = 1", "UPDATE"),
    ("postgres", "DELETE FROM t", "DELETE"),
    ("postgres", "TRUNCATE t", "TRUNCATE"),
    ("postgres", "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", "MERGE"),
    ("postgres", "CREATE TABLE t AS SELECT 1", "CREATE"),
    ("postgres", "DROP TABLE t", "DROP"),
    ("postgres", "ALTER TABLE t ADD COLUMN a int", "ALTER"),
    ("postgres", "GRANT SELECT ON t TO public", "GRANT"),
    ("postgres", "COPY t TO PROGRAM 'sh'", "COPY"),
    ("postgres", "COPY (SELECT 1) TO '/tmp/x'", "COPY"),
    ("postgres", "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "DELETE writes"),
    ("postgres", "WITH d AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM d", "UPDATE writes"),
    ("postgres", "WITH d AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM d", "INSERT writes"),
    ("postgres", "WITH x AS (SELECT 1) DELETE FROM t", "not a SELECT|DELETE writes"),
    ("postgres", "WITH x AS (SELECT 1 a) INSERT INTO t SELECT a FROM x", "not a SELECT|INSERT writes"),
    ("postgres", "SELECT a INTO new FROM t", "INTO"),
    ("tsql", "SELECT a INTO #new FROM t", "INTO"),
    ("mysql", "SELECT a INTO @x FROM t", "INTO"),
    ("mysql", "SELECT a FROM t INTO OUTFILE '/tmp/x'", "syntax error|INTO"),
    ("postgres", "SELECT a FROM t FOR UPDATE", "lock"),
    ("postgres", "SELECT a FROM t FOR SHARE OF t SKIP LOCKED", "lock"),
    ("postgres", "SELECT a FROM t FOR NO KEY UPDATE", "lock"),
    ("postgres", "SELECT * FROM (SELECT a FROM t FOR UPDATE) s", "lock"),
    ("mysql", "SELECT a FROM t LOCK IN SHARE MODE", "lock"),
    ("tsql", "SELECT a FROM t WITH (UPDLOCK)", "UPDLOCK locks"),
    ("oracle", "SELECT a FROM t FOR UPDATE", "lock"),
    ("postgres", "CALL f()", "CALL"),
    ("postgres", "DO $$ BEGIN END $$", "DO"),
    ("postgres", "SET search_path = x", "SET"),
    ("postgres", "BEGIN", "BEGIN"),
    ("postgres", "EXPLAIN ANALYZE SELECT 1", "EXPLAIN"),
    ("postgres", "VACUUM t", "VACUUM"),
    ("postgres", "LISTEN x", "LISTEN"),
    ("postgres", "LOCK TABLE t", "LOCK"),
    ("postgres", "PREPARE p AS SELECT 1", "PREPARE"),
    ("postgres", "EXECUTE p", "EXECUTE"),
    ("sqlite", "PRAGMA table_info(t)", "PRAGMA"),
    ("sqlite", "ATTACH 'x.db' AS x", "ATTACH"),
    ("sqlite", "VACUUM INTO 'x.db'", "VACUUM"),
    ("duckdb", "COPY t TO 'x.parquet'", "COPY"),
    ("duckdb", "INSTALL httpfs", "INSTALL"),
    ("duckdb", "LOAD httpfs", "LOAD"),
    ("duckdb", "ATTACH 'x.db'", "ATTACH"),
    ("duckdb", "SUMMARIZE t", "SUMMARIZE"),
    ("duckdb", "DESCRIBE t", "DESCRIBE"),
    ("duckdb", "EXPORT DATABASE 'x'", "EXPORT"),
    ("duckdb", "PIVOT t ON a USING sum(b)", "PIVOT"),
    ("mysql", "SHOW TABLES", "SHOW"),
    ("mysql", "LOAD DATA INFILE 'x' INTO TABLE t", "LOAD"),
    ("mysql", "SELECT 1 /*!50000 INTO OUTFILE '/tmp/x' */", "MySQL runs"),
    ("tsql", "EXEC sp_who", "EXEC"),
    ("snowflake", "PUT file://x @stage", "PUT"),
    ("bigquery", "EXPORT DATA OPTIONS(uri='gs://x') AS SELECT 1", "EXPORT"),
    ("postgres", "SELECT nextval('s')", r"nextval\(\) moves"),
    ("postgres", "SELECT setval('s', 1)", r"setval\(\)"),
    ("postgres", "SELECT set_config('a', 'b', false)", r"set_config\(\) changes"),
    ("postgres", "SELECT pg_read_file('/etc/passwd')", r"pg_read_file\(\)"),
    ("postgres", "SELECT pg_catalog.pg_read_binary_file('x')", r"pg_read_binary_file\(\)"),
    ("postgres", "SELECT pg_catalog . \"pg_ls_dir\" ('x')", r"pg_ls_dir\(\)"),
    ("postgres", "SELECT lo_import('x')", r"lo_import\(\)"),
    ("postgres", "SELECT lo_export(1, 'x')", r"lo_export\(\)"),
    ("postgres", "SELECT dblink_exec('c', 'DROP TABLE t')", r"dblink_exec\(\)"),
    ("postgres", "SELECT * FROM dblink('c', 'SELECT 1') AS t(a int)", r"dblink\(\)"),
    ("postgres", "SELECT pg_terminate_backend(1)", r"pg_terminate_backend\(\)"),
    ("postgres", "SELECT PG_Reload_Conf()", r"pg_reload_conf\(\)"),
    ("postgres", "SELECT pg_advisory_lock(1)", "locks"),
    ("postgres", "SELECT pg_sleep(10)", "waits"),
    ("postgres", "SELECT query_to_xml('DELETE FROM t', true, true, '')", "query that is a text"),
    ("sqlite", "SELECT load_extension('x')", "load_extension"),
    ("sqlite", "SELECT writefile('x', 1)", "writefile"),
    ("duckdb", "SELECT getenv('HOME')", "environment"),
    ("duckdb", "SELECT * FROM query('SELECT 1')", "query that is a text"),
    ("duckdb", "SELECT nextval('s')", "nextval"),
    ("mysql", "SELECT load_file('/etc/passwd')", "load_file"),
    ("mysql", "SELECT get_lock('a', 1)", "locks"),
    ("bigquery", "SELECT * FROM EXTERNAL_QUERY('c', 'SELECT 1')", "another database"),
    ("snowflake", "SELECT SYSTEM$ABORT_SESSION(1)", "administers"),
    ("tsql", "SELECT * FROM OPENROWSET('a', 'b', 'c')", "reaches out"),
    ("tsql", "SELECT NEXT VALUE FOR s", "sequence"),
    ("oracle", "SELECT s.NEXTVAL FROM dual", "sequence"),
    ("oracle", "SELECT utl_http.request('x') FROM dual", "utl_http"),
    ("oracle", "SELECT dbms_pipe.receive_message('a') FROM dual", "dbms_pipe"),
    ("postgres", "SELECT $1", "parameter or variable"),
    ("sqlite", "SELECT ? FROM t", "parameter or variable"),
    ("mysql", "SELECT @x", "parameter or variable"),
    ("bigquery", "SELECT @day", "parameter or variable"),
    ("postgres", "SELECT %s", "parameter or variable|syntax"),
    ("postgres", "SELECT x[:n] FROM t", "slice or a parameter"),
    ("postgres", "FROM t", "FROM is not a SELECT"),
    ("postgres", "SELECT a, FROM WHERE b", "syntax error"),
    ("postgres", "SELECT 'a FROM t", "not closed"),
    ("postgres", "SELECT (1 + 2 FROM t", "syntax error"),
    ("postgres", "sELEC 1", "SELEC is not a SELECT"),
    ("postgres", "42", "not a SELECT"),
]  # fmt: skip

ACCEPTED = [
    ("postgres", "SELECT 1"),
    ("postgres", "select 1;"),
    ("postgres", "  ;; SELECT 1 ;; -- end\n"),
    ("postgres", "(SELECT 1)"),
    ("postgres", "((SELECT a FROM t) ORDER BY a)"),
    ("postgres", "VALUES (1, 'a'), (2, 'b')"),
    ("postgres", "TABLE t"),
    ("postgres", "WITH a AS (SELECT 1 AS x) SELECT x FROM a"),
    ("postgres", "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT n FROM r"),
    ("postgres", "SELECT a FROM t UNION SELECT a FROM s EXCEPT SELECT a FROM u"),
    ("postgres", "SELECT a::int, b::numeric(12, 2) FROM s.t WHERE c = :c"),
    ("postgres", "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b"),
    ("postgres", "SELECT a ? 'k', b @> '{}', c ->> 'x', d #>> '{a,b}' FROM t"),
    ("postgres", "SELECT x[1:2], y[1] FROM t"),
    ("postgres", "SELECT $$it's :not a parameter; DELETE$$ AS a"),
    ("postgres", "SELECT 'FOR UPDATE; DELETE FROM t' AS a, \"nextval\" FROM t -- INTO x"),
    ("postgres", "SELECT E'a\\'b', U&'\\0041' FROM t"),
    ("postgres", "SELECT count(*) FILTER (WHERE a > 0), percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t"),
    ("postgres", "SELECT a FROM t, LATERAL (SELECT b FROM s WHERE s.id = t.id) x"),
    ("postgres", "SELECT generate_series(1, 3), unnest(ARRAY[1, 2])"),
    ("postgres", "SELECT a FROM t TABLESAMPLE BERNOULLI (10) REPEATABLE (1)"),
    ("postgres", "SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b ORDER BY c ROWS 3 PRECEDING)"),
    ("postgres", "SELECT substring(a FROM 1 FOR 2), extract(year FROM b), overlay(a PLACING 'x' FROM 1) FROM t"),
    ("postgres", "SELECT a FROM t GROUP BY GROUPING SETS ((a), ())"),
    ("postgres", "SELECT a, update_time, delete_flag, \"insert\" FROM t"),
    ("postgres", "SELECT 氏名, \"売上 金額\" FROM 会社.顧客 WHERE 地域 = :地域"),
    ("postgres", "WITH sleep(id, hours) AS (SELECT id, hours FROM s.night) SELECT id, hours FROM sleep"),
    ("postgres", "SELECT a FROM t FETCH FIRST 5 ROWS ONLY"),
    ("postgres", "SELECT a FROM t WHERE b IN (:x, :y) AND c BETWEEN :lo AND :hi OFFSET :n"),
    ("postgres", "SELECT interval '1 day', date '2026-11-01', timestamptz '2026-11-01 00:00+09'"),
    ("sqlite", "SELECT a FROM t WHERE b GLOB 'x*' LIMIT 3"),
    ("sqlite", "SELECT date(a, '-1 day'), strftime('%Y', a), total(b) FROM t"),
    ("sqlite", "SELECT json_extract(a, '$.x') FROM t"),
    ("sqlite", "SELECT [odd name], `b`, \"c\" FROM [my table]"),
    ("sqlite", "SELECT replace(a, 'x', 'y') FROM t"),
    ("sqlite", "VALUES (1)"),
    ("sqlite", "SELECT a FROM t WHERE a = :from AND b = :end"),
    ("duckdb", "SELECT * FROM 'data/*.parquet'"),
    ("duckdb", "SELECT * FROM read_csv('x.csv', header = true)"),
    ("duckdb", "FROM t SELECT a"),
    ("duckdb", "FROM t"),
    ("duckdb", "SELECT * EXCLUDE (a) FROM t"),
    ("duckdb", "SELECT {'a': b, 'c': :d}, [1, 2][1:2], list_transform([1], x -> x + 1) FROM t"),
    ("duckdb", "SELECT * FROM (PIVOT t ON a USING sum(b))"),
    ("duckdb", "SELECT a FROM t QUALIFY row_number() OVER (PARTITION BY b ORDER BY c) = 1"),
    ("duckdb", "SELECT a FROM t ASOF JOIN s USING (k, at)"),
    ("duckdb", "SELECT a FROM t USING SAMPLE 10"),
    ("mysql", "SELECT `a`, IF(b, 1, 2), GROUP_CONCAT(c ORDER BY c SEPARATOR ',') FROM `t` GROUP BY `a`"),
    ("mysql", "SELECT a FROM t WHERE b = 'it''s' AND c = \"x\" # comment; DELETE"),
    ("mysql", "SELECT /*+ NO_INDEX(t) */ a FROM t WHERE d >= :day"),
    ("mysql", "SELECT DATE_FORMAT(a, '%Y-%m') FROM t LIMIT 10, 5"),
    ("snowflake", "SELECT src:name::string, src:a.b[0] FROM t WHERE d = :day"),
    ("snowflake", "SELECT a FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY b ORDER BY c) = 1"),
    ("snowflake", "SELECT f.value FROM t, LATERAL FLATTEN(input => t.a) f"),
    ("snowflake", "SELECT a FROM db.s.t SAMPLE (10)"),
    ("snowflake", "SELECT TRY_TO_NUMBER(a), IFF(b, 1, 2) FROM t"),
    ("bigquery", "SELECT a FROM `p.d.t` WHERE _PARTITIONDATE = :day"),
    ("bigquery", "SELECT * EXCEPT (a) FROM `p.d.t`, UNNEST(b) AS x"),
    ("bigquery", "SELECT ARRAY_AGG(STRUCT(a, b) ORDER BY a LIMIT 1)[OFFSET(0)] FROM `p.d.t` GROUP BY c"),
    ("bigquery", "SELECT SAFE_CAST(a AS INT64), r'\\d', \"it's\" FROM d.t"),
    ("oracle", "SELECT a FROM s.t WHERE ROWNUM < 5 AND d >= :day"),
    ("oracle", "SELECT NVL(a, 0), TO_CHAR(b, 'YYYY') FROM s.t CONNECT BY PRIOR a = b"),
    ("oracle", "SELECT LISTAGG(a, ',') WITHIN GROUP (ORDER BY a) FROM s.t"),
    ("oracle", "SELECT dbms_random.value FROM dual"),
    ("tsql", "SELECT TOP 5 [a b] FROM [dbo].[My Table] WITH (NOLOCK) ORDER BY a"),
    ("tsql", "SELECT a FROM dbo.t CROSS APPLY dbo.f(t.a) x WHERE d >= :day"),
    ("tsql", "SELECT a FROM dbo.t ORDER BY a OFFSET 5 ROWS FETCH NEXT 5 ROWS ONLY"),
    ("tsql", "SELECT CONVERT(date, a), ISNULL(b, 0), STRING_AGG(c, ',') FROM dbo.t GROUP BY a"),
    ("redshift", "SELECT a FROM s.t WHERE d = :day"),
    ("databricks", "SELECT c:item FROM s.t WHERE d = :day"),
    ("trino", "SELECT approx_distinct(a) FROM c.s.t WHERE d = :day"),
    ("clickhouse", "SELECT uniq(a) FROM s.t FINAL WHERE d = :day"),
]  # fmt: skip


def test_the_tables_are_as_long_as_they_are_said_to_be():
    assert len(REFUSED) >= 60
    assert len(ACCEPTED) >= 60
    assert {dialect for dialect, _ in ACCEPTED} >= {
        "postgres", "sqlite", "duckdb", "mysql", "snowflake", "bigquery", "oracle", "tsql",
    }  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "said"), REFUSED, ids=[text[:40] for _, text, _ in REFUSED])
def test_what_is_not_one_select_is_refused_with_its_place_and_a_way_out(dialect, text, said):
    with pytest.raises(QueryRefused, match=said) as caught:
        parse(text, dialect)
    assert caught.value.what.startswith("line ")
    assert caught.value.next_step
    assert caught.value.things[1].strip() == "^"


@pytest.mark.parametrize(("dialect", "text"), ACCEPTED, ids=[text[:40] for _, text in ACCEPTED])
def test_one_select_is_taken_as_it_is_written(dialect, text):
    statement = parse(text, dialect)
    assert statement.text == text
    again = parse(statement.normalised, dialect)
    assert again.normalised == statement.normalised
    assert sorted(again.parameters) == sorted(statement.parameters)


def test_a_refusal_shows_the_line_with_a_caret_under_the_place():
    with pytest.raises(QueryRefused) as caught:
        parse("SELECT a,\n       b + FROM t", "postgres")
    assert "line 2, column 12: syntax error" in caught.value.what
    assert caught.value.things == ("       b + FROM t", "           ^")


def test_the_caret_stands_under_the_place_behind_wide_characters_and_tabs():
    with pytest.raises(QueryRefused) as caught:
        parse("SELECT\t氏名, nextval('s')", "postgres")
    assert caught.value.what.startswith("line 1, column 12: nextval()")
    assert caught.value.things == ("SELECT\t氏名, nextval('s')", "      \t      ^")


def test_line_ends_of_windows_count_as_one():
    with pytest.raises(QueryRefused, match="line 3, column 3: DELETE writes"):
        parse("WITH d\r\nAS (\r\n  DELETE FROM t RETURNING *) SELECT * FROM d", "postgres")


def test_a_long_line_is_cut_around_the_place():
    with pytest.raises(QueryRefused) as caught:
        parse(f"SELECT {'a, ' * 200}nextval('s')", "postgres")
    line, caret = caught.value.things
    assert len(line) < 110
    assert line[caret.index("^") :].startswith("nextval")


def test_the_second_statement_is_shown_where_it_begins():
    with pytest.raises(QueryRefused, match="line 2, column 3: a second statement"):
        parse("SELECT 1;\n  DROP TABLE t;", "postgres")


@pytest.mark.parametrize(
    "text", ["SELECT 'a;b'", "SELECT 1 -- ; SELECT 2", "SELECT $$;$$", 'SELECT ";" FROM t']
)
def test_a_semicolon_within_text_ends_nothing(text):
    assert parse(text, "postgres").text == text


def test_a_password_in_the_text_is_refused_and_not_repeated():
    with pytest.raises(SecretFound) as caught:
        parse("SELECT * FROM postgres_scan('postgresql://u:hunter2@db.corp.example/x', 's', 't')", "duckdb")
    assert "hunter2" not in caught.value.what + caught.value.next_step + "".join(caught.value.things)


def test_an_unknown_dialect_suggests_the_nearest():
    with pytest.raises(UsageError) as caught:
        parse("SELECT 1", "postgre")
    assert caught.value.next_step == "did you mean postgres?"


def test_comments_and_form_do_not_matter_to_the_normalised_text():
    one = parse("select  a,b -- the columns\nfrom T /* there */ where x=:day", "postgres")
    other = parse("SELECT a, b FROM t WHERE x = :day", "postgres")
    assert one.normalised.replace("T", "t") == other.normalised.replace("T", "t")
    assert "columns" not in one.normalised
    assert parse("SELECT a, c FROM t WHERE x = :day", "postgres").normalised != other.normalised


@pytest.mark.parametrize(
    ("text", "ordered"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a) s", False),
        ("(SELECT a FROM t) ORDER BY a", True),
        ("(SELECT a FROM t ORDER BY a)", True),
        ("SELECT a FROM t UNION SELECT a FROM s ORDER BY a", True),
        ("SELECT array_agg(a ORDER BY a) FROM t", False),
        ("VALUES (1)", False),
    ],
)
def test_ordered_is_of_the_outermost_query(text, ordered):
    assert parse(text, "postgres").ordered is ordered


def test_a_deeply_nested_query_is_refused_not_a_fault():
    with pytest.raises(QueryRefused, match="nested too deeply"):
        parse(f"SELECT {'(' * 5000}1{')' * 5000}", "postgres")


def test_a_query_of_megabytes_is_refused():
    with pytest.raises(QueryRefused, match="more than 1,000,000 characters"):
        parse("SELECT 1 -- " + "x" * 1_000_001, "postgres")


def test_a_nul_character_is_refused():
    with pytest.raises(QueryRefused, match="line 1, column 8: a NUL"):
        parse("SELECT \x00 1", "postgres")


def test_nothing_is_logged_or_printed_on_the_way(caplog, capsys):
    for dialect, text, _ in REFUSED:
        with pytest.raises(QueryRefused):
            parse(text, dialect)
    assert not caplog.records
    assert capsys.readouterr() == ("", "")
