"""Retrievers: from a query to documents."""

from __future__ import annotations

from typing import Any, ClassVar

from ..context import to_thread
from ..dispatch.run import Run
from ..events import KINDS, RunKind
from .base import Runnable, asked_by, given
from .documents import Document


class BaseRetriever(Runnable[str, list[Document]]):
    """A retriever; a subclass writes ``_get_relevant_documents(query)``.

    ``_aget_relevant_documents`` is the same in a thread unless it is written. Either may ask for
    its run with a parameter ``run`` or ``run_manager``.
    """

    kind: ClassVar[RunKind] = KINDS["retriever"]
    _asked: ClassVar[tuple[str, ...]] = ()
    _aasked: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._asked = asked_by(cls._get_relevant_documents)
        cls._aasked = asked_by(cls._aget_relevant_documents)

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        raise NotImplementedError(f"{type(self).__name__} has no _get_relevant_documents")

    async def _aget_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return await to_thread(self._get_relevant_documents, query, **kwargs)

    def _invoke(self, input: str, *, run: Run | None = None, **kwargs: Any) -> list[Document]:
        passed = given(self._asked, run, is_async=False)
        return self._get_relevant_documents(input, **kwargs, **passed)

    async def _ainvoke(
        self, input: str, *, run: Run | None = None, **kwargs: Any
    ) -> list[Document]:
        has_own = type(self)._aget_relevant_documents is not BaseRetriever._aget_relevant_documents
        asked = self._aasked if has_own else self._asked
        passed = given(asked, run, is_async=has_own)
        return await self._aget_relevant_documents(input, **kwargs, **passed)
