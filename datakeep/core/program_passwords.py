"""Where well-known programs take a password that no name tells, as ``zip -P X`` and ``sqlplus u/X@h``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datakeep.core.late_patterns import late

if TYPE_CHECKING:
    from collections.abc import Collection

_WORDS = r"\s(?:[^;|&\n]{0,400}?\s)?"
_WORD = r"""(?P<value>"[^"\n]{1,400}"?|'[^'\n]{1,400}'?|[^\s;|&"'-][^\s;|&]*)"""
_ORACLE = r"(?:sqlplus|sqlldr|expdp|impdp|rman)"

#: In the text of a command; each has the groups ``before`` and ``value``.
IN_TEXT = (
    late(
        rf"(?<![\w-])(?P<before>(?:(?:un)?zip{_WORDS}-P|redis-cli{_WORDS}-a|mongo\w{{0,20}}{_WORDS}-p"
        rf"|(?:az|docker|podman|helm)\s(?:[^;|&\n]{{0,400}}?\s)?login{_WORDS}-p|openssl{_WORDS}-[kK])\s{{1,8}}){_WORD}"
    ),
    late(
        rf"(?<![\w-])(?P<before>(?:7z[az]?|rar|unrar){_WORDS}-h?p)"
        r"""(?P<value>"[^"\n]{1,400}"?|'[^'\n]{1,400}'?|[^\s;|&"']+)"""
    ),
    late(
        rf"(?<![\w-])(?P<before>curl{_WORDS}-b\s{{0,8}})"
        r"""(?P<value>"[^"\n=]{1,400}=[^"\n]{0,4000}"?|'[^'\n=]{1,400}=[^'\n]{0,4000}'?|[^\s;|&"'=]{1,400}=[^\s;|&]*)"""
    ),
    late(
        rf"(?<![\w-])(?P<before>{_ORACLE}{_WORDS}[\"']?[\w$#]{{1,60}}/)"
        r"(?P<value>[^\s;|&]{1,200}(?=@)|[^\s;|&@\"']{1,200})"
    ),
    late(r"(?P<before>jdbc:oracle:\w{1,10}:[\w$#\"]{1,60}/)(?P<value>[^\s'`]{1,200}(?=@))", re.IGNORECASE),
    late(r"(?P<before>\bwandb\.login\([^()\n]{0,200}?key\s{0,4}=\s{0,4}[\"'])(?P<value>[^\"'\n]{1,400})"),
)

#: The option before a password that is an argument of its own, and which words its program has.
_ALONE = {
    "-P": ({"zip"}, {"unzip"}),
    "-a": ({"redis-cli"},),
    "-p": (
        {"sshpass"},
        {"mongo"},
        {"mongosh"},
        {"mongodump"},
        {"mongorestore"},
        {"mongoimport"},
        {"mongoexport"},
        {"az", "login"},
        {"docker", "login"},
        {"podman", "login"},
        {"helm", "login"},
    ),
    "-k": ({"openssl"},),
    "-K": ({"openssl"},),
}
_KNOWN = frozenset({"curl"}.union(*(needed for ways in _ALONE.values() for needed in ways)))
#: By what stands before a password that is joined to it: the programs that take one so.
_JOINED = {
    "-p": late(r"(?:mysql|mariadb)[\w-]*|7z[az]?|(?:un)?rar"),
    "-hp": late(r"rar"),
    "/": late(_ORACLE),
}
_ORACLE_USER = late(r"[\w$#]{1,60}/(?=.)", re.DOTALL)


def program_signs(argument: str) -> set[str]:
    """What an argument tells of the program that is run, if it is the name of one that is known: one or two of a few.

    Args:
        argument: The argument, which may have a folder before the name.
    """
    name = argument.rpartition("/")[2]
    signs = {before for before, program in _JOINED.items() if program.fullmatch(name)}
    return {*signs, name} if name in _KNOWN else signs


def before_password(argument: str, option: str, signs: Collection[str]) -> str | None:
    """What of ``argument`` stands before a password, by the place of it; None where it holds none.

    Args:
        argument: The argument, as its program gets it.
        option: The option before it that has no value of its own; empty where there is none.
        signs: Those of the arguments before it, of :func:`program_signs`.
    """
    if not argument.startswith("-") and any(needed.issubset(signs) for needed in _ALONE.get(option, ())):
        return ""
    if "curl" in signs and "=" in argument:
        if option == "-b":
            return ""
        if argument.startswith("-b"):
            return "-b"
    for letters in ("-p", "-hp"):
        if letters in signs and argument.startswith(letters) and argument != letters:
            return letters
    if "/" in signs and (user := _ORACLE_USER.match(argument)):
        return user[0]
    return None
