"""LangChain's handlers in native runs: what they are told is in LangChain's own types."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler as LangChainHandler
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.tracers.base import BaseTracer

from chain_callbacks import runnables
from chain_callbacks.runnables import (
    BaseRetriever,
    ChatPromptTemplate,
    FakeListChatModel,
    RunnableLambda,
    tool,
)
from chain_callbacks_langchain import conversion

USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


class Keeping(LangChainHandler):
    """Keeps what it is told, by event."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {}


def _keeping(event: str) -> Any:
    def method(self: Keeping, *arguments: Any, **keywords: Any) -> None:
        self.told.setdefault(event, []).append((arguments, keywords))

    return method


for _event in [
    "on_chain_start",
    "on_chain_end",
    "on_chain_error",
    "on_chat_model_start",
    "on_llm_new_token",
    "on_llm_end",
    "on_tool_start",
    "on_tool_end",
    "on_retriever_start",
    "on_retriever_end",
]:
    setattr(Keeping, _event, _keeping(_event))


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query: str, **_: Any) -> list[runnables.Document]:
        return [runnables.Document("All about it.", {"page": 1}, "d1")]


@tool
def search(query: str) -> str:
    """Search."""
    return Shelf().invoke(query)[0].page_content


def answering() -> FakeListChatModel:
    message = runnables.AIMessage(
        "Forty two.",
        usage_metadata=runnables.UsageMetadata(**USAGE),  # type: ignore[typeddict-item]
        response_metadata={"model_name": "deep-thought"},
    )
    return FakeListChatModel([message])


def run_everything(*handlers: object) -> None:
    """Run a chain with a prompt, a streamed model, a tool and a retriever, and an error."""
    chain = (
        RunnableLambda(lambda question: {"context": search.invoke(question), "question": question})
        | ChatPromptTemplate([("system", "{context}"), ("user", "{question}")])
        | answering()
    )
    list(chain.stream("What is it?", config={"callbacks": [*handlers]}))
    with pytest.raises(LookupError):
        RunnableLambda(lambda _: {}["missing"]).invoke(1, config={"callbacks": [*handlers]})


@pytest.fixture
def kept() -> Keeping:
    handler = Keeping()
    run_everything(handler)
    return handler


def test_every_event_has_ids_a_name_and_no_none(kept: Keeping) -> None:
    """What handlers index without asking is there, at every start."""
    for event, told in kept.told.items():
        for arguments, keywords in told:
            assert isinstance(keywords["run_id"], UUID)
            assert isinstance(keywords["tags"], list)
            if event.endswith("_start"):
                assert {"id", "name"} <= arguments[0].keys()
                assert keywords["name"]
                assert isinstance(keywords["metadata"], dict)


def test_chat_model_starts_with_messages_and_what_identifies_it(kept: Keeping) -> None:
    """Real messages in a list of lists, parameters, and the names that handlers group by."""
    (((_, batches), keywords),) = kept.told["on_chat_model_start"]

    assert [["system", "human"]] == [[message.type for message in batch] for batch in batches]
    assert all(isinstance(message, BaseMessage) for message in batches[0])
    assert "FakeListChatModel" == keywords["invocation_params"]["_type"]
    assert {
        "ls_provider": "FakeListChatModel",
        "ls_model_name": "FakeListChatModel",
        "ls_model_type": "chat",
    } == keywords["metadata"]


def test_model_ends_with_a_result_that_can_be_dumped(kept: Keeping) -> None:
    """The message, its counts, and the counts where elder handlers look."""
    (((result,), _),) = kept.told["on_llm_end"]

    assert isinstance(result, LLMResult)
    generation = result.generations[0][0]
    assert isinstance(generation, ChatGeneration)
    assert isinstance(generation.message, AIMessage)
    assert USAGE == generation.message.usage_metadata
    assert {"model_name": "deep-thought"} == generation.message.response_metadata
    assert {
        "model_name": "deep-thought",
        "token_usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    } == result.llm_output
    assert result.model_dump()["generations"]


def test_tokens_bring_chunks(kept: Keeping) -> None:
    """Each token has its chunk with it."""
    chunks = [keywords["chunk"] for _, keywords in kept.told["on_llm_new_token"]]

    assert all(isinstance(chunk, ChatGenerationChunk) for chunk in chunks)
    assert all(isinstance(chunk.message, AIMessageChunk) for chunk in chunks)
    assert "Forty two." == "".join(chunk.text for chunk in chunks)


def test_retriever_ends_with_documents(kept: Keeping) -> None:
    """A document keeps its id and what is known about it."""
    (((found,), _),) = kept.told["on_retriever_end"]

    assert [Document(page_content="All about it.", metadata={"page": 1}, id="d1")] == found


def test_prompt_says_that_it_is_one(kept: Keeping) -> None:
    """A prompt is a chain of a type of its own, and gives a prompt of LangChain's."""
    types = [keywords["run_type"] for _, keywords in kept.told["on_chain_start"]]
    outputs = [arguments[0] for arguments, _ in kept.told["on_chain_end"]]

    assert 1 == types.count("prompt")
    assert ["system", "human"] == [
        message.type for each in outputs if hasattr(each, "messages") for message in each.messages
    ]


def test_every_start_has_one_end(kept: Keeping) -> None:
    """An error's end included."""
    started = [k["run_id"] for e, told in kept.told.items() if "start" in e for _, k in told]
    ended = [
        k["run_id"]
        for e, told in kept.told.items()
        if e.endswith(("_end", "_error"))
        for _, k in told
    ]

    assert sorted(started) == sorted(ended)
    assert len({*started}) == len(started)


def test_conversion_is_made_once_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many handlers of LangChain's listen, and not at all for ours."""
    made: list[str] = []
    original = conversion.convert

    def counting(event: str, *rest: Any) -> Any:
        made.append(event)
        return original(event, *rest)

    from chain_callbacks.dispatch.adapters import conversions

    monkeypatch.setitem(conversions.known, "langchain_core", counting)
    first, second = Keeping(), Keeping()
    RunnableLambda(lambda text: text).invoke("a", config={"callbacks": [first, second]})

    assert ["on_chain_start", "on_chain_end"] == made
    assert len(first.told["on_chain_start"]) == len(second.told["on_chain_start"]) == 1


class Tracer(BaseTracer):
    """LangChain's own tracer, which keeps whole trees."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.roots.append(run)


def test_tracer_of_langchain_makes_a_whole_tree_of_a_native_run() -> None:
    """Names, types, inputs and outputs stand where LangChain would have put them."""
    tracer, usage = Tracer(), UsageMetadataCallbackHandler()
    run_everything(tracer, usage)

    def drawn(run: Any) -> Any:
        return run.run_type, run.name, [drawn(each) for each in run.child_runs]

    assert [
        (
            "chain",
            "RunnableSequence",
            [
                ("chain", "RunnableLambda", [("tool", "search", [("retriever", "Shelf", [])])]),
                ("prompt", "ChatPromptTemplate", []),
                ("llm", "FakeListChatModel", []),
            ],
        ),
        ("chain", "RunnableLambda", []),
    ] == [drawn(run) for run in tracer.roots]
    assert "KeyError" in tracer.roots[1].error
    assert {"deep-thought": USAGE} == {
        name: {key: counts[key] for key in USAGE} for name, counts in usage.usage_metadata.items()
    }


def test_class_in_the_file_of_the_operator_hears_native_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A LangChain handler has a name by one line, with no plugin of its own."""
    (tmp_path / "vendor.py").write_text(
        "from langchain_core.callbacks import UsageMetadataCallbackHandler\n"
        "made = []\n"
        "class Handler(UsageMetadataCallbackHandler):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        made.append(self)\n",
        "utf-8",
    )
    config = tmp_path / "handlers.toml"
    config.write_text('[handlers.vendor]\nclass = "vendor:Handler"\n', "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(config))
    monkeypatch.setenv("CHAIN_CALLBACKS", "vendor")

    answering().invoke("?")

    import vendor  # type: ignore[import-not-found]

    (made,) = vendor.made
    assert 5 == made.usage_metadata["deep-thought"]["total_tokens"]


def test_what_is_not_ours_is_left_as_it_is() -> None:
    """The payload of LangChain's own runs, and of the user, is not copied."""
    payload = {"messages": [HumanMessage("a")], "number": 1}

    assert payload is conversion.value_of(payload)
    assert [HumanMessage("a")] == conversion.value_of([runnables.HumanMessage("a")])
