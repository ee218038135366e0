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
    ToolCallChunk,
    ToolMessage,
    UsageMetadata,
    convert_to_messages,
    message_chunk_to_message,
    parse_tool_calls,
)
from .models import BaseChatModel
from .outputs import (
    AgentAction,
    AgentFinish,
    ChatGeneration,
    ChatGenerationChunk,
    ChatPromptValue,
    Generation,
    LLMResult,
    RetryState,
    StringPromptValue,
)
from .parsers import StrOutputParser
from .prompts import ChatPromptTemplate, MessagesPlaceholder, PromptTemplate
from .retrievers import BaseRetriever
from .schema import ToolArgumentsError
from .tools import BaseTool, tool

__all__ = [
    "AIMessage",
    "AIMessageChunk",
    "AgentAction",
    "AgentFinish",
    "BaseChatModel",
    "BaseMessage",
    "BaseRetriever",
    "BaseTool",
    "ChatGeneration",
    "ChatGenerationChunk",
    "ChatPromptTemplate",
    "ChatPromptValue",
    "Document",
    "FakeListChatModel",
    "FakeToolCallingChatModel",
    "Generation",
    "HumanMessage",
    "LLMResult",
    "MessagesPlaceholder",
    "PromptTemplate",
    "RetryState",
    "Runnable",
    "RunnableConfig",
    "RunnableLambda",
    "RunnableParallel",
    "RunnablePassthrough",
    "RunnableSequence",
    "StrOutputParser",
    "StringPromptValue",
    "SystemMessage",
    "ToolArgumentsError",
    "ToolCall",
    "ToolCallChunk",
    "ToolMessage",
    "UsageMetadata",
    "convert_to_messages",
    "create_agent",
    "message_chunk_to_message",
    "parse_tool_calls",
    "tool",
]
