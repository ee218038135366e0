"""From a model's answer to what the program wants of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

from ..events import KINDS, RunKind
from .base import Runnable
from .messages import BaseMessage


class StrOutputParser(Runnable[Any, str]):
    """Gives the text of a message, chunk by chunk."""

    kind: ClassVar[RunKind] = KINDS["parser"]

    def _is_flowing(self) -> bool:
        return True

    def _invoke(self, input: Any, **kwargs: Any) -> str:
        return _text(input)

    async def _ainvoke(self, input: Any, **kwargs: Any) -> str:
        return _text(input)

    def _transform(self, chunks: Iterator[Any], **kwargs: Any) -> Iterator[str]:
        for chunk in chunks:
            yield _text(chunk)

    async def _atransform(self, chunks: AsyncIterator[Any], **kwargs: Any) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield _text(chunk)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, BaseMessage):
        return value.text
    raise TypeError(
        f"StrOutputParser takes a message or a text and got a {type(value).__name__}. "
        "Put it behind a model."
    )
