"""The limit of wrong tokens."""

from gaia_server.guesses import BURST, INTERVAL_S, KNOWN_S, MAX_ADDRESSES, Guesses

NOW = 1_750_000_000.0


def wrong() -> bool:
    """A token that is not the admin token."""
    return False


def right() -> bool:
    """The admin token."""
    return True


def exhausted(guesses: Guesses, address: str = "192.0.2.7") -> None:
    """Send as many wrong tokens as an address may send at once."""
    assert [guesses.compare(address, wrong, NOW) for _ in range(BURST)] == [False] * BURST


def test_a_burst_and_one_per_interval() -> None:
    """After the burst nothing is compared, not even the right token; then one wrong token per interval."""
    guesses = Guesses()
    exhausted(guesses)
    assert guesses.compare("192.0.2.7", right, NOW) is None
    assert guesses.retry_s("192.0.2.7", NOW) == INTERVAL_S
    assert guesses.compare("192.0.2.7", wrong, NOW + INTERVAL_S - 0.1) is None
    assert guesses.compare("192.0.2.7", wrong, NOW + INTERVAL_S) is False
    assert guesses.compare("192.0.2.7", wrong, NOW + INTERVAL_S) is None
    assert guesses.compare("192.0.2.7", right, NOW + 2 * INTERVAL_S) is True


def test_addresses_are_limited_apart() -> None:
    """Another address is not affected."""
    guesses = Guesses()
    exhausted(guesses)
    assert guesses.retry_s("192.0.2.8", NOW) == 0
    assert guesses.compare("192.0.2.8", right, NOW) is True


def test_the_right_token_of_a_known_address_always_passes() -> None:
    """Others at its address cannot delay an administrator, and their wrong tokens are refused nevertheless."""
    guesses = Guesses()
    assert guesses.compare("192.0.2.7", right, NOW) is True
    exhausted(guesses)
    for _ in range(50):
        assert guesses.compare("192.0.2.7", wrong, NOW) is None
        assert guesses.compare("192.0.2.7", right, NOW) is True
    assert guesses.retry_s("192.0.2.7", NOW) == INTERVAL_S
    later = NOW + KNOWN_S
    assert [guesses.compare("192.0.2.7", wrong, later) for _ in range(BURST)] == [False] * BURST
    assert guesses.compare("192.0.2.7", right, later) is None


def test_a_clock_that_goes_back() -> None:
    """A clock that goes back by a day does not lock for a day."""
    guesses = Guesses()
    exhausted(guesses)
    yesterday = NOW - 86_400
    assert guesses.compare("192.0.2.7", wrong, yesterday) is None
    assert guesses.retry_s("192.0.2.7", yesterday) == INTERVAL_S
    assert guesses.compare("192.0.2.7", wrong, yesterday + INTERVAL_S) is False


def test_memory_is_bounded() -> None:
    """The least recent addresses are forgotten."""
    guesses = Guesses()
    exhausted(guesses)
    for number in range(MAX_ADDRESSES):
        guesses.compare(str(number), wrong, NOW)
    assert guesses.compare("192.0.2.7", wrong, NOW) is False
