"""Machines of their own, as network namespaces of this one, behind links that are cut, slow or lossy.

Each namespace has an address and a route to this machine, and no other. A slow link is a pair of TUN devices with a
queue in between: it needs no kernel module, which `tc netem` does.
"""

import fcntl
import itertools
import os
import select
import shutil
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_LARGEST = 65536
_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Machine:
    """One namespace."""

    name: str
    here: str  # this machine's address, on the link between them
    interface: str  # its end of the link

    def command(self, *argv: str) -> tuple[str, ...]:
        """Return the command line that runs there."""
        return ("ip", "netns", "exec", self.name, *argv)

    def cut(self) -> None:
        """Cut its link: to everybody else the machine is gone."""
        _ip("-n", self.name, "link", "set", self.interface, "down")

    def join(self) -> None:
        """Connect its link again."""
        _ip("-n", self.name, "link", "set", self.interface, "up")
        _ip("-n", self.name, "route", "replace", "default", "via", self.here)


@contextmanager
def machine() -> Iterator[Machine]:
    """Make a machine behind a quick link."""
    with _namespace() as (name, here, there, ours, theirs):
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs)
        _ip("link", "set", theirs, "netns", name)
        _address(name, here, there, ours, theirs)
        yield Machine(name, here, theirs)


@contextmanager
def slow_machine(*, delay_s: float, lose_every: int) -> Iterator[Machine]:
    """Make a machine behind a link that takes this long one way, and loses every so-many-th packet of each."""
    with ExitStack() as stack:
        name, here, there, ours, theirs = stack.enter_context(_namespace())
        ends = [_tun(ours), _tun(theirs)]
        for end in ends:
            stack.callback(os.close, end)
        _ip("link", "set", theirs, "netns", name)
        _address(name, here, there, ours, theirs)
        over = threading.Event()
        thread = threading.Thread(target=_forward, args=(ends, delay_s, lose_every, over))
        thread.start()
        stack.callback(thread.join)
        stack.callback(over.set)
        yield Machine(name, here, theirs)


@contextmanager
def _namespace() -> Iterator[tuple[str, str, str, str, str]]:
    """Make a namespace; yield its name, the addresses here and there, and the names of both ends of its link."""
    if os.geteuid() or not shutil.which("ip"):
        raise RuntimeError("these tests make network namespaces: run them as root, with: apt-get install iproute2")
    number, pid = next(_NUMBERS), os.getpid()
    name, net = f"gaia-test-{pid}-{number}", f"10.{100 + number % 100}.{pid % 250}"
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield name, f"{net}.1", f"{net}.2", f"gt{pid % 10**6}h{number % 1000}", f"gt{pid % 10**6}n{number % 1000}"
    finally:
        _ip("netns", "delete", name)  # its end of the link goes with it, and so does the other end


def _address(name: str, here: str, there: str, ours: str, theirs: str) -> None:
    _ip("address", "add", f"{here}/30", "dev", ours)
    _ip("link", "set", ours, "up")
    _ip("-n", name, "address", "add", f"{there}/30", "dev", theirs)
    _ip("-n", name, "link", "set", theirs, "up")
    _ip("-n", name, "route", "add", "default", "via", here)  # this machine's every address is reached by it


def _ip(*words: str) -> None:
    done = subprocess.run(("ip", *words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}; these tests make network namespaces, as root")


def _tun(name: str) -> int:
    """Return the file of a new TUN device: what is read was sent into it, what is written comes out of it."""
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def _forward(ends: Sequence[int], delay_s: float, lose_every: int, over: threading.Event) -> None:
    """Carry packets from each end to the other until it is over."""
    under_way: deque[tuple[float, int, bytes]] = deque()  # due, to which end, packet: in this order
    counts = dict.fromkeys(ends, 0)
    while not over.is_set():
        wait_s = max(0.0, under_way[0][0] - time.monotonic()) if under_way else 0.05
        for end in select.select(ends, (), (), min(wait_s, 0.05))[0]:
            packet = os.read(end, _LARGEST)
            counts[end] += 1
            if counts[end] % lose_every:
                under_way.append((time.monotonic() + delay_s, ends[1 - ends.index(end)], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, end, packet = under_way.popleft()
            try:
                os.write(end, packet)
            except OSError:  # that end is down
                continue
