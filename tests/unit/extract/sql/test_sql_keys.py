"""What keys are said to tell of ties and of repeated rows is so: DuckDB itself shows the rows of each query."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import duckdb
import pytest

from datakeep.extract.sql.advice import advise
from datakeep.extract.sql.interface import Table, TableColumn
from datakeep.extract.sql.result_keys import is_certain_key
from datakeep.extract.sql.statement import parse
from datakeep.extract.sql.ties import doubtful_order

SCHEMA = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, amount INTEGER, day VARCHAR, tags INTEGER[]);
CREATE TABLE customers (id INTEGER PRIMARY KEY, country VARCHAR, email VARCHAR UNIQUE);
CREATE TABLE items (order_id INTEGER, line INTEGER, price INTEGER, kind VARCHAR, PRIMARY KEY (order_id, line));
CREATE TABLE notes (order_id INTEGER, body VARCHAR);
INSERT INTO orders VALUES (1, 1, 10, 'a', [1, 2]), (2, 1, 20, 'a', [2, 3]),
  (3, 2, 10, 'A', [1]), (4, 9, 40, 'b', [5]);
INSERT INTO customers VALUES (1, 'JP', 'x'), (2, 'DE', NULL), (3, 'JP', NULL), (4, 'FR', 'y');
INSERT INTO items VALUES (1, 1, 5, 'x'), (1, 2, 6, 'y'), (2, 1, 20, 'y'), (3, 1, 30, 'x'),
  (8, 1, 7, 'x'), (9, 1, 8, 'x');
INSERT INTO notes VALUES (1, 'late'), (1, 'paid'), (3, 'late'), (NULL, 'lost'), (NULL, 'found');
"""
COLUMNS = {
    "orders": "id customer_id amount day tags",
    "customers": "id country email",
    "items": "order_id line price kind",
    "notes": "order_id body",
}
KEYS = {"orders": ("id",), "customers": ("id",), "items": ("order_id", "line"), "notes": ()}
TABLES = {
    name: Table(
        name,
        "table",
        tuple(TableColumn(column, "text", column not in KEYS[name]) for column in columns.split()),
        primary_key=KEYS[name],
        unique=(("email",),) if name == "customers" else (),
    )
    for name, columns in COLUMNS.items()
}
PAID = "(SELECT DISTINCT order_id FROM notes WHERE body = 'paid')"

#: What comes out, from where, sorted by what; and whether keys tell that no rows tie.
ORDERS = [
    # What a LEFT JOIN asks for does not hold of the rows that find nothing.
    ("o.id, c.country", "FROM orders o LEFT JOIN customers c ON c.id = o.customer_id AND o.id = 1", "o.id", True),
    ("o.id, o.day", "FROM orders o LEFT JOIN customers c ON c.id = o.customer_id AND o.id = 1", "o.day", False),
    ("i.kind, o.day", "FROM orders o LEFT JOIN items i ON i.order_id = o.id AND i.kind = 'x'", "o.day", False),
    ("c.country", "FROM orders o LEFT JOIN customers c ON c.id = o.customer_id AND o.id > 1", "o.customer_id", False),
    ("c.country", "FROM orders o LEFT JOIN customers c ON c.id = o.customer_id", "o.customer_id", True),
    ("i.kind, i.price", "FROM orders o LEFT JOIN items i ON i.order_id = o.id AND i.line = 1", "o.id", True),
    ("c.country", "FROM orders o LEFT JOIN customers c ON c.id = 1 AND o.amount = 10", "o.day", False),
    ("c.country, o.amount", "FROM orders o LEFT JOIN customers c ON c.id = 1", "o.amount", True),
    ("m.low", "FROM orders o LEFT JOIN (SELECT min(amount) AS low FROM orders) m ON m.low = o.amount", "o.day",
     False),
    ("o.id, c.country", "FROM orders o JOIN customers c ON c.id = o.customer_id AND o.day = 'a'", "o.id", True),
    ("x.n", "FROM orders o LEFT JOIN (SELECT order_id, count(*) AS n FROM notes GROUP BY order_id) x ON x.n = o.id",
     "x.order_id", False),
    ("x.n", ("FROM orders o LEFT JOIN (SELECT order_id, count(*) AS n FROM notes GROUP BY order_id) x "
     "ON x.order_id = o.id"), "o.id", True),
    ("o.day, o.id", "FROM orders o JOIN items i ON i.order_id = o.id AND o.id = 2", "i.line", True),
    ("o.day", "FROM orders o ANTI JOIN notes n ON n.order_id = o.id AND o.day = 'b'", "o.amount", False),
    # Rows that a RIGHT or FULL JOIN finds nothing for are all NULL.
    ("o.id, o.day, i.price", "FROM orders o FULL JOIN items i ON i.order_id = o.id AND i.line = 1", "o.id", False),
    ("i.price, o.day", "FROM orders o RIGHT JOIN items i ON i.order_id = o.id", "o.id", False),
    ("c.id, n.body", ("FROM customers c LEFT JOIN (orders o FULL JOIN notes n ON n.order_id = o.id) ON o.id = c.id "
     "AND n.order_id IS NULL"), "o.id", False),
    ("o.id, i.price", "FROM orders o FULL JOIN items i ON i.order_id = o.id", "o.id, i.price", True),
    ("i.price, o.day", "FROM orders o RIGHT JOIN items i ON i.order_id = o.id", "i.order_id, i.line", True),
    ("o.day", "FROM orders o RIGHT JOIN items i ON i.order_id = o.id AND o.day = 'A'", "i.kind", False),
    ("o.day", "FROM orders o RIGHT JOIN (SELECT order_id AS id, line FROM items) i USING (id)", "i.id", True),
    ("c.country",
     "FROM orders o RIGHT JOIN items i ON i.order_id = o.id LEFT JOIN customers c ON c.id = o.customer_id",
     "o.customer_id", True),
    ("o.amount, c.id AS c",
     ("FROM orders o JOIN notes n ON n.order_id = o.id AND o.amount = 10 RIGHT JOIN customers c "
     "ON c.id = o.customer_id"), "o.day", False),
    ("i.kind, count(*) AS n", "FROM orders o FULL JOIN items i ON i.order_id = o.id GROUP BY i.kind", "i.kind", True),
    # Functions that make several rows of one.
    ("id, unnest(tags) AS tag", "FROM orders", "id", False),
    ("id, unnest(tags) AS tag", "FROM orders", "id, tag", True),
    ("day, count(*) AS n, unnest([1, 2]) AS u", "FROM orders GROUP BY day", "day", False),
    ("id, (SELECT max(u) FROM (SELECT unnest(tags) AS u)) AS top", "FROM orders", "id", True),
    # What groups by more than is plain to see.
    ("day, amount, count(*) AS n", "FROM orders GROUP BY ALL", "day", False),
    ("day, amount, count(*) AS n", "FROM orders GROUP BY ROLLUP (day, amount)", "day", False),
    ("day, count(*) AS n", "FROM orders GROUP BY GROUPING SETS ((day), (amount))", "day", False),
    ("day, count(*) AS n", "FROM orders GROUP BY CUBE (day)", "day, n", True),
    ("amount, count(*) AS n", "FROM orders GROUP BY 1", "n", False),
    ("amount, count(*) AS n", "FROM orders GROUP BY 1", "amount", True),
    ("lower(day) AS d, max(id) AS last", "FROM orders GROUP BY d", "d", True),
    ("lower(day) AS day, max(id) AS last", "FROM orders GROUP BY orders.day", "lower(orders.day)", False),
    # Two NULLs are no two values of a unique column.
    ("id, email", "FROM customers", "email", False),
    ("id, email", "FROM customers WHERE email IS NOT NULL", "email", True),
    ("o.id, c.id AS c", "FROM orders o JOIN customers c ON c.email = o.day", "c.email, o.id", True),
    # Of a window's numbers rows that are the same have different ones.
    ("day, row_number() OVER (ORDER BY day) AS n", "FROM orders", "day", False),
    ("id, row_number() OVER (ORDER BY day, id) AS n", "FROM orders", "id", True),
    # Other names, the same name twice, and names that a star brings.
    ("x.b, x.a", "FROM (SELECT id, day FROM orders) x (a, b)", "x.b", False),
    ("x.b, x.a", "FROM (SELECT id, day FROM orders) x (a, b)", "x.a", True),
    ("x.day, x.id", "FROM (SELECT id, day FROM orders) x (day, id)", "x.id", False),
    ("x.id, x.amount", "FROM (SELECT c.*, o.amount FROM orders o JOIN customers c ON c.id = o.customer_id) x",
     "x.id", False),
    ("x.id, x.day", "FROM (SELECT * REPLACE (amount AS id) FROM orders) x", "x.id", False),
    ("x.id, x.day", "FROM (SELECT * FROM orders) x", "x.id", True),
    ("x.n", "FROM orders o, (SELECT count(*) AS n FROM notes WHERE order_id = o.id) x", "o.day", False),
    ("x.n, o.day", "FROM orders o JOIN (SELECT (SELECT count(*) FROM notes) AS n, id FROM orders) x ON x.id <= o.id",
     "o.id, x.n", True),
    ("x.id, x.n", "FROM (SELECT id, (SELECT count(*) FROM notes) AS n FROM orders) x", "x.n", False),
    ("x.n, o.id", "FROM orders o JOIN (SELECT lower(day), count(*) AS n FROM orders GROUP BY lower(day)) x ON true",
     "o.id", False),
    ("o.id, p.order_id AS p", f"FROM orders o LEFT JOIN {PAID} p ON p.order_id = o.id", "o.id", True),
]  # fmt: skip

#: A query, columns of it, and whether they are a key for certain.
CERTAIN = [
    ("SELECT id, tags FROM orders", "id", True),
    ("SELECT o.*, c.country FROM orders o JOIN customers c ON c.id = o.customer_id", "id", True),
    ("SELECT c.*, o.day FROM orders o JOIN customers c ON c.id = o.customer_id", "id", False),
    ("SELECT i.order_id, i.price FROM orders o FULL JOIN items i ON i.order_id = o.id AND i.line = 1", "order_id",
     False),
    ("SELECT DISTINCT o.day FROM orders o FULL JOIN items i ON i.order_id = o.id", "day", True),
    ("SELECT i.kind, max(o.id) AS id FROM orders o FULL JOIN items i ON i.order_id = o.id GROUP BY i.kind", "kind",
     True),
    ("SELECT id, unnest(tags) AS tag FROM orders", "id", False),
    ("SELECT day, max(id) AS last FROM orders GROUP BY ALL", "day", False),
    ("SELECT day, max(id) AS last FROM orders GROUP BY ROLLUP (day), amount", "day", False),
    ("SELECT lower(day) AS day, max(id) AS last FROM orders GROUP BY orders.day", "day", False),
    ("SELECT lower(day) AS low, max(id) AS last FROM orders GROUP BY low", "low", True),
    ("SELECT day AS d, max(id) AS last FROM orders GROUP BY orders.day", "d", True),
    ("SELECT (SELECT count(*) FROM items) AS n FROM orders", "n", False),
    ("SELECT sum(amount) FILTER (WHERE id > 1) OVER () AS s FROM orders", "s", False),
    ("SELECT email, id FROM customers", "email", True),
    ("SELECT day FROM orders LIMIT 1", "day", True),
    ("SELECT day FROM orders LIMIT 1%", "day", False),
]  # fmt: skip

#: A query, and what a check of it says, with the catalogue, of joins and limits.
ADVISED = [
    (("SELECT o.id, i.price FROM orders o JOIN items i ON i.order_id = o.id LEFT JOIN customers c "
     "ON c.id = o.customer_id AND i.line = 1"), ["join-multiplies"]),
    (("SELECT o.id, i.price, (SELECT count(*) FROM notes n WHERE n.order_id = o.id) AS n FROM orders o "
     "JOIN items i ON i.order_id = o.id"), ["join-multiplies"]),
    (("SELECT c.country, sum(o.amount) AS s FROM orders o RIGHT JOIN customers c ON c.id = o.customer_id "
     "GROUP BY c.country"), []),
    ("SELECT o.id, c.country FROM orders o FULL JOIN customers c ON c.id = o.customer_id", []),
    ("SELECT o.id, c.country FROM orders o JOIN customers c ON c.email = o.day", []),
    ("SELECT count(*) AS n FROM orders LIMIT 1", []),
    ("SELECT count(*) AS n, unnest([1, 2]) AS u FROM orders LIMIT 1", ["limit-unordered"]),
    ("SELECT day, amount FROM orders ORDER BY ALL LIMIT 3", []),
    ("SELECT id, email FROM customers ORDER BY email LIMIT 3", ["limit-unordered"]),
    ("SELECT DISTINCT ON (id) id, unnest(tags) AS tag FROM orders ORDER BY id", ["distinct-on-unordered"]),
    ("SELECT id, (SELECT max(price) FROM items WHERE order_id = id) AS top FROM orders ORDER BY id LIMIT 3", []),
    (("SELECT c.id, array_agg(o.day ORDER BY o.id) AS days FROM orders o FULL JOIN customers c "
     "ON c.id = o.customer_id GROUP BY c.id"), ["aggregate-unordered"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def database():
    connection = duckdb.connect()
    connection.execute(SCHEMA)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("outputs", "rest", "order", "total"), ORDERS, ids=[f"{one[0]} {one[1]} {one[2]}" for one in ORDERS]
)
def test_no_rows_tie_where_keys_tell_it_and_rows_do_where_they_do_not(outputs, rest, order, total, database):
    query = f"SELECT {outputs} {rest} ORDER BY {order}"
    database.execute(query)
    assert (doubtful_order(parse(query, "duckdb"), TABLES) is None) is total
    of_each = defaultdict(set)
    keys = order.count(",") + 1
    for row in database.execute(f"SELECT {outputs}, {order} {rest}").fetchall():
        of_each[row[-keys:]].add(row[:-keys])
    assert all(len(rows) == 1 for rows in of_each.values()) is total


@pytest.mark.parametrize(("query", "column", "certain"), CERTAIN, ids=[one[0] for one in CERTAIN])
def test_a_key_is_certain_only_where_no_value_of_it_comes_twice(query, column, certain, database):
    assert is_certain_key(parse(query, "duckdb"), TABLES, [column]) is certain
    found = database.execute(query)
    place = [one[0] for one in found.description].index(column)
    counts = Counter(row[place] for row in found.fetchall() if row[place] is not None)
    twice = any(count > 1 for count in counts.values())
    assert not (certain and twice)


@pytest.mark.parametrize(("query", "expected"), ADVISED, ids=[one[0] for one in ADVISED])
def test_a_check_says_of_joins_and_limits_what_keys_tell(query, expected, database):
    database.execute(query)
    found = [one.id for one in advise(parse(query, "duckdb"), TABLES)]
    assert [one for one in found if one not in ("unqualified-table", "personal-column")] == expected


#: Of the random tables: their columns, of which ``u`` is unique and may be NULL; and subqueries of them.
DRAWN = {
    "a": "id x u", "b": "id x u", "c": "p q x", "(SELECT x, max(id) AS id FROM a GROUP BY x)": "x id",
    "(SELECT DISTINCT p, x FROM c)": "p x", "(SELECT b.id, b.x, a.u FROM b LEFT JOIN a ON a.id = b.x)": "id x u",
    "(SELECT max(id) AS id FROM b WHERE x = 1)": "id",
}  # fmt: skip
DRAWN_TABLES = {
    name: Table(
        name,
        "table",
        tuple(TableColumn(column, "int", column in "xu") for column in DRAWN[name].split()),
        primary_key=("p", "q") if name == "c" else ("id",),
        unique=() if name == "c" else (("u",),),
    )
    for name in "abc"
}


def drawn_rows(draw):
    """A database with a few rows of numbers of one digit, of which many are equal and some are NULL."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE c (p INTEGER, q INTEGER, x INTEGER, PRIMARY KEY (p, q))")
    for name in "ab":
        connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, x INTEGER, u INTEGER UNIQUE)")
        units = draw.sample([0, 1, 2, None, None, None], 4)
        for key in draw.sample(range(4), 3):
            connection.execute(
                f"INSERT INTO {name} VALUES (?, ?, ?)", [key, draw.choice([None, 0, 1]), units[key]]
            )
    for key in draw.sample(range(9), 5):
        connection.execute("INSERT INTO c VALUES (?, ?, ?)", [key // 3, key % 3, draw.choice([None, 0, 1])])
    return connection


def drawn_from(draw):
    """FROM with its joins and conditions, and the columns that it has."""
    columns, text = [], ""
    for place in range(draw.randint(1, 3)):
        source = draw.choice([*"abcabc", *DRAWN])
        own = [f"t{place}.{name}" for name in DRAWN[source].split()]
        asked = [f"{draw.choice(own)} = {draw.choice(columns)}"] if columns else []
        if columns and draw.random() < 0.5:
            asked.append(f"{draw.choice([*own, *columns])} = {draw.randint(0, 2)}")
        side = draw.choice(["", "LEFT", "LEFT", "RIGHT", "FULL"])
        text += f" {side} JOIN {source} t{place} ON {' AND '.join(asked)}" if columns else f"FROM {source} t0"
        columns += own
    if draw.random() < 0.3:
        text += f" WHERE {draw.choice(columns)} {draw.choice(['= 1', 'IS NOT NULL', '= ' + draw.choice(columns)])}"
    return text, columns


@pytest.mark.parametrize("seed", range(2))
def test_no_random_join_has_ties_or_repeated_keys_where_keys_tell_that_there_are_none(seed):
    draw = random.Random(seed)
    databases = [drawn_rows(draw) for _ in range(6)]
    claims = 0
    for _ in range(60):
        text, columns = drawn_from(draw)
        outputs, order = (draw.sample(columns, draw.randint(1, min(2, len(columns)))) for _ in range(2))
        named = ", ".join(f"{one} AS c{place}" for place, one in enumerate(outputs))
        query = f"SELECT {named} {text} ORDER BY {', '.join(order)}"
        total = doubtful_order(parse(query, "duckdb"), DRAWN_TABLES) is None
        key = is_certain_key(
            parse(query, "duckdb"), DRAWN_TABLES, [f"c{place}" for place in range(len(outputs))]
        )
        claims += total + key
        for database in databases if total or key else ():
            of_each = defaultdict(set)
            rows = database.execute(f"SELECT {', '.join([*outputs, *order])} {text}").fetchall()
            for row in rows:
                of_each[row[len(outputs) :]].add(row[: len(outputs)])
            assert not total or all(len(found) == 1 for found in of_each.values()), query
            whole = [row[: len(outputs)] for row in rows if None not in row[: len(outputs)]]
            assert not key or len(whole) == len(set(whole)), query
    for database in databases:
        database.close()
    assert claims > 30
