"""Whom a training called, by what strace writes of its sockets."""

from __future__ import annotations

from datakeep.rerun.connections import Connections


def told(text: str) -> tuple[str, ...]:
    found = Connections()
    for line in text.splitlines():
        found.take(line)
    return found.told()


def at(port: int, address: str = "127.0.0.1") -> str:
    return f'{{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr("{address}")}}'


def at6(port: int, address: str) -> str:
    return (
        f"{{sa_family=AF_INET6, sin6_port=htons({port}), sin6_flowinfo=htonl(0), "
        f'inet_pton(AF_INET6, "{address}", &sin6_addr), sin6_scope_id=0}}'
    )


def test_what_was_opened_or_tried_is_told_and_what_was_refused_is_not() -> None:
    assert told(
        f"connect(3<socket:[1]>, {at(443, '192.0.2.7')}, 16) = 0\n"
        f"connect(3<socket:[2]>, {at(5432)}, 16) = -1 EINPROGRESS (Operation now in progress)\n"
        f"connect(3<socket:[3]>, {at6(80, '2001:db8::1')}, 28) = 0\n"
        f"connect(3<socket:[4]>, {at6(9000, '::ffff:192.0.2.8')}, 28) = 0\n"
        f"connect(3<socket:[5]>, {at(81)}, 16) = -1 ECONNREFUSED (Connection refused)\n"
        f"connect(3<socket:[6]>, {at(53, '192.0.2.9')}, 16) = 0\n"
        'connect(3<socket:[7]>, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0\n'
        'connect(3<socket:[7]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("1.1")}, 16) = 0\n'
    ) == ("127.0.0.1:5432", "192.0.2.7:443", "192.0.2.8:9000", "[2001:db8::1]:80")


def test_datagrams_are_left_out() -> None:
    """Of each address that a name has, the C library tries whether it can be reached, and sends nothing."""
    assert (
        told(
            "socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 5<socket:[8]>\n"
            f"connect(5<socket:[8]>, {at(443, '192.0.2.7')}, 16) = 0\n"
        )
        == ()
    )


def test_what_it_listened_on_itself_is_nobody_else() -> None:
    """Also where it is called before the port is told; the same port elsewhere is somebody."""
    assert told(
        f"connect(4<socket:[10]>, {at(40001)}, 16) = 0\n"
        f"bind(3<socket:[9]>, {at(0)}, 16) = 0\n"
        f"getsockname(3<socket:[9]>, {at(40001)}, [16]) = 0\n"
        f"bind(3<socket:[11]>, {at(40002, '0.0.0.0')}, 16) = 0\n"
        f"getsockname(6<socket:[10]>, {at(40003, '192.0.2.1')}, [16]) = 0\n"
        f"connect(4<socket:[12]>, {at(40002, '192.0.2.1')}, 16) = 0\n"
        f"connect(4<socket:[13]>, {at(40001, '192.0.2.7')}, 16) = 0\n"
        f"connect(4<socket:[14]>, {at(40003)}, 16) = 0\n"
    ) == ("127.0.0.1:40003", "192.0.2.7:40001")
