"""The kernel tells of system calls before it makes them, and waits for an answer: seccomp's user notification.

For a call of the filter the kernel stops the caller once, where ptrace stops it twice, and wakes who listens on the
caller's own processor; that is most of what watching costs. Every process that the filtered one starts is filtered
too. Facts are those of linux/seccomp.h, linux/filter.h and seccomp_unotify(2).

Scripts that start with ``-I -S`` import this: the standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
from contextlib import suppress

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
#: A new listener, to whom no call is repeated because of a signal that does not kill (Linux 5.19).
_FLAGS = 1 << 3 | 1 << 5
_RECEIVE, _SEND, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104
#: Who answers is woken on the processor of who asks, which sleeps meanwhile (Linux 6.6).
_SYNC_WAKE_UP = 1
_CONTINUE = 1
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_LOAD, _EQUAL, _RETURN, _AND = 0x20, 0x15, 0x06, 0x54
_NUMBER_AT, _MACHINE_AT = 0, 4
#: The third machine on x86-64, with pointers of 32 bits, has its numbers with this bit.
_NO_X32 = 0xBFFFFFFF
_INSTRUCTION = struct.Struct("=HBBI")
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")

#: Calls, by their numbers on each machine (AUDIT_ARCH of linux/audit.h), a processor's own and its older one.
_X86_64 = {
    2: "open", 85: "creat", 257: "openat", 437: "openat2",
    161: "chroot", 155: "pivot_root", 308: "setns", 165: "mount", 429: "move_mount",
}  # fmt: skip
_I386 = {
    5: "open", 8: "creat", 295: "openat", 437: "openat2",
    61: "chroot", 217: "pivot_root", 346: "setns", 21: "mount", 429: "move_mount",
}  # fmt: skip
_AARCH64 = {
    56: "openat", 437: "openat2",
    51: "chroot", 41: "pivot_root", 268: "setns", 40: "mount", 429: "move_mount",
}  # fmt: skip
_ARM = {
    5: "open", 8: "creat", 322: "openat", 437: "openat2",
    61: "chroot", 218: "pivot_root", 375: "setns", 21: "mount", 429: "move_mount",
}  # fmt: skip
_CALLS = {0xC000003E: _X86_64, 0x40000003: _I386, 0xC00000B7: _AARCH64, 0x40000028: _ARM}
#: What a kernel of ``uname -m`` runs, and the number of seccomp(2) there.
_MACHINES = {"x86_64": ((0xC000003E, 0x40000003), 317), "aarch64": ((0xC00000B7, 0x40000028), 277)}

_libc = ctypes.CDLL(None, use_errno=True)


class Call:
    """A call that is waited with.

    Args:
        cookie: The kernel's name of it.
        thread: Who calls, by its number as this process sees it.
        name: As ``openat``.
        arguments: Six numbers.
    """

    __slots__ = ("arguments", "cookie", "name", "thread")

    def __init__(self, cookie: int, thread: int, name: str, arguments: list[int]) -> None:
        self.cookie, self.thread, self.name, self.arguments = cookie, thread, name, arguments


def is_known_here() -> bool:
    """Whether the numbers of this machine's calls are known; what its kernel can is seen when it is asked."""
    return os.uname().machine in _MACHINES


def install() -> int:
    """From now on this process and all that it starts ask before they open a file; the descriptor of who answers.

    It cannot be undone, and without one who answers, calls fail.

    Raises:
        OSError: The kernel cannot do it, does not allow it, or somebody listens already.
    """
    machines, number = _MACHINES[os.uname().machine]
    program = ctypes.create_string_buffer(_program(machines))
    count = (len(program) - 1) // _INSTRUCTION.size
    given = ctypes.create_string_buffer(struct.pack("@HP", count, ctypes.addressof(program)))
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    descriptor = int(_libc.syscall(number, _SET_MODE_FILTER, _FLAGS, given))
    if descriptor < 0:
        reason = ctypes.get_errno()
        raise OSError(reason, os.strerror(reason))
    return descriptor


def _program(machines: tuple[int, ...]) -> bytes:
    """The filter: for each machine its calls, and everything else is let through."""
    lines = [(_LOAD, 0, 0, _MACHINE_AT)]
    for machine in machines:
        numbers = sorted(_CALLS[machine])
        block = [(_LOAD, 0, 0, _NUMBER_AT), (_AND, 0, 0, _NO_X32)]
        block += [(_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
        block += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
        lines += [(_EQUAL, 0, len(block), machine), *block]
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(_INSTRUCTION.pack(*line) for line in lines)


class Listener:
    """Who answers.

    Args:
        descriptor: As given by :func:`install`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting = select.poll()
        self._waiting.register(descriptor, select.POLLIN)
        self._end = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._waiting.register(self._end, select.POLLIN)
        with suppress(OSError):  # an older kernel wakes as it thinks best
            fcntl.ioctl(descriptor, _SET_FLAGS, _SYNC_WAKE_UP)

    def receive(self) -> Call | None:
        """The next call, as soon as there is one; None where its caller is gone by now.

        Raises:
            EOFError: Nobody is filtered any more, or it was told to stop.
        """
        for number, event in self._waiting.poll():
            if number == self._end or event & select.POLLHUP:
                raise EOFError
        told = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE, told, True)
        except OSError:
            return None
        cookie, thread, _, number, machine, _, *arguments = _NOTIFICATION.unpack(told)
        name = _CALLS[machine].get(number & _NO_X32, "")
        return Call(cookie, thread, name, arguments)

    def let_go(self, call: Call) -> None:
        """The kernel makes the call, as if nobody had asked."""
        with suppress(OSError):  # its caller was killed
            fcntl.ioctl(self._descriptor, _SEND, _ANSWER.pack(call.cookie, 0, 0, _CONTINUE))

    def stop(self) -> None:
        """Nobody waits for a call any more."""
        os.eventfd_write(self._end, 1)

    def resume(self) -> None:
        """Calls are waited for again."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._end)

    def is_in_use(self) -> bool:
        """Whether anybody is filtered still."""
        return not any(event & select.POLLHUP for _, event in self._waiting.poll(0))
