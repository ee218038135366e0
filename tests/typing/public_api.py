"""What the type checkers must say of the public API; nothing here is run.

``assert_type`` pins what is right. A line with an ignore comment is wrong on purpose: mypy and
pyright both report a comment that hides nothing, so an error that is no longer seen is one here.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=error

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, assert_type
from uuid import UUID

from pydantic import SecretStr

from chain_callbacks import (
    BaseCallbackHandler,
    BrokenPluginError,
    CallbackManager,
    ChainCallbacksError,
    HandlerDeniedError,
    HandlerSettings,
    Local,
    Run,
    RunEnd,
    RunStart,
    RunStateHandler,
    UnknownHandlerError,
    attached,
    check,
    current_manager,
    explain,
    hookimpl,
    policy,
    register,
    reload,
    requested,
    resolve,
    submit,
    to_thread,
    traced,
)
from chain_callbacks.resolution.resolver import Resolution
from chain_callbacks.runnables import (
    AIMessage,
    BaseRetriever,
    BaseTool,
    ChatPromptTemplate,
    Document,
    FakeListChatModel,
    LLMResult,
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    StrOutputParser,
    create_agent,
    tool,
)
from chain_callbacks.testing import RecordingHandler

# Handlers: each method may be `def` or `async def`, with as few of the arguments as it likes.


class Settings(HandlerSettings):
    webhook_url: SecretStr
    retries: int = 3


class Printing(BaseCallbackHandler):
    settings_model = Settings
    sends_to = "stdout"

    def __init__(self, settings: Settings) -> None:
        self.retries = settings.retries

    def on_chain_start(self, serialized: dict[str, Any], inputs: Any, **kwargs: Any) -> None:
        assert_type(serialized, dict[str, Any])

    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        assert_type(run_id, UUID)

    def on_chain_error(
        self, error: BaseException, *, duration: float = 0.0, status: str = "", **kwargs: Any
    ) -> None:
        assert_type(error, BaseException)


class Untyped(BaseCallbackHandler):
    # The reference document writes its handlers in this way.
    def on_chat_model_start(self, serialized: dict[str, Any], messages: Any, **kwargs: Any) -> None:
        """Take the arguments that are named, and leave the rest."""


class Wrong(BaseCallbackHandler):
    # An end brings one value, not two.
    def on_chain_end(self, outputs: Any, more: int, **kwargs: Any) -> None: ...  # type: ignore[override]


# State per run: the hooks have the type that the class states.


class Meter(RunStateHandler[list[int]]):
    def start_run(self, run: RunStart, parent: list[int] | None) -> list[int] | None:
        assert_type(run.name, str)
        return [] if parent is None else parent

    def end_run(self, state: list[int], run: RunEnd) -> None:
        assert_type(run.duration, float)
        state.append("no number")  # type: ignore[arg-type]

    def on_retry(self, retry_state: Any, *, run_id: UUID, **kwargs: Any) -> None:
        assert_type(self.state_of(run_id), list[int] | None)


class WrongMeter(RunStateHandler[int]):
    def end_tree(self, state: str) -> None: ...  # type: ignore[override]


# Managers and runs: methods are derived from the event table, and keep its types.

handler = Printing(Settings(webhook_url=SecretStr("...")))
manager = CallbackManager([handler], tags=["a"], metadata={"tenant": 7})

run = manager.on_chain_start({"name": "plan"}, {"x": 1}, run_id=None, tags=["b"])
assert_type(run, Run)
assert_type(run.id, UUID)
assert_type(run.parent_id, UUID | None)
assert_type(run.duration, float | None)
assert_type(run.tags, tuple[str, ...])
assert_type(run.get_child("seq:step:1"), CallbackManager)
assert_type(run.on_chain_end(1), None)
assert_type(run.on_llm_new_token("a", chunk=None), None)
assert_type(manager.on_chat_model_start({}, [[]]), list[Run])
assert_type(manager.on_llm_start({}, ["a", "b"]), list[Run])
assert_type(manager.handlers, list[object])
assert_type(manager.run("tool", "search", "bears"), Run)

run.on_chain_end(1, 2)  # type: ignore[call-arg]
run.on_chain_error("no exception")  # type: ignore[arg-type]
run.on_custom_event(1, None)  # type: ignore[arg-type]
run.on_llm_new_token("a", chunks=None)  # type: ignore[call-arg]
run.on_chain_strat({})  # type: ignore[attr-defined]
manager.on_chain_start({"name": "plan"})  # type: ignore[call-arg]
manager.on_chain_start({}, {}, run_typ="chain")  # type: ignore[call-arg]
manager.on_chain_start({}, {}, run_type="agent")  # type: ignore[arg-type]
manager.run("agent", "plan")  # type: ignore[arg-type]

with manager.run("chain", "plan", {"x": 1}) as entered:
    assert_type(entered, Run)
    entered.end("done")
    entered.end("done", status="fine")  # type: ignore[arg-type]


async def by_hand() -> None:
    started = await manager.aon_chain_start({"name": "plan"}, {})
    assert_type(started, Run)
    assert_type(await manager.aon_chat_model_start({}, [[]]), list[Run])
    end: Coroutine[Any, Any, None] = started.aon_chain_end(1)
    assert_type(await end, None)
    await started.aon_text("half-way")
    await started.aon_chain_end(1)
    # No handler is told without `await`.
    started.aon_chain_end(1)  # type: ignore[unused-coroutine]
    await started.aon_chain_error(None)  # type: ignore[arg-type]
    async with manager.run("retriever", "find", "bears") as found:
        assert_type(found, Run)
        await found.aend([])


# Attaching: names and objects mixed; policies and `Local` are put round either.

assert_type(Local("slack"), Local)
narrowed = policy("slack", only="errors+roots", tags="prod")
both = policy(Local(handler), only="tool")
policy("slack", only=None)  # type: ignore[arg-type]

with attached("console", handler, narrowed, both) as nothing:
    assert_type(nothing, None)

register("printing", lambda: handler)
register("printing", Printing)
register("printing", "module:Class")  # type: ignore[arg-type]

# Asking.

assert_type(current_manager(), CallbackManager)
assert_type(resolve(["console"]), Resolution)
assert_type(resolve("console", constructor=[handler]).manager, CallbackManager)
assert_type(explain(), Resolution)
assert_type(requested("console", allow=("console",)), list[str])
requested("console")  # type: ignore[call-arg]
assert_type(check(), None)
assert_type(reload(), None)

try:
    check()
except UnknownHandlerError as unknown:
    assert_type(unknown.name, str)
    assert_type(unknown.installed, tuple[str, ...])
except BrokenPluginError as broken:
    assert_type(broken.distribution, str | None)
except HandlerDeniedError as denied:
    assert_type(denied.rule, str)
except ChainCallbacksError:
    pass


@hookimpl
def chain_callbacks_handler_created(name: str, handler: object) -> None:
    assert_type(handler, object)


assert_type(chain_callbacks_handler_created("slack", handler), None)

# Plain functions: `@traced` keeps the signature.


@traced
def plain(text: str, *, times: int = 1) -> str:
    return text * times


@traced("tool", name="search", callbacks=["console"], tags=["web"])
async def search(query: str) -> list[str]:
    return [query]


@traced("retriever")
def pages(query: str) -> Iterator[Document]:
    yield Document(query)


@traced
def conversation(first: str) -> Generator[str, int, bool]:
    return (yield first) > 0


@traced
async def ticks(count: int) -> AsyncIterator[int]:
    yield count


class Service:
    @traced("chain")
    def answer(self, question: str) -> int:
        return len(question)


assert_type(plain("a", times=2), str)
assert_type(pages("bears"), Iterator[Document])
assert_type(conversation("a"), Generator[str, int, bool])
assert_type(ticks(3), AsyncIterator[int])
assert_type(Service().answer("why"), int)
plain(1)  # type: ignore[arg-type]
plain("a", time=2)  # type: ignore[call-arg]
Service().answer()  # type: ignore[call-arg]


traced("tol")  # type: ignore[call-overload]


async def elsewhere(pool: ThreadPoolExecutor) -> None:
    assert_type(await search("bears"), list[str])
    assert_type(await to_thread(plain, "a", times=2), str)
    assert_type(submit(pool, plain, "a"), Future[str])
    submit(pool, plain, 1)  # type: ignore[arg-type]
    await to_thread(plain)  # type: ignore[call-arg]


# Chains: the output of the last step is the output of the whole.

prompt = ChatPromptTemplate.from_template("Tell me about {topic}.")
model = FakeListChatModel(["Bears sleep."])
chain = prompt | model | StrOutputParser()

assert_type(model.invoke("Hello"), AIMessage)
question = {"topic": "bears"}
message: AIMessage = (prompt | model).invoke(question)
text: str = chain.invoke(question)
chunks: Iterator[str] = chain.stream(question)
achunks: AsyncIterator[str] = chain.astream(question)
tagged: str = chain.with_config(tags=["a"]).invoke(question)
tried: str = chain.with_retry().invoke(question)
caught: str = chain.with_fallbacks([chain]).invoke(question)
bound: str = chain.bind(stop=["."]).invoke(question)
assert_type(model.with_retry().invoke("Hello"), AIMessage)
assert_type(model.with_fallbacks([model]).invoke("Hello"), AIMessage)
assert_type(model.with_config(tags=["a"]).stream("Hello"), Iterator[AIMessage])

config: RunnableConfig = {"callbacks": ["console", handler], "tags": ["a"], "recursion_limit": 5}
chain.invoke(question, config)
chain.invoke(question, {"callbacks": narrowed})
chain.invoke(question, {"callback": [handler]})  # type: ignore[arg-type]
chain.invoke(question, {"max_concurrency": "2"})  # type: ignore[arg-type]


async def asynchronously() -> None:
    whole: str = await chain.ainvoke(question)
    assert_type(whole, str)
    async for chunk in model.astream("Hello"):
        assert_type(chunk, AIMessage)
    assert_type(await model.ainvoke("Hello"), AIMessage)


def count(text: str) -> int:
    return len(text)


async def acount(text: str) -> int:
    return len(text)


counting: RunnableLambda[str, int] = RunnableLambda(count, name="count", callbacks=["console"])
assert_type(counting.invoke("a"), int)
length: int = (chain | counting).invoke(question)
acounting: RunnableLambda[str, int] = RunnableLambda(acount)
sides: RunnableParallel[str] = RunnableParallel({"a": chain, "b": count})
assert_type(sides.invoke("a"), dict[str, Any])
assert_type(RunnablePassthrough[str]().invoke("a"), str)


class Squares(Runnable[int, int]):
    def _invoke(self, input: int, **kwargs: Any) -> int:
        return input * input


assert_type(Squares(name="square").invoke(3), int)
Squares().invoke("3")  # type: ignore[arg-type]


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [Document(query)]


assert_type(Shelf().invoke("bears"), list[Document])


@tool
def double(number: int) -> int:
    """Return twice the number."""
    return number * 2


@tool("triple", callbacks=["console"])
def thrice(number: int) -> int:
    """Return three times the number."""
    return number * 3


tools: list[BaseTool] = [double, thrice]
agent = create_agent(model, tools, system_prompt="Be brief.")
assert_type(agent.invoke("What is 2 * 3?")["messages"][-1].text, str)
create_agent(model, tools, prompt="Be brief.")  # type: ignore[call-arg]

# Tests of an application.

recorder = RecordingHandler()
assert_type(recorder.tree(), str)
assert_type(recorder.names(), list[str])
assert_type(recorder.problems(), list[str])

factory: Callable[[], BaseCallbackHandler] = RecordingHandler
