"""Operations: memory, monitoring, shutdown, outages, growth, rollback, the previous release, certificate."""

import pytest

from gaia_checks.probes import certificate
from gaia_checks.probes.monitoring import monitoring_probe
from gaia_checks.probes.rehearsal import rollback, shutdown
from gaia_checks.suite import Look


@pytest.mark.criterion("prod.memory")
def test_memory_stable(look: Look) -> None:
    """The process tree stays below its limit and does not grow towards it."""
    look.recorded()


@pytest.mark.criterion("prod.monitoring")
def test_monitoring_updated(look: Look) -> None:
    """The metrics change with the requests sent, and every shipped query resolves."""
    look(monitoring_probe.probe)


@pytest.mark.criterion("qa.shutdown")
def test_shutdown_loses_nothing(look: Look) -> None:
    """On a rehearsal copy, SIGTERM interrupts no client, and neither it nor SIGKILL loses what is stored."""
    look(shutdown.probe, copy=look.bare_copy("shutdown"))


@pytest.mark.criterion("qa.outage")
def test_outages_are_borne(look: Look) -> None:
    """On a rehearsal copy, outages of the database are answered as configured, and end by themselves."""
    look.recorded()


@pytest.mark.criterion("prod.resources")
def test_no_growth_by_clients(look: Look) -> None:
    """On a rehearsal copy, the server keeps nothing of thousands of clients that came and left."""
    look.recorded()


@pytest.mark.criterion("prod.rollback")
def test_rollback_works(look: Look) -> None:
    """On a rehearsal copy, a rollback restores the previous release and its schema, and keeps the stored data."""
    look(rollback.probe, copy=look.copy("rollback"))


@pytest.mark.criterion("prod.no_regression")
def test_no_worse_than_the_previous_release(look: Look) -> None:
    """On rehearsal copies, under the same requests, this release is no worse than the previous one."""
    look.recorded()


@pytest.mark.criterion("prod.certificate")
def test_certificate_valid(look: Look) -> None:
    """Clients accept the certificate, and it does not expire soon; the gate may be unable to use this target."""
    look(certificate.probe, look.found)
