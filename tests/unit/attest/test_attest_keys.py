"""Signing keys: made by us or by ssh-keygen, and one clear error for each that cannot sign."""

import base64
import contextlib
import os
import stat
import struct
import subprocess
import threading

import pytest

from datakeep.attest import keys
from datakeep.core.errors import AccessDenied, AlreadyExists, KeyFault, NoSpace


def ssh_keygen(path, *options, passphrase=""):
    subprocess.run(["ssh-keygen", "-q", "-N", passphrase, "-f", str(path), *options], check=True)
    return path.with_name(path.name + ".pub").read_text()


def same_key(one, other):
    return keys.key_id(one) == keys.key_id(other)


def never():
    pytest.fail("a key without a passphrase must not ask for one")


def test_a_new_key_is_ours_alone_and_ssh_keygen_reads_it(tmp_path):
    path = tmp_path / "config" / "datakeep" / "key"
    line = keys.create(path, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    shown = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[:2] == line.split()
    assert path.with_name("key.pub").read_text() == line + "\n"
    assert sorted(file.name for file in path.parent.iterdir()) == ["key", "key.pub"]
    assert keys.load(path, never).public_line == line


def test_a_new_key_with_a_passphrase_is_encrypted(tmp_path):
    line = keys.create(tmp_path / "key", "合言葉".encode())
    assert keys.load(tmp_path / "key", "合言葉".encode).public_line == line
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-P", "合言葉", "-f", str(tmp_path / "key")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split()[:2] == line.split()
    with pytest.raises(KeyFault, match="empty"):
        keys.create(tmp_path / "other", b"")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("taken", ["key", "key.pub"])
@pytest.mark.parametrize("dangling", [True, False])
def test_a_key_is_never_overwritten(tmp_path, taken, dangling):
    if dangling:
        (tmp_path / taken).symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / taken).write_text("mine")
    with pytest.raises(AlreadyExists, match="never overwritten"):
        keys.create(tmp_path / "key", None)
    assert [file.name for file in tmp_path.iterdir()] == [taken]
    assert dangling or (tmp_path / taken).read_text() == "mine"


def test_two_at_once_make_one_key(tmp_path):
    made, refused = [], []

    def attempt():
        try:
            made.append(keys.create(tmp_path / "key", None))
        except AlreadyExists as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 7)
    assert keys.load(tmp_path / "key", never).public_line == made[0]
    assert (tmp_path / "key.pub").read_text() == made[0] + "\n"


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    real = os.open

    def full(path, flags, *args, **kwargs):
        if not flags & os.O_EXCL:
            return real(path, flags, *args, **kwargs)
        os.close(real(path, flags, *args, **kwargs))
        return real("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(NoSpace, match="No space"):
        keys.create(tmp_path / "key", None)
    assert list(tmp_path.iterdir()) == []


def test_keys_of_ssh_keygen_serve(tmp_path):
    plain = ssh_keygen(tmp_path / "plain", "-t", "ed25519", "-C", "aiko@laptop with spaces")
    assert same_key(keys.load(tmp_path / "plain", never).public_line, plain)
    for cipher in ("aes256-ctr", "aes256-gcm@openssh.com"):
        path = tmp_path / cipher
        line = ssh_keygen(path, "-t", "ed25519", "-Z", cipher, "-a", "4", passphrase="secret words")
        assert same_key(keys.load(path, lambda: b"secret words").public_line, line)
    assert "comment" not in keys.load(tmp_path / "plain", never).public_line


def test_a_passphrase_is_asked_for_once_and_only_where_needed(tmp_path):
    ssh_keygen(tmp_path / "key", "-t", "ed25519", "-a", "4", passphrase="right")
    asked = []
    with pytest.raises(KeyFault, match=r"passphrase .* is wrong"):
        keys.load(tmp_path / "key", lambda: asked.append(1) or b"wrong")
    assert asked == [1]
    with pytest.raises(KeyFault, match="nobody can be asked"):
        keys.load(tmp_path / "key", None)
    with pytest.raises(KeyFault, match="wrong"):
        keys.load(tmp_path / "key", lambda: b"")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_key_that_others_can_reach_is_refused(tmp_path, mode):
    keys.create(tmp_path / "key", None)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(KeyFault, match=f"mode 0{mode:o}") as caught:
        keys.load(tmp_path / "key", never)
    assert f"chmod 600 {tmp_path / 'key'}" in caught.value.next_step


@pytest.mark.parametrize("kind", [("rsa", "-b", "2048"), ("ecdsa",)])
def test_other_kinds_of_key_are_named(tmp_path, kind):
    line = ssh_keygen(tmp_path / "key", "-t", *kind)
    for attempt in (lambda: keys.load(tmp_path / "key", never), lambda: keys.public_key(line)):
        with pytest.raises(KeyFault, match=rf"kind '\S*{kind[0]}\S*'; an Ed25519 key is needed"):
            attempt()


def test_an_old_pem_key_is_refused(tmp_path):
    ssh_keygen(tmp_path / "key", "-t", "rsa", "-b", "2048", "-m", "PEM")
    with pytest.raises(KeyFault, match="not a private key in OpenSSH's format"):
        keys.load(tmp_path / "key", never)


def field(data):
    return struct.pack(">I", len(data)) + data


def test_a_hardware_key_is_named(tmp_path):
    kind = b"sk-ssh-ed25519@openssh.com"
    public = field(kind) + field(b"\x01" * 32) + field(b"ssh:")
    body = (
        b"openssh-key-v1\0"
        + field(b"none") * 2
        + field(b"")
        + struct.pack(">I", 1)
        + field(public)
        + field(b"")
    )
    text = b"-----BEGIN OPENSSH PRIVATE KEY-----\n%b-----END OPENSSH PRIVATE KEY-----\n" % base64.encodebytes(
        body
    )
    (tmp_path / "key").write_bytes(text)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(KeyFault, match="hardware token"):
        keys.load(tmp_path / "key", never)
    with pytest.raises(KeyFault, match="hardware token"):
        keys.public_key(f"{kind.decode()} {base64.b64encode(public).decode()} ken")


def test_a_damaged_key_is_one_clear_error_wherever_it_is_damaged(tmp_path):
    path = tmp_path / "key"
    line = keys.create(path, None)
    text = path.read_bytes()
    for at in range(0, len(text), 7):
        path.write_bytes(text[:at] + bytes([text[at] ^ 0xFF]) + text[at + 1 :])
        with contextlib.suppress(KeyFault):
            assert keys.load(path, never).public_line == line  # only the armour's ends may be touched
    path.write_bytes(text[:120])
    with pytest.raises(KeyFault, match="damaged"):
        keys.load(path, never)


def test_what_is_no_key_file(tmp_path):
    with pytest.raises(KeyFault, match="no signing key") as caught:
        keys.load(tmp_path / "key", never)
    assert "datakeep key create" in caught.value.next_step
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    for name in (".", "pipe", "big"):
        with pytest.raises(KeyFault, match="not a key file"):
            keys.load(tmp_path / name, never)
    with pytest.raises((KeyFault, AccessDenied), match="cannot be opened"):
        keys.load(tmp_path / "big" / "key", never)


def test_a_public_half_is_told_from_the_key(tmp_path):
    keys.create(tmp_path / "key", None)
    with pytest.raises(KeyFault, match="public half") as caught:
        keys.load(tmp_path / "key.pub", never)
    assert caught.value.next_step.endswith(str(tmp_path / "key"))
    (tmp_path / "key").unlink()
    for name in ("key", "key.pub"):
        with pytest.raises(KeyFault, match="its private half is not there"):
            keys.load(tmp_path / name, never)


def test_a_key_that_only_an_agent_has_gets_a_clear_error(tmp_path, monkeypatch):
    ssh_keygen(tmp_path / "key", "-t", "ed25519")
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        for _ in range(1000):
            added = subprocess.run(["ssh-add", "-q", str(tmp_path / "key")], capture_output=True, check=False)
            if added.returncode == 0:
                break
            threading.Event().wait(0.05)
        (tmp_path / "key").unlink()
        for name in ("key", "key.pub"):
            with pytest.raises(KeyFault, match="Only an SSH agent has the private half"):
                keys.load(tmp_path / name, never)
    finally:
        agent.terminate()
        agent.wait(60)


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 !!!", "hello world"])
def test_what_is_no_public_key(line):
    with pytest.raises(KeyFault) as caught:
        keys.public_key(line)
    assert caught.value.next_step


def test_a_private_key_given_as_a_public_one_is_not_repeated(tmp_path):
    keys.create(tmp_path / "key", None)
    text = (tmp_path / "key").read_text()
    with pytest.raises(KeyFault) as caught:
        keys.public_key(text)
    assert text.splitlines()[1][:10] not in caught.value.what + caught.value.next_step


def test_the_identifier_depends_on_the_key_alone(tmp_path):
    line = keys.create(tmp_path / "one", None)
    other = keys.create(tmp_path / "two", None)
    signer = keys.load(tmp_path / "one", never)
    assert keys.key_id(line) == keys.key_id(f"  {line}  ken@laptop \n") == signer.key_id
    assert keys.key_id(line) != keys.key_id(other)
    assert "PRIVATE" not in repr(signer)


def test_the_default_place_is_the_user_s_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert keys.default_path() == tmp_path / "datakeep" / "key"
