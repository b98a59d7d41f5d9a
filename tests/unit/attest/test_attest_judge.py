"""What a proof is worth: by whom, with which key, on which day, about what."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from datakeep import attest
from datakeep.formats import proof

MADE = datetime(2026, 11, 22, 9, 12, 3, tzinfo=UTC)
HALF_A_YEAR = timedelta(days=180)
ORDERS = attest.About("orders", "v3", "4f" * 20, "77" * 32)


@pytest.fixture
def weigh(signers, make_statement, make_person):
    def weigh(statement=None, signer=None, people=None, **options):
        envelope = attest.sign((statement or make_statement()).to_bytes(), signer or signers.ken)
        people = people or [
            ("ken", make_person(signers.ken)),
            ("aiko", make_person(signers.aiko, name="Aiko")),
        ]
        defaults = {"now": MADE + timedelta(days=1), "renew_every": HALF_A_YEAR, "about": ORDERS}
        return attest.judge(envelope, people, **(defaults | options))

    return weigh


def test_a_fresh_proof_holds_until_the_policy_s_end(weigh):
    standing = weigh()
    assert (standing.status, standing.by, standing.at, standing.self_check) == ("valid", "ken", MADE, False)
    assert standing.expires == MADE + HALF_A_YEAR
    assert standing.statement.predicate.metrics


def test_it_expires_at_the_second(weigh):
    end = MADE + HALF_A_YEAR
    assert weigh(now=end - timedelta(seconds=1)).status == "valid"
    expired = weigh(now=end)
    assert (expired.status, expired.expires) == ("expired", end)
    assert "2027-05-21" in expired.reason
    assert weigh(now=end, renew_every=None).status == "valid"


def test_the_earlier_end_counts(weigh, make_statement):
    sooner = make_statement(expires=MADE + timedelta(days=30))
    assert weigh(sooner).expires == MADE + timedelta(days=30)
    assert weigh(sooner, renew_every=timedelta(days=7)).expires == MADE + timedelta(days=7)
    assert weigh(sooner, renew_every=None, now=MADE + timedelta(days=31)).status == "expired"


def test_the_owner_s_run_is_a_self_check(weigh, make_statement, signers):
    standing = weigh(make_statement("aiko"), signers.aiko)
    assert (standing.status, standing.by, standing.self_check) == ("valid", "aiko", True)


def test_a_failed_verification_is_evidence_of_a_failure(weigh, make_statement):
    stages = [proof.Stage(name="access", result="passed"), proof.Stage(name="bytes", result="failed")]
    standing = weigh(make_statement(result="failed", at_fault="bytes", stages=stages))
    assert (standing.status, standing.by, standing.expires) == ("failed", "ken", None)
    assert "bytes" in standing.reason


def test_who_signs_must_be_who_ran_it(weigh, make_statement, signers):
    standing = weigh(make_statement("ken"), signers.aiko)
    assert (standing.status, standing.by, standing.statement) == ("invalid", None, None)
    assert "says that ken ran it, but aiko signed it" in standing.reason


def test_a_key_that_two_people_have_tells_nothing(weigh, signers, make_person):
    people = [("ken", make_person(signers.ken)), ("eve", make_person(signers.ken, name="Eve"))]
    standing = weigh(people=people)
    assert standing.status == "invalid"
    assert "same key" in standing.reason


def test_a_stranger_s_proof_is_invalid(weigh, signers):
    assert weigh(signer=signers.eve).reason.startswith("unknown key")


def test_a_changed_proof_is_invalid(signers, make_statement, make_person):
    envelope = attest.sign(make_statement().to_bytes(), signers.ken).replace(b'"payload":"e', b'"payload":"f')
    people = [("ken", make_person(signers.ken))]
    standing = attest.judge(envelope, people, now=MADE, renew_every=None)
    assert standing.status == "invalid"
    assert standing.reason.startswith("bad signature")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "v4"}, "about orders@v3, not orders@v4"),
        ({"dataset": "sales"}, "about orders@v3, not sales@v3"),
        ({"commit": "50" * 20}, "another commit or inventory"),
        ({"inventory_sha256": "78" * 32}, "another commit or inventory"),
    ],
)
def test_a_proof_of_another_version_proves_nothing(weigh, change, said):
    standing = weigh(about=replace(ORDERS, **change))
    assert standing.status == "invalid"
    assert said in standing.reason


@pytest.mark.parametrize(
    ("added", "status"),
    [(date(2026, 11, 22), "valid"), (date(2026, 11, 23), "invalid"), (date(2027, 1, 1), "invalid")],
)
def test_a_key_counts_from_the_day_it_was_added(weigh, signers, make_person, added, status):
    assert weigh(people=[("ken", make_person(signers.ken, added=added))]).status == status


def test_a_key_added_today_in_the_east_counts_while_it_is_yesterday_in_utc(
    weigh, signers, make_person, make_statement
):
    evening = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)  # 05:00 on the 23rd in Tokyo
    people = [("ken", make_person(signers.ken, added=date(2026, 11, 23)))]
    assert weigh(make_statement(at=evening), people=people).status == "valid"


@pytest.mark.parametrize(
    ("revoked", "status"),
    [(date(2026, 11, 21), "invalid"), (date(2026, 11, 22), "invalid"), (date(2026, 11, 23), "valid")],
)
def test_a_key_counts_until_the_day_it_was_revoked(weigh, signers, make_person, revoked, status):
    standing = weigh(people=[("ken", make_person(signers.ken, revoked=revoked))])
    assert standing.status == status
    assert standing.status == "valid" or "revoked" in standing.reason


def test_a_stolen_key_cannot_sign_for_an_earlier_day(weigh, signers, make_person):
    people = [("ken", make_person(signers.ken, revoked=date(2026, 12, 1)))]
    assert weigh(people=people, committed_at=datetime(2026, 11, 30, 23, 59, tzinfo=UTC)).status == "valid"
    late = weigh(people=people, committed_at=datetime(2026, 12, 1, 0, 1, tzinfo=UTC))
    assert late.status == "invalid"
    assert "revoked on 2026-12-01, before the keep got the proof" in late.reason


def test_a_new_key_beside_a_revoked_one_counts(weigh, signers, make_person):
    old = make_person(signers.ken2, revoked=date(2026, 2, 1))
    person = old.model_copy(update={"keys": [*old.keys, *make_person(signers.ken).keys]})
    assert weigh(people=[("ken", person)]).status == "valid"
    assert weigh(signer=signers.ken2, people=[("ken", person)]).status == "invalid"


def test_who_has_departed_proves_nothing_afterwards(weigh, signers, make_person):
    def after(day):
        return weigh(people=[("ken", make_person(signers.ken, departed=day))])

    assert after(date(2026, 11, 22)).status == "valid"
    gone = after(date(2026, 11, 20))
    assert gone.status == "invalid"
    assert "departed" in gone.reason


def test_a_proof_from_the_future_is_invalid(weigh):
    assert weigh(now=MADE - timedelta(minutes=30)).status == "valid"
    assert "future" in weigh(now=MADE - timedelta(hours=2)).reason
