"""What a column of the result was called in its table: a name that suggests people does not get lost."""

import pytest

from datakeep.extract.sql.advice import advise
from datakeep.extract.sql.renamed import renamed
from datakeep.extract.sql.statement import parse


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT id, email AS contact FROM s.p", {"contact": "email"}),
        (
            "SELECT lower(email) AS a, name::text AS b, count(email) AS c FROM s.p",
            {"a": "email", "b": "name"},
        ),
        ("WITH x AS (SELECT id, email AS k FROM s.p) SELECT x.k AS z, id FROM x", {"z": "email"}),
        ("SELECT a.q FROM (SELECT email AS q FROM s.p UNION ALL SELECT x FROM s.r) AS a", {"q": "email"}),
        (
            "SELECT p.email, q.k AS email2 FROM s.p JOIN (SELECT mail AS k FROM s.q) AS q ON true",
            {"email2": "mail"},
        ),
        ("SELECT id AS ID, * FROM s.p", {}),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n AS m FROM r", {}),
    ],
)
def test_a_column_is_known_by_its_name_in_the_table(query, found):
    assert renamed(parse(query, "postgres")) == found


def test_a_column_of_a_person_is_advised_on_whatever_it_is_called():
    query = "WITH x AS (SELECT id, email AS k FROM s.p) SELECT id, k FROM x"
    assert [one.id for one in advise(parse(query, "postgres"), None)] == ["personal-column"]
