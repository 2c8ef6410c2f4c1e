"""The commands of the pages that no test runs, each with the reason. This table only shrinks."""

CI = "a step of .ci/run, which is what CI runs on every push"
FIRST = "CI tries one fault of each criterion: FAULTS=first"
HOURS = "every fault of the catalogue takes hours; tests/prove/test_proven.py runs the command for one"
ROOT = "needs root, and systemd as the machine's first process"

NOT_RUN = {
    "make gate": CI,
    "make check": CI,
    "make test": CI,
    "make test-killed": CI,
    "make test-faults": FIRST,
    "make prove": HOURS,
    "gaia prove --jobs 2": HOURS,
    "useradd --system --home-dir /var/lib/gaia --shell /usr/sbin/nologin gaia": "needs root",
    "systemctl daemon-reload && systemctl enable --now gaia-watch@dev": ROOT,
    "journalctl -fu gaia-watch@dev": ROOT,
    "systemctl enable --now gaia_server@qa.socket gaia_server@qa.service": ROOT,
    "systemctl restart gaia_server@qa": ROOT,
}
"""A command, without the remark after it -> why no test runs it. Their words are checked all the same."""
