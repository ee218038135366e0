"""Models of LangChain's that call a vendor's client: one call is one run, whoever hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from chain_callbacks import traced
from chain_callbacks.testing import RecordingHandler, Reply, ScriptedServer

WHY: Final = "it is installed where all of ours are: nox -s tests, nox -s langchain"
anthropic = pytest.importorskip("anthropic", reason=WHY)
openai = pytest.importorskip("openai", reason=WHY)
langchain_anthropic = pytest.importorskip("langchain_anthropic", reason=WHY)
langchain_openai = pytest.importorskip("langchain_openai", reason=WHY)
for ours in ("anthropic", "openai"):
    pytest.importorskip(f"chain_callbacks_{ours}", reason=WHY)

MESSAGE: Final[dict[str, Any]] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "model-1",
    "content": [{"type": "text", "text": "3"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 16, "output_tokens": 13},
}
OPENED: Final = {"type": "content_block_start", "index": 0}
GROWN: Final = {"type": "content_block_delta", "index": 0}
STOPPED: Final = {"stop_reason": "end_turn", "stop_sequence": None}
COMPLETION: Final[dict[str, Any]] = {"id": "chatcmpl-1", "created": 1, "model": "model-1"}
USAGE: Final = {"prompt_tokens": 16, "completion_tokens": 13, "total_tokens": 29}


class Vendor(NamedTuple):
    """A model of LangChain's, and how its vendor answers."""

    make: Callable[[str], BaseChatModel]
    whole: dict[str, Any]
    events: list[Any]


VENDORS: Final = {
    "anthropic": Vendor(
        lambda url: langchain_anthropic.ChatAnthropic(
            model="model-1", base_url=url, api_key="none"
        ),
        MESSAGE,
        [
            {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
            {**OPENED, "content_block": {"type": "text", "text": ""}},
            {**GROWN, "delta": {"type": "text_delta", "text": "3"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": STOPPED, "usage": MESSAGE["usage"]},
            {"type": "message_stop"},
        ],
    ),
    "openai": Vendor(
        lambda url: langchain_openai.ChatOpenAI(
            model="model-1", base_url=f"{url}/v1", api_key="none", stream_usage=True
        ),
        {
            **COMPLETION,
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "3"},
                    "finish_reason": "stop",
                }
            ],
            "usage": USAGE,
        },
        [
            *(
                {**COMPLETION, "object": "chat.completion.chunk", **more}
                for more in (
                    {"choices": [{"index": 0, "delta": {"content": "3"}, "finish_reason": "stop"}]},
                    {"choices": [], "usage": USAGE},
                )
            ),
            "data: [DONE]\n\n",
        ],
    ),
}


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    """Each vendor in its turn."""
    return VENDORS[request.param]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server whose script the test writes."""
    with ScriptedServer() as server:
        yield server


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
    heard: RecordingHandler, server: ScriptedServer, vendor: Vendor, way: str
) -> None:
    """LangChain tells of its model, the client of the same call: there is one, counted once."""
    server.will(Reply(events=vendor.events) if "stream" in way else Reply(vendor.whole))
    model = vendor.make(server.url)

    ask(ChatPromptTemplate.from_template("1 + {number}?") | model, way)

    assert ["chain", "prompt", "chat_model"] == [run.run_type for run in heard.runs]
    assert [29] == counted(heard)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_attempts_of_the_client_are_retries_of_the_model(
    heard: RecordingHandler, server: ScriptedServer, vendor: Vendor, way: str
) -> None:
    """LangChain leaves it to the client to try again, and tells nobody."""
    refused = Reply({"error": {"message": "Too many."}}, 429, {"retry-after-ms": "1"})
    server.will(refused, Reply(vendor.whole))
    model = vendor.make(server.url)

    ask(RunnableLambda(lambda _: "?") | model, way)

    (name,) = [run.name for run in heard.runs if run.run_type == "chat_model"]
    assert f"  chat_model {name} [seq:step:2] retry=1" == heard.tree().splitlines()[-1]


def test_client_that_a_function_calls_is_a_run_in_it(
    heard: RecordingHandler, server: ScriptedServer
) -> None:
    """No model of LangChain's is around: the client's own run is the function's child."""
    server.will(Reply(MESSAGE))

    def call(_: str) -> str:
        with anthropic.Anthropic(base_url=server.url, api_key="none") as client:
            asked: Any = [{"role": "user", "content": "?"}]
            client.messages.create(model="model-1", max_tokens=9, messages=asked)
        return "done"

    RunnableLambda(call).invoke("?")

    assert ["chain call", "  chat_model anthropic.messages"] == heard.tree().splitlines()


def test_client_that_a_run_inside_a_model_calls_is_a_run_there(
    heard: RecordingHandler, server: ScriptedServer
) -> None:
    """A model that hands its work to something of its own: that has the call, and tells of it."""
    server.will(Reply(VENDORS["openai"].whole))

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
