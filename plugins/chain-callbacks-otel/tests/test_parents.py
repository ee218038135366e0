"""Whose child a span is: found by run id, and current where the run is."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import baggage, context, trace

from chain_callbacks import (
    CallbackManager,
    current_manager,
    flush,
    policy,
    submit,
    to_thread,
    traced,
)
from chain_callbacks.runnables import FakeListChatModel, RunnableLambda, RunnableParallel
from chain_callbacks.testing import RecordingHandler


def test_root_is_a_child_of_the_applications_span(exported: Any, otel: Any) -> None:
    """The span that is current where a root run starts is its parent."""
    with exported.tracer.start_as_current_span("request"):
        RunnableLambda(lambda x: x, name="step").invoke(1, {"callbacks": [otel]})
    assert "request\n  invoke_workflow step" == exported.tree()


def test_span_that_user_code_opens_is_a_child_of_its_run(exported: Any, otel: Any) -> None:
    """In a run, the run's span is the current one; after it, what was before is."""

    def work(value: Any) -> Any:
        with exported.tracer.start_as_current_span("mine"):
            return value

    chain = RunnableLambda(work, name="first") | RunnableLambda(work, name="second")
    with exported.tracer.start_as_current_span("request") as request:
        chain.invoke(1, {"callbacks": [otel]})
        assert request is trace.get_current_span()
    assert (
        "request\n  invoke_workflow RunnableSequence\n    first\n      mine\n    second\n      mine"
    ) == exported.tree()


def test_run_within_a_span_of_the_users_is_its_child(exported: Any, otel: Any) -> None:
    """What the program opens inside of a run stands between that run and those started in it."""
    model = FakeListChatModel(["yes"])

    def work(value: Any) -> Any:
        with exported.tracer.start_as_current_span("mine"):
            return model.invoke(value)

    RunnableLambda(work, name="outer").invoke("x", {"callbacks": [otel]})
    assert "invoke_workflow outer\n  mine\n    chat" == exported.tree()


def test_spans_in_threads_and_tasks_are_children_of_the_run(exported: Any, otel: Any) -> None:
    """Wherever the context goes, the run's span goes."""

    def mine(name: str) -> None:
        with exported.tracer.start_as_current_span(name):
            pass

    async def task() -> None:
        mine("in a task")

    async def work(value: Any) -> Any:
        await asyncio.create_task(task())
        await to_thread(mine, "in a thread")
        with ThreadPoolExecutor(1) as pool:
            submit(pool, mine, "in a pool").result()
        taken = contextvars.copy_context()
        thread = threading.Thread(target=taken.run, args=(mine, "in a copy"))
        thread.start()
        thread.join()
        return value

    asyncio.run(RunnableLambda(work, name="outer").ainvoke(1, {"callbacks": [otel]}))
    inner = ["in a task", "in a thread", "in a pool", "in a copy"]
    assert ["invoke_workflow outer", *(f"  {each}" for each in inner)] == (
        exported.tree().splitlines()
    )


def test_span_of_a_task_that_outlives_its_run_is_still_its_child(
    exported: Any, otel: Any, recorder: RecordingHandler, same_runs: Any
) -> None:
    """A run or a span that begins late is in the trace of the run that it was begun in."""
    model = FakeListChatModel(["late"])

    async def late(go_on: asyncio.Event) -> None:
        await go_on.wait()
        with exported.tracer.start_as_current_span("mine"):
            await model.ainvoke("x")

    async def main() -> None:
        go_on = asyncio.Event()
        tasks: list[Any] = []

        def work(value: Any) -> Any:
            tasks.append(asyncio.get_running_loop().create_task(late(go_on)))
            return value

        async def awork(value: Any) -> Any:
            return work(value)

        await RunnableLambda(awork, name="outer").ainvoke(1, {"callbacks": [otel, recorder]})
        go_on.set()
        await tasks[0]

    asyncio.run(main())
    assert "invoke_workflow outer\n  mine\n    chat" == exported.tree()
    same_runs(exported, recorder)


def test_parallel_branches_are_children_of_the_parallel_run(exported: Any, otel: Any) -> None:
    """Branches in threads find their parent by its id, and each is current in its own thread."""
    barrier = threading.Barrier(2, timeout=30)

    def work(value: Any) -> Any:
        barrier.wait()
        with exported.tracer.start_as_current_span("mine"):
            barrier.wait()
        return value

    chain: Any = RunnableParallel(
        a=RunnableLambda(work, name="a"), b=RunnableLambda(work, name="b")
    )
    chain.invoke(1, {"callbacks": [otel]})
    first, *rest = exported.tree().splitlines()
    assert "invoke_workflow RunnableParallel" == first.partition("<")[0]
    assert sorted(["  a", "    mine", "  b", "    mine"]) == sorted(rest)
    for name in ("a", "b"):
        branch = exported.span(name)
        inner = [
            s for s in exported.spans if s.parent and s.parent.span_id == branch.context.span_id
        ]
        assert ["mine"] == [span.name for span in inner]


def test_consumer_of_a_stream_is_outside_of_its_runs(exported: Any, otel: Any) -> None:
    """Between two chunks the consumer's own span is current, and inside of the stream the run's."""

    def shout(chunks: Iterator[str]) -> Iterator[str]:
        for chunk in chunks:
            with exported.tracer.start_as_current_span("inside"):
                pass
            yield chunk.upper()

    chain: Any = RunnableLambda(shout, name="shout")
    for _ in chain.stream("a", {"callbacks": [otel]}):
        with exported.tracer.start_as_current_span("outside"):
            pass
    assert "invoke_workflow shout\n  inside\noutside" == exported.tree()


def test_consumers_span_around_a_step_of_a_stream_is_not_the_runs_parent(
    exported: Any, otel: Any
) -> None:
    """What the consumer opens to ask for the next chunk is not taken for something of the run."""

    def steps(chunks: Iterator[str]) -> Iterator[str]:
        for number in range(2):
            with exported.tracer.start_as_current_span(f"inside {number}"):
                pass
            yield "x"

    chain: Any = RunnableLambda(steps, name="steps")
    flow = chain.stream("a", {"callbacks": [otel]})
    for number in range(2):
        with exported.tracer.start_as_current_span(f"next {number}"):
            next(flow)
    assert [] == list(flow)
    root = exported.span("invoke_workflow steps").context.span_id
    assert [root, root] == [exported.span(f"inside {n}").parent.span_id for n in range(2)]


def test_start_and_end_in_different_tasks_and_threads_leave_no_trace_in_a_log(
    exported: Any, otel: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that another task or thread ends is a span like any other, and nothing complains."""
    caplog.set_level(logging.DEBUG)
    manager = CallbackManager([otel])
    run = manager.on_chain_start({"name": "outer"}, 1)
    tool = run.get_child().on_tool_start({"name": "inner"}, "x")
    thread = threading.Thread(target=contextvars.copy_context().run, args=(tool.on_tool_end, "y"))
    thread.start()
    thread.join()

    async def end() -> None:
        await asyncio.create_task(run.aon_chain_end(2))

    asyncio.run(end())
    assert "invoke_workflow outer\n  execute_tool inner" == exported.tree()
    assert [] == [each for each in caplog.messages if "Context" in each]


def test_baggage_of_the_application_is_in_its_runs(exported: Any, otel: Any) -> None:
    """What was attached around a root, or opened inside of a run, is there further in."""
    seen = []

    def inner(value: Any) -> Any:
        seen.append(dict(baggage.get_all()))
        return value

    step = RunnableLambda(inner, name="inner")

    def outer(value: Any) -> Any:
        token = context.attach(baggage.set_baggage("plan", "gold"))
        try:
            return step.invoke(value)
        finally:
            context.detach(token)

    token = context.attach(baggage.set_baggage("user", "ann"))
    RunnableLambda(outer, name="outer").invoke(1, {"callbacks": [otel]})
    context.detach(token)
    assert [{"user": "ann", "plan": "gold"}] == seen


def test_span_in_a_run_that_has_none_is_a_child_of_the_nearest_that_has(
    exported: Any, otel: Any
) -> None:
    """A handler that hears the roots alone has no span for the steps."""

    def work(value: Any) -> Any:
        with exported.tracer.start_as_current_span("mine"):
            return value

    chain = RunnableLambda(work, name="a") | RunnableLambda(lambda x: x, name="b")
    chain.invoke(1, {"callbacks": [policy(otel, only="roots")]})
    assert "invoke_workflow RunnableSequence\n  mine" == exported.tree()


def test_handler_that_is_told_from_a_queue_has_the_same_tree(
    exported: Any, otel: Any, recorder: RecordingHandler, same_runs: Any
) -> None:
    """Its times are the worker's; parents are found by id all the same."""
    chain = RunnableLambda(lambda x: x, name="a") | RunnableLambda(lambda x: x, name="b")
    chain.invoke(1, {"callbacks": [policy(otel, delivery="queued"), recorder]})
    assert flush(60).is_complete
    assert "invoke_workflow RunnableSequence\n  a\n  b" == exported.tree()
    same_runs(exported, recorder)


def test_closed_handler_is_current_no_more(exported: Any, otel: Any) -> None:
    """After `close` a run has no span, and OpenTelemetry's context is what was attached."""
    otel.close()

    @traced
    def step() -> Any:
        return trace.get_current_span()

    with exported.tracer.start_as_current_span("request") as request:
        assert request is step()
        assert current_manager().parent is None


@pytest.mark.parametrize("number", [200])
def test_200_concurrent_runs_over_threads_and_tasks_are_200_traces(
    exported: Any,
    otel: Any,
    recorder: RecordingHandler,
    same_runs: Any,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    """Each trace has the runs of one request alone, in their places, and nothing complains."""
    caplog.set_level(logging.DEBUG)
    model = FakeListChatModel(["one two three"])

    def in_thread(value: str) -> str:
        with exported.tracer.start_as_current_span(f"mine {value}"):
            return "".join(chunk.text for chunk in model.stream(value))

    async def in_task(value: str) -> str:
        return await to_thread(in_thread, value)

    branch = RunnableLambda(in_task, name="branch")
    chain: Any = RunnableParallel(a=branch, b=RunnableLambda(in_thread, name="thread"))
    config = {"callbacks": [otel, recorder]}

    def sync(value: int) -> None:
        asyncio.run(chain.ainvoke(str(value), config))

    async def main() -> None:
        await asyncio.gather(*(chain.ainvoke(str(n), config) for n in range(number // 2)))

    with ThreadPoolExecutor(8) as pool:
        tasks = pool.submit(asyncio.run, main())
        done = [pool.submit(sync, value) for value in range(number // 2, number)]
        for each in (tasks, *done):
            each.result()

    same_runs(exported, recorder)
    spans = exported.spans
    traces: dict[int, set[str]] = {}
    for span in spans:
        traces.setdefault(span.context.trace_id, set()).add(span.name)
    assert number == len(traces)
    mine = [{each for each in names if each.startswith("mine")} for names in traces.values()]
    assert {1} == {len(each) for each in mine}
    assert {f"mine {n}" for n in range(number)} == set().union(*mine)
    assert [] == [each for each in caplog.messages if "Context" in each or "detach" in each]
