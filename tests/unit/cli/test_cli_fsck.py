"""What ``fsck`` prints: the verdict first, never more than was read; what is bad; one line for all that is whole."""

from __future__ import annotations

import pytest

from datakeep.cli.fsck import _lines
from datakeep.workflows.fsck_report import Complaint, Copies, Fsck, InStore, Lost


def lines(found, *, repair=False, verbose=False):
    return list(_lines(found, repair=repair, verbose=verbose))


def many(count=9, *, deep=True, unread=0, **more):
    """``count`` small datasets in two stores."""
    states = [
        InStore(
            f"d{number}@v1", store, objects=4, whole=4 - unread if deep else 0, unread=unread if deep else 4
        )
        for number in range(count)
        for store in ("main", "nas")
    ]
    coverage = (4 - unread) / 4 if deep else None
    return Fsck(deep, versions=states, objects=count * 8, coverage=coverage, **more)


def test_all_that_is_whole_is_one_line_and_each_with_verbose():
    said = lines(many())
    assert said[0].endswith("nothing is missing or wrong\x1b[0m")
    assert said[1:] == ["18 of 18 versions-in-stores whole, 72 objects"]
    assert sum(" in main: 4 whole of 4 objects" in line for line in lines(many(), verbose=True)) == 9


def test_a_verdict_says_no_more_than_was_read():
    quick = lines(many(deep=False))
    assert "nothing is missing or of another size" in quick[0]
    assert "18 of 18 versions-in-stores present, 72 objects; sizes compared, no byte read" in quick
    assert not any("whole" in line or "wrong" in line for line in quick)
    assert quick[-1].startswith("flipped bits are not seen this way: ")
    part = lines(many(unread=1))
    assert "nothing is missing, or wrong in what was read" in part[0]
    assert part[1] == "0 of 18 versions-in-stores whole, 72 objects"


@pytest.mark.parametrize(
    ("stated", "unseen"),
    [
        (40, "flipped bits are not seen where no sha256 is stated, nor what decayed after it was stated: "),
        (72, "what decayed there after its sha256 was stated is not seen this way: "),
    ],
)
def test_of_a_stores_own_checksums_no_more_is_said_than_they_tell(stated, unseen):
    said = lines(many(deep=False, stated=stated))
    assert f"72 objects; sizes, and of {stated} the store's own sha256, compared, no byte read" in said[1]
    assert said[2].startswith(unseen)


def test_a_budget_says_how_far_it_came_and_how_many_days_are_left():
    said = lines(many(unread=1, days_to_full=1))
    assert "read 75% of all objects in this round; with one such run a day, all in 1 day more" in said


def test_what_is_bad_comes_before_what_is_whole():
    found = many()
    found.versions[3] = InStore("d1@v1", "nas", objects=4, whole=3, unread=0, wrong=("data/a: other bytes",))
    found.complaints.append(Complaint("d2", "its repository is not there", "datakeep fsck --repair"))
    said = lines(found)
    assert "something is wrong: 1 of 18 versions-in-stores not whole, 1 complaint" in said[0]
    assert said[1:6] == [
        "d1@v1 in nas: 3 whole, 1 wrong of 4 objects",
        "  wrong: data/a: other bytes",
        "d2: its repository is not there",
        "17 of 18 versions-in-stores whole, 72 objects",
        "next: datakeep fsck --repair",
    ]
    assert said[6] == "next: datakeep fsck --deep --repair copies back what another store has whole"
    assert "that was not repaired" in lines(found, repair=True)[0]


def test_what_is_whole_in_no_store_is_not_sent_to_repair_again():
    bad = InStore("d@v1", "main", objects=2, whole=1, unread=0, missing=("data/a",))
    found = Fsck(deep=True, versions=[bad], objects=2, coverage=1.0, copies=[Copies("d@v1", 0, 0, 1)])
    found.lost = [Lost("d@v1", ("data/a", "data/b"), "restore it")]
    found.more_copies = ["datakeep vault add NAME URL"]
    said = lines(found)
    assert "d@v1: whole in no store: 2 files" in said
    assert [line for line in said if line.startswith("next: ")] == ["next: restore it"]


def test_too_few_copies_of_many_versions_are_one_line_and_one_step():
    found = many(copies=[Copies(f"d{number}@v1", 1, 0, 2) for number in range(9)])
    found.more_copies = ["datakeep vault add NAME URL"]
    said = lines(found)
    assert "nothing is missing or wrong; but there are too few copies of 9 versions" in said[0]
    assert "d0@v1, d1@v1, d2@v1 and 6 more: 1 good copy; the policy asks for 2" in said
    assert said[-1] == "next: datakeep vault add NAME URL"


def test_leftovers_are_no_failure():
    found = many(unregistered=["/vault/git/datasets/f4.git"])
    assert found.is_clean
    assert "  - /vault/git/datasets/f4.git" in lines(found)
