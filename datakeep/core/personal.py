"""Personal data, and names of columns that suggest it: the one list, for the advice on a query and profiles alike.

A name can only suggest. So there are two grades: a value of a column such as ``email`` or ``氏名`` points at one
person by itself; one of a column such as ``sex`` or ``salary`` says something of whoever the row is about, and of
nobody where the rows are birds or machines.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from datakeep.core.late_patterns import late

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What a value of the column does: ``identifies`` a person, or only ``describes`` one.
Grade = Literal["identifies", "describes"]
#: What a manifest says of a dataset that is about people.
PERSONAL = frozenset({"yes", "pseudonymised"})

_PERSON = (
    "customer|client|user|person|people|patient|employee|staff|contact|member|owner|guest|passenger|student"
    "|driver"
)
#: On a name in lower case whose words are joined by one ``_``, without digits.
_IDENTIFIES = late(
    r"(?:^|_)(?:"
    r"e_?mails?|phones?|telephone|fax|cell_?phone|(?:ip_?|mac_?)?addr(?:ess)?|street|zip_?code"
    r"|post_?code|postal_?code|birth_?(?:day|date|year|dt|place)|date_of_birth|dob|born_?on|ssn|social_security"
    r"|passport|national_?id|tax_?id|my_?number|licen[cs]e_?plate|driv(?:er|ing)s?_?licen[cs]e|iban|credit_?card"
    r"|card_?number|bank_?account|surname|sur_name|(?:first|last|full|given|family|maiden|middle|nick|user)_?names?"
    rf"|(?:{_PERSON})_?names?|shimei|seimei|juu?sho|denwa(?:_?bangou?)?|seinen_?gappi|furigana"
    r")(?:_|$)|(?:^|_)(?:mail|ip|tel|zip|mobile)$"
)
_DESCRIBES = late(
    r"(?:^|_)(?:gender|sex|religion|ethnicity|race|nationality|marital_?status|salary)"
    r"(?:_(?:hash|code|id|en|ja))?$"
)
#: What is told of such a value, not the value: how many, how long, whether.
_ABOUT = late(
    r"^(?:number_of|count(?:_of)?|has|is|len|length_of)_|^(?:n|num|nb)_\w+s$|_(?:counts?|len|length|status|type|kind"
    r"|version)$"
)
_IDENTIFIES_JAPANESE = late(
    "氏名|姓名|お?名前|苗字|名字|^姓$|^氏$|^名$|フリガナ|ふりがな|ﾌﾘｶﾞﾅ|住所|所在地_?個人|番地|電話|携帯|ファックス|FAX番号"
    "|メール|ﾒｰﾙ|生年月日|誕生|生年|郵便番号|マイナンバー|個人番号|免許証|旅券|パスポート|口座|クレジット|カード番号"
    "|本籍|保険証|(顧客|患者|社員|従業員|担当者|会員|利用者|契約者|生徒|学生|乗客|本人)名"
)
_DESCRIBES_JAPANESE = late("性別|年収|給与|国籍|宗教")


def personal_by_name(name: str) -> Grade | None:
    """What the name of a column, English or Japanese, suggests of its values; None if nothing."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    words = re.sub(r"[\W_0-9]+", "_", words).strip("_").lower()
    if (_IDENTIFIES.search(words) and not _ABOUT.search(words)) or _IDENTIFIES_JAPANESE.search(name):
        return "identifies"
    described = _DESCRIBES.search(words) or _DESCRIBES_JAPANESE.search(name)
    return "describes" if described else None


def personal_shown(name: str, former: Iterable[str]) -> str | None:
    """A column by the name that suggests people, its own or one that it had: ``c1 (from email)``; None if none."""
    if personal_by_name(name):
        return name
    telling = next(filter(personal_by_name, former), None)
    return telling and (f"{name} (from {telling})" if name else telling)
