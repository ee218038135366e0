"""What is wrong with a configuration, name by name: the cause, and what to do."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from ..errors import (
    BrokenPluginError,
    ChainCallbacksError,
    InvalidNameError,
    SettingsError,
    did_you_mean,
)
from ..resolution import instances, plugins
from ..resolution.delivery_options import applied_settings
from ..resolution.index import Candidate, index
from ..resolution.names import parse_entry
from ..resolution.settings import NAMES, VARIABLES, Settings, misspelt_variables, settings
from ..text import one_line, shortened
from .explain import explain

FindingStatus = Literal["ok", "note", "warning", "problem"]

DEFAULT_TIMEOUT: Final = 10.0
_SLOW: Final = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: The handler's name, or the variable.
        status: ``problem`` means that something that was asked for does not work.
        cause: What is the case, and why.
        remedy: What to do; empty if there is nothing to do.
        source: Who asks for it.
        distribution, version, location: Where a handler comes from; None if that is unknown.
        events: How many events it implements; None if it could not be made.
        import_seconds: How long a fresh interpreter took to import it.
    """

    subject: str
    status: FindingStatus
    cause: str
    remedy: str = ""
    source: str = ""
    distribution: str | None = None
    version: str | None = None
    location: str | None = None
    events: int | None = None
    import_seconds: float | None = None


def diagnose(*, timeout: float = DEFAULT_TIMEOUT) -> list[Finding]:
    """Return the findings about the configuration as it is now; never raise.

    Each plugin that is named is first imported in an interpreter of its own, for *timeout* seconds
    at most: one that hangs, or ends the process, is found and does no harm.
    """
    log = logging.getLogger("chain_callbacks")
    was_disabled, log.disabled = log.disabled, True  # The findings have all of it.
    try:
        return list(_findings(timeout))
    finally:
        log.disabled = was_disabled


def _findings(timeout: float) -> Iterator[Finding]:
    try:
        current = applied_settings()
    except SettingsError as error:
        yield from _settings_findings(error)
        return
    yield from map(_problem, current.problems)
    yield from _variable_findings()
    yield from _file_findings(current)
    if current.disabled:
        variable = VARIABLES["disabled"]
        cause = "nothing is attached to any run, handler objects included"
        yield Finding(variable, "warning", cause, f"unset {variable}")
        return
    if not current.callbacks and not current.require:
        yield Finding(NAMES, "note", "no handler is named", f"set {NAMES}=structlog")
    times: dict[str, float | str] = {}
    for candidate in _named_candidates():
        times[candidate.value] = _import_time(candidate, timeout)
    harmful = {value: why for value, why in times.items() if isinstance(why, str)}
    plugins.refused.update(harmful)
    try:
        yield from _resolved(times)
    finally:
        for value in harmful:
            del plugins.refused[value]


def _settings_findings(error: SettingsError) -> Iterator[Finding]:
    for problem in error.problems:
        subject, _, cause = problem.partition(": ")
        yield Finding(shortened(subject), "problem", cause, error.statement.remedy)


def _file_findings(current: Settings) -> Iterator[Finding]:
    """Yield a warning for each file that decides where handlers send data and others may write."""
    for path in filter(None, (current.config, current.secrets_dir)):
        for each in (path, path.parent):
            if _is_open_to_others(each):
                cause = f"{each} can be written by other users, who may redirect what handlers send"
                yield Finding(str(path), "warning", cause, f"chmod go-w {each}")


def _is_open_to_others(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    # In a folder with the sticky bit, such as /tmp, nobody replaces the files of others.
    is_sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    return os.name == "posix" and bool(mode & (stat.S_IWGRP | stat.S_IWOTH)) and not is_sticky


def _variable_findings() -> Iterator[Finding]:
    yield from map(_problem, misspelt_variables())
    known = instances.known_names()
    begins = f"{NAMES}_"
    seen: set[str] = set()
    for variable in sorted(os.environ):
        name, separator, _ = variable.removeprefix(begins).partition("__")
        handler = name.lower().replace("_", "-")
        if not variable.startswith(begins) or not separator or handler in seen:
            continue
        seen.add(handler)
        if handler not in known and not settings().section(handler, None):
            hint = did_you_mean(handler, known).strip() or "install it, or unset the variable"
            cause = f"a setting of {handler!r}, but there is no handler with that name"
            yield Finding(variable, "warning", cause, hint)


def _named_candidates() -> list[Candidate]:
    current = settings()
    refs = [*current.require, *current.plugins]
    for text, source, position in current.callbacks:
        with suppress(InvalidNameError):
            refs.append(parse_entry(text, source=source, position=position).ref)
    return list(
        {
            candidate.value: candidate
            for ref in refs
            if current.rule_against(ref) is None
            for candidate in index().find(ref)
        }.values()
    )


_PROBE: Final = """
import sys, time
begin = time.perf_counter()
sys.path[:] = {path!r}
try:
    __import__({module!r})
except KeyboardInterrupt:
    sys.exit("KeyboardInterrupt")
except BaseException:
    pass
print(time.perf_counter() - begin)
"""


def _import_time(candidate: Candidate, timeout: float) -> float | str:
    """Return the seconds that a fresh interpreter takes to import it, or why it must not be."""
    program = _PROBE.format(path=sys.path, module=candidate.entry_point.module)
    try:
        probe = subprocess.run(  # noqa: S603  The program is ours.
            [sys.executable, "-c", program],
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"importing it did not end within {timeout:g} s"
    if probe.returncode < 0:
        return f"importing it ended the interpreter by signal {-probe.returncode}"
    try:
        return float(probe.stdout.split()[-1])
    except (IndexError, ValueError):  # It ended before what it should print last.
        return f"importing it ended the interpreter with code {probe.returncode}"


def _resolved(times: dict[str, float | str]) -> Iterator[Finding]:
    try:
        resolution = explain()
    except ChainCallbacksError as error:
        yield _problem(error)
        return
    for problem in resolution.problems:
        yield _problem(problem)
    for row in resolution.rows:
        if row.status == "active":
            taken = times.get(row.provenance.value or "")
            seconds = taken if isinstance(taken, float) else None
            yield Finding(
                row.key,
                "ok",
                f"active, hears {len(row.events)} event{'s' if len(row.events) > 1 else ''}"
                + (f" as far as {row.operator} lets through" if str(row.operator) else ""),
                source=row.source,
                distribution=row.provenance.distribution,
                version=row.provenance.version,
                location=row.provenance.location,
                events=len(row.events),
                import_seconds=seconds,
            )
            if seconds is not None and seconds > _SLOW:
                yield Finding(row.key, "warning", f"importing it took {seconds:.1f} s")
        elif row.status in ("merged", "removed"):
            cause = row.reason or "into the same handler, which is there already"
            yield Finding(row.key or row.text, "note", f"{row.status} {cause}", source=row.source)


_SUBJECTS: Final = ("name", "entry", "plugin", "setting", "handler", "source")
"""The attributes of errors that say what they are about; an error has one of the first, or more."""


def _problem(error: ChainCallbacksError) -> Finding:
    """Return what an error states, with its parts apart."""
    about = [str(getattr(error, name)) for name in _SUBJECTS if hasattr(error, name)]
    statement = error.statement
    finding = Finding(
        shortened(about[0]) if about else "configuration",
        "problem",
        one_line(statement.cause),
        one_line(statement.remedy),
        shortened(about[-1]) if len(about) > 1 else "",
    )
    if isinstance(error, BrokenPluginError):
        finding = replace(
            finding,
            distribution=error.distribution,
            version=error.version,
            location=error.location,
        )
    return finding


def worst(findings: Sequence[Finding]) -> FindingStatus:
    """Return the gravest status among *findings*."""
    order: tuple[FindingStatus, ...] = ("problem", "warning", "note", "ok")
    statuses = {finding.status for finding in findings}
    for status in order:
        if status in statuses:
            return status
    return "ok"
