"""Where well-known programs take a password that no name tells, as ``zip -P X`` and ``sqlplus u/X@h``."""

from __future__ import annotations

import re

_WORDS = r"\s(?:[^;|&\n]{0,400}?\s)?"
_WORD = r"""(?P<value>"[^"\n]{1,400}"?|'[^'\n]{1,400}'?|[^\s;|&"'-][^\s;|&]*)"""
_ORACLE = r"(?:sqlplus|sqlldr|expdp|impdp|rman)"

#: In the text of a command; each has the groups ``before`` and ``value``.
IN_TEXT = (
    re.compile(
        rf"(?<![\w-])(?P<before>(?:(?:un)?zip{_WORDS}-P|redis-cli{_WORDS}-a|mongo\w{{0,20}}{_WORDS}-p"
        rf"|(?:az|docker|podman|helm)\s(?:[^;|&\n]{{0,400}}?\s)?login{_WORDS}-p|openssl{_WORDS}-[kK])\s{{1,8}}){_WORD}"
    ),
    re.compile(
        rf"(?<![\w-])(?P<before>(?:7z[az]?|rar|unrar){_WORDS}-h?p)"
        r"""(?P<value>"[^"\n]{1,400}"?|'[^'\n]{1,400}'?|[^\s;|&"']+)"""
    ),
    re.compile(
        rf"(?<![\w-])(?P<before>curl{_WORDS}-b\s{{0,8}})"
        r"""(?P<value>"[^"\n=]{1,400}=[^"\n]{0,4000}"?|'[^'\n=]{1,400}=[^'\n]{0,4000}'?|[^\s;|&"'=]{1,400}=[^\s;|&]*)"""
    ),
    re.compile(
        rf"(?<![\w-])(?P<before>{_ORACLE}{_WORDS}[\"']?[\w$#]{{1,60}}/)"
        r"(?P<value>[^\s;|&]{1,200}(?=@)|[^\s;|&@\"']{1,200})"
    ),
    re.compile(
        r"(?P<before>jdbc:oracle:\w{1,10}:[\w$#\"]{1,60}/)(?P<value>[^\s'`]{1,200}(?=@))", re.IGNORECASE
    ),
    re.compile(
        r"(?P<before>\bwandb\.login\([^()\n]{0,200}?key\s{0,4}=\s{0,4}[\"'])(?P<value>[^\"'\n]{1,400})"
    ),
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
_JOINED = {"-p": re.compile(r"(?:mysql|mariadb)[\w-]*|7z[az]?|(?:un)?rar"), "-hp": re.compile(r"rar")}


def before_password(argument: str, option: str, programs: list[str]) -> str | None:
    """What of ``argument`` stands before a password, by the place of it; None where it holds none.

    Args:
        argument: The argument, as its program gets it.
        option: The option before it that has no value of its own; empty where there is none.
        programs: The words before it, without their folders.
    """
    words = set(programs)
    if not argument.startswith("-") and any(needed <= words for needed in _ALONE.get(option, ())):
        return ""
    if option == "-b" and "curl" in words and "=" in argument:
        return ""
    if argument.startswith("-b") and "curl" in words and "=" in argument:
        return "-b"
    for letters, program in _JOINED.items():
        if re.match(rf"{letters}.", argument, re.DOTALL) and any(map(program.fullmatch, programs)):
            return letters
    if any(re.fullmatch(_ORACLE, word) for word in programs) and (
        user := re.match(r"[\w$#]{1,60}/(?=.)", argument, re.DOTALL)
    ):
        return user[0]
    return None
