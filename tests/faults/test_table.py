"""The table of faults covers all criteria."""

from gaia_checks.judge import criteria_file
from tests.faults import test_dev, test_load, test_prod, test_qa
from tests.faults.table import FAULTS


def test_every_criterion_has_two_faults_at_least() -> None:
    """Every criterion has at least two faults."""
    promised = {criterion.id for criterion in criteria_file.load().criteria}
    assert promised == FAULTS.keys()
    assert {
        criterion: faults for criterion, faults in FAULTS.items() if len({fault.name for fault in faults}) < 2
    } == {}


def test_every_fault_is_tried() -> None:
    """Each criterion is in one of the files beside this one."""
    tried = sorted((*test_dev.CRITERIA, *test_qa.CRITERIA, *test_prod.CRITERIA, *test_load.CRITERIA))
    assert tried == sorted(FAULTS)
