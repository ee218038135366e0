"""The command ``demo``: a chain and an agent on a built-in model, and what handlers are told.

The chain and its answer are those of the reference document. Nothing leaves the process, except
through a handler that was named.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Final

from .. import resolve
from ..resolution.settings import settings
from ..runnables import (
    AIMessage,
    ChatPromptTemplate,
    FakeListChatModel,
    FakeToolCallingChatModel,
    RunnableConfig,
    ToolCall,
    create_agent,
    tool,
)
from .arguments import read_names
from .output import bold, dim, say

_DEFAULT: Final = "structlog"
_QUESTION: Final = "Is it warmer in Lisbon or in Oslo?"

_NEXT: Final = (
    ("console", "CHAIN_CALLBACKS=console chain-callbacks demo", "the same runs, as a tree"),
    ("", "chain-callbacks list", "what is installed, what is enabled"),
    ("", "chain-callbacks explain console", "who would hear a run, and why"),
    ("", "CHAIN_CALLBACKS=structlog python app.py", "your own program, unchanged"),
)
"""What to try next: a command, what it shows, and the handler whose user has seen that."""

_WIDTH: Final = max(len(command) for _, command, _ in _NEXT)


def run(arguments: Namespace) -> int:
    """Run both; answers go to stdout, the handlers write where they will."""
    names = read_names(arguments.names)
    if not names and not _is_anything_named():
        names = heard = [_DEFAULT]
        say(f"CHAIN_CALLBACKS names no handler, so {_DEFAULT!r} listens and writes to stderr.")
    else:
        # Before anything is shown: a name that is wrong is an error.
        heard = [row.key for row in resolve(names).rows if row.status == "active"]
        say(f"Listening: {', '.join(heard)}." if heard else "Nobody listens.")
    config: RunnableConfig = {"callbacks": names}
    say()
    say(bold("1. A chain: prompt | model"))
    say(dim('   "What is 1 + {number}?" with number = 2'))
    say(f"   Answer: {_run_chain(config)}")
    say()
    say(bold("2. An agent: two tools at once, then the answer"))
    say(dim(f'   "{_QUESTION}"'))
    say(f"   Answer: {_run_agent(config)}")
    say()
    say(bold("Next"))
    for handler, command, shows in _NEXT:
        if handler not in heard:
            say(f"   {command.ljust(_WIDTH)}  {dim(shows)}")
    return 0


def _is_anything_named() -> bool:
    current = settings()
    return current.disabled or bool(current.require or current.callbacks)


def _run_chain(config: RunnableConfig) -> str:
    prompt = ChatPromptTemplate.from_template("What is 1 + {number}?")
    chain = prompt | FakeListChatModel([_answer("1 + 2 = 3", 16, 13)])
    answer: AIMessage = chain.invoke({"number": "2"}, config)
    return answer.text


@tool
def temperature(city: str) -> int:
    """Return the temperature in a city, in degrees Celsius."""
    return {"Lisbon": 24, "Oslo": 11}[city]


def _run_agent(config: RunnableConfig) -> str:
    calls = [
        ToolCall(name="temperature", args={"city": city}, id=f"call-{number}", type="tool_call")
        for number, city in enumerate(("Lisbon", "Oslo"), start=1)
    ]
    model = FakeToolCallingChatModel(
        [
            _answer("", 62, 41, calls),
            _answer("In Lisbon: it is 24 degrees there, and 11 in Oslo.", 118, 15),
        ]
    )
    agent = create_agent(model, [temperature])
    answer = agent.invoke(_QUESTION, config)
    return answer["messages"][-1].text


def _answer(
    text: str, input_tokens: int, output_tokens: int, calls: list[ToolCall] | None = None
) -> AIMessage:
    return AIMessage(
        text,
        tool_calls=calls or [],
        usage_metadata={
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
        },
    )
