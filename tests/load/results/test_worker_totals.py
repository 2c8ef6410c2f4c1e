"""What each worker sent: the checks of the load are those of the worst of them."""

from gaia_checks.load.results.aggregate import Total
from gaia_checks.load.results.generator_usage import Shares
from gaia_checks.load.results.measurements import measurements
from gaia_checks.load.results.per_second import Arrival, Second, SecondCounter
from gaia_checks.load.results.worker_totals import WorkerTotals


def second(*, late_s: float, lost: int = 0, cpu: float = 0.1) -> Second:
    """Return a second of one worker: 100 requests, all sent this late, some of them lost by the generator."""
    counter = SecondCounter(1.0)
    for number in range(100):
        due_s = number / 100
        counter.intend()
        counter.send(due_s, due_s + late_s)
        if number < lost:
            counter.break_down(due_s, "OSError: no port left")
        else:
            counter.end(Arrival(due_s, due_s + late_s, due_s + late_s + 0.002, None, answered=True, route="GET /"))
    return counter.close(0, 1.0, Shares(cpu, 0.0, 0.0), last=True)


def test_the_worst_worker_counts_and_is_named() -> None:
    """One of twenty workers is late, another loses requests: in the sum of all, neither would be noticed."""
    seconds = [second(late_s=0.0001) for _ in range(18)]
    seconds += [second(late_s=0.05, cpu=0.6), second(late_s=0.0001, lost=1)]
    total = Total(1.0, workers=20)
    workers = [WorkerTotals(f"host-{number} (pid 7)", "1.2.0", "http://qa", 0.003, 0.0002) for number in range(20)]
    for worker, its in zip(workers, seconds, strict=True):
        worker.add(its)
    merged = Second(0)
    for its in seconds:
        merged.add(its)
    total.add(merged)
    without = {each.name: each for each in measurements(total.result())}
    result = {**total.result(), "by_worker": [worker.to_json() for worker in workers]}
    found = {each.name: each for each in measurements(result)}
    assert found["load.send_lateness_p99"].value >= 50
    assert found["load.send_lateness_p99"].notes == ("the worst worker: host-18 (pid 7)",)
    assert (without["load.sent_of_intended"].value, found["load.sent_of_intended"].value) == (0.9995, 0.99)
    assert found["load.sent_of_intended"].notes[0] == "the worst worker: host-19 (pid 7)"
    assert found["load.generator_cpu"].value == 0.6
    assert (found["load.workers"].value, found["load.workers"].n) == (20, 1999)
    assert (
        found["load.workers"].notes[0].startswith("host-0 (pid 7), gaia-checks 1.2.0: 100 of 100 sent to http://qa, ")
    )
    assert found["load.workers"].notes[0].endswith("clock +3.0 ms from the gate's, known to 0.2 ms")
    assert found["load.latency"].value == without["load.latency"].value
    assert "load.workers" not in without


def test_a_worker_that_sent_nothing_yet_is_described() -> None:
    """A worker whose first report has not come has no latency, and that is no error."""
    total = Total(1.0, workers=1)
    total.add(second(late_s=0.0))
    result = {**total.result(), "by_worker": [WorkerTotals("a (pid 1)", "1", "http://qa", 0.0, 0.0).to_json()]}
    found = {each.name: each for each in measurements(result)}
    assert "latency p99 unknown" in found["load.workers"].notes[0]
    assert found["load.sent_of_intended"].value is None
