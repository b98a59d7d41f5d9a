from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.core.secrets import find_secret, strip_url, without_passwords

STRIPPED = [
    ("postgresql://aiko:hunter2@dwh.corp/plant", "postgresql://aiko@dwh.corp/plant"),
    ("postgresql://aiko:hunter2@DWH.Corp:5432/plant", "postgresql://aiko@DWH.Corp:5432/plant"),
    ("postgresql://:hunter2@dwh/plant", "postgresql://dwh/plant"),
    ("postgresql://aiko:hun/ter2@dwh/plant", "postgresql://aiko@dwh/plant"),
    ("postgresql://aiko:hun#ter2@dwh/plant", "postgresql://aiko@dwh/plant"),
    ("postgresql://aiko:hun@ter2@dwh/plant", "postgresql://aiko@dwh/plant"),
    ("postgresql://aiko:hun?ter2@dwh/plant", "postgresql://aiko@dwh/plant"),
    ("postgresql://aiko:hunter2@[::1]:5432/plant", "postgresql://aiko@[::1]:5432/plant"),
    ("postgresql:///plant?host=/run&password=hunter2", "postgresql:///plant?host=/run"),
    ("https://h/x?X-Amz-Signature=hunter2&day=1", "https://h/x?day=1"),
    ("https://h/x?access_token=hunter2", "https://h/x"),
    ("https://h/x?day=1&Token=hunter2#part", "https://h/x?day=1#part"),
    ("https://ghp_0123456789abcdefghijABCDEFGHIJ012345@github.com/a/b", "https://github.com/a/b"),
]
HARMLESS = [
    "",
    "plain text: nothing here",
    "/mnt/nas/keep",
    "git@git.corp.example:ml/orders.git",
    "ssh://git@git.corp.example/ml",
    "postgresql://dwh.corp.example:5432/plant",
    "postgresql://aiko@DWH.Corp.Example/plant",
    "https://Host.Example/x?",
    "https://h/x?q=a+b%20c&empty=",
    "https://h:0/",
    "https://h:/x",
    "http://[::1]/x",
    "http://[broken/x",
    "s3://bucket/prefix",
    "sqlite:///plant.db",
    "https://h/@scope/package@1.0",
    "https://h:8080/@scope/package",
    "https://h/x?author=aiko&key=id",
    "duckdb:///a%20b.db",
]


@pytest.mark.parametrize(("url", "kept"), STRIPPED)
def test_a_secret_is_seen_and_stripped(url: str, kept: str) -> None:
    assert strip_url(url) == kept
    kind = find_secret(f"see {url}")
    assert kind
    assert "hun" not in kind
    assert "ter2" not in kind


@pytest.mark.parametrize(("said", "kept"), [
    ('integer: "postgres://u:hunter2@h/db"', 'integer: "postgres://u@h/db (password withheld)"'),
    ("'postgres://u:hunter2secre…", "'postgres://u (password withheld)…"),
    ("'postgres://u:hunter2sec' to", "'postgres://u (password withheld)' to"),
    ("value: geheim-4711", "value: (password withheld)"),
])  # fmt: skip
def test_a_complaint_that_quotes_a_value_is_told_without_its_password(said: str, kept: str) -> None:
    assert without_passwords(said, ["geheim-4711"]) == kept
    assert without_passwords(kept, ["geheim-4711"]) == kept


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_secret_is_left_alone(text: str) -> None:
    assert strip_url(text) == text
    assert without_passwords(f"in {text}: 'x'") == f"in {text}: 'x'"
    assert find_secret(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl",
        "-----BEGIN PRIVATE KEY-----",
        "key AKIAIOSFODNN7EXAMPLE",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    ],
)
def test_keys_and_tokens_are_seen(text: str) -> None:
    assert find_secret(text) == "a private key or access token"


word = st.text("abcXYZ019-_.", min_size=1, max_size=8)


@given(user=word, password=st.text("QRS/#?@!:%", min_size=1, max_size=8), host=word, path=word)
def test_no_password_survives(user: str, password: str, host: str, path: str) -> None:
    stripped = strip_url(f"https://{user}:Q{password}@{host}/{path}")
    assert stripped == f"https://{user}@{host}/{path}"
    assert strip_url(stripped) == stripped


@given(st.text())
def test_any_text_can_be_looked_at(text: str) -> None:
    assert strip_url(strip_url(text)) == strip_url(text)
    find_secret(text)
