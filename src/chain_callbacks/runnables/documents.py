"""Documents: what a retriever finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(repr=False)
class Document:
    """A text with what is known about it; prints as LangChain's does."""

    page_content: str
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str | None = None

    def __repr__(self) -> str:
        name = "" if self.id is None else f"id={self.id!r}, "
        return (
            f"{type(self).__name__}({name}"
            f"metadata={self.metadata!r}, page_content={self.page_content!r})"
        )

    def __str__(self) -> str:
        text = f"page_content={self.page_content!r}"
        return f"{text} metadata={self.metadata!r}" if self.metadata else text
