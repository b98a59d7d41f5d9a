"""Splits by options, and folders that look like some."""

from __future__ import annotations

import pytest

from datakeep.core.errors import UsageError
from datakeep.workflows.splits import hint, likely_splits, no_longer_matched, require_files, stated_splits

PATHS = ["train/a.csv", "train/b.csv", "test/a.csv", "notes.txt"]


def test_an_option_names_a_split_and_its_patterns():
    said = ["train=data/train/**", "train=data/more/*", "test = data/test/a=b.csv"]
    assert stated_splits("--split", said) == {
        "train": ["data/train/**", "data/more/*"],
        "test": ["data/test/a=b.csv"],
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train", "is no split"),
        ("=data/train/**", "is no split"),
        ("train=", "is no split"),
        ("group=id", "names the column group"),
        ("train=/data/**", "must be relative"),
    ],
)
def test_what_is_no_split_is_refused_with_what_to_write(text, said):
    with pytest.raises(UsageError, match=said) as caught:
        stated_splits("--split", [text])
    assert caught.value.next_step


def test_a_declared_pattern_that_no_longer_matches_is_told():
    splits = {"train": ["data/train/**"], "test": ["data/eval/**"], "group": "id"}
    (told,) = no_longer_matched(splits, PATHS, "sp")
    assert told.startswith("test=data/eval/** matches no file any more")
    assert no_longer_matched({"train": ["data/train/**"]}, PATHS, "sp") == []


def test_every_pattern_that_matches_nothing_is_named():
    require_files(["train=data/train/**", "test=data/test/a.csv"], PATHS)
    with pytest.raises(UsageError, match="train=data/trian") as caught:
        require_files(["train=data/trian/**", "test=data/test/**", "val=data/val/**"], PATHS)
    assert caught.value.things == ("train=data/trian/**", "val=data/val/**")
    assert "there is data/train" in (caught.value.next_step or "")
    with pytest.raises(UsageError) as caught:
        require_files(["train=train/**"], PATHS)
    assert "--split 'train=data/train/**'" in (caught.value.next_step or "")


def test_folders_that_look_like_splits_are_pointed_out_once_and_only_where_none_is_declared():
    assert likely_splits(PATHS) == {"test": ["data/test/**"], "train": ["data/train/**"]}
    assert likely_splits(["images/Train/x.png", "images/val/x.png"]) == {
        "train": ["data/images/Train/**"],
        "val": ["data/images/val/**"],
    }
    (note,) = hint("orders", None, PATHS)
    assert "datakeep update orders --split 'test=data/test/**' --split 'train=data/train/**' -m" in note
    assert hint("orders", {"train": ["data/train/**"]}, PATHS) == []
    assert hint("orders", None, ["train/a.csv", "b.csv"]) == []
    assert hint("orders", None, [f"{n}/{split}/a" for n in range(9) for split in ("train", "test")]) == []
    assert hint("orders", None, ["tra[i]n/train/a", "test/b"]) == []
