"""The command ``doctor``: every configured name with its status, the cause, and the remedy.

Exit code 1 if something that was asked for does not work, else 0. ``--json`` prints an object;
keys may be added, none goes within a major version::

    {"healthy": false,                  # whether the exit code is 0
     "findings": [{
        "subject": "slack",             # the handler's name, a variable's, or a host's
        "status": "problem",            # ok, note, warning, problem
        "cause": "not installed",
        "remedy": "pip install chain-callbacks-slack",   # empty where nothing is to be done
        "source": "CHAIN_CALLBACKS",    # who asks for it; empty for a variable
        "distribution": null,           # where the handler comes from, null where it is unknown
        "version": null,
        "location": null,
        "events": null,                 # how many it implements, null where it cannot be made
        "import_seconds": null          # by a fresh interpreter, null where it was not imported
    }]}
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from ..inspection.doctor import Finding, diagnose, worst
from ..inspection.hosts import findings as host_findings
from ..text import aligned, one_line
from .output import bold, dim, say, say_data

_MARKS: Final = {"ok": "ok", "note": "-", "warning": "warning", "problem": "PROBLEM"}


def run(arguments: Namespace) -> int:
    """Print what there is to say of the configuration; return 1 if something does not work."""
    findings = [*diagnose(timeout=arguments.timeout), *host_findings()]
    is_healthy = worst(findings) != "problem"
    if arguments.json:
        say_data({"healthy": is_healthy, "findings": [asdict(each) for each in findings]})
        return 0 if is_healthy else 1
    for line in _lines(findings):
        say(line)
    say()
    say(_verdict(findings))
    return 0 if is_healthy else 1


def _lines(findings: list[Finding]) -> Iterator[str]:
    cells = [(_MARKS[each.status], each.subject, each.cause) for each in findings]
    for each, line in zip(findings, aligned(("", "", ""), cells).splitlines()[1:], strict=True):
        yield bold(line) if each.status == "problem" else line
        if each.remedy:
            yield f"{'':9}-> {one_line(each.remedy)}"
        origin = _origin(each)
        if origin:
            yield dim(f"{'':9}   {origin}")


def _origin(each: Finding) -> str:
    parts = [f"asked for by {each.source}" if each.source else ""]
    if each.distribution is not None:
        parts.append(f"from {each.distribution} {each.version or ''}".rstrip())
    if each.location is not None:
        parts.append(f"in {each.location}")
    if each.import_seconds is not None:
        parts.append(f"imported in {each.import_seconds:.2f} s")
    return one_line(", ".join(filter(None, parts)))


def _verdict(findings: list[Finding]) -> str:
    count = sum(each.status == "problem" for each in findings)
    if not count:
        return "Everything that was asked for works."
    return f"{count} thing{'s do' if count > 1 else ' does'} not work."
