"""Finding passwords in what a user wrote, so that none is ever written down.

Everything that is written of a run goes through :func:`withheld` or :func:`guarded`: only the value of a secret is
taken out, so that what stands around it can still be read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from datakeep.core.joined_words import found_or_end, with_joined
from datakeep.core.late_patterns import late
from datakeep.core.program_passwords import IN_TEXT, before_password

if TYPE_CHECKING:
    from collections.abc import Collection

#: What stands in the place of a secret.
WITHHELD = "(withheld)"

_SECRET_NAME = late(
    r"(?:.*_)?(?:(?:ssl)?(?:pass(?:word|wd|phrase|code)?|pwd|secrets?|token|api_?keys?|access_?keys?|private_?keys?"
    r"|credentials?|sig|signature|auths?|authorization|cookies?|bearer|jwt)"
    r"|pw|(?!(?:by|com|encom|tres|sur|over|under|low|high|band|all|forward|backward|single|multi|one|two|first|second"
    r"|last|num)pass)[a-z]{1,20}pass|account_key_.*_windows_net"
    r"|(?:account|secret|encryption|signing|master|shared|storage|subscription|auth|service|client|app|ssh|deploy"
    r"|session|license|hf|wandb|openai|anthropic|azure|aws|gcp)_?key)(?:_?\d+)?"
)
_PASSWORD_NAME = late(
    r".*(?:password|passwd|passphrase|passwort|kennwort|mot_?de_?passe|contrase(?:ñ|n)a|wachtwoord|パスワード|暗証番号"
    r"|密码|密碼|비밀번호|пароль)(?!.*_?(?:file|path|policy|field|column|col|len|length|prompt|stdin|env|name|url"
    r"|command|cmd|required|enabled|type|manager|strength|reset|count)$).*"
)
#: Marks of a text for a model, and how many there may be: they are no keys to anything.
_TOKEN_OF_TEXT = late(
    r"(?:.*_)?(?:eos|bos|pad|unk|mask|sep|cls|special|start|end|stop|begin|image|video|audio|class|prompt|task|speaker"
    r"|blank|word|space|added|extra|ignore|max|min|num|n|per|first|last|next|new)_token\d*"
)
_CAMEL = late(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PRIVATE_KEY = (
    r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----(?:.*?-----END (?:[A-Z]+ ){0,3}PRIVATE KEY-----|.*)?"
)
_KNOWN_SECRETS = late(
    rf"(?s:{_PRIVATE_KEY})"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b"
    r"|\bgithub_pat_[A-Za-z0-9_]{22,}"
    r"|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|\bhf_[A-Za-z0-9]{30,}\b"
    r"|(?<![\w-])sk-(?=[A-Za-z]*\d)[A-Za-z0-9]{20,}\b"
    r"|(?<![\w-])sk-(?:proj|svcacct|admin|ant|or)-[A-Za-z0-9_-]{20,}"
    r"|\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}\b"
    r"|\bAIza[A-Za-z0-9_-]{35}"
    r"|\bdapi[0-9a-f]{32}\b"
    r"|\bnpm_[A-Za-z0-9]{36}\b"
    r"|\bpypi-[A-Za-z0-9_-]{50,}"
    r"|\bSG\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{40,}"
    r"|\bhooks\.slack\.com/services/[A-Za-z0-9/]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
)
_CODE_FILE = late(
    r"\.(?:py|pyi|pyx|ipynb|r|jl|lua|c|cc|cpp|h|hpp|cu|rs|go|java|js|ts|sh|bash)$", re.IGNORECASE
)
_QUOTED = late(r"""(?<![\w.-])(?P<name>[A-Za-z][\w.-]{0,80})["']?\s{0,8}[:=]\s{0,8}["'][^"']{4,}["']""")
_GIVEN = late(r"""(?<![\w.-])(?P<name>[A-Za-z][\w.-]{0,80})["']?\s{0,8}[:=]\s{0,8}["']?[^\s"'#]""")
#: The scheme is bounded: with ``*``, a long line without a space would take time by its length squared.
_URL = late(r"[a-z][a-z0-9+.-]{0,40}://[^\s'\"<>]+", re.IGNORECASE)
_PARTS = late(r"([a-z][a-z0-9+.-]*://)([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_PORT = late(r":[0-9]*")
#: A URL that ends, or was cut, behind a user's name and what is no port: it has lost the ``@`` behind a password.
_CUT_URL = late(
    r"([a-z][a-z0-9+.-]{0,40}://[^\s'\"<>/@:?#\[]+):(?![0-9]*(?:[/?#'\"\s,;)…]|$))[^\s'\"<>@…]+(?=['\"\s…]|$)",
    re.IGNORECASE,
)
_TAKEN_OUT = "(password withheld)"

#: A name and what gives it a value: ``password=``, ``"token": ``, ``environ["TOKEN"] = ``, ``"--token", "``.
_NAMED = late(
    r"""(?<![\w.])(?P<name>[^\W\d][\w.-]{0,80}|--?[^\W\d_][\w.-]{0,80})"""
    r"""(?:\\?["']?\]?\s{0,8}(?P<sign>=>|[:+]=|<<<|[:=：＝])\s{0,8}|(?P<listed>\\?["']\s{0,8},\s{0,8})(?=\\?["']))"""
)
#: An option whose value is the next word.
_SPACED = late(r"(?<![\w.-])(?P<name>--?[^\W\d_][\w.-]{0,80})(?:\\\r?\n|[^\S\\]){1,80}+(?![-&|;<>])")
#: What may stand before a value in quotes in a program's text.
_WRAPPED = late(r"""(?:(?:str|bytes|Secret(?:Str|Bytes)?)?\(\s{0,8})?[rbuRBU]{0,2}(?=["'])""")
#: A call that gives what is named by its second argument a value.
_SETS = late(
    r"(?:setattr|setdefault|__setitem__|\bset(?:_?(?:env|option|param|header|secret))?)\([^()\[\]\n]{0,80}\Z"
)
_SCHEME = late(r"(?:Bearer|Basic|Token|Digest|Api-?Key|Negotiate)\s+(?=\S)", re.IGNORECASE)
_VALUE = late(
    r"(?P<triple>(?<=\'\'\').{1,4000}?(?=\'\'\')|(?<=\"\"\").{1,4000}?(?=\"\"\"))"
    r"""|\\"(?P<escaped>.{0,4000}?)\\"|"(?P<double>(?:[^"\\]|\\.){0,4000})"|'(?P<single>(?:[^'\\]|\\.){0,4000})'"""
    r"""|["'](?P<open>[^\n]*)"""
    r"""|(?P<number>-?\d[\d.]*|\(withheld\))(?=[,}\]])|(?P<braced>\{[^{}"'\n]*\})"""
    r"""|(?P<bare>(?:(?:Bearer|Basic|Token|Digest|Api-?Key)[ ]+)?"""
    r"""(?:\\.|[^\s"'`;\\])(?:\\.|[^\s"'`;\\]|"[^"\s]*"|'[^'\s]*')*)""",
    re.DOTALL | re.IGNORECASE,
)
#: What stands behind a colon and a space may be several words.
_REST_OF_LINE = late(r"""[^\s"'`,;}\]][^\n"'`;}]*?(?=,\s|\s*[\n"'`;}]|\s*$|\\$)""")
_REST_OF_HEADER = late(r"""[^\s"'`][^\n"'`]*""")
_HEADER = late(r"(?:proxy_)?authorization|(?:set_)?cookie")
_HARMLESS = late(r"(?:true|false|none|null|nil)?", re.IGNORECASE)
_LITERAL = late(r"""'(?:[^'\\\n]|\\.){0,2000}'|"(?:[^"\\\n]|\\.){0,2000}\"""")
_REFERENCE = late(r"\{[\w.]*\}|%s|\$(?:env:)?[A-Za-z_]\w*|\$\{\w+\}|%\w+%|\$\d|\{\{\s*[\w.]+\s*\}\}")
_USER_OPTION = (
    r"(?<![\w-])(?P<before>(?:-u(?:\\\n|\s){0,8}|(?:--(?:proxy-)?user(?:name)?|-U)(?:(?:\\\n|\s){1,8}|=))"
)
_USER = late(_USER_OPTION + r"""(?P<user>[^\s:"'/@=]{0,100}):)(?P<value>(?!//)[^\s"'`;]+)""")
_TAKES_USER = late(r"-u|-U|--(?:proxy-)?user(?:name)?")
_USER_AND_PASSWORD = late(r"(?P<before>(?P<user>[^\s:/@=]{0,100}):)(?P<value>(?!//).+)", re.DOTALL)
_QUOTED_USER = late(
    _USER_OPTION + r"""(?P<quote>["'])(?P<user>[^\s:"'/@=]{0,100}):)(?P<value>(?!//)(?:(?!(?P=quote)).)+)"""
)
#: These take a password as ``-pX``, and this one as ``-p X``.
_MYSQL = late(
    r"(?<![\w-])(?P<before>(?:mysql|mariadb)[\w-]{0,20}\s(?:[^;|&\n]{0,400}?\s)?-p)(?P<value>[^\s;|&]+)"
)
_SSHPASS = late(r"(?<![\w-])(?P<before>sshpass\s{1,8}-p\s{0,8})(?P<value>[^\s;|&]+)")
_BEARER = late(r"(?<!\w)(?P<before>Bearer\s{1,8})(?P<value>(?=\S{0,200}\d)[\w.~+/=-]{8,})", re.IGNORECASE)
#: As drivers take it, without a scheme: ``aiko:password@host``.
_ADDRESS = late(
    r"""(?<![\w./:@-])(?P<before>(?!mailto:)[\w.-]{1,60}:)(?P<value>[^\s:"'`,;(){}]{1,80}(?=@(?:tcp|unix)\()"""
    r"""|[^\s@/:"'`,;(){}]{3,80}"""
    r"""(?=@(?:[A-Za-z][\w-]*\.[\w.-]*[A-Za-z]|localhost\b|\d+\.\d+\.\d+\.\d+\b)))"""
)


def strip_url(url: str) -> str:
    """``url`` without its password and secret-looking query parameters; the rest stays, byte for byte.

    A password that was not escaped may hold ``/``, ``?``, ``#`` or ``@``: everything up to the last ``@`` is
    then taken for it. A user name that is a well-known kind of token goes too.
    """
    match = _PARTS.fullmatch(url)
    if not match:
        return url
    scheme, authority, rest = match.groups()
    user, _, password = authority.rpartition("@")[0].partition(":")
    open_password = "@" not in authority and ":" in authority and not _ends_in_port(authority)
    if (password or open_password) and "@" in rest:
        authority, rest = _cut(f"{authority}{rest}".rpartition("@")[2])
        user = match[2].partition(":")[0]
        authority = f"{user}@{authority}" if user else authority
    elif password or (user and _KNOWN_SECRETS.search(user)):
        host = authority.rpartition("@")[2]
        authority = host if not user or _KNOWN_SECRETS.search(user) else f"{user}@{host}"
    return f"{scheme}{authority}{_without_secret_parameters(rest)}"


def strip_urls(text: str) -> str:
    """``text`` with every URL in it as :func:`strip_url` leaves it."""
    return _URL.sub(lambda found: strip_url(found[0]), text)


def without_passwords(text: str, known: Collection[str] = ()) -> str:
    """``text`` for a person: URLs without their passwords, also where a cut has left half of one, and nothing known.

    What is withheld is said in its place; said twice, it stays as it is.

    Args:
        text: Such as a database's complaint, which quotes a value.
        known: Passwords, as they are.
    """
    for secret in known:
        text = text.replace(secret, _TAKEN_OUT)
    return _CUT_URL.sub(rf"\1 {_TAKEN_OUT}", _URL.sub(_marked, text))


def _marked(found: re.Match[str]) -> str:
    stripped = strip_url(found[0])
    return found[0] if stripped == found[0] else f"{stripped} {_TAKEN_OUT}"


def _ends_in_port(authority: str) -> bool:
    at = authority.rfind("]") + 1 or authority.find(":")
    return _PORT.fullmatch(authority, at) is not None or at == len(authority)


def _cut(text: str) -> tuple[str, str]:
    """Authority, and the rest from the first ``/``, ``?`` or ``#`` on."""
    at = re.search(r"[/?#]|$", text)
    return (text[: at.start()], text[at.start() :]) if at else (text, "")


def _without_secret_parameters(rest: str) -> str:
    head, sharp, fragment = rest.partition("#")
    path, _, query = head.partition("?")
    pairs = query.split("&")
    kept = [pair for pair in pairs if not is_secret_name(unquote_plus(pair.partition("=")[0]))]
    if len(kept) == len(pairs):
        return rest
    return path + ("?" + "&".join(kept) if kept else "") + sharp + fragment


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Whether what is called ``name`` (an option, a variable, a parameter) is a password, key or token."""
    plain = re.sub(r"[-.]", "_", _CAMEL.sub("_", name)).lower().lstrip("_")
    if _TOKEN_OF_TEXT.fullmatch(plain):
        return False
    return bool(_SECRET_NAME.fullmatch(plain) or _PASSWORD_NAME.fullmatch(plain))


def withheld(text: str, *, is_code: bool = False) -> str:
    """``text`` with ``(withheld)`` in the place of each secret that can be seen in it; all else as it is.

    Seen are: passwords in URLs; private keys and tokens of well-known shapes; what is given to a name that sounds
    secret, in shell, JSON, YAML, headers and connection strings; ``-u user:password``. A password in plain prose
    cannot be seen.

    Args:
        text: One line or many.
        is_code: Whether it is a program's text in a language such as Python, where only what stands in quotes is a
            value; a shell is none.
    """
    shown = _KNOWN_SECRETS.sub(WITHHELD, strip_urls(text))
    shown = _without_values(shown, _NAMED, is_code=is_code)
    if is_code:
        shown = _LITERAL.sub(lambda found: _without_values(found[0], _NAMED, in_literal=True), shown)
    shown = _without_values(shown, _SPACED)
    for pattern in (_QUOTED_USER, _USER, _MYSQL, _SSHPASS, _BEARER, _ADDRESS, *IN_TEXT):
        shown = pattern.sub(_without_value, shown)
    # What was left as it is has no such URL and no token, or it would not have been.
    return shown if shown == text or not find_secret(shown) else WITHHELD


def withheld_value(value: str) -> str:
    """What is shown of the value of something that is secret by its name."""
    if _HARMLESS.fullmatch(value):
        return value
    scheme = _SCHEME.match(value)
    return f"{scheme[0] if scheme else ''}{WITHHELD}"


def withheld_alone(argument: str, *, option: str = "", signs: Collection[str] = ()) -> str:
    """As :func:`withheld`, for one argument of a command, whose place may make it a secret.

    Args:
        argument: The argument, as its program gets it.
        option: The option before it that has no value of its own; empty where there is none.
        signs: What the arguments before it tell of the program, as ``program_signs`` has it.
    """
    before = before_password(argument, option, signs)
    if before is not None:
        return f"{before}{WITHHELD}"
    found = _USER_AND_PASSWORD.fullmatch(argument) if _TAKES_USER.fullmatch(option) else None
    return _without_value(found) if found else withheld(argument)


def guarded(value: Any, name: str = "") -> Any:
    """A value that may have parts, as JSON has them; what is secret by its name or its looks is withheld."""
    if isinstance(value, dict):
        return {
            withheld(str(key)): guarded(inner, str(key) if is_secret_name(str(key)) else f"{name}.{key}")
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [guarded(inner, name) for inner in value]
    if value is not None and not isinstance(value, bool) and name and is_secret_name(name):
        return withheld_value(str(value))
    return withheld(value) if isinstance(value, str) else value


def _without_value(found: re.Match[str]) -> str:
    user, value = found.groupdict().get("user"), found["value"]
    is_none = _REFERENCE.fullmatch(value) or (user is not None and user.isdigit() and value.isdigit())
    return found[0] if is_none else f"{found['before']}{WITHHELD}"


def _without_values(
    text: str, names: re.Pattern[str], *, is_code: bool = False, in_literal: bool = False
) -> str:
    """``text`` without the values that stand behind what ``names`` finds, where the name sounds secret.

    Of a literal of a program, which may be a message, only what looks like a setting or a header is one.
    """
    shown: list[str] = []
    kept = at = 0
    while found := names.search(text, at):
        at = found.end()
        if (
            found.end() >= len(text)
            or not _asks_for_value(found, text)
            or (in_literal and not _is_setting(found))
        ):
            continue
        value = _value_behind(found, text, is_code=is_code)
        if value is not None:
            start, end, instead = value
            shown += [text[kept:start], instead]
            kept = at = max(end, at)
    return "".join(shown) + text[kept:]


def _asks_for_value(found: re.Match[str], text: str) -> bool:
    name = found["name"]
    if not is_secret_name(name.lstrip("-")):
        return False
    if found.groupdict().get("listed") and not (name.startswith("-") or name.isupper()):
        before = text[max(0, found.start() - 120) : found.start()]
        return bool(_SETS.search(before))  # else names of columns, most often
    return True


def _is_setting(found: re.Match[str]) -> bool:
    sign = found.group("sign")
    is_header = "-" in found["name"] or _HEADER.fullmatch(found["name"].lower())
    return found[0].endswith("=") if sign in ("=", "+=") else sign == ":" and bool(is_header)


def _value_behind(found: re.Match[str], text: str, *, is_code: bool) -> tuple[int, int, str] | None:
    """Where the value of a name stands in ``text``, and what is shown instead; None where it is no secret."""
    at = found.end()
    plain = re.sub(r"[-.]", "_", found["name"]).lower()
    is_colon = found.groupdict().get("sign") == ":" and text[at - 1] == " " and text[at] not in "\"'\\{"
    if is_colon and not is_code:
        rest = (_REST_OF_HEADER if _HEADER.fullmatch(plain) else _REST_OF_LINE).match(text, at)
        return _shown_instead(rest[0], rest.span(), is_quoted=False) if rest else None
    if is_code:
        wrapped = None if found.groupdict().get("sign") == "+=" else _WRAPPED.match(text, at)
        if wrapped is None and text[at] != "\\":
            return None
        at = wrapped.end() if wrapped else at
    elif text[at] == "`" and text[at + 1 : at + 2].strip():
        return at + 1, found_or_end(text, "`", at + 1), WITHHELD
    if text[at : at + 3] in ("'''", '"""'):
        at += 3
    value = _VALUE.match(text, at)
    if value is None:
        return None
    kind = value.lastgroup or "bare"
    shown = _shown_instead(value[kind], value.span(kind), is_quoted=kind == "single")
    return with_joined(shown, value, text, is_code=is_code) if shown else None


def _shown_instead(value: str, span: tuple[int, int], *, is_quoted: bool) -> tuple[int, int, str] | None:
    if _HARMLESS.fullmatch(value) or (not is_quoted and _REFERENCE.fullmatch(value)):
        return None
    return (*span, withheld_value(value))


def find_secret(text: str) -> str | None:
    """What kind of secret ``text`` holds, in words that do not repeat it; None if none is seen.

    Seen are: a URL with a password or a secret query parameter, private keys, and tokens of well-known
    providers. A password in plain prose cannot be seen.
    """
    for url in _URL.findall(text):
        stripped = strip_url(url)
        if stripped != url:
            host = _cut(stripped.partition("://")[2])[0].rpartition("@")[2]
            return f"a password in the URL of {host}" if host else "a password in a URL"
    return "a private key or access token" if _KNOWN_SECRETS.search(text) else None


def find_secret_in_patch(patch: str) -> str | None:
    """As :func:`find_secret`, for a patch of git's; also what :func:`withheld` would take out of a line of it.

    In code only what stands in quotes is a value (``token = "…"``), in other files all that stands behind the
    name (``api_key: …``).
    """
    is_code = False
    for line in patch.splitlines():
        if line.startswith(("+++ ", "diff --git ")):
            is_code = _CODE_FILE.search(line) is not None
        for given in (_QUOTED if is_code else _GIVEN).finditer(line[1:]):
            if is_secret_name(given["name"]):
                return f"a value for {given['name']}"
        if withheld(line[1:], is_code=is_code) != line[1:]:
            return find_secret(line) or "a password or token"
    return find_secret(patch)
