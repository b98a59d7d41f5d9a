"""Snowflake and BigQuery as far as they can be tried without an account: options, errors, secrets, waiting, types."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace

import pyarrow as pa
import pytest
import sqlglot
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from databases import extracted
from server_process import PATIENCE_S

from datakeep.core.errors import AccessDenied, UsageError
from datakeep.extract.sql import snowflake, warehouse
from datakeep.extract.sql.faults import DatabaseUnreachable, NotExact, QueryFailed, QueryRefused
from datakeep.extract.sql.interface import Exactness, Parameter, TableColumn
from datakeep.extract.sql.opening import open_database
from datakeep.extract.sql.warehouse import WarehouseResult

SNOWFLAKE = "snowflake://aiko:very%2FSecret@acct-x/PLANT/PUBLIC"


def test_the_url_of_snowflake_becomes_options_and_no_more_is_let_in():
    url = f"{SNOWFLAKE}?warehouse=small&role=reader&authenticator=externalbrowser"
    options = open_database(url).options()
    prefix = "adbc.snowflake.sql."
    assert options.items() >= {
        "username": "aiko", "password": "very/Secret", f"{prefix}account": "acct-x", f"{prefix}db": "PLANT",
        f"{prefix}schema": "PUBLIC", f"{prefix}warehouse": "small", f"{prefix}role": "reader",
        f"{prefix}auth_type": "auth_ext_browser", f"{prefix}client_option.use_high_precision": "true",
        f"{prefix}client_option.max_timestamp_precision": "nanoseconds_error_on_overflow",
    }.items()  # fmt: skip
    with pytest.raises(UsageError, match="wharehouse is no parameter"):
        open_database(f"{SNOWFLAKE}?wharehouse=small").options()
    with pytest.raises(UsageError, match="names no account"):
        open_database("snowflake:///PLANT").options()


def test_the_drivers_take_the_options_that_we_make(tmp_path):
    """An option that a driver does not know is an error at once, before it connects."""
    import adbc_driver_snowflake

    database = open_database(f"{SNOWFLAKE}?warehouse=w&role=r&host=127.0.0.1&port=9&protocol=http")
    adbc_driver_snowflake.connect(db_kwargs=database.options()).close()
    other = open_database(f"bigquery://proj/data?credentials_path={credentials(tmp_path)}&location=eu")
    program = """
import os, sys
from datakeep.extract.sql.opening import open_database
import adbc_driver_bigquery.dbapi as driver
database = open_database(sys.argv[1])
connection = driver.connect(db_kwargs=database.options(), autocommit=True)
connection.cursor(adbc_stmt_kwargs=database.statement_options(5))
print("taken", flush=True)
os._exit(0)  # the driver's own threads wait for a server that is not there
"""
    done = subprocess.run(
        [sys.executable, "-c", program, other.address.connect],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout == "taken\n", done.stderr


def credentials(folder):
    """A service account that nobody has."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "account.json"
    account = {
        "type": "service_account", "project_id": "proj", "private_key_id": "x", "private_key": key.decode(),
        "client_email": "a@proj.iam.gserviceaccount.com", "client_id": "1",
        "token_uri": "http://127.0.0.1:9/token",
    }  # fmt: skip
    file.write_text(json.dumps(account))
    return file


def test_the_url_of_bigquery_becomes_options():
    options = open_database("bigquery://proj/data?location=eu&credentials_path=/keys/a.json").options()
    prefix = "adbc.bigquery.sql."
    assert options == {
        f"{prefix}project_id": "proj", f"{prefix}dataset_id": "data", f"{prefix}location": "eu",
        f"{prefix}auth_type": f"{prefix}auth_type.json_credential_file", f"{prefix}auth_credentials": "/keys/a.json",
    }  # fmt: skip
    assert open_database("bigquery://proj").options()[f"{prefix}auth_type"].endswith("auth_bigquery")
    with pytest.raises(UsageError, match="colour is no parameter"):
        open_database("bigquery://proj?colour=red").options()


def test_an_account_that_does_not_answer_is_unreachable_and_its_secret_is_not_shown(monkeypatch):
    monkeypatch.setitem(snowflake._FIXED, "client_option.login_timeout", "1s")
    url = f"{SNOWFLAKE}?warehouse=w&host=127.0.0.1&port=9&protocol=http"
    with pytest.raises(DatabaseUnreachable, match="acct-x/PLANT") as caught:
        extracted(url, "select 1 as x")
    told = f"{caught.value} {caught.value.next_step} {caught.value.__cause__} {open_database(url)!r}"
    assert "Secret" not in told
    assert told.count("does not answer") == 1
    assert "connection refused" in told
    assert "requestId" not in told


def test_what_the_driver_of_snowflake_does_not_bind_goes_as_text_that_is_cast():
    bound = open_database(SNOWFLAKE).bound
    assert bound(Parameter("integer", 2**63 - 1)) == ("?", (2**63 - 1,))
    assert bound(Parameter("integer", 10**20)) == ("CAST(? AS NUMBER(38, 0))", ("1" + "0" * 20,))
    assert bound(Parameter("decimal", Decimal("1E+3"))) == ("CAST(? AS NUMBER(38, 0))", ("1000",))
    assert bound(Parameter("decimal", Decimal("-0.05"))) == ("CAST(? AS NUMBER(38, 2))", ("-0.05",))
    aware = datetime.fromisoformat("2026-11-01T09:00:00+09:00")
    assert bound(Parameter("timestamp", aware)) == ("CAST(? AS TIMESTAMP_TZ)", ("2026-11-01 09:00:00+09:00",))
    for database, kind in ((SNOWFLAKE, "TIMESTAMP_NTZ"), ("bigquery://proj/data", "TIMESTAMP")):
        found = open_database(database).bound(Parameter("timestamp", None))
        assert found == (f"CAST(NULL AS {kind})", ())


def test_a_server_that_never_answers_is_given_up(tmp_path):
    program = """
import os, sys, time
from datakeep.extract.sql import snowflake, warehouse
from datakeep.extract.sql.faults import DatabaseUnreachable
from datakeep.extract.sql.opening import open_database
warehouse.ANSWER_S = 2.0
start = time.monotonic()
try:
    with open_database(sys.argv[1]).session():
        print("in")
except DatabaseUnreachable as error:
    print(error, time.monotonic() - start < 50, flush=True)
os._exit(0)
"""
    url = f"bigquery://proj/data?credentials_path={credentials(tmp_path)}"
    environment = {"BIGQUERY_EMULATOR_HOST": "127.0.0.1:9", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program, url],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment,
        check=False,
    )
    assert done.stdout.startswith("bigquery://proj/data"), done.stderr
    assert done.stdout.endswith("does not answer: no answer within 2 s True\n")


class Refusal(Exception):
    """What a driver raises."""

    def __init__(self, text: str, status: str = "UNKNOWN") -> None:
        super().__init__(text)
        self.status_code = SimpleNamespace(name=status)


@pytest.mark.parametrize(
    ("url", "text", "status", "started", "kind", "said"),
    [
        (SNOWFLAKE, "001003 (42000): SQL compilation error: syntax error line 2 at position 2 unexpected 'nope'.",
         "INVALID_ARGUMENT", False, QueryRefused, "line 2, column 3: "),
        (SNOWFLAKE, "390100 (08004): Incorrect username or password was specified.",
         "UNAUTHENTICATED", False, AccessDenied, "Incorrect username"),
        (SNOWFLAKE, "IO: dial tcp 127.0.0.1:9: connect: connection refused; password=very/Secret",
         "IO", True, DatabaseUnreachable, "does not answer"),
        (SNOWFLAKE, "000630 (57014): Statement reached its statement timeout of 5 second(s) and was canceled.",
         "TIMEOUT", True, QueryFailed, "ended after 5 s, its time limit"),
        (SNOWFLAKE, "100038 (22018): Numeric value 'x' is not recognized",
         "INTERNAL", True, QueryFailed, "Numeric value 'x'"),
        ("bigquery://proj/data", 'Syntax error: Unexpected identifier "nope" at [2:3]',
         "INVALID_ARGUMENT", False, QueryRefused, "line 2, column 3: "),
        ("bigquery://proj/data", "googleapi: Error 403: Access Denied: Table proj:data.t",
         "UNKNOWN", False, AccessDenied, "Table"),
    ],
)  # fmt: skip
def test_what_the_drivers_say_becomes_our_errors_at_their_place(url, text, status, started, kind, said):
    error = open_database(url).fault(Refusal(text, status), "select 1,\n  nope", 5, started=started)
    assert type(error) is kind
    assert said in error.what
    assert "Secret" not in error.what
    if said.startswith("line"):
        assert error.things == ("  nope", "  ^")


def kept(array: pa.Array, **told) -> tuple:
    schema = pa.schema([pa.field("x", array.type, metadata={"logicalType": "FIXED"})])
    batch = pa.record_batch([array], schema=schema)
    result = WarehouseResult(schema, iter([batch]), Exactness(**told), warehouse.suppress)
    return pa.Table.from_batches(list(result.batches()), result.schema).column(
        "x"
    ).to_pylist(), result.columns[0]


def test_values_are_kept_refused_or_made_text():
    assert kept(pa.array([Decimal("1.50")], pa.decimal128(38, 2)))[0] == [Decimal("1.50")]
    values, column = kept(pa.array([Decimal("1.50")], pa.decimal128(38, 2)), decimals={"x": (3, 1)})
    assert (values, column.database_type, column.arrow_type) == (
        [Decimal("1.5")],
        "FIXED",
        "decimal128(3, 1)",
    )
    with pytest.raises(NotExact, match="column x, row 1"):
        kept(pa.array([Decimal("1.25")], pa.decimal128(38, 2)), decimals={"x": (3, 1)})
    with pytest.raises(NotExact, match="column x, row 2: "):
        kept(pa.array([0, 2**62], pa.timestamp("us")))
    with pytest.raises(NotExact, match="no exact equal in Parquet"):
        kept(pa.array([(1, 2, 3)], pa.month_day_nano_interval()))
    assert kept(pa.array([2**53 + 1]), as_text=frozenset({"x"}))[0] == ["9007199254740993"]
    with pytest.raises(NotExact, match="only the query can make"):
        kept(pa.array([b"\xff"]), as_text=frozenset({"x"}))


class Rows:
    """A session that answers from a list, and keeps what it was asked."""

    timeout_s = 5

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, list]] = []

    def rows(self, sql: str, values=()) -> list[tuple]:
        self.asked.append((sql, list(values)))
        return self.answers.pop(0)


def test_the_catalogue_of_snowflake_is_asked_by_bound_names():
    session = Rows(
        [("PUBLIC", "T", "VIEW", "what the owners wrote", "DWH", "create view …")],
        [("A", "NUMBER", True, "yen")],
        [],
    )
    database = open_database(SNOWFLAKE)
    found = database.tables(session, ['plant."Public".t', "gone"])
    table = found['plant."Public".t']
    assert (table.name, table.kind, table.owner, table.columns) == (
        "PUBLIC.T", "view", "DWH", (TableColumn("A", "NUMBER", True, "yen"),),
    )  # fmt: skip
    assert set(found) == {'plant."Public".t'}
    assert session.asked[0][1] == ["T", "Public"]
    assert session.asked[2][1] == ["GONE"]
    for sql, _ in session.asked:
        sqlglot.parse_one(sql, read="snowflake")
    session = Rows([], [], [("9.1", "2026-11-20T03:00:00.000001")])
    about, snapshot = database.begin(session)
    assert (about, snapshot.began.microsecond) == ("Snowflake 9.1", 1)
    assert session.asked[1][0].endswith("= 5")


def test_the_catalogue_of_bigquery_is_asked_by_bound_names():
    session = Rows(
        [("BASE TABLE", "create …", '"what \\"they\\" wrote"')], [("id",)], [("id", "INT64", False, None)]
    )
    database = open_database("bigquery://proj/data")
    [table] = database.tables(session, ["`proj.other.t`"]).values()
    assert (table.name, table.kind, table.comment, table.primary_key) == (
        "other.t",
        "table",
        'what "they" wrote',
        ("id",),
    )
    for sql, values in session.asked:
        assert values == ["t"]
        assert "`proj`.`other`" in sql
        sqlglot.parse_one(sql, read="bigquery")
    with pytest.raises(UsageError, match="no name of BigQuery"):
        database.tables(Rows(), ["`proj`.`a; drop`.t"])
    session = Rows([("2026-11-20T03:00:00.000001",)])
    assert database.begin(session)[1].began == datetime.fromisoformat("2026-11-20T03:00:00.000001+00:00")
