"""The whole way of a query in Snowflake, with its real driver, against a server that answers its protocol."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from queries import Queries, make_queries
from seen import error_of
from snowflake_server import PASSWORD, SnowflakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from world import World

ORDERS = "SELECT id, name, price, day, seen FROM PUBLIC.ORDERS WHERE {} ORDER BY id"


@pytest.fixture(scope="module")
def queries(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queries]:
    yield from make_queries(world, tmp_path_factory.mktemp("queries"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeServer]:
    server = SnowflakeServer(tmp_path_factory.mktemp("snowflake"))
    server.start()
    try:
        server.do(
            "CREATE DATABASE IF NOT EXISTS PLANT",
            "CREATE SCHEMA IF NOT EXISTS PLANT.PUBLIC",
            "CREATE TABLE PLANT.PUBLIC.ORDERS"
            " (id NUMBER(38,0), name VARCHAR, price NUMBER(38,18), day DATE, seen TIMESTAMP_NTZ)",
            "INSERT INTO PLANT.PUBLIC.ORDERS VALUES"
            " (1, '東京', 12345678901234567890.123456789012345678, '2026-01-01', '2026-01-01 09:30:00.123456'),"
            " (2, NULL, -0.5, '2026-02-01', '2026-02-01 00:00:00.5'), (3, 'x', NULL, NULL, '2026-03-01 00:00:00')",
        )
        server.do(
            "CREATE TABLE PLANT.PUBLIC.FAR (id NUMBER(38,0), seen TIMESTAMP_NTZ)",
            "INSERT INTO PLANT.PUBLIC.FAR VALUES (1, '2026-01-01 00:00:00'), (2, '0001-01-01 00:00:00')",
        )
        yield server
    finally:
        server.stop()


def test_a_query_becomes_a_version_and_is_run_again(queries: Queries, server: SnowflakeServer) -> None:
    ran = queries.register("orders", ORDERS.format("id < :n"), server.url(), "--param", "n=3")
    assert PASSWORD not in ran.out + ran.err
    price = Decimal("12345678901234567890.123456789012345678")
    at = datetime(2026, 1, 1, 9, 30, 0, 123456)  # noqa: DTZ001  (TIMESTAMP_NTZ has no zone)
    assert queries.rows("orders") == [
        (1, "東京", price, date(2026, 1, 1), at),
        (2, None, Decimal("-0.5"), date(2026, 2, 1), datetime(2026, 2, 1, 0, 0, 0, 500000)),  # noqa: DTZ001
    ]
    source = queries.source("orders")
    assert source["database"].startswith("snowflake://aiko@account/PLANT/PUBLIC?")
    assert source["extraction"]["server"] == "Snowflake 0.fake"
    (read,) = source["extraction"]["tables"]
    assert (read["name"], read["columns"]) == ("PUBLIC.ORDERS", ["DAY", "ID", "NAME", "PRICE", "SEEN"])
    assert "same content" in queries.run("reextract", "orders", "--against", server.url()).out
    server.do("UPDATE PLANT.PUBLIC.ORDERS SET name = '大阪' WHERE id = 1")
    said = queries.run("reextract", "orders", "--against", server.url(), code=3).out
    assert "東京" in said
    assert "大阪" in said
    assert queries.traces(PASSWORD) == []


@pytest.mark.parametrize(
    ("condition", "value", "ids"),
    [
        ("day < :v", "v=2026-01-15", [1]),
        ("seen > :v", "v=2026-01-15T09:30:00", [2, 3]),
        ("price = :v", "v=-0.5", [2]),
        ("price = :v", "v=12345678901234567890.123456789012345678", [1]),
        ("id < :v", "v:double=2.5", [1, 2]),
        ("name = :v", "v=x", [3]),
        ("(id = 2) = :v", "v=true", [2]),
        ("COALESCE(:v, day) > '2026-01-15'", "v:date:null", [2]),
    ],
)
def test_parameters_of_every_type_are_bound(
    queries: Queries, server: SnowflakeServer, condition: str, value: str, ids: list[int]
) -> None:
    """The driver itself binds neither dates, moments, decimals nor NULL."""
    name = f"bound-{abs(hash((condition, value)))}"
    queries.register(name, ORDERS.format(condition), server.url(), "--param", value, "--no-profile")
    assert [row[0] for row in queries.rows(name)] == ids


def test_a_table_without_a_schema_is_looked_up_in_the_current_one(
    queries: Queries, server: SnowflakeServer
) -> None:
    queries.register("bare", "SELECT id FROM ORDERS ORDER BY id", server.url())
    (read,) = queries.source("bare")["extraction"]["tables"]
    assert (read["name"], read["kind"]) == ("PUBLIC.ORDERS", "table")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("SELECT nope FROM PUBLIC.ORDERS", 34, "NOPE"),
        ("SELECT id FROM PUBLIC.NOT_THERE", 34, "NOT_THERE"),
        ("SELECT id, name AS id FROM PUBLIC.ORDERS", 34, "ID"),
    ],
)
def test_faults_are_one_clear_error(
    queries: Queries, server: SnowflakeServer, text: str, code: int, words: str
) -> None:
    before = queries.everything()
    error = error_of(queries.register("faulty", text, server.url(), code=code))
    assert words in error.what
    assert PASSWORD not in error.text
    assert queries.everything() == before


def test_a_value_on_which_the_driver_stops_does_not_end_the_rows_in_silence(
    queries: Queries, server: SnowflakeServer
) -> None:
    """Mostly without an error: then the server's own count tells."""
    for _ in range(3):
        error = error_of(queries.register("far", "SELECT id, seen FROM PUBLIC.FAR", server.url(), code=34))
        assert "overflows" in error.what or "the database has 2 rows for the query" in error.what
    assert queries.versions("far") == []
