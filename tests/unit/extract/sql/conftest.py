"""A small shop, as a catalogue and as a real SQLite database with the same tables."""

from __future__ import annotations

import sqlite3

import pytest

from datakeep.extract.sql.interface import Table, TableColumn

SCHEMA = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, amount NUMERIC, day TEXT);
CREATE TABLE customers (id INTEGER PRIMARY KEY, country TEXT, email TEXT);
CREATE TABLE items (order_id INTEGER, line INTEGER, price NUMERIC, kind TEXT, PRIMARY KEY (order_id, line));
CREATE TABLE notes (order_id INTEGER, body TEXT);
CREATE TABLE rates (country TEXT, rate NUMERIC);
INSERT INTO orders VALUES (1, 1, 10, '2026-01-01'), (2, 1, 20, '2026-01-02'), (3, 2, 30, '2026-01-02');
INSERT INTO customers VALUES (1, 'JP', 'a@corp.example'), (2, 'DE', 'b@corp.example');
INSERT INTO items VALUES (1, 1, 5, 'x'), (1, 2, 5, 'y'), (2, 1, 20, 'x'), (3, 1, 30, 'x');
INSERT INTO notes VALUES (1, 'late'), (1, 'paid'), (1, 'sent'), (3, 'late'), (NULL, 'lost'), (NULL, 'lost');
INSERT INTO rates VALUES ('JP', 0.1), ('DE', 0.19);
"""


def _table(name, columns, key=(), unique=()):
    made = tuple(TableColumn(column, "text", nullable=column not in key) for column in columns.split())
    return Table(name, "table", made, primary_key=key, unique=unique)


def _shop(prefix):
    return {
        f"{prefix}orders": _table(f"{prefix}orders", "id customer_id amount day", ("id",)),
        f"{prefix}customers": _table(f"{prefix}customers", "id country email", ("id",), (("email",),)),
        f"{prefix}items": _table(f"{prefix}items", "order_id line price kind", ("order_id", "line")),
        f"{prefix}notes": _table(f"{prefix}notes", "order_id body"),
        f"{prefix}rates": _table(f"{prefix}rates", "country rate"),
    }


@pytest.fixture
def shop():
    """The catalogue, by names such as ``s.orders``."""
    return _shop("s.")


@pytest.fixture
def plain_shop():
    """The same, by names such as ``orders``."""
    return _shop("")


@pytest.fixture
def shop_database():
    """A SQLite connection to the shop's data."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    yield connection
    connection.close()
