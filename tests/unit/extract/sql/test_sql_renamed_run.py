"""Random queries that DuckDB runs: wherever a value of ``email`` comes out, its name is known."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import pytest

from datakeep.extract.sql.advice import advise
from datakeep.extract.sql.former import former_names
from datakeep.extract.sql.renamed import Behind
from datakeep.extract.sql.statement import parse

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "hanako"
TABLE = "CREATE TABLE p AS SELECT '1' AS id, 'Hanako@corp.example' AS email, 'Kobe' AS city"


class Made(NamedTuple):
    """A query, the names of its columns, and the views that it reads through."""

    text: str
    names: list[str]
    views: dict[str, str]


class Maker:
    """Makes a query around another; every column stays text, so that any step fits behind any other."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.count = 0

    def query(self) -> Made:
        made = Made("SELECT id, email, city FROM p", ["id", "email", "city"], {})
        steps = [getattr(self, name) for name in dir(self) if name.startswith("by_")]
        for step in self.chance.choices(steps, k=self.chance.randint(1, 5)):
            made = step(made)
        return made

    def new(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def each(self, made: Made, form: Callable[[str], str], text: str = "") -> Made:
        named = [(form(name), self.new()) for name in made.names]
        columns = ", ".join(f"{expression} AS {name}" for expression, name in named)
        return Made(text or f"SELECT {columns} FROM ({made.text}) q", [name for _, name in named], made.views)

    def some(self, made: Made) -> tuple[str, str]:
        return self.chance.choice(made.names), self.chance.choice(made.names)

    def by_alias(self, made: Made) -> Made:
        return self.each(made, lambda name: f"q.{name}")

    def by_call(self, made: Made) -> Made:
        forms = [
            "upper({0})",
            "coalesce({0}, 'x')",
            "{0} || '!'",
            "CASE WHEN true THEN {0} END",
            "q.{0}.lower()",
        ]
        return self.each(made, lambda name: self.chance.choice(forms).format(name))

    def by_nothing(self, made: Made) -> Made:
        names = [self.new() for _ in made.names]
        inner = ", ".join(f"lower({name})" for name in made.names)
        text = f"SELECT * FROM (SELECT {inner} FROM ({made.text}) a) b({', '.join(names)})"
        return Made(text, names, made.views)

    def by_cte(self, made: Made) -> Made:
        name = self.new()
        return Made(f"WITH {name} AS ({made.text}) SELECT * FROM {name}", made.names, made.views)

    def by_view(self, made: Made) -> Made:
        if "(PIVOT (" in made.text:  # which DuckDB takes in no view
            return self.by_cte(made)
        name = self.new()
        return Made(f"SELECT * FROM {name}", made.names, made.views | {name: made.text})

    def by_list(self, made: Made) -> Made:
        (one, two), name = self.some(made), self.new()
        return Made(
            f"SELECT t.x AS {name} FROM ({made.text}) q, unnest([q.{one}, {two}]) AS t(x)", [name], made.views
        )

    def by_struct(self, made: Made) -> Made:
        one, _ = self.some(made)
        inner = f"SELECT {{'k': {one}, 'l': 'x'}} AS s FROM ({made.text}) a"
        how = self.chance.choice(["q.s.k", "s.k", "s['k']", "struct_extract(s, 'k')"])
        name = self.new()
        return Made(f"SELECT {how} AS {name} FROM ({inner}) q", [name], made.views)

    def by_fields(self, made: Made) -> Made:
        one, name = self.chance.choice(made.names), self.new()
        how = self.chance.choice(["unnest(s)", "s.*"])
        return Made(
            f"SELECT {how} FROM (SELECT {{'{name}': {one}}} AS s FROM ({made.text}) a) q", [name], made.views
        )

    def by_row(self, made: Made) -> Made:
        forms = ["q::VARCHAR", "to_json(q)::VARCHAR", "struct_pack(*COLUMNS(*))::VARCHAR"]
        name = self.new()
        return Made(f"SELECT {self.chance.choice(forms)} AS {name} FROM ({made.text}) q", [name], made.views)

    def by_document(self, made: Made) -> Made:
        one, _ = self.some(made)
        name = self.new()
        how = self.chance.choice(
            ["j->>'k'", "q.j->>'$.k'", "coalesce(j->>'k', '')", "json_extract_string(j, 'k')"]
        )
        inner = f"SELECT json_object('k', {one}) AS j FROM ({made.text}) a"
        return Made(f"SELECT {how} AS {name} FROM ({inner}) q", [name], made.views)

    def by_unpivot(self, made: Made) -> Made:
        name, kind = self.new(), self.new()
        listed = ", ".join(made.names)
        form = self.chance.choice([
            f"SELECT {name} FROM ({made.text}) q UNPIVOT ({name} FOR {kind} IN ({listed}))",
            f"SELECT {name} FROM (UNPIVOT ({made.text}) ON {listed} INTO NAME {kind} VALUE {name}) z",
        ])  # fmt: skip
        return Made(form, [name], made.views)

    def by_pivot(self, made: Made) -> Made:
        one, two = self.some(made)
        inner = f"SELECT {one} AS g, {two} AS v, 'kk' AS k FROM ({made.text}) a"
        return Made(f"SELECT kk FROM (PIVOT ({inner}) ON k USING max(v) GROUP BY g) z", ["kk"], made.views)

    def by_union(self, made: Made) -> Made:
        other = made.names[1:] + made.names[:1]
        left, right = ", ".join(made.names), ", ".join(other)
        text = f"SELECT {left} FROM ({made.text}) a UNION ALL SELECT {right} FROM ({made.text}) b"
        return Made(text, made.names, made.views)

    def by_lateral_alias(self, made: Made) -> Made:
        one, _ = self.some(made)
        first, second = self.new(), self.new()
        text = f"SELECT {one} AS {first}, upper({first}) AS {second} FROM ({made.text}) q"
        return Made(text, [first, second], made.views)

    def by_aggregate(self, made: Made) -> Made:
        return self.each(made, lambda name: f"{self.chance.choice(['max', 'string_agg', 'first'])}({name})")

    def by_renaming(self, made: Made) -> Made:
        one, name = self.chance.choice(made.names), self.new()
        names = [name if each == one else each for each in made.names]
        return Made(f"SELECT * RENAME ({one} AS {name}) FROM ({made.text}) q", names, made.views)

    def by_columns(self, made: Made) -> Made:
        names = [self.new() for _ in made.names]
        form = self.chance.choice(["COLUMNS(*)", "max(COLUMNS(*))", "COLUMNS('.*')"])
        return Made(
            f"SELECT * FROM (SELECT {form} FROM ({made.text}) a) b({', '.join(names)})", names, made.views
        )

    def by_values(self, made: Made) -> Made:
        (one, two), name = self.some(made), self.new()
        form = self.chance.choice(["v({0})", "v"])
        column = name if "{0}" in form else "col0"
        rows = f"LATERAL (VALUES (q.{one}), ({two})) {form.format(name)}"
        return Made(f"SELECT {column} AS {name}x FROM ({made.text}) q, {rows}", [f"{name}x"], made.views)

    def by_scalar(self, made: Made) -> Made:
        (one, two), name = self.some(made), self.new()
        form = self.chance.choice([
            f"(SELECT max(x.{one}) FROM ({made.text}) x)", f"(SELECT upper(q.{two}))", f"(SELECT {two} LIMIT 1)",
        ])  # fmt: skip
        return Made(f"SELECT {form} AS {name} FROM ({made.text}) q", [name], made.views)


@pytest.mark.parametrize("seed", range(200))
def test_a_value_that_comes_out_has_the_name_that_it_came_from(seed):
    made = Maker(seed).query()
    connection = duckdb.connect()
    connection.execute(TABLE)
    for name, text in made.views.items():
        connection.execute(f"CREATE VIEW {name} AS {text}")
    cursor = connection.execute(made.text)
    result = [one[0] for one in cursor.description]
    rows = cursor.fetchall()
    tables = {"p": Behind(("id", "email", "city"))} | {
        name: Behind(definition=text) for name, text in made.views.items()
    }
    known = former_names(made.text, "duckdb", tables, result)
    for at, column in enumerate(result):
        if any(MARK in str(row[at]).lower() for row in rows):
            assert column == "email" or "email" in known.get(column.lower(), ()), (column, made)
    advise(parse(made.text, "duckdb"), {}, made.views)
