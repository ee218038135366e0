"""Models of LangChain's that call a vendor's client: one call is one run, however many see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from chain_callbacks import traced
from chain_callbacks.testing import ModelServer, RecordingHandler, Reply

WHY: Final = "it is installed where all of ours are: nox -s plugins, nox -s langchain"
anthropic = pytest.importorskip("anthropic", reason=WHY)
openai = pytest.importorskip("openai", reason=WHY)
langchain_anthropic = pytest.importorskip("langchain_anthropic", reason=WHY)
langchain_openai = pytest.importorskip("langchain_openai", reason=WHY)
for ours in ("anthropic", "openai"):
    pytest.importorskip(f"chain_callbacks_{ours}", reason=WHY)

MODELS: Final[dict[str, Callable[[str], BaseChatModel]]] = {
    "anthropic": lambda url: langchain_anthropic.ChatAnthropic(
        model="model-1", base_url=url, api_key="none"
    ),
    "openai": lambda url: langchain_openai.ChatOpenAI(
        model="model-1", base_url=f"{url}/v1", api_key="none", stream_usage=True
    ),
}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A server in the place of the vendors'."""
    with ModelServer() as server:
        yield server


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, server: ModelServer) -> BaseChatModel:
    """A model of LangChain's, each vendor's in its turn."""
    return MODELS[request.param](server.url)


def counted(heard: RecordingHandler) -> list[int]:
    """Return the tokens of each end of a model, as a handler for costs adds them up."""
    results = [each.payload["response"] for each in heard.records if each.name == "on_llm_end"]
    return [each.generations[0][0].message.usage_metadata["total_tokens"] for each in results]


def ask(chain: Any, way: str) -> None:
    async def aask() -> None:
        if way == "astream":
            _ = [chunk async for chunk in chain.astream({"number": 2})]
        else:
            await chain.ainvoke({"number": 2})

    if way == "invoke":
        chain.invoke({"number": 2})
    elif way == "stream":
        list(chain.stream({"number": 2}))
    else:
        asyncio.run(aask())


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
def test_client_of_a_model_makes_no_second_run(
    heard: RecordingHandler, model: BaseChatModel, way: str
) -> None:
    """LangChain tells of its model, the client of the same call: there is one, counted once."""
    ask(ChatPromptTemplate.from_template("1 + {number}?") | model, way)

    assert ["chain", "prompt", "chat_model"] == [run.run_type for run in heard.runs]
    assert [29] == counted(heard)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_attempts_of_the_client_are_retries_of_the_model(
    heard: RecordingHandler, server: ModelServer, model: BaseChatModel, way: str
) -> None:
    """LangChain leaves it to the client to try again, and tells nobody."""
    server.will(Reply({"error": {"message": "Too many."}}, 429, {"retry-after-ms": "1"}))

    ask(RunnableLambda(lambda _: "?") | model, way)

    (name,) = [run.name for run in heard.runs if run.run_type == "chat_model"]
    assert f"  chat_model {name} [seq:step:2] retry=1" == heard.tree().splitlines()[-1]


def test_client_that_a_function_calls_is_a_run_in_it(
    heard: RecordingHandler, server: ModelServer
) -> None:
    """No model of LangChain's is around: the client's own run is the function's child."""

    def call(_: str) -> str:
        with anthropic.Anthropic(base_url=server.url, api_key="none") as client:
            asked: Any = [{"role": "user", "content": "?"}]
            client.messages.create(model="model-1", max_tokens=9, messages=asked)
        return "done"

    RunnableLambda(call).invoke("?")

    assert ["chain call", "  chat_model anthropic.messages"] == heard.tree().splitlines()


def test_client_that_a_run_inside_a_model_calls_is_a_run_there(
    heard: RecordingHandler, server: ModelServer
) -> None:
    """A model that hands its work to something of its own: that has the call, and tells of it."""

    @traced
    def look_up() -> str:
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            asked: Any = [{"role": "user", "content": "?"}]
            client.chat.completions.create(model="model-1", messages=asked)
        return "3"

    class Delegating(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "delegating"

        def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage(look_up()))])

    Delegating().invoke("?")

    _, *inside = heard.tree().splitlines()
    assert ["chain look_up", "  chat_model openai.chat.completions"] == inside
