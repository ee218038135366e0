"""Random nestings of components, called in random ways: what holds for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chain_callbacks import traced
from chain_callbacks.runnables import (
    AIMessage,
    BaseRetriever,
    Document,
    FakeListChatModel,
    FakeToolCallingChatModel,
    PromptTemplate,
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    RunnableSequence,
    StrOutputParser,
    ToolCall,
    create_agent,
    tool,
)
from chain_callbacks.testing import RecordingHandler

Plan = tuple[Any, ...]
Step = Runnable[Any, Any]


class Shelf(BaseRetriever):
    def __init__(self, inner: Step) -> None:
        super().__init__()
        self.inner = inner

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [Document(self.inner.invoke(query))]


def shout(text: str) -> str:
    return text.upper()


def shout_each(chunks: Iterator[str]) -> Iterator[str]:
    for chunk in chunks:
        yield chunk.upper()


async def ashout(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()


def boom(_: str) -> str:
    raise ValueError("boom")


def boom_late(chunks: Iterator[str]) -> Iterator[str]:
    for chunk in chunks:
        yield chunk
        raise ValueError("boom")


def joined(values: dict[str, str]) -> str:
    return "+".join(values[key] for key in sorted(values))


def model() -> Step:
    return FakeListChatModel(["one two three"]) | StrOutputParser()


def calling(inner: Step) -> Step:
    return RunnableLambda(inner.invoke, name="calling")


def passing(inner: Step) -> Step:
    def step(text: str, config: RunnableConfig) -> Any:
        return inner.invoke(text, config)

    async def astep(text: str, config: RunnableConfig) -> Any:
        return await inner.ainvoke(text, config)

    return RunnableLambda(step, astep, name="passing")


def streaming(inner: Step) -> Step:
    def step(chunks: Iterator[str]) -> Iterator[str]:
        for chunk in chunks:
            yield from inner.stream(chunk)

    return RunnableLambda(step, name="streaming")


def catching(inner: Step) -> Step:
    def step(text: str) -> Any:
        try:
            return inner.invoke(text)
        except ValueError:
            return "caught"

    return RunnableLambda(step, name="catching")


def in_traced(inner: Step) -> Step:
    @traced("tool")
    def work(text: str) -> Any:
        return inner.invoke(text)

    return RunnableLambda(work, name="outer")


def in_traced_generator(inner: Step) -> Step:
    @traced
    def work(text: str) -> Iterator[Any]:
        yield from inner.stream(text)

    return RunnableLambda(lambda text: "".join(work(text)), name="outer")


def in_tool(inner: Step) -> Step:
    @tool
    def use(text: str) -> str:
        return str(inner.invoke(text))

    return use


def in_agent(inner: Step) -> Step:
    calls = [ToolCall(name="use", args={"text": text}, id=text) for text in ("p", "q")]
    agent = create_agent(
        FakeToolCallingChatModel([AIMessage("", tool_calls=calls), "done"]), [in_tool(inner)]
    )
    return agent | RunnableLambda(lambda output: output["messages"][-1].text, name="answer")


LEAVES: dict[str, Any] = {
    "function": lambda: RunnableLambda(shout),
    "generator": lambda: RunnableLambda(shout_each),
    "both": lambda: RunnableLambda(shout, ashout),
    "passthrough": RunnablePassthrough,
    "prompt": lambda: PromptTemplate("about {x}") | RunnableLambda(lambda p: p.text, name="text"),
    "model": model,
    "boom": lambda: RunnableLambda(boom),
    "boom late": lambda: RunnableLambda(boom_late),
}
WRAPPERS: dict[str, Any] = {
    "calling": calling,
    "passing": passing,
    "streaming": streaming,
    "catching": catching,
    "traced": in_traced,
    "traced generator": in_traced_generator,
    "tool": in_tool,
    "agent": in_agent,
    "retriever": lambda inner: Shelf(inner) | RunnableLambda(lambda docs: docs[0].page_content),
    "returning": lambda inner: RunnableLambda(lambda _: inner, name="returning"),
    "retry": lambda inner: inner.with_retry(wait_exponential_jitter=False, stop_after_attempt=2),
    "bound": lambda inner: inner.with_config(tags=["t"], metadata={"m": 1}, run_name="renamed"),
}

plans = st.recursive(
    st.sampled_from(sorted(LEAVES)).map(lambda name: (name,)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(sorted(WRAPPERS)), inner),
        st.tuples(st.just("sequence"), inner, inner),
        st.tuples(st.just("parallel"), inner, inner),
        st.tuples(st.just("fallbacks"), inner, inner),
    ),
    max_leaves=6,
)


def build(plan: Plan) -> Step:
    kind, *parts = plan
    if kind in LEAVES:
        leaf: Step = LEAVES[kind]()
        return leaf
    inner = [build(part) for part in parts]
    match kind:
        case "sequence":
            return RunnableSequence(*inner)
        case "parallel":
            return RunnableParallel({"a": inner[0], "b": inner[1]}) | joined
        case "fallbacks":
            return inner[0].with_fallbacks(inner[1:])
    wrapped: Step = WRAPPERS[kind](inner[0])
    return wrapped


def outcome(step: Step, form: str, read: int, config: RunnableConfig | None) -> Any:
    """Return what a call gives, or the exception that leaves it, in a form that compares."""
    try:
        return called(step, form, read, config)
    except ValueError as error:
        return repr(error)


def called(step: Step, form: str, read: int, config: RunnableConfig | None) -> Any:
    match form:
        case "invoke":
            return step.invoke("x", config)
        case "batch":
            return step.batch(["x", "y"], config)
        case "stream":
            return "".join(map(str, step.stream("x", config)))
        case "closed stream":
            stream: Any = step.stream("x", config)
            chunks = [chunk for _, chunk in zip(range(read), stream, strict=False)]
            stream.close()
            return len(chunks) <= read
        case "ainvoke":
            return asyncio.run(step.ainvoke("x", config))
        case "abatch":
            return asyncio.run(step.abatch(["x", "y"], config))
    return asyncio.run(streamed(step, form, read, config))


async def streamed(step: Step, form: str, read: int, config: RunnableConfig | None) -> Any:
    stream: Any = step.astream("x", config)
    if form == "astream":
        return "".join([str(chunk) async for chunk in stream])
    for _ in range(read):
        if await anext(stream, None) is None:
            break
    await stream.aclose()
    return True


FORMS = (
    "invoke",
    "batch",
    "stream",
    "closed stream",
    "ainvoke",
    "abatch",
    "astream",
    "closed astream",
)


@settings(max_examples=250)
@given(plan=plans, form=st.sampled_from(FORMS), read=st.integers(0, 3))
@example(
    plan=("sequence", ("model",), ("parallel", ("boom late",), ("generator",))),
    form="stream",
    read=0,
)
@example(plan=("agent", ("catching", ("boom",))), form="abatch", read=0)
@example(plan=("fallbacks", ("boom late",), ("model",)), form="closed astream", read=1)
def test_a_handler_at_the_root_hears_whole_trees_and_changes_nothing(
    plan: Plan, form: str, read: int
) -> None:
    """No start without its one end, no unknown parent; the result is the same as without it."""
    recorder = RecordingHandler()
    unheard = outcome(build(plan), form, read, None)
    heard = outcome(build(plan), form, read, {"callbacks": [recorder]})
    assert heard == unheard
    assert recorder.problems() == []
    is_stream_unread = form.startswith("closed") and read == 0
    assert bool(recorder.runs) is not is_stream_unread
    roots = {run.id for run in recorder.runs if run.parent_id is None}
    assert {run.root_id for run in recorder.runs} == roots
    # A batch may stop at its first failure.
    assert len(roots) in ((0,) if is_stream_unread else (1, 2) if "batch" in form else (1,))


@given(plan=plans, form=st.sampled_from(("invoke", "stream", "ainvoke", "astream")))
def test_streaming_and_invoking_give_the_same(plan: Plan, form: str) -> None:
    """The chunks of a stream add up to what invoking gives, where that gives something."""
    invoked = outcome(build(plan), "invoke", 0, None)
    given_by_form = outcome(build(plan), form, 0, None)
    if invoked == given_by_form or "boom" in str(plan):
        # Where a step fails in the middle of a stream its first chunks have gone on already.
        return
    raise AssertionError((invoked, given_by_form))
