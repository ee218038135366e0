"""What a handler below ``content=full`` is shown of an event: no secret, and nothing shared."""

from __future__ import annotations

import asyncio
import copy
import enum
import pathlib
import traceback
import uuid
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretBytes, SecretStr

from chain_callbacks import events
from chain_callbacks.dispatch import privacy
from chain_callbacks.dispatch.privacy import WITHHELD, run_view, view
from chain_callbacks.handler import Content
from chain_callbacks.policies import stricter
from chain_callbacks.redaction import MASK, Copier, DefaultRedactor, copies
from chain_callbacks.runnables import AIMessage, Document, HumanMessage, RetryState, ToolMessage
from chain_callbacks.runnables.outputs import AgentAction, AgentFinish, ChatGeneration, LLMResult

CANARY = "c4nary-Xq7Zp0"
KEY = "sk-c4nary-Xq7Zp0-a1B2c3D4"
USAGE: Any = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "details": {"cached": 1}}
REDACTOR = DefaultRedactor()


@pytest.fixture(autouse=True)
def _nothing_said_before() -> None:
    privacy._say.cache_clear()


def seen(spec: events.EventSpec[...], *arguments: Any, level: Content, **keywords: Any) -> Any:
    """Return what is shown of an event: its only argument but ``serialized``, or all of them."""
    given_keywords = dict(keywords)
    shown, named = view(spec, arguments, given_keywords, level, Copier(REDACTOR))
    assert isinstance(shown, tuple)
    everything = {**dict(zip(spec.positional, shown, strict=True)), **named}
    everything.pop("serialized", None)
    return next(iter(everything.values())) if len(everything) == 1 else everything


def redacted(value: Any) -> Any:
    return seen(events.on_chain_end, value, level="redacted")


def nothing(value: Any) -> Any:
    return seen(events.on_chain_end, value, level="none")


def told(value: Any) -> str:
    """Return all that can be read of a value, also in what it holds."""
    parts = [repr(value), str(value)]
    if isinstance(value, BaseException):
        parts += traceback.format_exception(value)
        parts += [repr(vars(value)), repr(value.args), repr(value.__cause__)]
    elif hasattr(value, "__dict__") and not isinstance(value, type | enum.Enum):
        inside = [getattr(value, f"__pydantic_{name}__", "") for name in ("fields_set", "private")]
        parts.append(repr([vars(value), inside]))
    if isinstance(value, Mapping):
        parts += [told(each) for pair in value.items() for each in pair]
    elif isinstance(value, list | tuple | set | frozenset):
        parts += [told(each) for each in value]
    return "\n".join(parts)


def mutable_ids(value: Any, found: dict[int, Any] | None = None) -> dict[int, Any]:
    """Return, by id, each object in *value* that could be changed."""
    found = {} if found is None else found
    if isinstance(value, str | int | float | bytes | type | None | enum.Enum) or id(value) in found:
        return found
    if not isinstance(value, tuple | frozenset):
        found[id(value)] = value
    inner: list[Any] = []
    if isinstance(value, Mapping):
        inner += [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset | deque):
        inner += value
    elif not isinstance(value, uuid.UUID | datetime | Decimal | pathlib.PurePath):
        inner += vars(value).values() if hasattr(value, "__dict__") else ()
        inner += [getattr(value, f"__pydantic_{name}__", None) for name in ("extra", "private")]
    for each in inner:
        mutable_ids(each, found)
    return found


def fail(secret: str) -> Exception:
    """Return a raised exception that holds *secret* in every place that one can."""

    class ModelError(TimeoutError):
        def __init__(self, message: str) -> None:
            super().__init__(message)
            self.request = {"x": message}
            self.add_note(message)

    def call() -> None:
        local = f"{secret} local"
        try:
            int(local)
        except ValueError as cause:
            raise ModelError(f"refused: {secret}") from cause

    with pytest.raises(ModelError) as caught:
        call()
    return caught.value


# Levels


def test_the_stricter_level_shows_less() -> None:
    """The order is full, redacted, none, in whichever order they are asked for."""
    levels: list[Content] = ["full", "redacted", "none"]
    expected = [["full", "redacted", "none"], ["redacted", "redacted", "none"], ["none"] * 3]
    assert expected == [[stricter(a, b) for b in levels] for a in levels]


def test_full_is_the_payload_itself() -> None:
    """At ``full`` nothing is copied and nobody is asked."""
    arguments, keywords = ({"name": "x"}, ["a"]), {"options": {"password": "x"}}
    shown = view(
        events.on_llm_start, arguments, keywords, "full", Copier(MagicMock(side_effect=OSError))
    )
    assert shown[0] is arguments
    assert shown[1] is keywords
    metadata = {"password": "x"}
    assert run_view(("a",), metadata, "full", Copier(REDACTOR)) == (("a",), metadata)


# Nothing but facts


def answer(text: str = CANARY) -> LLMResult:
    message = AIMessage(
        text,
        additional_kwargs={"x": text},
        response_metadata={"model_name": "m-1", "headers": {"x": text}, "id": text},
        tool_calls=[{"name": "t", "args": {"x": text}, "id": text}],
        usage_metadata=USAGE,
    )
    output = {"token_usage": USAGE, "model_name": "m-1", "prompt": text}
    return LLMResult([[ChatGeneration(message, {"x": text})]], output, [text])


SHOWN_WITHOUT_CONTENT: list[tuple[events.EventSpec[...], tuple[Any, ...], Any, Any]] = [
    (events.on_chain_start, ({}, CANARY), {}, None),
    (events.on_chain_end, (CANARY,), {}, None),
    (
        events.on_llm_start,
        ({}, [CANARY]),
        {"invocation_params": {"x": CANARY}, "options": {"x": CANARY}},
        {"prompts": [""], "invocation_params": None, "options": None},
    ),
    (events.on_chat_model_start, ({}, [[HumanMessage(CANARY)]]), {}, [[]]),
    (events.on_llm_new_token, (CANARY,), {"chunk": CANARY}, {"token": "", "chunk": None}),
    (
        events.on_tool_start,
        ({}, CANARY),
        {"inputs": {"x": CANARY}, "tool_call_id": "call-1"},
        {"input_str": "", "inputs": None, "tool_call_id": "call-1"},
    ),
    (events.on_tool_end, (ToolMessage(CANARY, tool_call_id="1"),), {}, None),
    (events.on_retriever_start, ({}, CANARY), {}, ""),
    (events.on_retriever_end, ([Document(CANARY)],), {}, []),
    (events.on_embeddings_start, ({}, [CANARY]), {}, []),
    (events.on_embeddings_end, ([[0.1]],), {}, []),
    (events.on_agent_action, (AgentAction("t", CANARY, CANARY),), {}, None),
    (events.on_agent_finish, (AgentFinish({"x": CANARY}, CANARY),), {}, None),
    (events.on_text, (CANARY,), {}, ""),
    (events.on_custom_event, ("ready", {"x": CANARY}), {}, {"name": "ready", "data": None}),
    (events.on_interrupt, ({"x": CANARY},), {}, None),
    (events.on_resume, ({"x": CANARY},), {}, None),
    (events.on_chain_end, (CANARY,), {"foreign": CANARY}, {"outputs": None, "foreign": None}),
]


@pytest.mark.parametrize(("spec", "arguments", "keywords", "expected"), SHOWN_WITHOUT_CONTENT)
def test_none_shows_facts_in_the_shape_of_the_event(
    spec: events.EventSpec[...], arguments: tuple[Any, ...], keywords: Any, expected: Any
) -> None:
    """Names and ids stay; what a user's data could be in is empty, as what handlers expect."""
    assert expected == seen(spec, *arguments, level="none", **keywords)


def test_every_event_of_the_table_is_among_those_that_are_tried() -> None:
    """A new event needs a decision: what is shown of it."""
    tried = {spec.name for spec, *_ in SHOWN_WITHOUT_CONTENT}
    errors = {name for name in events.EVENTS if name.endswith("_error")}
    assert set(events.EVENTS) == tried | errors | {"on_llm_end", "on_retry"}


def test_none_shows_the_model_that_was_asked_and_how_it_was_set() -> None:
    """Names of models and numbers are what code chose; what is said under any other name is not."""
    asked = {"model": "m-1", "temperature": 0.5, "max_tokens": 9, "stop": [CANARY], "user": CANARY}
    metadata = {"ls_provider": "openai", "ls_model_name": "m-1", "ls_stop": CANARY, "user": CANARY}
    shown = seen(events.on_llm_start, {}, [CANARY], level="none", invocation_params=asked)
    expected = {"model": "m-1", "temperature": 0.5, "max_tokens": 9}
    assert {"prompts": [""], "invocation_params": expected} == shown
    expected = {"ls_provider": "openai", "ls_model_name": "m-1"}
    assert ((), expected) == run_view((), metadata, "none", Copier(REDACTOR))


@pytest.mark.parametrize("value", [CANARY * 20, [CANARY], {"x": CANARY}, object(), None])
def test_none_shows_no_model_that_is_no_name(value: Any) -> None:
    """A long text, or an object, under the name of a model is not taken for one."""
    shown = seen(events.on_llm_start, {}, [""], level="none", invocation_params={"model": value})
    assert {"prompts": [""], "invocation_params": None} == shown
    assert ((), {}) == run_view((), {"ls_model_name": value}, "none", Copier(REDACTOR))


@pytest.mark.parametrize(("reason", "is_shown"), [("tool_calls", True), ("a secret", False)])
def test_none_shows_why_an_answer_ended(reason: str, is_shown: Any) -> None:
    """It is a provider's word; what is none is withheld."""
    expected = {"finish_reason": reason} if is_shown else {}
    message = AIMessage(CANARY, response_metadata={"finish_reason": reason})
    told = LLMResult([[ChatGeneration(message, {"finish_reason": reason, "x": CANARY})]])
    [[shown]] = seen(events.on_llm_end, told, level="none").generations
    assert ChatGeneration(AIMessage("", response_metadata=expected), expected) == shown


def test_none_shows_the_usage_and_the_model_of_an_answer_and_no_more() -> None:
    """An answer keeps its classes, its counts and the name of the model."""
    shown = seen(events.on_llm_end, answer(), level="none")
    assert CANARY not in told(shown)
    assert type(shown) is LLMResult
    assert shown.llm_output == {"token_usage": USAGE, "model_name": "m-1"}
    [[generation]] = shown.generations
    assert type(generation) is ChatGeneration
    assert type(generation.message) is AIMessage
    expected = AIMessage("", response_metadata={"model_name": "m-1"}, usage_metadata=USAGE)
    assert generation == ChatGeneration(expected, {})


@pytest.mark.parametrize("value", [CANARY, {"x": CANARY}, SimpleNamespace(generations=CANARY)])
def test_none_shows_nothing_of_an_answer_that_is_none(value: Any) -> None:
    """What is no answer has no usage."""
    assert seen(events.on_llm_end, value, level="none") is None


def test_what_a_provider_put_among_the_counts_is_not_shown() -> None:
    """Of the usage only numbers under plain names are facts."""
    found = answer()
    found.llm_output = {
        "model": CANARY * 100,
        "usage": {"prompt_tokens": 1, "x": CANARY, f"{CANARY} y": 1, "z": [1]},
    }
    assert {"usage": {"prompt_tokens": 1}} == seen(
        events.on_llm_end, found, level="none"
    ).llm_output


@pytest.mark.parametrize("level", ["none", "redacted"])
@pytest.mark.parametrize("name", [n for n in events.EVENTS if n.endswith("_error")])
def test_an_error_is_a_stand_in_with_the_class_name(name: str, level: Content) -> None:
    """The real error's frames, cause and notes hold the payload; its class is a fact."""
    error = fail(KEY)
    shown = view(events.EVENTS[name], (error,), {}, level, Copier(REDACTOR))[0][0]
    assert KEY not in told(shown)
    names = ("__module__", "__qualname__", "__name__")
    assert [getattr(type(error), n) for n in names] == [getattr(type(shown), n) for n in names]
    assert isinstance(shown, TimeoutError)
    assert ({}, None, None, None) == (
        vars(shown),
        shown.__traceback__,
        shown.__cause__,
        shown.__context__,
    )
    assert {"none": "", "redacted": f"refused: {MASK}"}[level] == str(shown)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_a_stand_in_is_never_an_interrupt(kind: type[BaseException]) -> None:
    """A handler that raises what it was shown must not stop the program."""
    shown = seen(events.on_chain_error, kind(), level="none")
    assert isinstance(shown, Exception)
    assert kind.__qualname__ == type(shown).__qualname__


@pytest.mark.parametrize(
    "error",
    [
        UnicodeDecodeError("utf-8", KEY.encode(), 0, 1, KEY),
        ExceptionGroup(KEY, [ValueError(KEY)]),
        StopIteration(KEY),
        SyntaxError(KEY, (KEY, 1, 1, KEY)),
        OSError(2, KEY, KEY),
        KeyError({"password": KEY}),
        ImportError(KEY, name=KEY),
        ValueError({"password": "17", "x": [KEY]}, KEY),
        ValueError(),
    ],
)
@pytest.mark.parametrize("level", ["none", "redacted"])
def test_every_error_of_python_has_a_stand_in(error: Exception, level: Content) -> None:
    """Also those that are not made from a text."""
    shown = seen(events.on_chain_error, error, level=level)
    assert type(error).__name__ == type(shown).__name__
    assert KEY not in told(shown)
    assert "17" not in told(shown)


def test_the_arguments_of_an_error_are_copied_and_not_rendered() -> None:
    """They may be large, secret by their keys, or of a type that cannot be read."""
    password = {"password": {"deep": CANARY}}
    shown = [str(redacted(ValueError(each))) for each in (Lazy, Lazy(), password)]
    assert ["[withheld: builtins.type]", WITHHELD, str({"password": MASK})] == shown
    text = str(redacted(ValueError(UnprintableError, ["x"] * 10_000_000)))
    assert len(text) < 10 * copies.ITEMS
    assert "[withheld: builtins.type]" in text


def test_the_classes_of_stand_ins_are_shared_by_their_names() -> None:
    """A thousand equal errors make one class."""
    shown = [seen(events.on_chain_error, fail("x"), level="none") for _ in range(3)]
    assert 1 == len({type(each) for each in shown})


@pytest.mark.parametrize("level", ["none", "redacted"])
def test_a_retry_keeps_its_numbers_and_the_class_of_its_error(level: Content) -> None:
    """The outcome is a finished future with a stand-in, as tenacity has it."""
    outcome: Future[Any] = Future()
    outcome.set_exception(fail(KEY))
    shown = seen(events.on_retry, RetryState(2, outcome, 1.5), level=level)
    assert (2, 1.5) == (shown.attempt_number, shown.idle_for)
    error = shown.outcome.exception(timeout=0)
    assert "ModelError" == type(error).__name__
    assert KEY not in told(error)


def test_a_retry_of_a_foreign_kind_is_shown_as_far_as_it_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What it does not have, or holds something else in, is None, and nobody is warned."""
    pending = SimpleNamespace(attempt_number=1, idle_for=CANARY, outcome=Future())
    for state in (pending, object(), CANARY):
        shown = seen(events.on_retry, state, level="none")
        assert shown.outcome.exception(timeout=0) is None
        assert CANARY not in told(shown)
    assert [] == caplog.records


# Redacted


@dataclass
class Call:
    tool: str
    password: str
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def shouted(self) -> str:
        return self.tool.upper()


@dataclass(frozen=True, slots=True)
class Frozen:
    api_key: str
    rest: Any = None


@dataclass
class Twins:
    first: Any
    second: Any


class Model(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    token: str = ""
    text: str = ""
    typed: SecretStr | None = None
    raw: SecretBytes | None = None
    items: list[Any] = []
    _hidden: list[str] = PrivateAttr(default_factory=lambda: [CANARY])

    @cached_property
    def computed(self) -> list[str]:
        return [self.token]


Point = namedtuple("Point", "x password")  # noqa: PYI024


class Color(enum.Enum):
    RED = "red"
    LEAK = KEY
    LIST = [KEY]  # noqa: RUF012


def model() -> Model:
    made = Model(
        token=CANARY,
        text=f"use {KEY}",
        typed=SecretStr(CANARY),
        raw=SecretBytes(CANARY.encode()),
        items=[{"secret": CANARY}],
        **{"password": CANARY, KEY: [1], "auth": {"a": CANARY}, "more": [KEY]},
    )
    assert [CANARY] == made.computed
    return made


SECRETS: list[Any] = [
    {"password": CANARY},
    {"password": {"nested": [CANARY]}},
    {"apiKey": 17, "x": {"Authorization": f"Basic {CANARY}"}},
    OrderedDict(token=CANARY),
    defaultdict(list, token=CANARY),
    UserDict(token=CANARY),
    MappingProxyType({"token": CANARY}),
    {KEY: 1},
    {(KEY, 1): 1},
    [KEY, (KEY,), {KEY}, frozenset({KEY}), deque([KEY])],
    [("Authorization", CANARY), ["x-api-key", CANARY]],
    {"headers": [{"name": "Authorization", "value": CANARY}]},
    Point(KEY, CANARY),
    Call(KEY, CANARY, {"token": CANARY}),
    Frozen(CANARY, [{"secret": CANARY}]),
    model(),
    SecretStr(CANARY),
    SecretBytes(CANARY.encode()),
    CANARY.encode(),
    bytearray(CANARY.encode()),
    memoryview(CANARY.encode()),
    Color.LEAK,
    Color.LIST,
    pathlib.PurePosixPath(f"/x/{KEY}"),
    SimpleNamespace(x=CANARY),
    (each for each in [CANARY]),
    lambda secret=CANARY: secret,
    MagicMock(name=CANARY),
    fail(KEY),
    [
        HumanMessage(KEY),
        AIMessage("", tool_calls=[{"name": "t", "args": {"pwd": CANARY}, "id": "1"}]),
    ],
    [Document(f"https://a:{CANARY}@b/", metadata={"cookie": CANARY})],
    AgentAction("t", {"secret": CANARY}, f"password={CANARY}"),
    AgentFinish({"secret": CANARY}, KEY),
    answer(KEY),
    f"Authorization: Bearer {CANARY}",
    '{"password": "' + CANARY,
]


@pytest.mark.parametrize("value", SECRETS, ids=lambda value: type(value).__name__)
def test_redacted_shows_no_secret(value: Any) -> None:
    """Under a secret's key, of a secret's type, in a secret's form, or in what cannot be read."""
    assert CANARY not in told(redacted(value))
    assert CANARY not in told(nothing(value))


@pytest.mark.parametrize("value", SECRETS, ids=lambda value: type(value).__name__)
def test_redacted_shares_nothing_that_can_be_changed(value: Any) -> None:
    """A handler that changes what it is shown changes nothing of the run."""
    shared = mutable_ids(redacted(value)).keys() & mutable_ids(value).keys()
    assert set() == shared


@pytest.mark.parametrize("value", [SECRETS[i] for i in (0, 13, 14, 15, 29)])
def test_redacting_does_not_change_the_payload(value: Any) -> None:
    """The run goes on with what it had."""
    before = copy.deepcopy(value)
    redacted(value)
    assert before == value


def test_objects_keep_their_classes() -> None:
    """Dataclasses and models are still what a handler knows how to read."""
    value = [Call("t", CANARY), Frozen(CANARY), model(), Point(1, CANARY), Document("d")]
    shown = redacted(value)
    assert [type(each) for each in value] == [type(each) for each in shown]
    assert Call("t", MASK) == shown[0]
    assert "T" == shown[0].shouted
    assert Frozen(MASK) == shown[1]
    assert (MASK, f"use {MASK}", MASK, [{"secret": MASK}]) == (
        shown[2].token,
        shown[2].text,
        shown[2].typed,
        shown[2].items,
    )
    assert {"password", MASK, "auth", "more"} == shown[2].model_extra.keys()
    assert [MASK] == shown[2].computed
    assert Point(1, MASK) == shown[3]


def test_harmless_values_pass() -> None:
    """Numbers, times, ids, members of enumerations and paths are shown as they are."""
    value = {
        "a": [1, 1.5, True, None, 2j, Decimal(1), range(3), uuid.UUID(int=1), Color.RED],
        "b": (datetime(2024, 1, 1, tzinfo=UTC), pathlib.PurePosixPath("/a/b")),
        (1, "x"): {1, "y"},
        3: frozenset({4}),
        "is_secret": True,
        "password": None,
    }
    assert value == redacted(value)


def test_other_types_are_named() -> None:
    """What it cannot read the view names, by its class, and never renders."""
    assert "[withheld: types.SimpleNamespace]" == redacted(SimpleNamespace(x=1))
    assert {"x": "[withheld: builtins.bytes]"} == redacted({"x": b"1"})


def test_keys_that_look_alike_once_redacted_are_all_shown() -> None:
    """Two secrets as keys are two items."""
    shown = redacted({KEY: 1, KEY + "x": 2})
    assert {MASK: 1, f"{MASK} (1)": 2} == shown


def test_usage_is_never_masked() -> None:
    """Counts of tokens are facts at every level, in every place."""
    shown = seen(events.on_llm_end, answer(), level="redacted")
    assert USAGE == shown.llm_output["token_usage"]
    assert USAGE == shown.generations[0][0].message.usage_metadata
    options = {"max_tokens": 5, "tokenizer": "t", "token_usage": {"total_tokens": 1}}
    assert options == redacted(options)


def test_usage_is_shown_of_an_answer_of_any_size() -> None:
    """An answer that is cut still says what it used."""
    found = answer()
    found.generations[0][0].message.tool_calls = [
        {"name": "t", "args": {str(n): [0] * 100 for n in range(100)}, "id": "1"}
    ]
    shown = seen(events.on_llm_end, found, level="redacted")
    assert USAGE == shown.llm_output["token_usage"]
    assert USAGE == shown.generations[0][0].message.usage_metadata


def test_tokens_have_no_text_and_vectors_no_numbers_below_full() -> None:
    """A secret may be split across tokens, and a vector can be turned back into its text."""
    shown = seen(events.on_llm_new_token, "x", chunk={"x": 1}, level="redacted")
    assert {"token": "", "chunk": None} == shown
    assert [[], []] == seen(events.on_embeddings_end, [[0.1], [0.2]], level="redacted")


def test_what_names_a_component_is_copied_and_not_cut() -> None:
    """``serialized`` is a fact; below ``full`` each level has its own."""
    serialized = {"name": "Chain", "id": ["a", "Chain"]}
    for level in ("none", "redacted"):
        shown = view(events.on_chain_start, (serialized, 1), {}, level, Copier(REDACTOR))[0][0]
        assert serialized == shown
        assert mutable_ids(serialized).keys().isdisjoint(mutable_ids(shown))


# Bounds


def test_a_long_text_is_cut_with_its_length_said() -> None:
    """What is beyond the cut is not scanned, and no secret is left by it in half."""
    text = "a " * (copies.TEXT // 2 - 15) + f"https://user:{CANARY * 4}@host" + " b" * 5_000_000
    shown = redacted(text)
    assert shown.endswith(f"… [cut, {len(text)} characters]")
    assert len(shown) < copies.TEXT + 100
    assert CANARY not in shown


class Long(list[Any]):
    """A list that is asked for a slice of it, and for nothing else."""

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("iterated")

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("indexed")


def test_a_long_container_is_cut_with_its_length_said() -> None:
    """No more is read of it than is shown."""
    items = [0] * 10_000_000
    cut = f"… [cut, {len(items)} items]"
    assert [*items[: copies.ITEMS], cut] == redacted(items)
    assert (*items[: copies.ITEMS], cut) == redacted(tuple(items))
    assert [*items[: copies.ITEMS], cut] == redacted(Long(items))
    shown = redacted(dict.fromkeys(range(100_000)))
    assert copies.ITEMS + 1 == len(shown)
    assert "[cut, 100000 items]" == shown["…"]
    assert copies.ITEMS + 1 == len(redacted(set(range(100_000))))


@pytest.mark.parametrize("kind", [HumanMessage, Document])
def test_a_long_list_of_messages_ends_with_a_message_that_says_so(kind: Any) -> None:
    """A handler that reads each message's content can read the last one's."""
    shown = redacted([[kind("x")] * 300])
    assert [copies.ITEMS + 1] == [len(each) for each in shown]
    assert kind("… [cut, 300 items]") == shown[0][-1]


def test_the_whole_of_a_payload_is_bounded() -> None:
    """Many texts and many items cost no more than the bounds say."""
    for length in (10_000, 30_000):
        texts = redacted([["x" * length] * 50] * 50)
        assert sum(len(text) for inner in texts for text in inner) < copies.CHARACTERS * 1.5
    wide: Any = 0
    for _ in range(6):
        wide = [wide] * 100
    assert len(repr(redacted(wide))) < copies.NODES * 10
    tree: Any = 0
    for _ in range(copies.DEPTH):
        tree = Frozen("", (tree, tree))
    assert repr(redacted(tree)).count("Frozen") < copies.NODES
    twins: Any = 0
    for _ in range(copies.DEPTH):
        twins = Twins(twins, twins)
    assert repr(redacted(twins)).count("Twins") < copies.NODES


def test_what_is_deep_or_holds_itself_is_cut() -> None:
    """Depth is bounded, and a cycle is named."""
    deep: Any = KEY
    for _ in range(10_000):
        deep = [deep]
    assert repr(redacted(deep)).count("[") == copies.DEPTH + 1
    cycle: dict[str, Any] = {}
    cycle["self"] = [cycle]
    assert {"self": ["[cycle]"]} == redacted(cycle)
    call = Call("t", "p")
    call.args["call"] = call
    assert {"call": "[cycle]"} == redacted(call).args


# Failing closed


class Hostile:
    """Raises whatever it is asked."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def hides(self, key: str, /) -> bool:
        raise self.error

    def redact(self, text: str, /) -> str:
        raise self.error


class Wicked(UserDict[str, Any]):
    def items(self) -> Any:
        raise SystemExit(CANARY)


@dataclass
class Lazy:
    value: Any = None

    def __getattribute__(self, name: str) -> Any:
        if name == "value":
            raise RuntimeError(CANARY)
        return super().__getattribute__(name)


class Itself(BaseModel):
    def model_copy(self, **_: Any) -> Any:
        return self


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


WHAT_RAISES: list[BaseException] = [
    RuntimeError(CANARY),
    SystemExit(CANARY),
    asyncio.CancelledError(),
    GeneratorExit(),
    MemoryError(),
]


@pytest.mark.parametrize("error", WHAT_RAISES, ids=repr)
def test_a_redactor_that_raises_withholds_the_payload(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is shown, the run goes on, and it is said once without the payload."""
    redactor = Hostile(error)
    for _ in range(2):
        shown = view(
            events.on_chain_end, ({"x": CANARY},), {"y": CANARY}, "redacted", Copier(redactor)
        )
        assert ((WITHHELD,), {"y": WITHHELD}) == shown
    assert 1 == len(caplog.records)
    assert type(error).__qualname__ in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("spec", "arguments", "expected"),
    [
        (events.on_llm_start, ({}, [CANARY]), [WITHHELD]),
        (events.on_chat_model_start, ({}, [[HumanMessage(CANARY)]]), [[WITHHELD]]),
        (events.on_retriever_start, ({}, CANARY), WITHHELD),
        (events.on_retriever_end, ([Document(CANARY)],), [WITHHELD]),
        (events.on_embeddings_start, ({}, [CANARY]), [WITHHELD]),
    ],
)
def test_what_is_withheld_has_the_shape_of_the_event(
    spec: events.EventSpec[...], arguments: tuple[Any, ...], expected: Any
) -> None:
    """A handler that takes the first of a list finds one."""
    shown, _ = view(spec, arguments, {}, "redacted", Copier(Hostile(OSError())))
    assert expected == shown[-1]


def test_an_answer_that_is_withheld_still_says_what_it_used() -> None:
    """Usage is a fact, whatever the redactor does."""
    [shown], _ = view(events.on_llm_end, (answer(),), {}, "redacted", Copier(Hostile(OSError())))
    assert WITHHELD == shown.generations[0][0].message.content == shown.generations[0][0].text
    assert USAGE == shown.llm_output["token_usage"]
    assert CANARY not in told(shown)


def test_an_error_that_is_withheld_still_has_its_class_name() -> None:
    """The class is a fact, whatever the redactor does."""
    [shown], _ = view(
        events.on_chain_error, (fail(CANARY),), {}, "redacted", Copier(Hostile(OSError()))
    )
    assert ("ModelError", WITHHELD) == (type(shown).__name__, str(shown))


@pytest.mark.parametrize(
    "value",
    [Wicked(x=CANARY), [Lazy()], Itself(), {"x": UnprintableError(CANARY)}],
    ids=["mapping", "property", "copy", "text"],
)
def test_a_payload_whose_code_raises_is_withheld(value: Any) -> None:
    """A mapping, a property, a copy or a text of the payload's own may fail."""
    assert WITHHELD == redacted(value)
    assert nothing(value) is None


def test_a_redactor_that_returns_no_text_withholds_the_payload() -> None:
    """A mask that was meant for a mapping does not let one through."""

    class Odd(DefaultRedactor):
        def redact(self, text: str, /) -> Any:
            return {"text": text}

    assert (WITHHELD,) == view(events.on_text, (CANARY,), {}, "redacted", Copier(Odd()))[0]


def test_an_interrupt_passes() -> None:
    """Ctrl-C while a view is made still stops the program."""
    with pytest.raises(KeyboardInterrupt):
        view(events.on_text, ("x",), {}, "redacted", Copier(Hostile(KeyboardInterrupt())))


def test_an_organisation_s_own_redactor_is_asked() -> None:
    """It sees texts and keys, after the cut."""
    asked: list[str] = []

    class Own:
        def hides(self, key: str, /) -> bool:
            return key == "iban"

        def redact(self, text: str, /) -> str:
            asked.append(text)
            return text.replace("Ann", "[person]")

    payload = {"iban": "DE1", "names": ["Ann", "x" * 100_000]}
    [shown], _ = view(events.on_chain_end, (payload,), {}, "redacted", Copier(Own()))
    assert MASK == shown["iban"]
    assert "[person]" == shown["names"][0]
    assert copies.TEXT == max(map(len, asked))


# Tags and metadata


def test_none_keeps_the_tags_of_the_structure_alone() -> None:
    """Where a run stands is a fact; what users wrote on it is not."""
    structural = ("seq:step:1", "map:key:context", "retry:attempt:2", "tool:call:1")
    tags = (*structural, "prod", f"seq:step:{CANARY}", CANARY, f"map:key:{KEY}")
    shown = run_view(tags, {"x": CANARY}, "none", Copier(REDACTOR))
    assert ((*structural, f"map:key:{MASK}"), {}) == shown


def test_tags_and_metadata_are_redacted() -> None:
    """They are content: users put ids and worse in them."""
    metadata = {"password": CANARY, "a": [KEY], "b": 1}
    shown = run_view(("prod", KEY, f"token:{CANARY}"), metadata, "redacted", Copier(REDACTOR))
    assert (("prod", MASK, f"token:{MASK}"), {"password": MASK, "a": [MASK], "b": 1}) == shown


def test_tags_and_metadata_are_withheld_where_the_redactor_fails() -> None:
    """As every other content is."""
    hostile = Hostile(OSError())
    shown = run_view(("a", "b"), {"x": CANARY}, "redacted", Copier(hostile))
    assert ((WITHHELD,), {"metadata": WITHHELD}) == shown
    assert ((WITHHELD,), {}) == run_view(("seq:step:1",), {}, "none", Copier(hostile))
    assert ((), {}) == run_view((), {}, "none", Copier(hostile))


# Properties

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
HARMLESS = st.text("abcXYZ .,!?é", max_size=20)
KEYS = st.text("abcxyz", max_size=8)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        fields: Callable[..., Any] = lambda rest: Document("x", {"rest": rest})  # noqa: E731
        return (
            st.lists(inner, max_size=4)
            | st.dictionaries(KEYS, inner, max_size=4)
            | st.tuples(inner, inner, inner)
            | inner.map(fields)
        )

    return st.recursive(leaves, containers, max_leaves=20)


@given(nested(SCALARS | HARMLESS))
def test_harmless_data_is_shown_as_it_is(value: Any) -> None:
    """A copy that hides nothing is equal, and shares nothing that can be changed."""
    shown = redacted(value)
    assert value == shown
    assert mutable_ids(value).keys().isdisjoint(mutable_ids(shown))


SECRET_KEYS = st.sampled_from(["password", "apiKey", "AUTH-TOKEN", "client secret"])
HIDDEN = (
    st.dictionaries(SECRET_KEYS, nested(st.just(CANARY)), min_size=1)
    | st.just(KEY)
    | st.sampled_from([f"pwd={CANARY}", f"x://a:{CANARY}@b", f"Bearer {CANARY}"])
    | st.just(SecretStr(CANARY))
    | st.builds(Call, HARMLESS, st.just(CANARY), st.just({KEY: 1}))
    | st.just(Frozen(CANARY))
)


@given(nested(SCALARS | HARMLESS | HIDDEN))
def test_a_secret_is_shown_from_no_depth(value: Any) -> None:
    """Wherever it stands, in whatever is around it."""
    assert CANARY not in told(redacted(value))


ANYTHING = st.from_type(type).flatmap(st.from_type) | nested(st.binary() | st.complex_numbers())


@given(ANYTHING)
def test_anything_can_be_viewed(value: Any) -> None:
    """No payload makes a view fail."""
    redacted(value)
    assert nothing(value) is None
