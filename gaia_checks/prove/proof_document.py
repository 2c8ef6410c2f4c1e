"""The kill matrix as a page of Markdown. Pure."""

from collections.abc import Mapping, Sequence

from gaia_checks.prove import kill_matrix
from gaia_checks.prove.fault_catalogue import CataloguedFault
from gaia_checks.prove.fault_verdict import CAUGHT, KINDS, ProofResult

_TOP = """\
# Proof: which faults the gate catches

Each line is a fault: a small change of the server's source or migrations. `gaia prove` built it, deployed it in an
environment of its own and gated it, with windows as short as still decide. A fault counts as *caught* only when the
criterion of its folder failed; *refused earlier* means that the build, a migration or the deployment stopped it. The
seconds are those of the gate that was red, from its start to its end.

`make prove` repeats what has changed since, and writes this page; `gaia prove --list` shows the catalogue, and
[how-to/prove.md](how-to/prove.md) says how to add a fault.

"""


def markdown(faults: Sequence[CataloguedFault], results: Mapping[str, ProofResult], about: str) -> str:
    """Return the page; `about` says when and on what it was measured."""
    total = kill_matrix.text(kill_matrix.figures(faults, results))
    summary = kill_matrix.by_criterion(faults, results)
    kinds = (*KINDS, kill_matrix.NOT_RUN)
    lines = [_line(("criterion", *kinds, "median s")), _line(("---", *["---:"] * (len(kinds) + 1)))]
    for name, found in summary.items():
        median = "" if found.median_s is None else f"{found.median_s:.0f}"
        lines.append(_line((f"`{name}`", *(str(found.counts.get(kind, "")) for kind in kinds), median)))
    got_through = [fault for fault in faults if _verdict(fault, results) not in (CAUGHT, kill_matrix.NOT_RUN)]
    return "\n".join(
        (
            f"{_TOP}{about}\n\n**{total}.**\n",
            *lines,
            *_section("What was not caught by its criterion", got_through, results),
            *_section("What was caught", [fault for fault in faults if _verdict(fault, results) == CAUGHT], results),
            "",
        )
    )


def _section(title: str, faults: Sequence[CataloguedFault], results: Mapping[str, ProofResult]) -> list[str]:
    if not faults:
        return []
    what = {fault.name: fault.what for fault in faults}
    head = ("fault", "what is broken", "verdict", "seconds", "reason")
    rows = [
        (f"`{name}`", what[name], verdict, seconds, reason)
        for name, _, verdict, seconds, reason in kill_matrix.rows(faults, results)
    ]
    return ["", f"## {title}", "", _line(head), _line(("---", "---", "---", "---:", "---")), *map(_line, rows)]


def _verdict(fault: CataloguedFault, results: Mapping[str, ProofResult]) -> str:
    return results[fault.name].verdict if fault.name in results else kill_matrix.NOT_RUN


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    for special in "\\|<*_[":
        text = text.replace(special, f"\\{special}") if not text.startswith("`") else text
    return text
