"""Names that suggest people: English and Japanese, and those that only look alike."""

from __future__ import annotations

import pytest

from datakeep.core.personal import personal_by_name

NAMES = {
    "identifies": (
        "email", "Email", "e_mail", "E-Mail", "customer_email", "emailAddress", "phone", "phone_number", "phone2",
        "homePhone", "tel", "birth_date", "BIRTH_DATE", "birthdate", "date_of_birth", "dob", "first_name", "lastName",
        "full_name", "customer_name",
        "home_address", "address_line1", "address", "ssn", "passport_no", "zip", "zip_code",
        "ip_address", "ip", "氏名",
        "顧客氏名", "お客様氏名", "住所", "電話番号", "携帯電話", "メールアドレス", "生年月日",
        "郵便番号", "マイナンバー", "フリガナ", "患者名", "shimei", "jusho", "user_name", "username", "email_hash",
        "num_telephone", "n_tel", "email_valid",
    ),
    "describes": ("sex", "Sex", "gender", "patient_sex", "salary", "性別", "国籍", "marital_status", "race"),
    None: (
        "id", "name", "product_name", "品名", "商品名", "地域", "地名", "売上",
        "count", "mail_class", "telemetry", "racer",
        "sexton", "addressable", "phonetic", "birthing_pen", "days", "機種名", "hotel", "total", "status", "emailed",
        "genre", "contact_id", "customer_id", "species", "bill_length_mm", "ship_to", "state", "race_id_of_horse",
        "address_count", "has_phone", "n_emails", "number_of_addresses", "phone_type", "ip_version",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "grade"), [(name, grade) for grade, names in NAMES.items() for name in names]
)
def test_what_a_name_suggests(name: str, grade: str | None) -> None:
    assert personal_by_name(name) == grade
