"""A dataset of a query to MariaDB, registered in one command: its rows, its record, its secrets."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from mariadb_server import PASSWORD, MariadbServer
from queries import STATED, Queries, make_queries
from server_process import PATIENCE_S, surely_ended, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from world import World

_PATIENCE_S = 20
TEXT = """\
SELECT o.id, o.price, o.sold_on, o.note
FROM shop.orders AS o
WHERE o.sold_on < :until AND o.note LIKE '%日%'
ORDER BY o.id
"""


@pytest.fixture(scope="module")
def server() -> Iterator[MariadbServer]:
    server = MariadbServer()
    server.start()
    try:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("create database shop")
            cursor.execute(
                "create table shop.orders(id int primary key comment 'number of the order', price decimal(12,2),"
                " sold_on date, note text) comment 'every order since 2018'"
            )
            rows = [
                (n, Decimal(n) / 4, date(2024, 1 + n % 12, 1), "日本 😀" if n % 2 else "none")
                for n in range(5000)
            ]
            cursor.executemany("insert into shop.orders values (%s, %s, %s, %s)", rows)
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def queries(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queries]:
    yield from make_queries(world, tmp_path_factory.mktemp("queries"))


def test_orders_are_registered_with_their_rows_and_no_secret(queries: Queries, server: MariadbServer) -> None:
    ran = queries.register("orders", TEXT, server.url("shop"), "--param", "until=2024-07-01")
    with server.connect("shop") as connection, connection.cursor() as cursor:
        cursor.execute(TEXT.replace(":until", "'2024-07-01'"))
        assert queries.rows("orders") == list(cursor.fetchall())
    source = queries.source("orders")
    assert source["dialect"] == "mysql"
    assert source["database"] == f"mysql://root@127.0.0.1:{server.port}/shop"
    assert source["extraction"]["server"].startswith("MariaDB ")
    assert "consistent snapshot" in str(source["extraction"])
    assert "number of the order" in str(queries.entry("orders"))
    assert PASSWORD not in ran.out + ran.err
    assert queries.traces(PASSWORD) == []


def test_an_interruption_ends_the_servers_query(queries: Queries, server: MariadbServer) -> None:
    """The server does not notice by itself that nobody waits any more, until it sends rows."""
    before = queries.everything()
    text = "SELECT count(*) AS n FROM shop.orders a, shop.orders b, shop.orders c WHERE a.id <> b.id + c.id"
    sql = queries.write("long.sql", text)
    argv = ("register", "long", "--sql", sql, "--database", server.url("shop"), *STATED)
    process = queries.world.aiko.start(*argv, cwd=queries.world.keep)
    with surely_ended(process):
        until(lambda: at_work(server) > 0)
        process.terminate()
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143, out + err
    until(lambda: at_work(server) == 0)
    assert queries.everything() == before


def at_work(server: MariadbServer) -> int:
    asked = "select count(*) from information_schema.processlist where info like 'SELECT count(*) AS n%'"
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(asked)
        return int(cursor.fetchone()[0])
