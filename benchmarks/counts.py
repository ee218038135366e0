"""What is counted: it is the same on every machine, and free of noise."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context
from functools import partial
from typing import Any, ClassVar, Final
from uuid import UUID

from langchain_core.runnables import RunnableLambda as PeerLambda

from chain_callbacks import CallbackManager
from chain_callbacks.dispatch.identity import source
from chain_callbacks.runnables import RunnableLambda

from .counting import bytes_of, calls_of, growth_of, peak_of
from .ears import Silent, SilentErrors
from .harness import OURS, PEER, Counted, Goal
from .samples import step

RUNS: Final = 100_000


def cases(*, runs: int = RUNS) -> Iterator[Counted]:
    """Give what was counted; *runs* is how many the memory is watched for."""
    for name, handlers, most in (("no handler", 0, 8), ("1 handler", 1, 20)):
        for language in ("python", "c"):
            yield Counted(
                f"{'Python' if language == 'python' else 'C'} calls in one `invoke`, {name}",
                "functions that begin, the user's own and the handler's included",
                {
                    side: getattr(calls_of(_invoke(kind, handlers)), language)
                    for side, kind in ((OURS, RunnableLambda), (PEER, PeerLambda))
                },
                (Goal("takes", most),) if language == "python" else (),
            )
    for what, count in _in_vain().items():
        yield Counted(
            f"a handler of errors alone: {what}",
            "in an `invoke` that succeeds",
            {OURS: count},
            (Goal("takes", 0),),
        )
    manager = CallbackManager([Silent()])
    yield Counted(
        "memory of a live run, bytes",
        "started, told to 1 handler, entered; its id included",
        # In a context of its own, which is left with the runs in it.
        {OURS: copy_context().run(bytes_of, partial(live_run, manager))},
        (Goal("takes", 512),),
    )
    yield Counted(
        f"memory after {runs:,} runs, bytes more",
        "`invoke` with 1 handler, the same object; the collector ran before and after",
        {OURS: growth_of(_invoke(RunnableLambda, 1), count=runs)},
        (Goal("takes", 4096),),
    )
    payload = "x" * 10_000_000
    chain, config = RunnableLambda(step), {"callbacks": [Silent()]}
    yield Counted(
        "memory for an input of 10 MB, bytes at most",
        "`invoke` with 1 handler that does not read it",
        {OURS: peak_of(lambda: chain.invoke(payload, config))},
        (Goal("takes", 16_384),),
    )


def live_run(manager: CallbackManager) -> Any:
    """Return a run that has started and not ended; what it put in the context stays there."""
    run = manager.run("chain", "step", 1)
    run.start(*run.payload)
    run.enter()
    return run


def _invoke(kind: Any, handlers: int) -> Any:
    chain, config = kind(step), {"callbacks": [Silent() for _ in range(handlers)]}
    # No function of Python's is around it: what is counted is the invoke.
    return partial(chain.invoke, 1, config) if handlers else partial(chain.invoke, 1)


class _Path(tuple[str, ...]):
    """The path of a class, which is read through each time that `serialized` is made."""

    __slots__ = ()
    reads: ClassVar[int] = 0

    def __iter__(self) -> Iterator[str]:
        _Path.reads += 1
        return super().__iter__()


def _in_vain() -> dict[str, int]:
    """Return how often what only a teller needs was made where nobody was told."""
    chain = RunnableLambda(step)
    chain._id_path = _Path(chain._id_path)
    made: list[UUID] = []
    make = source.make_id

    def counting() -> UUID:
        made.append(make())
        return made[-1]

    source.make_id = counting
    try:
        chain.invoke(1, {"callbacks": [Silent()]})
        if (len(made), _Path.reads) != (1, 1):
            raise AssertionError(f"where it is told, {len(made)} and {_Path.reads} were counted")
        chain.invoke(1, {"callbacks": [SilentErrors()]})
    finally:
        source.make_id = make
    return {"ids made": len(made) - 1, "`serialized` made": _Path.reads - 1}
