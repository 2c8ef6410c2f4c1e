"""Environment files and variables: what is wrong is named with file, key and what to write; secrets stay inside."""

import re
import shutil
from pathlib import Path

import pytest

from gaia_checks.environment import environment_file, file_entries, process_variables
from gaia_checks.environment.environment import Environment, ProveSettings, url_of
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import EnvironmentFileError, MissingVariable
from gaia_checks.model import LogLocation, Names
from gaia_checks.redaction import SECRET_NAMES, redact
from gaia_server import settings

GOOD = '[environment]\nstage = "dev"\ndatabase = "external"\nhost = "0.0.0.0"\n'
BALANCED = 'base_url = "http://qa:8080"\n'


def load(folder: Path, text: str, **variables: str) -> Environment:
    """Load an environment file with the given text."""
    path = folder / "x.toml"
    path.write_text(text)
    return environment_file.load(str(path), variables=variables)


@pytest.mark.parametrize(
    ("name", "stage", "database", "required"),
    [
        ("local", "prod", "embedded", set()),
        ("dev", "dev", "external", {"DATABASE_URL", "PORT", "ANTHROPIC_API_KEY"}),
        ("qa", "qa", "external", {"ENABLE_PATTERN_LEARNING", "ADMIN_TOKEN"}),
        ("prod", "prod", "external", {"ENABLE_PATTERN_LEARNING", "ENABLE_AI_FALLBACK", "ADMIN_TOKEN"}),
    ],
)
def test_the_projects_environments_are_valid(name: str, stage: str, database: str, required: set[str]) -> None:
    """Each names its stage, its kind of database and the variables that its stage needs."""
    found = environment_file.load(name, variables={})
    assert (found.name, found.stage, found.database) == (name, stage, database)
    assert required <= set(found.required)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"x\.toml: \[environment\]: missing"),
        ("[environment", r"x\.toml: not valid TOML"),
        (GOOD.replace("stage", "stge"), r"x\.toml: environment\.stge: unknown key; known here: alerts, base_url, "),
        (
            GOOD + "[look.log]\nwindow_s = 1",
            r"x\.toml: look: unknown key; known here: contract, environment, looks, migrations, no_regression,",
        ),
        (
            GOOD + '[criteria."prod.certificate"]\napplies_when = "snow"\n',
            r"x\.toml: criteria: unknown key; known here: ",
        ),
        (GOOD.replace('"dev"', '"test"'), r"environment\.stage: 'test' is not one of dev, qa, prod"),
        (GOOD.replace('"dev"', "1"), r"environment\.stage: 1 is not one of dev, qa, prod"),
        (
            GOOD.replace('"external"', '"mysql"'),
            r"environment\.database: 'mysql' is not one of embedded, external, none",
        ),
        (GOOD.replace('host = "0.0.0.0"\n', ""), r"environment\.host: missing; give an address"),
        (GOOD + 'base_url = "qa:8080"\n', r"environment\.base_url: 'qa:8080' is no URL; write e\.g\."),
        (
            GOOD + 'base_url = "https://me:canary@qa/"\n',
            r"environment\.base_url: no user or password belongs there; leave out what is before the @, and",
        ),
        (GOOD + 'base_url = "me:canary@qa:8080"\n', r"environment\.base_url: no user or password belongs there"),
        *(
            (GOOD + f"{address}instances = {instances}\n", rf"environment\.instances: {message}")
            for address, instances, message in (
                (BALANCED, '"http://a"', r"not a list of 2 to 12 URLs; write e\.g\."),
                (BALANCED, '["http://a"]', "not a list of 2 to 12 URLs"),
                (BALANCED, str([f"http://a:{port}" for port in range(13)]), "not a list of 2 to 12 URLs"),
                (BALANCED, '["http://a", 1]', r"1 is no URL; write e\.g\."),
                (BALANCED, '["http://a", "tcp://b"]', "'tcp://b' is no URL"),
                (BALANCED, '["http://a", "http://me:canary@b"]', "no user or password belongs there"),
                (BALANCED, '["http://a", "http://b", "http://a/"]', "http://a is there twice; name each instance once"),
                ("", '["http://a", "http://b"]', "set base_url as well: the address of the load balancer"),
            )
        ),
        *(
            (GOOD + f"log = {log}\n", r"environment\.log: neither a file nor ssh://\[user@\]host\[:port\]/file without")
            for log in (
                *('""', "1", '"server.log"', '"/var/log/"', '"ssh://qa"', '"ssh://qa/"', '"ssh://qa:x/log"'),
                *('"ssh://me:canary@qa/log"', '"ssh://-oProxyCommand=x/log"', '"ssh://a b/log"', '"http://qa/log"'),
                *('"ssh://@qa/log"', '"ssh://qa/a\\nb"'),
            )
        ),
        (
            GOOD + 'rehearsal_host = "ssh://me:canary@qa"\n',
            r'environment\.rehearsal_host: only "local" is built: a copy',
        ),
        (GOOD + "rehearsal_host = 1\n", r"environment\.rehearsal_host: only"),
        (GOOD + "no_regression = 1\n", r"environment\.no_regression: unknown key"),
        ("no_regression = 1\n" + GOOD, r"x\.toml: no_regression: 1 is not a table; write e\.g\. p99_ratio = 1\.25"),
        (
            GOOD + "[no_regression]\np99_ratio = 0.25\n",
            r"no_regression\.p99_ratio: 0\.25 is not a number above 1; give e\.g\. 1\.25: a quarter more",
        ),
        (GOOD + "[no_regression]\nerrors_more = 0\n", r"no_regression\.errors_more: 0 is not a number above 0; give"),
        (GOOD + "[no_regression]\np99_ratio = inf\n", r"no_regression\.p99_ratio: inf is not a number above 1"),
        (GOOD + "[no_regression]\np99_ratio = true\n", r"no_regression\.p99_ratio: True is not a number above 1"),
        (GOOD + "[contract]\npath = 1\n", r"x\.toml: contract\.path: unknown key; known here: paths, fields, metrics"),
        (
            GOOD + 'remote = "https://canary-token@git.test/x.git"\n',
            r"environment\.remote: give a git URL or path without a password or token",
        ),
        (GOOD + "remote = 1\n", r"environment\.remote: give a git URL or path without a password"),
        (
            GOOD + 'remote = "https://me:secret@git.test/x.git"\n',
            r"environment\.remote: give a git URL or path without",
        ),
        (
            GOOD + 'alerts = "slack://token"\n',
            r"environment\.alerts: not the name of a variable; the Apprise URLs contain",
        ),
        (GOOD + 'required = ["PROT"]\n', r"environment\.required: \['PROT'\] is not a list of variables; choose from"),
        (GOOD + "required = [1]\n", r"environment\.required: \[1\] is not a list of variables"),
        (GOOD + "required = [[1]]\n", r"environment\.required: \[\[1\]\] is not a list of variables"),
        (GOOD + "defaults = 3\n", r"environment\.defaults: 3 is not a table"),
        (GOOD + "[environment.defaults]\nADMIN_TOKEN = 'x'\n", r"defaults\.ADMIN_TOKEN: a secret does not belong"),
        (GOOD + "[environment.defaults]\nPROT = '1'\n", r"environment\.defaults\.PROT: unknown variable; known: "),
        (
            GOOD + "[environment.defaults]\nRATE_LIMIT_ENABLED = true\n",
            r'defaults\.RATE_LIMIT_ENABLED: true is not a text; write it in quotes: RATE_LIMIT_ENABLED = "true"$',
        ),
        (GOOD + "[environment.defaults]\nPORT = 80\n", r'PORT: 80 is not a text; write it in quotes: PORT = "80"$'),
        (GOOD + "[environment.defaults]\nPORT = '0'\n", r"PORT: '0' is not a port; give a number from 1 to 65535"),
        (GOOD + '[environment.defaults]\nPORT = "\\u0661"\n', r"PORT: '\u0661' is not a port"),
        (
            GOOD + "[environment.defaults]\nRATE_LIMIT_ENABLED = 'yes'\n",
            r"RATE_LIMIT_ENABLED: 'yes' is not true or false",
        ),
        (GOOD + "[looks.log]\nwindow_s = 0\n", r"looks\.log\.window_s: 0 is not above 0; give a number, e\.g\. 60"),
        (GOOD + "[looks.log]\nwindow_s = true\n", r"looks\.log\.window_s: True is not above 0"),
        (GOOD + "[looks.log]\nwindow_s = nan\n", r"looks\.log\.window_s: nan is not above 0"),
        (GOOD + "[looks.log]\nwindow_s = inf\n", r"looks\.log\.window_s: inf is not finite; give a number"),
        (GOOD + "looks = 1\n", r"unknown key"),
        (
            GOOD + "[server]\nhand_over = true\n",
            r"server\.hand_over: unknown key; known here: artifact, handover, paths, ready_s",
        ),
        (GOOD + "[server]\nhandover = 1\n", r"server\.handover: 1 is not true or false"),
        (GOOD + "[server]\npaths = '/'\n", r"server\.paths: '/' is not a list of texts; write e\.g\. \[\"/healthz\"\]"),
        (GOOD + "[server]\npaths = ['x']\n", r"server\.paths: each begins with a slash"),
        (GOOD + "[server]\nartifact = 'x'\n", r"server\.artifact: 'x' is neither an absolute path nor a URL"),
        (GOOD + "[server]\nready_s = 0\n", r"server\.ready_s: 0 is not above 0; give seconds"),
        (GOOD + "criteria = 'suites'\n", r"environment\.criteria: 'suites' is no \.toml file"),
        (GOOD + "client_names = 'gate'\n", r"environment\.client_names: 'gate' is no name with one \{\} in it"),
        (GOOD + "promotion = 'no'\n", r"environment\.promotion: 'no' is not one of required, advisory"),
        (GOOD + "[promotion]\nkey = 'x'\n", r"promotion\.key: unknown key; known here: signing_key, valid_for"),
        (GOOD + "[promotion]\nsigning_key = 1\n", r"promotion\.signing_key: 1 is not the path of an SSH key"),
        (GOOD + "[promotion]\nvalid_for = 7\n", r"promotion\.valid_for: 7 is no number of days or hours"),
        (GOOD + "[promotion]\nvalid_for = '0d'\n", r"promotion\.valid_for: '0d' is no number of days or hours"),
        (GOOD + "[migrations]\nallow = [1]\n", r"migrations\.allow: \[1\] is not a list of texts"),
        ("prove = 1\n" + GOOD, r"prove: 1 is not a table"),
        (GOOD + "[prove]\nbuild = 'make'\n", r"prove\.faults: missing; give a folder"),
        (GOOD + "[prove]\nfaults = 'f'\n", r"prove\.build: missing; give a command"),
        (GOOD + "[prove]\nfaults = 'f'\nbuild = ''\n", r"prove\.build: an empty command"),
        (GOOD + "[prove]\nfaults = 'f'\nbuild = \"'\"\n", r"prove\.build: .* No closing quotation"),
        (GOOD + "[prove]\nfaults = 'f'\nbuild = 'make'\napply = 'patch'\n", r"prove\.apply: no \{patch\} in 'patch'"),
        (GOOD + "[prove]\nfault = 'f'\n", r"prove\.fault: unknown key; known here: apply, build, faults"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """Every error names the file, the key and what to write."""
    with pytest.raises(EnvironmentFileError, match=message) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "log", "written"),
    [
        ("/var/log/x.log", LogLocation("/var/log/x.log"), "/var/log/x.log"),
        ("ssh://qa/x y.log", LogLocation("/x y.log", "qa"), "ssh://qa/x y.log"),
        ("ssh://me@qa.test:2222/a/b", LogLocation("/a/b", "me@qa.test", 2222), "ssh://me@qa.test:2222/a/b"),
        ("ssh://me@[::1]:22/a", LogLocation("/a", "me@::1", 22), "ssh://me@[::1]:22/a"),
    ],
)
def test_where_the_log_is_may_be_said(tmp_path: Path, text: str, log: LogLocation, written: str) -> None:
    """As a file of this machine or by an ssh URL, and told again as it was written."""
    assert load(tmp_path, GOOD + f'log = "{text}"\n').log == log
    assert str(log) == written


def test_the_page_about_targets_shows_what_can_be_read(tmp_path: Path) -> None:
    """Its examples, one below the other, are an environment file."""
    page = (ROOT / "docs" / "targets.md").read_text()
    (tmp_path / "adapters").mkdir()
    shutil.copy(ROOT / "environments" / "adapters" / "stranger.py", tmp_path / "adapters" / "ours.py")
    found = load(tmp_path, "\n".join(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)))
    assert (found.base_url, str(found.log)) == (
        "https://qa.test:8443/gaia",
        "ssh://me@qa.test:2222/var/log/gaia.log",
    )
    assert found.names.paths["/health"] == "/healthz"


def test_how_faults_are_seeded_is_read(tmp_path: Path) -> None:
    """The folder is relative to the file's own, and git applies patches unless another command does."""
    found = load(tmp_path, GOOD + "[prove]\nfaults = '../faults'\nbuild = 'make all'\n").prove
    assert found == ProveSettings(tmp_path.parent / "faults", "git apply {patch}", "make all")
    assert load(tmp_path, GOOD).prove is None


def test_without_a_word_a_target_is_ours(tmp_path: Path) -> None:
    """Its log is where the deployment says, its copy runs here, and it keeps the contract's names."""
    found = load(tmp_path, GOOD)
    assert (found.log, found.rehearsal_host, found.names) == (None, "local", Names())
    assert load(tmp_path, GOOD + 'rehearsal_host = "local"\n').rehearsal_host == "local"
    assert load(tmp_path, GOOD + '[contract.fields]\nrule_name = "name"\n').names == Names(fields={"rule_name": "name"})


def test_an_unknown_environment_lists_the_known(tmp_path: Path) -> None:
    """A typo in the name is answered with the names there are."""
    with pytest.raises(EnvironmentFileError, match=r"locl: no such environment \(did you mean local\?\); known: dev,"):
        environment_file.load("locl", variables={})
    with pytest.raises(EnvironmentFileError, match=r"nowhere: no such environment \(.*nowhere.toml does not exist\);"):
        environment_file.load("nowhere", variables={})
    with pytest.raises(EnvironmentFileError, match="cannot be read"):
        environment_file.load(str(folder_named_like_a_file(tmp_path)), variables={})


def folder_named_like_a_file(folder: Path) -> Path:
    """Make a folder where a file is expected."""
    path = folder / "y.toml"
    path.mkdir()
    return path


def test_all_missing_variables_are_named_at_once(tmp_path: Path) -> None:
    """One run tells everything that has to be set; what is set to nothing is missing too."""
    found = load(tmp_path, GOOD + 'required = ["ADMIN_TOKEN", "DATABASE_URL", "PORT"]\n', ADMIN_TOKEN="")
    with pytest.raises(
        MissingVariable, match=r"x: ADMIN_TOKEN, DATABASE_URL not set; x\.toml requires them: export ADM"
    ):
        found.variables()


def test_variables_override_defaults_and_strangers_stay_out(tmp_path: Path) -> None:
    """The process's variables win over the file's defaults; what the contract does not know is left out."""
    text = GOOD + '[environment.defaults]\nPORT = "8080"\nRATE_LIMIT_ENABLED = "true"\n'
    found = load(tmp_path, text, PORT="9000", SHELL="/bin/sh")
    assert found.variables() == {"PORT": "9000", "RATE_LIMIT_ENABLED": "true"}
    assert found.port == 9000


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"), ("::1", "http://[::1]:80"), ("gaia.example", "http://gaia.example:80"),
    ],
)  # fmt: skip
def test_how_this_machine_reaches_the_server(host: str, url: str) -> None:
    """An address that means "all of them" is reached by loopback; IPv6 stands in brackets."""
    assert url_of(host, 80) == url


def test_folders_come_from_variables_else_from_the_kind_of_database(tmp_path: Path) -> None:
    """GAIA_HOME, GAIA_LOG_DIR and GAIA_REPORTS win; an embedded environment keeps to the project's folder."""
    given = load(tmp_path, GOOD, GAIA_HOME="/h", GAIA_LOG_DIR="/l", GAIA_REPORTS="/r")
    assert (given.home, given.log_dir, given.reports) == (Path("/h"), Path("/l"), Path("/r"))
    external = load(tmp_path, GOOD)
    assert (external.home, external.log_dir) == (Path("/var/lib/gaia"), Path("/var/log/gaia"))
    local = environment_file.load("local", variables={})
    assert (local.home, local.log_dir) == (ROOT / ".gaia", ROOT / ".gaia" / "log")


SECRETS = {
    "DATABASE_URL": "postgresql://gaia:canary%2Fpass@db/x",
    "ADMIN_TOKEN": "canary-token",
    "ANTHROPIC_API_KEY": "canary-key",
}


@pytest.mark.parametrize(
    "text",
    [
        "connecting to postgresql://gaia:canary%2Fpass@db/x",
        "password canary/pass and canary%2Fpass",
        "Authorization: Bearer canary-token",
        "Bearer some-other-canary",
        "key=canary-key;",
        "postgres://somebody:other-canary@elsewhere/db",
        "host=db password=canary1 dbname=x",
        "host=db password='canary 2' dbname=x",
        "host=db sslpassword=canary4 dbname=x",
    ],
)
def test_no_secret_survives_redaction(tmp_path: Path, text: str) -> None:
    """Ours go by value, anybody's by the shapes that give them away."""
    here = load(tmp_path, GOOD, **SECRETS)
    assert "canary" not in here.redact(text)
    assert "***" in here.redact(text)
    assert "canary" not in redact(text, SECRETS)


@pytest.mark.parametrize(
    ("dsn", "secrets"),
    [
        ("postgresql://u:canary%21a@h/db", {"canary%21a", "canary!a"}),
        ("postgresql://u:canary#a?b@h/db", {"canary#a?b"}),
        ("postgresql://u:canary/a@b@h/db", {"canary/a@b"}),
        ("postgresql://u:canary-a@h/db?application_name=a@b", {"canary-a"}),
        ("postgresql://u@h/db?password=canary%21a&sslmode=require&sslpassword=canary-b", {"canary!a", "canary-b"}),
        ("postgresql://u:canary-a@h/db?sslpassword=canary-b", {"canary-a", "canary-b"}),
        ("host=h password=can'ary-a dbname=x", {"can'ary-a"}),
        (r"host=h sslpassword = 'can\'ary \\ a' password=can\ ary&b", {r"can'ary \ a", "can ary&b"}),
        ("password='canary://a' host=h", {"canary://a"}),
    ],
)
def test_passwords_are_found_in_every_form_of_a_connection_string(dsn: str, secrets: set[str]) -> None:
    """By user, parameter or keyword, quoted or not: what PostgreSQL takes for a password is a secret."""
    for secret in secrets:
        assert redact(f"tried {secret}.", {"DATABASE_URL": dsn}) == "tried ***."


def test_each_of_several_urls_is_a_secret() -> None:
    """An alert's URL often is its own password, and a log may name one of them."""
    urls = {"ALERT_URLS": "https://hooks.example/canary-a, https://hooks.example/canary-b"}
    assert redact("posted to https://hooks.example/canary-b: 200", urls) == "posted to ***: 200"


def test_every_variable_of_the_contract_reaches_the_server(tmp_path: Path) -> None:
    """What the settings read, what the contract lists, and what is passed on are the same names."""
    read = set(re.findall(r'"([A-Z][A-Z_]{3,})"', Path(settings.__file__).read_text()))
    table = (ROOT / "docs" / "contract.md").read_text().partition("**Sockets.**")[0]
    listed = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([A-Z_]+)`", row)
    }
    assert read == listed == file_entries.SERVER_NAMES
    given = dict.fromkeys(listed, "true") | dict.fromkeys(listed & SECRET_NAMES, "a-secret") | {"PORT": "8080"}
    assert load(tmp_path, GOOD, **given).variables() == given
    defaults = {name: value for name, value in given.items() if name not in SECRET_NAMES}
    lines = "".join(f"{name} = '{value}'\n" for name, value in defaults.items())
    assert load(tmp_path, f"{GOOD}[environment.defaults]\n{lines}").variables() == defaults


@pytest.mark.parametrize(
    "disguise",
    [
        r"canary\"token <&>\\/\u00e9",
        r"canary\"token <&>\\/é",
        "canary&quot;token &lt;&amp;&gt;\\/é",
        'canary"token &lt;&amp;&gt;\\/é',
        "canary%22token%20%3C%26%3E%5C/%C3%A9",
        "canary%22token%20%3c%26%3e%5c%2f%c3%a9",
        "canary%22token+%3C%26%3E%5C%2F%C3%A9",
    ],
)
def test_a_secret_is_known_in_disguise(tmp_path: Path, disguise: str) -> None:
    """Escaped for JSON, HTML, a URL or a form, it is still the secret."""
    here = load(tmp_path, GOOD, ADMIN_TOKEN='canary"token <&>\\/é')
    assert here.redact(f"x {disguise} y") == "x *** y"


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("ADMIN_TOKEN", "a", "the value is shorter than 8 characters, too short for a secret; choose a longer one"),
        ("ANTHROPIC_API_KEY", "1234567", "the value is shorter than 8 characters"),
        (
            "ADMIN_TOKEN",
            "canary-token\n",
            "the value contains a line break, or begins or ends with a space; take that out",
        ),
        ("ADMIN_TOKEN", "        ", "the value contains a line break, or begins or ends with a space"),
        ("ADMIN_TOKEN", "canary-\x1btoken", "the value contains a line break"),
        ("DATABASE_URL", "postgresql://u:p@h/db", "its password is shorter than 8 characters"),
        ("DATABASE_URL", "postgresql://u:%61%62%63@h/db", "its password is shorter than 8 characters"),
        ("DATABASE_URL", "host=h password='pass' dbname=x", "its password is shorter than 8 characters"),
        ("DATABASE_URL", "postgresql://u:canary-a%0Ab@h/db", "its password contains a line break"),
    ],
)
def test_what_cannot_be_kept_out_of_a_text_is_no_secret(tmp_path: Path, variable: str, value: str, why: str) -> None:
    """It is refused where it is configured, in one line without it, before it could garble every output."""
    with pytest.raises(EnvironmentFileError) as caught:
        load(tmp_path, GOOD, **{variable: value})
    said = str(caught.value)
    assert f": {variable}: {why}" in said
    assert "\n" not in said
    assert redact("a discreet distance", {variable: value}) == "a discreet distance"


def test_a_database_without_a_password_needs_none(tmp_path: Path) -> None:
    """Peer authentication, a password file, a service."""
    for address in ("postgresql:///db", "postgresql://u:@h/db", "host=/run dbname=x", "service=x"):
        assert load(tmp_path, GOOD, DATABASE_URL=address).redact("nothing") == "nothing"


def test_an_environment_does_not_show_its_secrets(tmp_path: Path) -> None:
    """A traceback or a log that prints the object prints no secret."""
    assert "canary" not in repr(load(tmp_path, GOOD, **SECRETS))


def test_the_urls_of_alerts_come_from_the_variable_that_the_file_names(tmp_path: Path) -> None:
    """They hold tokens: redacted wherever they stand, shown nowhere, and given to no server."""
    urls = "slack://canary-a/canary-b json://host/canary-c"
    found = load(tmp_path, GOOD + 'alerts = "TELL_QA"\n', TELL_QA=urls)
    assert found.alert_urls == ("slack://canary-a/canary-b", "json://host/canary-c")
    assert found.redact(f"sent to {urls}") == "sent to *** ***"
    assert set(found.alert_urls) <= set(found.secrets)
    assert "canary" not in repr(found)
    assert "TELL_QA" not in found.variables()


def test_surroundings_put_this_python_first() -> None:
    """A script that asks for python3 gets the one that runs us; nothing but the three names goes on."""
    found = process_variables.surroundings({"PATH": "/bin", "HOME": "/h", "LANG": "C", "ADMIN_TOKEN": "canary"})
    assert set(found) == {"PATH", "HOME", "LANG"}
    assert found["PATH"].endswith(":/bin")
    assert process_variables.surroundings({})["PATH"].count(":") >= 1
