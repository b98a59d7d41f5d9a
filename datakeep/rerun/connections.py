"""Whom a training on the user's own machine called over the network: addresses and ports, nothing of what was said.

Left out are what asks for the address of a name (port 53), datagrams, and what the training itself listened on.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.rerun import strace

if TYPE_CHECKING:
    from datakeep.rerun.strace import Address

CALLS = "socket,bind,getsockname,connect"
_CALL = re.compile(r"(?P<name>socket|bind|getsockname|connect)\((?:\d+<(?P<socket>socket:\[\d+\])>)?")
_MADE = re.compile(r"= \d+<(?P<socket>socket:\[\d+\])>$")
#: What a connection that is not waited for, or was interrupted, says.
_MAY_BE = re.compile(r"= -1 E(?:INPROGRESS|ALREADY|INTR) ")
_DNS = 53


@dataclass(slots=True)
class Connections:
    """What is known of them, told one after the other."""

    _called: set[tuple[Address | str, int]] = field(default_factory=set)
    _own_ports: set[int] = field(default_factory=set)
    _own: set[Address | str] = field(default_factory=set)
    _datagrams: set[str] = field(default_factory=set)
    _bound: set[str] = field(default_factory=set)

    def take(self, call: str) -> None:
        """A call that strace saw, if it is one of :data:`CALLS`."""
        found = _CALL.match(call)
        if found is None:
            return
        name, of = found["name"], found["socket"] or ""
        if name == "socket":
            if "SOCK_DGRAM" in call and (made := _MADE.search(call)):
                self._datagrams.add(made["socket"])
            return
        if " = -1 " in call and not (name == "connect" and _MAY_BE.search(call)):
            return
        if name == "bind":
            self._bound.add(of)
        for address, port in strace.addresses_in(call):
            if name != "connect":
                self.had(address, port if of in self._bound else 0)
            elif of not in self._datagrams:
                self.called(address, port)

    def called(self, host: Address | str, port: int) -> None:
        """A connection was opened, or tried."""
        if port not in (0, _DNS):
            self._called.add((_plain(host), port))

    def had(self, host: Address | str, port: int) -> None:
        """A socket of the training's own has this address, and this port if it is not 0."""
        self._own.add(_plain(host))
        self._own_ports.add(port)

    def told(self) -> tuple[str, ...]:
        """``192.0.2.7:443``, ``[2001:db8::1]:80``, sorted."""
        others = [
            (str(host), port)
            for host, port in self._called
            if not (port in self._own_ports and (host in self._own or _is_here(host)))
        ]
        return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in sorted(others))


def _plain(host: Address | str) -> Address | str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return (address.version == 6 and address.ipv4_mapped) or address


def _is_here(host: Address | str) -> bool:
    return host == "localhost" if isinstance(host, str) else host.is_loopback or host.is_unspecified
