"""What strace writes is understood, also where it is interrupted, escaped, or nonsense."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datakeep.rerun import trace
from datakeep.rerun.interface import Job, Mount


def read(tmp_path, text, **options):
    (tmp_path / "trace").mkdir()
    (tmp_path / "trace" / "strace.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return trace.read(tmp_path, data="/datakeep/data", given=("/datakeep/code",), **options)


def test_files_of_the_data_are_read_by_their_real_path(tmp_path):
    seen = read(
        tmp_path,
        '7     openat(AT_FDCWD</datakeep/code>, "../data/a.csv", O_RDONLY) = 3</datakeep/data/a.csv>\n'
        '7     openat(4</datakeep/data>, "b.csv", O_RDONLY|O_CLOEXEC) = 5</datakeep/data/b.csv>\n'
        '7     open("/datakeep/data/c.csv", O_RDWR) = 5</datakeep/data/c.csv>\n'
        '7     openat2(AT_FDCWD</>, "/datakeep/data/d", {flags=O_RDONLY}, 24) = 5</datakeep/data/d>\n'
        '7     openat(AT_FDCWD</>, "/datakeep/data", O_RDONLY|O_DIRECTORY) = 6</datakeep/data>\n',
    )
    assert seen.files_read == {"a.csv", "b.csv", "c.csv", "d"}
    assert seen.outside == seen.missing == ()


def test_a_call_that_was_interrupted_is_put_together(tmp_path):
    seen = read(
        tmp_path,
        '7 openat(AT_FDCWD</>, "/datakeep/data/a", O_RDONLY <unfinished ...>\n'
        '8 openat(AT_FDCWD</>, "/home/aiko/x.csv", O_RDONLY <unfinished ...>\n'
        "7 <... openat resumed>) = 3</datakeep/data/a>\n"
        "8 <... openat resumed>) = -1 ENOENT (No such file or directory)\n",
    )
    assert seen.files_read == {"a"}
    assert seen.missing == ("/home/aiko/x.csv",)


@pytest.mark.parametrize("escaped", [r"\346\227\245 \"\74x\76\n", r"\xe6\x97\xa5 \x22\x3cx\x3e\x0a"])
def test_escapes_are_undone(tmp_path, escaped):
    real = escaped.replace(r"\"", '"')
    line = f'7 openat(AT_FDCWD</>, "{escaped}", O_RDONLY) = 3</datakeep/data/{real}>\n'
    assert read(tmp_path, line).files_read == {'日 "<x>\n'}


@pytest.mark.parametrize(
    "call",
    [
        'openat(AT_FDCWD</>, "/home/aiko/out.csv", O_WRONLY) = -1 ENOENT (No such file or directory)',
        'openat(AT_FDCWD</>, "/home/aiko/out.csv", O_RDWR|O_CREAT, 0666) = -1 ENOENT (No such file)',
        'openat(AT_FDCWD</>, "/usr/lib/x.so", O_RDONLY) = -1 ENOENT (No such file or directory)',
        'openat(AT_FDCWD</>, "/opt/intel/libmkl.so.2", O_RDONLY) = -1 ENOENT (No such file or directory)',
        'openat(AT_FDCWD</>, "/home/datakeep/.netrc", O_RDONLY) = -1 ENOENT (No such file or directory)',
        'openat(AT_FDCWD</>, "/etc/x.conf", O_RDONLY) = -1 ENOENT (No such file or directory)',
        'openat(AT_FDCWD</>, "/datakeep/out/checkpoint", O_RDONLY) = -1 ENOENT (No such file or directory)',
        'openat(AT_FDCWD</>, "/home/aiko/x", O_RDONLY) = -1 EMFILE (Too many open files)',
    ],
)
def test_what_libraries_look_for_and_what_is_written_is_no_miss(tmp_path, call):
    assert read(tmp_path, f"7 {call}\n", ignored=("/datakeep/out",)).missing == ()


def test_a_relative_miss_is_told_by_its_absolute_path(tmp_path):
    line = '7 openat(AT_FDCWD</datakeep/code>, "../../x.csv", O_RDONLY) = -1 ENOENT (No such file)\n'
    assert read(tmp_path, line).missing == ("/x.csv",)


def test_connections_are_told_without_this_machine(tmp_path):
    query = r"\253\22\1\0\0\1\0\0\0\0\0\0\3api\7example\0\0\1\0\1"
    seen = read(
        tmp_path,
        "7 connect(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(443), "
        'sin_addr=inet_addr("192.0.2.7")}, 16) = -1 ENETUNREACH (Network is unreachable)\n'
        "7 connect(3<socket:[1]>, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 ENETUNREACH (x)\n'
        "7 connect(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(53), "
        'sin_addr=inet_addr("127.0.0.1")}, 16) = 0\n'
        f'7 sendto(3<socket:[1]>, "{query}", 29, MSG_NOSIGNAL, NULL, 0) = 29\n'
        '7 connect(3<socket:[1]>, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = -1 ENOENT (No such file)\n',
    )
    assert seen.connections == ("192.0.2.7:443", "[2001:db8::1]:80", "the address of api.example")


@pytest.mark.parametrize(
    "text", ["", "nonsense\n", "7 openat(\n", b"\xff\xfe\n7 <... openat resumed>)\n", "7 " + "x" * 200000]
)
def test_nonsense_is_passed_over(tmp_path, text):
    assert replace(read(tmp_path, text), is_torn=False) == trace.Trace()


def test_a_trace_that_is_a_link_is_not_followed(tmp_path):
    other = tmp_path / "other"
    other.write_text('7 open("/home/x", O_RDONLY) = -1 ENOENT (No such file or directory)\n')
    (tmp_path / "trace").mkdir()
    (tmp_path / "trace" / "strace.txt").symlink_to(other)
    assert trace.read(tmp_path, data="/data") == trace.Trace()


def test_the_real_strace_sees_it(any_sandbox, tmp_path):
    assert trace.available(any_sandbox) is None
    data = tmp_path / "data"
    data.mkdir()
    name = '日本 "<a>.csv'
    (data / name).write_text("x")
    mount = Mount(data, "/datakeep/data")
    place = any_sandbox.inside(mount)
    script = 'cd "$1"; cat "$2"; (cat ../../nowhere/y.csv & cat /nowhere/x.csv; wait); echo z > /dev/null'
    argv, tool, target = trace.wrap(("/bin/sh", "-c", script, "sh", place, name), any_sandbox, tmp_path)
    any_sandbox.run(
        Job(argv=argv, cwd="/", environment={"PATH": "/usr/bin:/bin"}, log=tmp_path / "log", timeout_s=20,
            read_only=(mount, tool), writable=(target,))
    )  # fmt: skip
    seen = trace.read(tmp_path, data=place)
    assert seen.files_read == {name}
    assert "/nowhere/x.csv" in seen.missing
    assert len(seen.missing) == 2


def test_without_strace_the_reason_is_told(bubblewrap, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert trace.available(bubblewrap) == "strace is not installed"
