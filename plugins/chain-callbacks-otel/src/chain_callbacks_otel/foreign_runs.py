"""Traces told to handlers, as runs that are over: outer ones start first, inner ones end first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from chain_callbacks import CallbackManager, ChainCallbacksError
from chain_callbacks.hosts import Run, bridges, run_at

from .foreign_errors import SpanError
from .foreign_spans import Telling, run_id_of, scope_of, telling_of
from .foreign_traces import Trace
from .names import SCOPE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

log = logging.getLogger("chain_callbacks")

_ALIASES = {"langchain": "langchain_core"}


class Step(NamedTuple):
    """A start or an end of a run, and when it was, in nanoseconds since 1970."""

    at: int
    tell: Callable[[], None]


class _Node:
    __slots__ = ("children", "end", "run", "start", "telling")

    def __init__(self, telling: Telling, run: Run, start: int, end: int) -> None:
        self.telling, self.run = telling, run
        self.start, self.end = start, end
        self.children: list[_Node] = []


def makes_spans(handler: object) -> bool:
    """Tell whether *handler* is ours that makes spans of runs: what came of a span is one."""
    return any(each.__module__.partition(".")[0] == SCOPE for each in type(handler).__mro__)


class Bridged:
    """The hosts whose runs are heard over a bridge now: what instruments them tells them twice."""

    def __init__(self) -> None:
        self.hosts = frozenset(each.host for each in bridges() if each.status == "active")

    def __contains__(self, span: ReadableSpan) -> bool:
        segments = scope_of(span).replace("-", "_").split(".")
        return any(_ALIASES.get(each, each) in self.hosts for each in segments)


def plan(trace: Trace, manager: CallbackManager) -> tuple[list[Step], dict[int, Run | None]]:
    """Return what is to be told of *trace*, in its order, and what each of its spans became.

    A span that becomes no run stands for the run around it. Nothing has been told yet.
    """
    already = {
        id(each.handler)
        for each in (*manager.here.listeners, *manager.down.listeners)
        if makes_spans(each.handler)
    }
    nodes: dict[int, _Node] = {}
    tops: list[_Node] = []
    for span_id in _outer_first(trace):
        span = trace.spans[span_id]
        parent_id, told = trace.above(span)
        above = None if parent_id is None else nodes.get(parent_id)
        around = told if above is None else above.run
        node = _node(trace, span, manager if around is None else around.manager(), already)
        nodes[span_id] = node
        (tops if above is None else above.children).append(node)
    became: dict[int, Run | None] = {span_id: node.run for span_id, node in nodes.items()}
    for span_id, parent_id in trace.skipped.items():
        became[span_id] = _stands_for(trace, parent_id, nodes)
    return _in_order(tops), became


def _outer_first(trace: Trace) -> Iterator[int]:
    """Yield the ids of the spans, each after the one around it; of two, the earlier first."""
    below: dict[int | None, list[int]] = {}
    for span_id, span in trace.spans.items():
        below.setdefault(trace.above(span)[0], []).append(span_id)
    waiting = _latest_first(trace, below.pop(None, []))
    while waiting:
        span_id = waiting.pop()
        yield span_id
        waiting += _latest_first(trace, below.pop(span_id, []))


def _latest_first(trace: Trace, span_ids: Iterable[int]) -> list[int]:
    return sorted(span_ids, key=lambda each: trace.spans[each].start_time or 0, reverse=True)


def _stands_for(trace: Trace, span_id: int | None, nodes: dict[int, _Node]) -> Run | None:
    passed = set()
    while span_id is not None and span_id not in passed:
        passed.add(span_id)
        if span_id in nodes:
            return nodes[span_id].run
        if span_id in trace.told:
            told: Run | None = trace.told[span_id]
            return told
        span_id = trace.skipped.get(span_id)
    return None


def _node(
    trace: Trace, span: ReadableSpan, manager: CallbackManager, already: Collection[int]
) -> _Node:
    telling = telling_of(span)
    start = span.start_time or 0
    end = max(start, span.end_time or start)
    metadata = telling.metadata
    if manager.parent is None and span.parent is not None:
        metadata = {**metadata, "otel.parent_span_id": f"{span.parent.span_id:016x}"}
        if around := trace.run_around(span):
            # Its tree has ended, and handlers have let go of it: for people, and for queries.
            metadata["otel.parent_run_id"] = around
    run = run_at(
        manager,
        telling.run_type,
        telling.name,
        run_id=run_id_of(trace.trace_id, span.context.span_id),
        metadata=metadata,
        id_path=telling.id_path,
        told_already=already,
        times=(start, end),
    )
    return _Node(telling, run, start, end)


def _in_order(tops: list[_Node]) -> list[Step]:
    """Return the starts and ends by their times, but no child's outside of its parent's.

    Clocks of one process may be set back, and a task may outlive the one that began it.
    """
    steps: list[Step] = []
    ends: dict[int, int] = {}
    waiting = [(each, each.start, False) for each in reversed(tops)]
    while waiting:
        node, start, is_left = waiting.pop()
        if is_left:
            end = max([node.end, start, *(ends[id(each)] for each in node.children)])
            ends[id(node)] = end
            steps.append(Step(end, _ending(node)))
        else:
            steps.append(Step(start, _starting(node)))
            waiting.append((node, start, True))
            waiting += [(each, max(start, each.start), False) for each in reversed(node.children)]
    # Spans that began at the same time are in the right order already, and sorting keeps it.
    return sorted(steps, key=lambda each: each.at)


def _starting(node: _Node) -> Callable[[], None]:
    def tell() -> None:
        node.run.start(node.telling.arguments, node.telling.keywords)

    return tell


def _ending(node: _Node) -> Callable[[], None]:
    def tell() -> None:
        error = node.telling.error
        if error is None:
            node.run.end(node.telling.output)
        elif isinstance(error, GeneratorExit):
            node.run.end(node.telling.output, status="closed")
        else:
            node.run.fail(_same_as_below(node, error))

    return tell


def _same_as_below(node: _Node, error: BaseException) -> BaseException:
    """Return the error object of the run in which *error* began: one for one root cause.

    Each span has a text of it, and no span says that it is another one's.
    """
    for each in node.children:
        below = each.telling.error
        if below is not None and _is_same(error, below):
            node.telling = node.telling._replace(error=below)
            return below
    return error


def _is_same(error: BaseException, below: BaseException) -> bool:
    if type(error) is not type(below) or getattr(error, "type_name", "") != getattr(
        below, "type_name", ""
    ):
        return False
    # A span may state the class alone.
    return error.args == below.args or (isinstance(error, SpanError) and not error.args)


def tell(steps: Iterable[Step]) -> None:
    """Tell the handlers, one step after the other; what one raises to stop a run stops nothing."""
    for step in steps:
        try:
            step.tell()
        except Exception as error:
            # It is over: a guard's refusal comes too late.
            log.warning(
                "A handler raised %s in a run that OpenTelemetry told of. The run was over, so "
                "nothing is stopped by it.",
                type(error).__qualname__,
            )


def report(error: ChainCallbacksError) -> None:
    """Log that nobody can be told, and why."""
    problems = getattr(error, "exceptions", (error,))
    log.error("Spans were not told as runs. %s", "\n".join(map(str, problems)))
