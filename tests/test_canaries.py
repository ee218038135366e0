"""Canaries: secrets put wherever a program has data, and looked for wherever handlers write."""

from __future__ import annotations

import inspect
import io
import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import redirect_stderr, redirect_stdout
from types import ModuleType
from typing import Any

import pytest

from chain_callbacks import (
    BaseCallbackHandler,
    CallbackManager,
    cli,
    explain,
    flush,
    policy,
)
from chain_callbacks.delivery import queue
from chain_callbacks.dispatch import privacy
from chain_callbacks.dispatch.handler_class import FACTS
from chain_callbacks.dispatch.views import in_force
from chain_callbacks.events import EVENTS
from chain_callbacks.handlers.console_handler import ConsoleHandler
from chain_callbacks.handlers.settings import StructlogSettings
from chain_callbacks.handlers.structlog_handler import StructlogHandler
from chain_callbacks.redaction import DefaultRedactor
from chain_callbacks.runnables import (
    AIMessage,
    BaseRetriever,
    Document,
    FakeListChatModel,
    HumanMessage,
    RetryState,
    RunnableLambda,
    ToolCall,
    ToolMessage,
    tool,
)
from chain_callbacks.runnables.outputs import AgentAction, AgentFinish, ChatGeneration, LLMResult

WORD = "c4naryXq7Zp0"
"""Not to be found at `none`: ordinary data, which looks like nothing."""
KEY = "sk-c4naryXq7Zp0-a1B2c3D4e5F6"
"""Not to be found below `full`: what looks like a key of a service."""
TRACE = re.compile("c4nary", re.IGNORECASE)


@pytest.fixture(autouse=True)
def _slate(isolated_callbacks: None) -> Iterator[None]:
    privacy._say.cache_clear()
    CallbackManager()  # It has the settings read anew, which a test may have changed before.
    yield
    in_force.redactor = DefaultRedactor()
    queue._channels.clear()  # A handler of one test is not flushed in another.


def refused(canary: str) -> Exception:
    """Return a raised exception with the canary wherever one can have it."""

    class RefusedError(ConnectionError):
        pass

    def call() -> None:
        local = f"local {canary}"
        try:
            {}[local]
        except KeyError as cause:
            error = RefusedError(f"401 from https://user:{canary}@api.example.com/v1?key={canary}")
            error.add_note(f"note {canary}")
            error.request = {"authorization": canary}  # type: ignore[attr-defined]
            raise error from cause

    with pytest.raises(RefusedError) as caught:
        call()
    return caught.value


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [Document(f"a page with {query}", metadata={"source": query, "password": query})]


def run_everything(callbacks: list[Any], canary: str) -> None:
    """Issue every event of the table, through the native host and by hand, full of the canary."""

    @tool
    def look_up(password: str, question: str) -> str:
        return f"found {password} for {question}"

    @tool
    def broken(question: str) -> str:
        raise refused(canary)

    arguments = {"password": canary, "question": canary}
    config: Any = {
        "callbacks": callbacks,
        "tags": [f"tag-{canary}"],
        "metadata": {"user": canary, "api_key": canary, "nested": [{"deep": canary}]},
    }
    call = ToolCall(name="look_up", args=arguments, id="1")
    answer = AIMessage(f"the answer is {canary} ok", tool_calls=[call])
    model = FakeListChatModel([answer])
    messages = [HumanMessage(canary), ToolMessage(canary, tool_call_id="1")]
    (model | RunnableLambda(lambda message: message.content)).invoke(messages, config)
    assert len([*FakeListChatModel([f"the answer is {canary} ok"]).stream(canary, config)]) > 2
    look_up.invoke(arguments, config)
    look_up.invoke(call, config)
    Shelf().invoke(canary, config)
    RunnableLambda(lambda value: {"out": [value, canary]}).invoke({"in": canary}, config)
    for failing in (RunnableLambda(lambda _: broken.invoke(canary)), broken):
        with pytest.raises(ConnectionError):
            failing.with_retry(wait_exponential_jitter=False).invoke(canary, config)

    manager = CallbackManager(callbacks, tags=[canary], metadata={"user": canary})
    with manager.run("chain", "by hand", canary) as run:
        run.on_text(canary)
        run.on_custom_event("progress", {"note": canary, "url": f"https://u:{canary}@host/"})
        run.on_agent_action(AgentAction("look_up", arguments, canary))
        run.on_agent_finish(AgentFinish({"output": canary}, canary))
        run.on_interrupt({"ask": canary})
        run.on_resume({"answer": canary})
        outcome: Future[Any] = Future()
        outcome.set_exception(refused(canary))
        run.on_retry(RetryState(1, outcome, 0.0))
        below = run.get_child()
        embedding = below.on_embeddings_start({"name": "embed"}, [canary])
        embedding.on_embeddings_end([[0.1, 0.2]])
        embedding = below.on_embeddings_start({"name": "embed"}, [canary])
        embedding.on_embeddings_error(refused(canary))
        below.on_retriever_start({"name": "shelf"}, canary).on_retriever_error(refused(canary))
        (model_run,) = below.on_llm_start(
            {"name": "model", "kwargs": {"api_key": canary}},
            [f"prompt {canary}"],
            invocation_params={"api_key": canary, "stop": [canary]},
        )
        for start in range(0, len(canary), 4):
            model_run.on_llm_new_token(canary[start : start + 4], chunk=AIMessage(canary[start:]))
        partial = LLMResult(
            [[ChatGeneration(message=AIMessage(canary))]], llm_output={"id": canary}
        )
        model_run.on_llm_error(refused(canary), response=partial)
        (model_run,) = below.on_llm_start({"name": "model"}, [f"prompt {canary}"])
        model_run.on_llm_end(partial)
        run.on_chain_end({"api_key": canary, "text": f"it is {canary}"})
    assert flush(30).is_complete


def everything(value: Any, seen: set[int] | None = None) -> str:
    """Return all that can be read of a value, in whatever it holds."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return ""
    seen.add(id(value))
    parts = [repr(value), str(value)]
    if isinstance(value, BaseException):
        parts += traceback.format_exception(value)
        parts += [everything(each, seen) for each in (value.args, value.__cause__)]
    if isinstance(value, Future):
        parts.append(everything(value.exception(), seen))
    if hasattr(value, "items"):
        parts += [everything(each, seen) for pair in value.items() for each in pair]
    elif isinstance(value, list | tuple | set | frozenset):
        parts += [everything(each, seen) for each in value]
    elif not isinstance(value, type | str):
        names = [*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())]
        parts += [everything(getattr(value, name, None), seen) for name in names]
    return "\n".join(parts)


class Records(BaseCallbackHandler):
    """Reads all of every record."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.names: set[str] = set()

    def on_event(self, record: Any) -> None:
        self.names.add(record.name)
        self.text.append(everything([record.name, record.run, dict(record.payload)]))


def _reading(name: str) -> Callable[..., None]:
    def method(self: Any, *args: Any, **kwargs: Any) -> None:
        self.names.add(name)
        self.text.append(everything([args, kwargs]))

    # Naming a fact in the signature is how a handler asks for it.
    own = [each for each in FACTS if each not in (*EVENTS[name].positional, *EVENTS[name].keywords)]
    either, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("self", either),
            *(inspect.Parameter(each, either) for each in EVENTS[name].positional),
            *(inspect.Parameter(each, keyword, default=None) for each in own),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]
    )
    return method


Facts: Any = type(
    "Facts",
    (BaseCallbackHandler,),
    {"__init__": Records.__init__, **{name: _reading(name) for name in EVENTS}},
)


def _structlog() -> StructlogHandler:
    return StructlogHandler(StructlogSettings(level="debug", renderer="json"))


SINKS: dict[str, Callable[[], Any]] = {
    "console": ConsoleHandler,
    "structlog": _structlog,
    "records": Records,
    "facts": Facts,
}


def found_in(text: str) -> list[str]:
    """Return each canary with what stands around it."""
    return [text[max(0, m.start() - 60) : m.end() + 20] for m in TRACE.finditer(text)]


LEVELS = [("none", WORD), ("none", KEY), ("redacted", KEY)]


def written(handler: Any, level: str, delivery: str, canary: str, caplog: Any) -> str:
    """Return all that came out anywhere while every event was issued to the handler."""
    caplog.set_level(logging.DEBUG)
    out = io.StringIO()
    with redirect_stderr(out), redirect_stdout(out):
        run_everything([policy(handler, content=level, delivery=delivery)], canary)
    return "\n".join([out.getvalue(), *getattr(handler, "text", ()), logged(caplog)])


def logged(caplog: Any) -> str:
    return caplog.text + "".join(everything(vars(record)) for record in caplog.records)


@pytest.mark.parametrize("delivery", ["inline", "queued"])
@pytest.mark.parametrize(("level", "canary"), LEVELS)
@pytest.mark.parametrize("sink", SINKS)
def test_no_canary_is_found_below_full(sink, level, canary, delivery, caplog):
    """At none no data at all, at redacted nothing that looks like a secret, in no sink."""
    handler = SINKS[sink]()

    text = written(handler, level, delivery, canary, caplog)

    assert found_in(text) == []
    assert "RefusedError" in text
    if sink in ("records", "facts"):
        assert handler.names == set(EVENTS)


@pytest.mark.parametrize("sink", SINKS)
def test_canaries_are_found_at_full(sink, caplog):
    """What looks for them finds them where they may be: the other tests can fail."""
    assert TRACE.findall(written(SINKS[sink](), "full", "inline", WORD, caplog)) != []


def test_redacted_view_still_shows_what_is_no_secret(caplog):
    """What is ordinary data is there at redacted, also around what is masked."""
    text = written(Records(), "redacted", "inline", KEY, caplog)

    assert "the answer is [redacted]" in text
    assert "a page with [redacted]" in text
    assert "api.example.com/v1" in text


@pytest.mark.parametrize("delivery", ["inline", "queued"])
def test_secret_that_is_split_across_tokens_is_in_no_token_and_masked_at_the_end(delivery):
    """Below full a token has no text; the end event has the whole, redacted."""
    heard: list[tuple[str, str]] = []

    class Streams(BaseCallbackHandler):
        def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
            heard.append((token, repr(chunk)))

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            heard.append(("end", response.generations[0][0].message.content))

    class Split(FakeListChatModel):
        def _stream(self, messages: Any, **kwargs: Any) -> Iterator[Any]:
            for whole in super()._stream(messages, **kwargs):
                for each in whole.content:
                    yield type(whole)(each)

    config = {"callbacks": [policy(Streams(), content="redacted", delivery=delivery)]}
    assert "".join(each.content for each in Split([f"is {KEY} ok"]).stream("go", config)) != ""
    assert flush(30).is_complete

    tokens = len(f"is {KEY} ok")
    assert heard == [("", "None")] * tokens + [("end", "is [redacted] ok")]


@pytest.mark.parametrize("delivery", ["inline", "queued"])
@pytest.mark.parametrize("level", ["none", "redacted"])
def test_failure_of_a_handler_below_full_is_logged_without_its_text(level, delivery, caplog):
    """What it raises may quote what it was shown, or what it looked up: class and place are all."""

    class Quotes(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            canary_in_a_local = WORD
            raise refused(canary_in_a_local)

        def flush(self, timeout: float) -> None:
            raise refused(WORD)

    caplog.set_level(logging.DEBUG)
    handler = policy(Quotes(), content=level, delivery=delivery)
    RunnableLambda(abs).invoke(1, {"callbacks": [handler]})
    flush(30)

    # The source line of a frame is code; this test's own has the name of a local in it.
    text = logged(caplog).replace("canary_in_a_local", "").replace("refused(canary)", "")
    assert "failed in on_chain_start with RefusedError" in text
    assert WORD not in text
    assert all(record.exc_info is None for record in caplog.records)


@pytest.mark.parametrize("delivery", ["inline", "queued"])
def test_failure_of_a_handler_at_full_is_logged_with_its_text(delivery, caplog):
    """Who is shown the payload anyway is helped by the whole traceback."""

    class Fails(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            raise ValueError(WORD)

    RunnableLambda(abs).invoke(1, {"callbacks": [policy(Fails(), delivery=delivery)]})
    flush(30)

    assert f"ValueError: {WORD}" in caplog.text


@pytest.mark.parametrize("delivery", ["inline", "queued"])
@pytest.mark.parametrize("level", ["none", "redacted"])
def test_explanations_hold_no_data(level, delivery, monkeypatch, capsys):
    """What explain(), a report, stats and doctor say after all that is names and numbers."""
    from chain_callbacks import stats

    class Fails(Records):
        def on_event(self, record: Any) -> None:
            raise refused(WORD)

    handler = policy(Fails(), content=level, delivery=delivery)
    run_as_far_as_it_goes([handler])
    monkeypatch.setenv("CHAIN_CALLBACKS", "structlog")
    resolution = explain(
        RunnableLambda(abs),
        config={"callbacks": [handler], "tags": [WORD], "metadata": {"key": WORD}},
    )
    cli.main(["doctor"])
    cli.main(["explain"])

    said = [str(resolution), json.dumps(resolution.as_data()), repr(resolution), str(flush(0))]
    said += [repr(stats()), *capsys.readouterr()]
    assert "Fails" in said[0]
    assert TRACE.findall("\n".join(said)) == []


def run_as_far_as_it_goes(callbacks: list[Any]) -> None:
    with CallbackManager(callbacks, tags=[WORD]).run("chain", "run", WORD) as run:
        run.on_custom_event("progress", WORD)
    flush(30)


class Raising:
    """A redactor that raises, with the payload in what it says."""

    def hides(self, key: str) -> bool:
        raise RuntimeError(f"hides {key}")

    def redact(self, text: str) -> str:
        raise RuntimeError(f"cannot redact {text}")


@pytest.mark.parametrize("delivery", ["inline", "queued"])
@pytest.mark.parametrize("sink", SINKS)
def test_redactor_that_raises_withholds_the_payload(sink, delivery, caplog, monkeypatch):
    """Nothing gets through, the run goes on, and the log has the class of the error alone."""
    module = ModuleType("our_redactor")
    module.Ours = Raising  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "our_redactor", module)
    monkeypatch.setenv("CHAIN_CALLBACKS_REDACTOR", "our_redactor:Ours")

    text = written(SINKS[sink](), "redacted", delivery, WORD, caplog)

    assert found_in(text) == []
    assert "[withheld]" in text
    assert "raised RuntimeError" in text


def calls_of(action: Callable[[], Any]) -> int:
    """Return how many calls of functions, Python's or C's, *action* makes."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


HOSTILE_TEXTS = ("a", "a.", "://", "a@", "key=", "sk-", "'", '"', "{[", "=", "\\", "eyJ", "-----")


@pytest.mark.parametrize("unit", HOSTILE_TEXTS)
def test_hostile_text_is_seen_in_bounded_steps_through_a_redacted_view(unit):
    """Of 100 kB, or of a megabyte, no more is looked at than of twenty: the work is the same."""
    heard: list[int] = []

    class Handler(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            heard.append(len(inputs))

    manager = CallbackManager([policy(Handler(), content="redacted")])

    def see(size: int) -> int:
        text = unit * (size // len(unit))
        return calls_of(lambda: manager.run("chain", "run", text).start((text,)))

    see(100)  # Patterns are compiled, and so on.
    twenty, hundred, thousand = see(21_000), see(100_000), see(1_000_000)

    assert hundred <= twenty + 100
    assert thousand <= twenty + 100
    assert max(heard) <= 30_000


def test_payload_of_many_hostile_texts_is_cut_before_it_is_scanned():
    """All texts of one event together are bounded too, and so are items and depth."""
    scanned: list[int] = []

    class Counting(DefaultRedactor):
        def redact(self, text: str, /) -> str:
            scanned.append(len(text))
            return super().redact(text)

    in_force.redactor = Counting()
    deep: Any = "leaf"
    for _ in range(1_000):
        deep = [deep, "x" * 1_000]
    manager = CallbackManager([policy(Records(), content="redacted")])

    with manager.run("chain", "run", {str(n): "key=" * 5_000 for n in range(500)}) as run:
        first = sum(scanned)
        run.end(deep)

    assert 0 < first <= 200_000 + 10_000
    assert sum(scanned) - first <= 200_000
