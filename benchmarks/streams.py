"""A streamed token of a chat model, in both worlds, with and without a listener."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, Final

from langchain_core.language_models import BaseChatModel as PeerModel
from langchain_core.messages import AIMessageChunk as PeerChunk
from langchain_core.outputs import ChatGenerationChunk

from chain_callbacks.runnables import AIMessageChunk, BaseChatModel

from .ears import Ears
from .harness import OURS, PEER, Case, Goal, Sample, Side
from .samples import awaited, repeated

TOKENS: Final = 200
_GENERATOR: Final = "the generator"
_PEERS_GENERATOR: Final = "langchain-core's generator"


class _Model(BaseChatModel):
    def _stream(self, messages: Any, **kwargs: Any) -> Iterator[AIMessageChunk]:
        for _ in range(TOKENS):
            yield AIMessageChunk("t")

    async def _astream(self, messages: Any, **kwargs: Any) -> AsyncIterator[AIMessageChunk]:
        for _ in range(TOKENS):
            yield AIMessageChunk("t")


def _peers_chunk(number: int) -> ChatGenerationChunk:
    # Without a last one it would tell of an empty token more.
    position = "last" if number == TOKENS - 1 else None
    return ChatGenerationChunk(message=PeerChunk(content="t", chunk_position=position))


class _PeersModel(PeerModel):
    @property
    def _llm_type(self) -> str:
        return "benchmark"

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for number in range(TOKENS):
            yield _peers_chunk(number)

    async def _astream(
        self, messages: Any, *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for number in range(TOKENS):
            yield _peers_chunk(number)


def cases() -> Iterator[Case]:
    """Give the cases of tokens; the cost is that of a token above the model's own generator."""
    for is_async in (False, True):
        kind = "async" if is_async else "sync"
        generators = {
            _GENERATOR: Side(partial(_alone, _Model(), is_async=is_async), per=TOKENS, tells=False),
            _PEERS_GENERATOR: Side(
                partial(_alone, _PeersModel(), is_async=is_async), per=TOKENS, tells=False
            ),
        }
        yield Case(
            f"a streamed token, {kind}, nobody listens",
            f"the whole cost of a token, of {TOKENS}; the generator makes a message chunk for each",
            {
                OURS: Side(partial(_stream, _Model(), None, is_async=is_async), per=TOKENS),
                PEER: Side(partial(_stream, _PeersModel(), None, is_async=is_async), per=TOKENS),
                **generators,
            },
            (Goal("within", 1.2, _GENERATOR),),
        )
        for listener in ("sync", "async") if is_async else ("sync",):
            bound = 50 if is_async and listener == "sync" else 10
            options = {"is_async": is_async}
            yield Case(
                f"a streamed token, {kind}, 1 {listener} handler",
                f"told of {TOKENS} tokens, the start and the whole at the end; the cost is above "
                "that of the generator",
                {
                    OURS: Side(
                        partial(_stream, _Model(), listener, **options),
                        above=_GENERATOR,
                        per=TOKENS,
                    ),
                    PEER: Side(
                        partial(_stream, _PeersModel(), listener, **options),
                        above=_PEERS_GENERATOR,
                        per=TOKENS,
                    ),
                    **generators,
                },
                (Goal("ahead", bound, PEER),),
            )


def _stream(model: Any, listener: str | None, ears: Ears, *, is_async: bool) -> Sample:
    handlers = {None: list, "sync": ears.handlers, "async": ears.ahandlers}[listener]()
    config = {"callbacks": handlers} if handlers else None

    def call() -> int:
        return sum(1 for _ in model.stream("question", config))

    async def acall() -> int:
        count = 0
        async for _ in model.astream("question", config):
            count += 1
        return count

    return awaited(acall) if is_async else repeated(call)


def _alone(model: Any, _ears: Ears, *, is_async: bool) -> Sample:
    def call() -> int:
        return sum(1 for _ in model._stream([]))

    async def acall() -> int:
        count = 0
        async for _ in model._astream([]):
            count += 1
        return count

    return awaited(acall) if is_async else repeated(call)
