"""The native host: chains, prompts, models, tools, retrievers and agents that make runs.

Small on purpose: it is what the reference document needs. Real applications meet the handlers
through a bridge that lives in a plugin.
"""

from __future__ import annotations

from .agents import create_agent
from .base import Runnable
from .composition import RunnableParallel, RunnableSequence
from .config import RunnableConfig
from .documents import Document
from .fakes import FakeListChatModel, FakeToolCallingChatModel
from .functions import RunnableLambda, RunnablePassthrough
from .messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UsageMetadata,
)
from .models import BaseChatModel
from .outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from .parsers import StrOutputParser
from .prompts import ChatPromptTemplate, MessagesPlaceholder, PromptTemplate
from .retrievers import BaseRetriever
from .schema import ToolArgumentsError
from .tools import BaseTool, tool

__all__ = [
    "AIMessage",
    "AIMessageChunk",
    "BaseChatModel",
    "BaseMessage",
    "BaseRetriever",
    "BaseTool",
    "ChatGeneration",
    "ChatGenerationChunk",
    "ChatPromptTemplate",
    "Document",
    "FakeListChatModel",
    "FakeToolCallingChatModel",
    "HumanMessage",
    "LLMResult",
    "MessagesPlaceholder",
    "PromptTemplate",
    "Runnable",
    "RunnableConfig",
    "RunnableLambda",
    "RunnableParallel",
    "RunnablePassthrough",
    "RunnableSequence",
    "StrOutputParser",
    "SystemMessage",
    "ToolArgumentsError",
    "ToolCall",
    "ToolMessage",
    "UsageMetadata",
    "create_agent",
    "tool",
]
