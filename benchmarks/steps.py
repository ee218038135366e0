"""Steps that are invoked: alone, in sequence, nested, by name, in batches, in both worlds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from langchain_core.runnables import RunnableLambda as PeerLambda
from opentelemetry.sdk.trace import TracerProvider

from chain_callbacks import BaseCallbackHandler, register
from chain_callbacks.runnables import RunnableLambda

from .ears import Ears, Silent, SilentErrors
from .harness import FLOOR, OURS, PEER, PLAIN, Case, Goal, Sample, Side
from .samples import aplain, astep, awaited, floor, plain, repeated, step

ITEMS: Final = 100
DEPTH: Final = 10

Make = Callable[[Any, Ears], Sample]


def _both(make: Make, **options: Any) -> dict[str, Side]:
    """Return our side and the peer's, made by one function that takes the class of a step."""
    return {
        OURS: Side(partial(make, RunnableLambda), **options),
        PEER: Side(partial(make, PeerLambda), **options),
    }


def cases() -> Iterator[Case]:
    """Give the cases in the order of the table."""
    yield from _one_step()
    yield from _several_steps()
    yield from _asynchronous()
    yield from _batches()
    yield _errors_alone()
    yield _by_name()


def _one_step() -> Iterator[Case]:
    yield Case(
        "one step, no handler, root",
        "`invoke` of a function that returns its input; nobody is told",
        {**_both(_invoke, above=PLAIN), PLAIN: plain()},
        (Goal("ahead", 100, PEER),),
    )
    yield Case(
        "one step, no handler, nested",
        "the same, called inside another step",
        {**_both(_invoke_nested, above=PLAIN), PLAIN: plain()},
        (Goal("ahead", 300, PEER),),
    )
    for count, most in ((1, 5), (3, 4)):
        others = {FLOOR: Side(floor(count), above=PLAIN), PLAIN: plain()}
        if count == 1:
            others["opentelemetry span"] = Side(_span, above=PLAIN)
        yield Case(
            f"one step, {count} no-op sync handler{'s' if count > 1 else ''}",
            f"`invoke`; {count} told of the start and the end; a span is the current one meanwhile",
            {**_both(_invoking(count), above=PLAIN), **others},
            (Goal("ahead", 25, PEER), Goal("within", most, FLOOR)),
        )


def _several_steps() -> Iterator[Case]:
    def sequence(kind: Any, ears: Ears) -> Sample:
        chain = kind(step) | kind(step) | kind(step)
        config = {"callbacks": ears.handlers()}
        return repeated(lambda: chain.invoke(1, config))

    yield Case(
        "sequence of 3 steps, 1 handler",
        "`invoke`; told of four starts and four ends",
        {
            **_both(sequence, above=PLAIN),
            PLAIN: Side(lambda _ears: repeated(lambda: step(step(step(1)))), tells=False),
        },
        (Goal("ahead", 25, PEER),),
    )
    yield Case(
        f"{DEPTH} steps deep, 1 handler",
        f"`invoke` of a step that invokes a step, {DEPTH} runs in all",
        {
            **_both(nested(DEPTH), above=PLAIN),
            PLAIN: Side(lambda _ears: nested_plain(DEPTH), tells=False),
        },
        (Goal("ahead", 25, PEER),),
    )

    def fresh(kind: Any, ears: Ears) -> Sample:
        chain = kind(step)
        return repeated(lambda: chain.invoke(1, {"callbacks": [ears.handler()]}))

    yield Case(
        "a fresh handler object every call",
        "`invoke` with a handler made for it, as for a request",
        {
            **_both(fresh, above="plain and a handler"),
            "plain and a handler": Side(
                lambda ears: repeated(lambda: ears.handler() and step(1)), tells=False
            ),
        },
        (Goal("ahead", 15, PEER),),
    )


def _asynchronous() -> Iterator[Case]:
    told = {
        "no handler": (100, lambda _ears: None),
        "1 sync handler": (50, lambda ears: {"callbacks": ears.handlers()}),
        "1 async handler": (15, lambda ears: {"callbacks": ears.ahandlers()}),
    }
    for name, (bound, configure) in told.items():

        def make(kind: Any, ears: Ears, configure: Any = configure) -> Sample:
            chain, config = kind(astep), configure(ears)
            return awaited(lambda: chain.ainvoke(1, config))

        yield Case(
            f"`ainvoke`, {name}",
            "an `async def` that returns its input",
            {**_both(make, above=PLAIN), PLAIN: aplain()},
            (Goal("ahead", bound, PEER),),
        )

    def bridged(kind: Any, ears: Ears) -> Sample:
        chain, config = kind(step), {"callbacks": ears.ahandlers()}
        return repeated(lambda: chain.invoke(1, config))

    yield Case(
        "sync caller, 1 async handler",
        "`invoke`; the handler's coroutines are waited for",
        {**_both(bridged, above=PLAIN), PLAIN: plain()},
        (Goal("ahead", 3, PEER),),
    )


def _batches() -> Iterator[Case]:
    inputs = [1] * ITEMS

    def batch(kind: Any, ears: Ears) -> Sample:
        chain, config = kind(step), {"callbacks": ears.handlers(), "max_concurrency": 4}
        return repeated(lambda: chain.batch(inputs, config))

    def abatch(kind: Any, ears: Ears) -> Sample:
        chain, config = kind(astep), {"callbacks": ears.handlers()}
        return awaited(lambda: chain.abatch(inputs, config))

    async def all_of_them() -> list[Any]:
        return [await astep(each) for each in inputs]

    for name, bound, make, alone in (
        ("batch", 10, batch, repeated(lambda: [step(each) for each in inputs])),
        ("abatch", 25, abatch, awaited(all_of_them)),
    ):
        yield Case(
            f"`{name}` of {ITEMS}, an item",
            "1 sync handler told of each item; "
            + ("four threads" if name == "batch" else "all at once"),
            {
                **_both(make, above=PLAIN, per=ITEMS),
                PLAIN: Side(lambda _ears, alone=alone: alone, per=ITEMS, tells=False),
            },
            (Goal("ahead", bound, PEER),),
            is_ordered=False,
        )


_here: ContextVar[object] = ContextVar("linking", default=None)


class _Node:
    """The least that a run can be to those nested in it."""

    __slots__ = ("parent",)

    def __init__(self, parent: object) -> None:
        self.parent = parent


def _errors_alone() -> Case:
    chain = RunnableLambda(step)
    config = {"callbacks": [SilentErrors()]}

    def linked() -> object:
        token = _here.set(_Node(_here.get()))
        try:
            return chain.invoke(1)
        finally:
            _here.reset(token)

    return Case(
        "a handler of errors alone",
        "`invoke` that succeeds; linking is an object with a parent, put in the context",
        {
            OURS: Side(lambda _ears: repeated(lambda: chain.invoke(1, config))),
            "no handler": Side(lambda _ears: repeated(lambda: chain.invoke(1))),
            "no handler, and linking": Side(lambda _ears: repeated(linked)),
        },
        (Goal("within", 1.5, "no handler, and linking"),),
    )


def _by_name() -> Case:
    # What is named is shown redacted payloads, unless it says otherwise; an object is not.
    shown_all = type("Silent", (Silent, BaseCallbackHandler), {"content": "full"})
    register("benchmark-silent", shown_all)
    chain = RunnableLambda(step)
    handlers = [shown_all()]

    return Case(
        "a name in `config` every call",
        "`invoke` with a fresh config that holds a name, or the object",
        {
            OURS: Side(
                lambda _ears: repeated(lambda: chain.invoke(1, {"callbacks": ["benchmark-silent"]}))
            ),
            "the object": Side(
                lambda _ears: repeated(lambda: chain.invoke(1, {"callbacks": handlers}))
            ),
        },
        (Goal("more", 1e-6, "the object"),),
    )


def _invoke(kind: Any, _ears: Ears) -> Sample:
    chain = kind(step)
    return repeated(lambda: chain.invoke(1))


def _invoke_nested(kind: Any, ears: Ears) -> Sample:
    outer = kind(_invoke(kind, ears))
    return outer.invoke


def _invoking(count: int) -> Make:
    def make(kind: Any, ears: Ears) -> Sample:
        chain, config = kind(step), {"callbacks": ears.handlers(count)}
        return repeated(lambda: chain.invoke(1, config))

    return make


def nested(depth: int) -> Make:
    """Return the sides of a step that invokes a step, and so on, *depth* in all."""

    def make(kind: Any, ears: Ears) -> Sample:
        chain = kind(step)
        for _ in range(depth - 1):
            chain = kind(partial(_deeper, chain))
        config = {"callbacks": ears.handlers()}
        return repeated(lambda: chain.invoke(1, config))

    return make


def _deeper(inner: Any, value: Any) -> Any:
    return inner.invoke(value)


def nested_plain(depth: int) -> Sample:
    """Return functions that call each other as deep."""
    call: Callable[[Any], Any] = step
    for _ in range(depth - 1):
        call = partial(_call, call)
    return repeated(lambda: call(1))


def _call(inner: Callable[[Any], Any], value: Any) -> Any:
    return inner(value)


def _span(ears: Ears) -> Sample:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(ears.processor())
    tracer = provider.get_tracer("benchmarks")

    def call() -> object:
        with tracer.start_as_current_span("step", attributes={"input": 1}) as span:
            output = step(1)
            span.set_attribute("output", output)
        return output

    return repeated(call)
