"""Joins that repeat rows, by the catalogue's keys and by counting in real data."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.extract.sql.advice import advise, verify_joins
from datakeep.extract.sql.interface import Table, TableColumn
from datakeep.extract.sql.statement import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT o.id, i.price FROM s.orders o JOIN s.items i ON i.order_id = o.id", ["join-multiplies"]),
        ("SELECT o.id, i.price FROM s.orders o LEFT JOIN s.items i ON o.id = i.order_id", ["join-multiplies"]),
        ("SELECT o.id, i.price FROM s.orders o, s.items i WHERE o.id = i.order_id", ["join-multiplies"]),
        ("SELECT o.id, n.body FROM s.orders o JOIN s.notes n ON n.order_id = o.id", ["join-multiplies"]),
        ("SELECT i.price, o.day FROM s.items i JOIN s.orders o ON i.order_id = o.id", []),
        ("SELECT i.price, o.day FROM s.orders o RIGHT JOIN s.items i ON i.order_id = o.id", []),
        ("SELECT o.id, i.price FROM s.items i RIGHT JOIN s.orders o ON i.order_id = o.id", ["join-multiplies"]),
        ("SELECT o.id, c.country FROM s.orders o JOIN s.customers c ON c.email = o.day", []),
        ("SELECT o.id, i.price FROM s.orders o JOIN s.items i ON i.order_id = o.id AND i.line = o.customer_id", []),
        ("SELECT o.id, i.price FROM s.orders o JOIN s.items i ON i.order_id = o.id WHERE i.line = :line", []),
        ("SELECT o.id, i.price FROM s.orders o JOIN s.items i ON (i.order_id = o.id) AND (i.line = 1 OR i.line = 2)",
         ["join-multiplies"]),
        ("SELECT o.id, i.price FROM s.orders o JOIN s.items i ON i.order_id > o.id", ["join-multiplies"]),
        ("SELECT o.id, i.price FROM s.orders o JOIN s.items i ON i.order_id = o.id + 1", ["join-multiplies"]),
        ("SELECT o.id, c.country FROM s.orders o JOIN s.customers c ON c.id = o.customer_id + 1", []),
        ("SELECT o.id, c.country FROM s.orders o LEFT JOIN s.customers c ON c.id = coalesce(o.customer_id, 0)", []),
        ("SELECT o.id, c.country FROM s.orders o JOIN s.customers c ON c.id = ANY(ARRAY[o.customer_id, 1])",
         ["join-multiplies"]),
        ("SELECT o.id, c.country FROM s.orders o JOIN s.customers c ON c.id + 1 = o.customer_id",
         ["join-multiplies"]),
        ("SELECT DISTINCT o.id FROM s.orders o JOIN s.items i ON i.order_id = o.id", ["distinct-hides-join"]),
        ("SELECT DISTINCT o.day FROM s.orders o JOIN s.customers c ON c.id = o.customer_id", []),
        ("SELECT o.day, sum(i.price) FROM s.orders o JOIN s.items i ON i.order_id = o.id GROUP BY o.day", []),
        ("SELECT o.day, sum(o.amount) FROM s.orders o JOIN s.items i ON i.order_id = o.id GROUP BY o.day",
         ["join-multiplies"]),
        ("SELECT o.day, count(DISTINCT o.id) FROM s.orders o JOIN s.items i ON i.order_id = o.id GROUP BY o.day", []),
        ("SELECT sum(price) FROM s.orders o JOIN s.items i ON i.order_id = o.id JOIN s.notes n ON n.order_id = o.id",
         ["join-multiplies", "join-multiplies"]),
        (("SELECT c.country, sum(i.price), avg(o.amount) FROM s.customers c JOIN s.orders o ON o.customer_id = c.id "
         "JOIN s.items i ON i.order_id = o.id GROUP BY c.country"), ["join-multiplies"]),
        ("SELECT o.id, x.price FROM s.orders o JOIN (SELECT order_id, price FROM s.items) x ON x.order_id = o.id",
         ["join-multiplies"]),
        (("SELECT o.id, x.price FROM s.orders o JOIN (SELECT order_id, price FROM s.items WHERE line = 1) x "
         "ON x.order_id = o.id"), []),
        (("SELECT o.id, x.price FROM s.orders o JOIN (SELECT order_id, line, price FROM s.items) x "
         "ON x.order_id = o.id AND x.line = 1"), []),
        ("WITH x AS (SELECT DISTINCT order_id i FROM s.notes) SELECT o.id FROM s.orders o JOIN x ON x.i = o.id", []),
        ("SELECT a.id FROM s.orders a JOIN s.orders b ON b.id = a.id", []),
        ("SELECT a.id FROM s.orders a JOIN s.orders b ON b.customer_id = a.customer_id", ["join-multiplies"]),
        ("SELECT o.id FROM s.orders o JOIN s.elsewhere e ON e.order_id = o.id", []),
    ],
)  # fmt: skip
def test_a_join_is_held_against_the_keys_of_what_is_joined(text, expected, shop):
    assert [one.id for one in advise(parse(text, "postgres"), shop)] == expected


def test_a_subquery_that_looks_back_is_joined_by_that_in_duckdb():
    text = "SELECT u.v FROM s.orders o, (SELECT unnest([o.id, o.customer_id]) AS v) u"
    assert "cross-join" not in {one.id for one in advise(parse(text, "duckdb"), None)}
    alone = "SELECT u.v FROM s.orders o, (SELECT o.id AS v FROM s.items o) u"
    assert "cross-join" in {one.id for one in advise(parse(alone, "postgres"), None)}


@pytest.mark.parametrize(
    ("joined", "expected"),
    [
        ("CROSS JOIN LATERAL (SELECT price FROM s.items WHERE order_id = o.id) d", ["join-multiplies"]),
        (", LATERAL (SELECT i.price FROM s.items i WHERE i.order_id = o.id) d", ["join-multiplies"]),
        ("LEFT JOIN LATERAL (SELECT price FROM s.items WHERE order_id = o.id) d ON true", ["join-multiplies"]),
        ("CROSS JOIN LATERAL (SELECT price FROM s.items WHERE order_id = o.id AND line = 1) d", []),
        ("CROSS JOIN LATERAL (SELECT price FROM s.items WHERE order_id = o.id + 1 AND line = o.customer_id) d", []),
        ("CROSS JOIN LATERAL (SELECT max(price) AS price FROM s.items WHERE order_id = o.id) d", []),
        ("CROSS JOIN LATERAL (SELECT price FROM s.items WHERE order_id = o.id ORDER BY line LIMIT 1) d", []),
        (("CROSS JOIN LATERAL (SELECT price FROM s.items WHERE order_id = o.id ORDER BY line "
          "FETCH FIRST 1 ROW ONLY) d"), []),
        ("CROSS JOIN LATERAL (SELECT g AS price FROM generate_series(1, 2) g) d", []),
        ("CROSS JOIN LATERAL (SELECT o.id * 2 AS price) d", []),
    ],
)  # fmt: skip
def test_a_lateral_subquery_is_held_against_the_keys_of_what_it_reads(joined, expected, shop):
    text = f"SELECT o.id, d.price FROM s.orders o {joined}"
    assert [
        one.id for one in advise(parse(text, "postgres"), shop) if one.id == "join-multiplies"
    ] == expected


def test_advice_on_a_join_names_table_and_key_at_its_place(shop):
    (found,) = advise(
        parse("SELECT o.id, i.price\nFROM s.orders o\nJOIN s.items i ON i.order_id = o.id", "postgres"), shop
    )
    assert (found.line, found.column) == (3, 6)
    assert "s.items is not on a key of it (line+order_id)" in found.what
    assert "GROUP BY" in found.way_out


def counted(text, plain_shop, connection):
    asked = []

    def ask(sql):
        asked.append(sql)
        return connection.execute(sql).fetchall()

    return verify_joins(parse(text, "sqlite"), plain_shop, ask), asked


def test_repeated_rows_are_counted_in_real_data(plain_shop, shop_database):
    (found,), asked = counted(
        "SELECT o.id, n.body FROM orders o LEFT JOIN notes n ON n.order_id = o.id", plain_shop, shop_database
    )
    assert (found.rows, found.values, found.repeated_values, found.most) == (4, 2, 1, 3)
    assert found.multiplies
    assert str(found) == (
        "of 2 values of order_id 1 stands in more than one row of notes, the most frequent in 3: "
        "whatever meets that one is repeated as often"
    )
    assert len(asked) == 1


def test_a_join_that_repeats_nothing_today_is_said_to(plain_shop, shop_database):
    (found,), _ = counted(
        "SELECT c.id, r.rate FROM customers c JOIN rates r USING (country)", plain_shop, shop_database
    )
    assert not found.multiplies
    assert str(found) == "each of 2 values of country stands in one row of rates today"


def test_what_the_join_asks_of_the_table_alone_is_counted_too(plain_shop, shop_database):
    text = "SELECT o.id, i.price FROM orders o JOIN items i ON i.order_id = o.id AND i.kind = 'x'"
    (found,), _ = counted(text, plain_shop, shop_database)
    assert (found.rows, found.values, found.repeated_values) == (3, 3, 0)
    text = "SELECT o.id, i.price FROM orders o, items i WHERE i.order_id = o.id AND o.day > :day AND i.kind <> :kind"
    (found,), asked = counted(text, plain_shop, shop_database)
    assert (found.rows, found.values, found.repeated_values) == (4, 3, 1)
    assert ":" not in asked[0]


def test_what_where_asks_of_the_joined_table_is_counted_and_what_it_asks_beside_is_said(
    plain_shop, shop_database
):
    text = "SELECT o.id, n.body FROM orders o LEFT JOIN notes n ON n.order_id = o.id"
    (all_of_it,), _ = counted(text, plain_shop, shop_database)
    (none_twice,), _ = counted(f"{text} WHERE n.order_id <> 1", plain_shop, shop_database)
    assert all_of_it.multiplies
    assert not none_twice.multiplies
    (beside,), _ = counted(f"{text} WHERE o.day > :day", plain_shop, shop_database)
    assert str(beside) == f"{all_of_it}, counted in notes alone: what else the query asks for may leave fewer"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT o.id, c.country FROM orders o JOIN customers c ON c.id = o.customer_id",
        "SELECT o.id FROM orders o CROSS JOIN items i",
        "SELECT o.id FROM orders o JOIN items i ON i.order_id > o.id",
        "SELECT o.id FROM orders o JOIN (SELECT order_id FROM notes) n ON n.order_id = o.id",
        "SELECT id FROM orders",
    ],
)
def test_what_needs_or_has_no_counting_is_not_asked(text, plain_shop, shop_database):
    assert counted(text, plain_shop, shop_database) == ([], [])


def test_joins_in_with_queries_are_counted_where_they_stand(plain_shop, shop_database):
    text = "WITH x AS (\n  SELECT o.id, n.body FROM orders o JOIN notes n ON n.order_id = o.id)\nSELECT id FROM x"
    (found,), _ = counted(text, plain_shop, shop_database)
    assert (found.line, found.column) == (2, 42)


def test_names_that_need_quotes_are_asked_with_them(shop_database):
    shop_database.execute('CREATE TABLE "my ""notes" ("order id" INTEGER)')
    shop_database.execute('INSERT INTO "my ""notes" VALUES (1), (1)')
    name = '"my ""notes"'
    tables = {
        "orders": Table("orders", columns=(TableColumn("id", "int", nullable=False),), primary_key=("id",)),
        name: Table(name),
    }
    text = f'SELECT o.id FROM orders o JOIN {name} n ON n."order id" = o.id'
    (found,) = verify_joins(parse(text, "sqlite"), tables, lambda sql: shop_database.execute(sql).fetchall())
    assert (found.rows, found.values, found.most) == (2, 1, 2)


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 5)), st.integers(0, 1)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_count_says_repeated_exactly_when_the_join_can_repeat(right):
    connection = duckdb.connect()
    connection.execute("CREATE TABLE l (k INTEGER); CREATE TABLE r (k INTEGER, g INTEGER)")
    connection.executemany("INSERT INTO l VALUES (?)", [[one] for one in range(6)])
    if right:
        connection.executemany("INSERT INTO r VALUES (?, ?)", [list(one) for one in right])
    tables = {"l": Table("l", primary_key=("k",)), "r": Table("r")}
    statement = parse("SELECT l.k, r.g FROM l LEFT JOIN r ON l.k = r.k", "duckdb")
    (found,) = verify_joins(statement, tables, lambda sql: connection.execute(sql).fetchall())
    rows = connection.execute(statement.text).fetchall()
    assert found.multiplies == (len(rows) > 6)
    assert found.rows - found.values == len(rows) - 6
    connection.close()
