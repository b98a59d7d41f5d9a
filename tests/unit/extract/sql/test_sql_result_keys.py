"""A key that is taken for certain holds in whatever rows SQLite gives; ties under ORDER BY are seen."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datakeep.extract.repeats import has_nulls, repeated
from datakeep.extract.sql.result_keys import is_certain_key
from datakeep.extract.sql.statement import parse
from datakeep.extract.sql.ties import Sorting, Ties, doubtful_order

#: A query of the shop's tables, the columns that may be its key, and whether they are for certain.
QUERIES = [
    ("SELECT id, day FROM orders", ["id"], True),
    ("SELECT id, upper(day) AS d FROM orders WHERE amount > 10 ORDER BY day", ["id"], True),
    ("SELECT o.id, c.country FROM orders o JOIN customers c ON c.id = o.customer_id", ["id"], True),
    ("SELECT o.id, c.country FROM orders o LEFT JOIN customers c ON c.id = o.customer_id", ["id"], True),
    ("SELECT order_id, line, price FROM items", ["order_id", "line"], True),
    ("SELECT order_id, line FROM items WHERE order_id = 1", ["line"], True),
    ("SELECT id, count(line) AS n FROM orders JOIN items ON order_id = id GROUP BY id", ["id"], True),
    ("WITH x AS (SELECT id, amount FROM orders) SELECT id, amount FROM x", ["id"], True),
    ("SELECT order_id, line FROM items", ["order_id"], False),
    ("SELECT order_id, line FROM items WHERE order_id IN (1, 2)", ["line"], False),
    ("SELECT id FROM orders UNION ALL SELECT id FROM orders", ["id"], False),
    ("SELECT c.id, o.day FROM customers c LEFT JOIN orders o ON o.customer_id = c.id", ["id"], False),
    ("SELECT o.id, o.day FROM customers c LEFT JOIN orders o ON o.customer_id = c.id", ["id"], False),
    ("SELECT o.id, n.body FROM orders o RIGHT JOIN notes n ON n.order_id = o.id", ["id"], False),
    ("SELECT o.id, n.body FROM orders o FULL JOIN notes n ON n.order_id = o.id", ["id"], False),
    ("SELECT o.id, j.value AS v FROM orders o, json_each('[1,2]') j", ["id"], False),
    ("SELECT o.id, g.n FROM orders o CROSS JOIN (SELECT 1 AS n UNION ALL SELECT 2) AS g", ["id"], False),
    ("SELECT o.* FROM orders o JOIN items i ON i.order_id = o.id", ["id"], False),
    ("SELECT id, day FROM (SELECT id, day FROM orders UNION ALL SELECT id, day FROM orders) AS x", ["id"], False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "key", "certain"), QUERIES, ids=[text for text, _, _ in QUERIES])
def test_what_is_certain_is_so(text, key, certain, plain_shop, shop_database):
    assert is_certain_key(parse(text, "sqlite"), plain_shop, key) is certain
    ran = shop_database.execute(text)
    names = [column[0] for column in ran.description]
    counts = Counter(tuple(row[names.index(name)] for name in key) for row in ran)
    holds = max(counts.values()) == 1 and not any(None in one for one in counts)
    assert holds or not certain


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id, unnest(ARRAY[1, 1]) AS x FROM s.orders",
        "SELECT id, generate_series(1, 2) AS g FROM s.orders",
        "SELECT id, s.several(day) AS x FROM s.orders",
        "SELECT o.id FROM s.orders o, generate_series(1, 2) g",
        "SELECT o.id, x.line FROM s.orders o, LATERAL (SELECT line FROM s.items i WHERE i.order_id = o.id) x",
        "SELECT id, count(*) FROM s.orders GROUP BY ROLLUP (id)",
        "SELECT id, count(*) FROM s.orders GROUP BY GROUPING SETS ((id), (day))",
        "SELECT id FROM (SELECT id, unnest(ARRAY[1, 1]) AS x FROM s.orders) AS o",
    ],
)
def test_what_may_repeat_a_row_leaves_nothing_certain(text, shop):
    assert is_certain_key(parse("SELECT id FROM s.orders", "postgres"), shop, ["id"])
    assert not is_certain_key(parse(text, "postgres"), shop, ["id"])


def test_a_key_that_nobody_enforces_is_not_certain(shop):
    assert not is_certain_key(parse("SELECT id FROM s.orders", "snowflake"), shop, ["id"])


def test_repeated_values_and_nulls_are_counted(tmp_path):
    wide = [Decimal(n) for n in (1, 1, 2, 3, 3, 3)]
    files = []
    for number, part in enumerate((slice(0, 2), slice(2, 6))):
        table = pa.table({
            "a": pa.array([1, 2, 3, 4, None, 6][part]), "b": pa.array(["x", "x", "y", "y", "y", "y"][part]),
            "A": pa.array([1, 1, 1, 2, 3, 4][part]), "wide": pa.array(wide[part], pa.decimal256(50, 0)),
            "x.y": pa.array(range(6)[part]),
        })  # fmt: skip
        files.append(tmp_path / f"{number}.parquet")
        pq.write_table(table, files[-1])
    counts = {
        ("a",): (0, 1), ("b",): (2, 0), ("A",): (1, 0), ("wide",): (2, 0), ("x.y",): (0, 0), ("b", "A"): (1, 0),
        ("A", "wide"): (1, 0), ("a", "A"): (0, 1),
    }  # fmt: skip
    for columns, count in counts.items():
        assert repeated(files, columns, tmp_path) == count, columns
    assert has_nulls(files, ["a"])
    assert not has_nulls(files, ["A", "x.y"])
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    assert repeated([tmp_path / "none.parquet"], ["a"], tmp_path) == (0, 0)


@pytest.mark.parametrize(
    ("text", "columns", "whole"),
    [
        ("SELECT id, day FROM s.orders ORDER BY day", ("day",), True),
        ("SELECT id, day AS d FROM s.orders ORDER BY 2 DESC", ("d",), True),
        ("SELECT id, o.day AS d FROM s.orders o ORDER BY o.day, amount", ("d",), False),
        ("SELECT id, day FROM s.orders ORDER BY lower(day)", (), False),
        ("SELECT * FROM s.orders ORDER BY day", ("day",), True),
        ("SELECT * FROM s.orders o ORDER BY o.day, lower(country)", ("day",), False),
        ("SELECT * FROM s.orders, s.customers ORDER BY day", (), False),
        ("SELECT o.* FROM s.orders o ORDER BY day", ("day",), True),
        ("SELECT * FROM s.orders ORDER BY country.day", (), False),
        ("SELECT country.* FROM s.orders ORDER BY day", (), False),
        ("SELECT * FROM (s.orders o JOIN s.customers c USING (id)) ORDER BY c.country", (), False),
        ("SELECT *, 1 AS day FROM s.orders ORDER BY country", (), False),
        (
            "SELECT id, day FROM s.orders UNION ALL SELECT id, country FROM s.customers ORDER BY id",
            ("id",),
            True,
        ),
    ],
)
def test_an_order_that_no_key_vouches_for_is_doubtful(text, columns, whole, shop):
    tables = {name: table for name, table in shop.items() if name in text}
    found = doubtful_order(parse(text, "postgres"), tables)
    assert (found.columns, found.whole, found.keyed) == (columns, whole, True)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id, day FROM s.orders", "SELECT id, day FROM s.orders ORDER BY day, id",
        "SELECT day FROM s.orders ORDER BY day", "SELECT day, count(*) FROM s.orders GROUP BY day ORDER BY day",
        "SELECT id, day FROM s.orders ORDER BY day LIMIT 3",
    ],
)  # fmt: skip
def test_an_order_that_leaves_no_ties_or_is_told_otherwise_is_not(text, shop):
    assert doubtful_order(parse(text, "postgres"), shop) is None


@pytest.mark.parametrize(
    ("keys", "others", "found"),
    [
        ([1, 2, 3, 4], [0, 0, 0, 0], False), ([1, 2, 2, 4], [0, 1, 2, 3], True), ([1, 2, 2, 4], [0, 1, 1, 3], False),
        ([1, 2, None, None], [0, 1, 2, 3], True), ([1.0, 2.0, math.nan, math.nan], [0, 1, 2, 3], True),
        (["a", "b", "c", "c"], [0, 1, 2, 3], True), (["a", "b", "c", "d"], [0, 1, 2, 3], False), ([1], [1], False),
        ([1, 2, 2, 2], [0.0, math.nan, math.nan, math.nan], False), ([1, 2, 2, 3], [0.0, 0.0, -0.0, 0.0], True),
        ([1, 2, 2, 2], [{"v": math.nan}] * 4, False), ([1, 2, 2, 2], [[0.0], [0.0], [0.0], [-0.0]], True),
        ([-0.0, 0.0, 1.0], ["a", "b", "c"], True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_rows_that_tie_are_seen_also_across_batches(keys, others, found, size):
    table = pa.table({"K": keys, "o": others})
    ties = Ties(Sorting(("k",), whole=True, exact_texts=True, keyed=False))
    for batch in table.to_batches(size):
        ties.add(batch)
    assert ties.found is found


def test_ties_in_a_part_of_the_order_tell_nothing_and_none_tell_that_there_are_none():
    for keys, found in (([1, 2, 2], None), ([1, 2, 3], False)):
        ties = Ties(Sorting(("k",), whole=False, exact_texts=True, keyed=False))
        ties.add(pa.record_batch({"k": keys, "o": [0, 1, 2]}))
        assert ties.found is found
    texts = Ties(Sorting(("k",), whole=True, exact_texts=False, keyed=False))
    texts.add(pa.record_batch({"k": ["a", "b"]}))
    assert texts.found is None
