"""The clients of an outage judge each answer by the contract."""

import pytest

from gaia_checks.probes.rehearsal.outage.outage_clients import ADMITTED, UNDECIDED, Away, OutageClients, OutageReply
from tests.probes.servers import target

BEFORE, DURING = (1.0, 2.0), (4.0, 5.0)
AWAY = Away(3.0, 9.0)


@pytest.mark.parametrize(
    ("allows", "reply", "wrong"),
    [
        (False, OutageReply(*BEFORE, ADMITTED, has_limits=True), None),
        (False, OutageReply(*BEFORE, ADMITTED), "a request passed undecided, without RateLimit headers"),
        (False, OutageReply(*DURING, UNDECIDED, "1"), None),
        (True, OutageReply(*DURING, ADMITTED), None),
        (True, OutageReply(*DURING, ADMITTED, has_limits=True), "has RateLimit headers"),
    ],
)
def test_what_passes_must_be_decided_unless_it_may_pass(allows: bool, reply: OutageReply, wrong: str | None) -> None:
    """A request that passes a server that denies was decided, whenever it was sent: its answer has the headers."""
    found = OutageClients(target("http://127.0.0.1:1"), "key", allows=allows).wrong(reply, AWAY)
    assert (found is None) == (wrong is None)
    assert (wrong or "") in (found or "")
