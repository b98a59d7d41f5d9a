"""From a model's file to the data, the people and the rules that made it, after a real verification."""

from __future__ import annotations

import shutil


def test_a_verified_model_tells_what_it_was_made_of(aiko, ken, trained, vault):
    aiko.datakeep("verify", "orders", "--sandbox", "none", "--out", aiko.cwd / "made", cwd=trained)
    shutil.copy(aiko.cwd / "made" / "model.json", aiko.cwd / "モデル.bin")
    found = aiko.datakeep("-C", trained, "audit", "モデル.bin", cwd=aiko.cwd)
    for words in (
        "model orders@v1",
        "dataset orders@v2",
        "Aiko Tanaka",
        "accuracy",
        "nothing to label",
        "not known",
    ):
        assert words in found.out
    assert "self-check" in found.out
    data = aiko.datakeep("-C", trained, "audit", "モデル.bin", "--json", cwd=aiko.cwd).data
    assert data["known"] is True
    given = data["model"]["datasets"][0]
    entry = aiko.datakeep("show", "orders@v2", "--json", cwd=trained).data["entry"]
    assert given["entry"] == entry
    assert given["proof"]["state"] == "self-checked"
    assert aiko.datakeep("list", "--json", cwd=trained).data["datasets"][0]["proof"] == "self-checked"

    (aiko.cwd / "other.bin").write_bytes(b"not a model of ours")
    unknown = aiko.datakeep("-C", trained, "audit", "other.bin", cwd=aiko.cwd, code=3)
    assert "not known" in unknown.out
    assert "next:" in unknown.out
    twice = aiko.datakeep("audit", "orders", cwd=trained, code=2)
    assert "model:orders" in twice.err
    assert "dataset:orders" in twice.err
    assert "orders@v1" in aiko.datakeep("audit", "dataset:orders", cwd=trained).out
    aiko.datakeep("audit", aiko.cwd, cwd=trained, code=2)
    aiko.datakeep("audit", "absent.bin", cwd=trained, code=11)

    ken.run("git", "clone", "-q", vault / "git" / "keeps" / "keep.git", "theirs", cwd=ken.cwd)
    theirs = ken.datakeep("audit", aiko.cwd / "モデル.bin", "--json", cwd=ken.cwd / "theirs").data
    assert theirs["model"] == data["model"]
