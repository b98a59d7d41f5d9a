"""Of whatever a training is given, the value of a secret is withheld, and nothing else."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakeep.core.arguments import without_secrets
from datakeep.core.secrets import (
    WITHHELD,
    find_secret,
    find_secret_in_patch,
    guarded,
    is_secret_name,
    withheld,
)

W = WITHHELD
S = "hunt3r-2X"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA\nAAAA\n-----END OPENSSH PRIVATE KEY-----"

#: What a user types; of each, § alone is withheld.
COMMANDS = [
    ["t", "--header", "Authorization: Bearer §"],
    ["t", "--header", "Authorization: §"],
    ["t", "-H", "X-Api-Key: §"],
    ["t", "-HX-Api-Key: §"],
    ["curl", "-u", "aiko:§", "https://h/x"],
    ["curl", "-uaiko:§"],
    ["curl", "--user=aiko:§"],
    ["t", "--conn", "Server=h;Uid=u;Password=§;Db=x"],
    ["t", "--conn=Server=h;Pwd=§;Db=x"],
    ["t", "--config", '{"password":"§","lr":3}'],
    ["t", "--config", '{"db": {"apiKey": "§"}}'],
    ["t", "--set", "{password: §, user: u}"],
    ["t", "--env", "PGPASSWORD=§"],
    ["t", "--env=OPENAI_API_KEY=§"],
    ["t", "-eMYSQL_PWD=§"],
    ["env", "PGPASSWORD=§", "t"],
    ["t", "--storage-key", "§"],
    ["t", "--dbPassword", "§"],
    ["t", "db.password=§"],
    ["t", "--dsn", "root:§@tcp(db:3306)/x"],
    ["mysql", "-p§", "db"],
    ["/usr/bin/sshpass", "-p", "§", "ssh", "h"],
    ["bash", "-c", "train --password § --lr 3"],
    ["bash", "-c", "PGPASSWORD=§ psql -c 'select 1'"],
    ["bash", "-c", "export OPENAI_API_KEY=§; t --lr 1"],
    ["bash", "-c", 'curl -H "X-Api-Key: §" https://h'],
    ["bash", "-c", "curl -H 'Authorization: Bearer §' h"],
    ["bash", "-c", 'curl -d "{\\"password\\": \\"§\\"}" h'],
    ["bash", "-c", "ssh h 'train --token §' && ls 'a b'"],
    ["bash", "-c", "mysql -u u -p§ db"],
    ["bash", "-c", "echo \"it's unbalanced; TOKEN=§ t"],
    ["python", "-c", 'password="§"; lr=3'],
    ["python", "-c", "os.environ['HF_TOKEN'] = '§'"],
    ["python", "-c", "os.putenv('HF_TOKEN', '§')"],
    ["python", "-c", "run(['t', '--token', '§'])"],
    ["python", "-c", "get(h, headers={'Authorization': 'Bearer §'})"],
    ["python", "-c", "os.system('t --password §')"],
    ["bash", "-c", "train --password \\\n     § --lr 3"],
    ["bash", "-c", "export PGPASS=§; MYPASS=§ USERPASS=§ t --pw §"],
    ["bash", "-c", "PASSWORD+=§ t"],
    ["bash", "-c", "PASSWORD=`§` t"],
    ["bash", "-c", "read PASSWORD <<< § && t"],
    ["bash", "-c", "zip -r -P § a.zip a && redis-cli -h x -a § get b"],
    ["bash", "-c", "az login -u a -p § && mongo -p § x"],
    ["bash", "-c", "7z x -p§ a.7z; openssl enc -k § -in a"],
    ["bash", "-c", "t --kennwort § --mot-de-passe § パスワード=§"],
    ["python", "-c", "login(token='''§''')"],
    ["python", "-c", "c = {'password': str('§'), 'n': 1}"],
    ["python", "-c", "setattr(c,'api_key','§')"],
    ["python", "-c", "import wandb; wandb.login(key='§')"],
    ["python", "-c", "c(password=b'§')"],
    ["zip", "-P", "§", "a.zip"],
    ["7z", "x", "-p§"],
    ["redis-cli", "-a", "§"],
    ["az", "login", "-p", "§"],
    ["openssl", "enc", "-k", "§"],
    ["t", "--パスワード", "§"],
    ["t", "--conf", "fs.azure.account.key.A.blob.core.windows.net=§"],
]
#: Where more of it goes, or nothing: what a user types, and what is shown of it.
OTHERS = [
    (["t", "-H", "Cookie: sid=§; lang=en"], ["t", "-H", "Cookie: †"]),
    (["t", "-H", "Accept: text/csv"], ["t", "-H", "Accept: text/csv"]),
    (["curl", "-u", "aiko:§ two:§"], ["curl", "-u", "aiko:†"]),
    (["docker", "run", "-u", "1000:1000", "i"], ["docker", "run", "-u", "1000:1000", "i"]),
    (["python", "-u", "train.py"], ["python", "-u", "train.py"]),
    (["t", "--conn=Server=h;Pwd={§;a};Db=x"], ["t", "--conn=Server=h;Pwd=†;Db=x"]),
    (
        ["t", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=§==;EndpointSuffix=e"],
        ["t", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=†;EndpointSuffix=e"],
    ),
    (
        ["t", "BlobEndpoint=https://b;SharedAccessSignature=sv=1&sig=§;x=1"],
        ["t", "BlobEndpoint=https://b;SharedAccessSignature=†;x=1"],
    ),
    (["t", "--config", '{"password":314159,"lr":3}'], ["t", "--config", '{"password":†,"lr":3}']),
    (
        ["t", "--config", '{"token": null, "auth": false}'],
        ["t", "--config", '{"token": null, "auth": false}'],
    ),
    (["t", "--set", "user: u\npassword: § §\nlr: 3"], ["t", "--set", "user: u\npassword: †\nlr: 3"]),
    (["t", "+db={password:§}"], ["t", "+db={password:†"]),
    (["t", "--password", "$ecret"], ["t", "--password", "†"]),
    (["t", "postgresql://u:§@h/d"], ["t", "postgresql://u@h/d"]),
    (
        ["t", "--dsn", "host=h user=u password='§ x' dbname=d"],
        ["t", "--dsn", "host=h user=u password='†' dbname=d"],
    ),
    (["bash", "-c", "train --password='§ x' && e"], ["bash", "-c", "train --password='†' && e"]),
    (["bash", "-c", "train --password §\\ x && e"], ["bash", "-c", "train --password † && e"]),
    (["bash", "-c", "PGPASSWORD=§'$d;f' psql"], ["bash", "-c", "PGPASSWORD=† psql"]),
    (["bash", "-c", "curl -u 'aiko:§ x' h"], ["bash", "-c", "curl -u 'aiko:†' h"]),
    (["bash", "-c", 'PGPASSWORD="$PW" TOKEN=$T train'], ["bash", "-c", 'PGPASSWORD="$PW" TOKEN=$T train']),
    (["bash", "-c", "PASSWORD='a'\"§ b\" t"], ["bash", "-c", "PASSWORD='†' t"]),
    (["bash", "-c", "PASSWORD=$(echo § (b)) t"], ["bash", "-c", "PASSWORD=† t"]),
    (["bash", "-c", 'PASSWORD="$(echo "§")" t'], ["bash", "-c", 'PASSWORD="†" t']),
    (["bash", "-c", 'PASSWORD=`echo § b` t "a b"'], ["bash", "-c", 'PASSWORD=`†` t "a b"']),
    (["bash", "-c", "PASSWORD=$(echo §"], ["bash", "-c", "PASSWORD=†"]),
    (
        ["bash", "-c", "ssh h 't --token \"§\"' && ls 'a b'"],
        ["bash", "-c", "ssh h 't --token \"†\"' && ls 'a b'"],
    ),
    (["bash", "-c", 'curl -b "sid=§" h'], ["bash", "-c", "curl -b † h"]),
    (["curl", "-b", "sid=§", "h"], ["curl", "-b", "†", "h"]),
    (["curl", "-b", "jar.txt", "h"], ["curl", "-b", "jar.txt", "h"]),
    (["sqlplus", "u/§@ORCL"], ["sqlplus", "u/†"]),
    (["bash", "-c", "sqlplus -s u/§@ORCL @a.sql"], ["bash", "-c", "sqlplus -s u/†@ORCL @a.sql"]),
    (["t", "jdbc:oracle:thin:u/§@h"], ["t", "jdbc:oracle:thin:u/†@h"]),
    (["bash", "-c", "PGPASSWORD='$PW' train"], ["bash", "-c", "PGPASSWORD='†' train"]),
    (
        ["python", "-c", "def f(token: str): return os.environ['TOKEN']"],
        ["python", "-c", "def f(token: str): return os.environ['TOKEN']"],
    ),
    (
        ["python", "-c", "d = df[['id', 'token', 'label']]"],
        ["python", "-c", "d = df[['id', 'token', 'label']]"],
    ),
]

#: Arguments of everyday trainings, which say nothing secret.
ORDINARY = [
    "train.py --tokenizer bert --max-tokens 100 --key-column id --password-policy off --lr 3e-4",
    "train.py --eos-token </s> --pad_token=[PAD] --num_tokens 5 --mask-token X",
    "train.py --key id --primary-key id --sort_key day --author aiko --authority x",
    "train.py --password-file /run/pw --token-path ~/t --passes 3 --secretary mori",
    "train.py model=resnet optimizer.name=adam data:train seed:3 --ratio 3:1 --time 12:30:05",
    "train.py --image python:3.11@sha256:abc --model churn@v3 --base model:churn@v7 --mail mailto:aiko@corp.example",
    "train.py --url https://h:8080/@scope/package?key=id --remote git@h.example:ml/orders.git",
    "train.py --name sk-learn-random-forest-with-100-trees --task ask-me --desk desk-0123456789012345678901",
    "bash -c cat {logs}/x > $OUT/m; echo done: yes, all",
    "filter.py --lowpass 3 --bypass x --compass n --onepass 1 --layers.key id --num-passes 2 -p 8 -P 4 -a x -k 5",
    "zip -r a.zip a -x P; docker run -p 80:80 i; openssl version -a; tar -b 20 -k -p",
    "uvicorn -p 8080 --user aiko --port 80",
]


@pytest.mark.parametrize(
    "secret", [S, "0123", "p@ss/w#rd", JWT, KEY.replace("\n", "")], ids=lambda one: one[:5]
)
@pytest.mark.parametrize("template", COMMANDS, ids=lambda words: " ".join(words)[:60].replace("\n", " "))
def test_the_value_alone_is_withheld(template: list[str], secret: str) -> None:
    shown = [word.replace("§", W) for word in template]
    assert without_secrets([word.replace("§", secret) for word in template]) == shown
    assert without_secrets(shown) == shown  # what is told again is as readable


@pytest.mark.parametrize(("argv", "shown"), OTHERS, ids=lambda words: " ".join(words)[:60].replace("\n", " "))
def test_more_than_the_value_or_nothing_is_withheld(argv: list[str], shown: list[str]) -> None:
    told = [word.replace("†", W) for word in shown]
    assert without_secrets([word.replace("§", S) for word in argv]) == told
    assert without_secrets(told) == told


@pytest.mark.parametrize("line", ORDINARY)
def test_ordinary_arguments_stay(line: str) -> None:
    argv = line.split(" ")
    assert without_secrets(argv) == argv
    assert without_secrets(["bash", "-c", line]) == ["bash", "-c", line]
    assert withheld(line) == line


TOKENS = [
    "ghp_" + "a1" * 18,
    "github_pat_" + "a1" * 20,
    "sk-" + "a1" * 24,
    "sk-proj-" + "a1-_" * 8,
    "sk-ant-api03-" + "a1" * 20,
    "hf_" + "aB" * 17,
    "AKIA" + "A1" * 8,
    "ASIA" + "A1" * 8,
    "xoxb-" + "12-" * 8 + "a",
    "glpat-" + "a_" * 10,
    JWT,
    KEY,
    "AIza" + "a" * 35,
    "https://hooks.slack.com/services/T0000/B0000/" + "a" * 24,
]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:12].strip("-"))
def test_tokens_of_known_shape_are_seen_wherever_they_stand(token: str) -> None:
    for text in (token, f"see {token}", f"--x={token}", f"a: '{token}', b: 1", f"print('{token}')"):
        for is_code in (False, True):
            assert token[-12:] not in withheld(text, is_code=is_code)
    patch = f"diff --git a/a.py b/a.py\n+++ b/a.py\n@@ -0,0 +1 @@\n+x = f('{token}')\n"
    assert find_secret_in_patch(patch)


@pytest.mark.parametrize(
    "line",
    [f"+headers = 'Authorization: Bearer {S}'", f"+run('t --password {S}')", f"+c = 'Server=h;Pwd={S};Db=x'"],
)
def test_compound_secrets_in_a_patch_are_seen(line: str) -> None:
    assert find_secret_in_patch(f"diff --git a/a.py b/a.py\n+++ b/a.py\n@@ -0,0 +1 @@\n{line}\n")


def test_parts_of_a_value_are_looked_into() -> None:
    said = {
        "db": {"password": S, "hosts": ["h", f"u:{S}@h.example"], "use_auth": True, "pin_password": 31415},
        "wandb": {"key": S}, "auths": [S], "primary": {"key": "id"},
        "tokens": 5, "header": f"X-Api-Key: {S}", "keys": [{"secret": [S, S]}], f"TOKEN={S}": 1,
    }  # fmt: skip
    assert guarded(said) == {
        "db": {"password": W, "hosts": ["h", f"u:{W}@h.example"], "use_auth": True, "pin_password": W},
        "wandb": {"key": W}, "auths": [W], "primary": {"key": "id"},
        "tokens": 5, "header": f"X-Api-Key: {W}", "keys": [{"secret": [W, W]}], f"TOKEN={W}": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("password", True), ("PGPASSWORD", True), ("dbPassword", True), ("db_password_prod", True), ("pass", True),
        ("AccountKey", True), ("SharedAccessKey", True), ("apiKey", True), ("APIKEY", True), ("X-Auth-Token", True),
        ("HF_TOKEN", True), ("Authorization", True), ("token2", True), ("sslpassword", True), ("Cookie", True),
        ("password_file", False), ("password-policy", False), ("tokenizer", False), ("max_tokens", False),
        ("eos_token", False), ("key", False), ("key_column", False), ("author", False), ("monkey", False),
    ],
)  # fmt: skip
def test_a_secret_is_known_by_its_name(name: str, is_secret: bool) -> None:
    assert is_secret_name(name) == is_secret


word = st.text("abcXYZ019-_.%+", min_size=4, max_size=12)
NAMES = st.sampled_from(["password", "PGPASSWORD", "--token", "x.apiKey", "Pwd", "client_secret"])
FORMS = st.sampled_from(
    [
        "{n}={v}",
        "{n}: {v}",
        "{n} = '{v}'",
        '"{n}": "{v}"',
        "a;{n}={v};b=1",
        "export {n}={v}",
        "({n}={v})",
        "`{n}={v}`",
    ]
)


@given(
    name=NAMES,
    form=FORMS,
    value=word.map(lambda text: f"Q{text}Q"),
    around=st.text("ab ;,:='\"\n{}", max_size=6),
)
def test_no_value_of_a_secret_name_survives(name: str, form: str, value: str, around: str) -> None:
    said = form.format(n=name.lstrip("-"), v=value)
    text = withheld(f"x {said} {around}")
    assert value not in text
    assert withheld(text) == text


SIGNS = [
    "token",
    "password",
    "=",
    ":",
    ",",
    " ",
    "\n",
    "'",
    '"',
    "\\",
    "{",
    "}",
    "(",
    ")",
    "`",
    "$",
    "--",
    "-u ",
    "@",
    "x",
    "1",
]
PIECES = st.lists(st.sampled_from([*SIGNS, "https://u:p@h/", "Bearer ", "curl ", "-b "]), max_size=14).map(
    "".join
)


@given(st.text() | PIECES, st.booleans())
def test_any_text_can_be_looked_through_and_is_the_same_when_told_again(text: str, is_code: bool) -> None:
    told = withheld(text, is_code=is_code)
    assert withheld(told, is_code=is_code) == told
    assert find_secret(told) is None


@pytest.mark.parametrize(
    ("piece", "times"),
    [
        ("a", 300_000), ("mysql ", 50_000), ("token:", 50_000), ("-u a:", 50_000), ('"token', 50_000),
        ("eyJ", 90_000), ("zip ", 50_000), ("TOKEN=$( ", 30_000), ("TOKEN=`", 30_000), ("TOKEN='a'\"", 10_000),
        ("jdbc:oracle:thin:u/", 10_000),
    ],
)  # fmt: skip
@pytest.mark.timeout(600)  # each takes a second; by the square of its length a quarter of an hour
def test_a_long_text_takes_no_time_by_its_square(piece: str, times: int) -> None:
    told = withheld(piece * times)
    assert told.startswith(piece[:6])
    assert withheld(told) == told


def test_each_argument_is_looked_at_once_however_many_there_are() -> None:
    looked: Counter[str] = Counter()

    class Word(str):
        __slots__ = ()

        def rpartition(self, sep: str) -> tuple[str, str, str]:
            looked[self] += 1
            return super().rpartition(sep)

    argv = [Word(f"/data/{at}.csv") for at in range(300)]
    assert without_secrets(["train.py", *argv]) == ["train.py", *argv]
    assert set(looked.values()) == {1}
    assert len(looked) == len(argv)
