"""What a class of handlers can be called with is found out once a class, and early."""

from __future__ import annotations

import inspect
from typing import Any
from unittest.mock import Mock

import pytest

from chain_callbacks import BaseCallbackHandler, CallbackManager
from chain_callbacks.errors import HandlerSignatureError
from chain_callbacks.runnables import HumanMessage


def issue(*handlers: object, run_type: Any = "chain", payload: object = "in") -> None:
    """Issue the events of one run, an error last."""
    with pytest.raises(KeyError), CallbackManager(handlers).run(run_type, "step", payload):
        raise KeyError("out")


class Plain:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_chain_start(self, serialized, inputs, **kwargs):
        self.heard.append("start")

    def on_chain_error(self, error, **kwargs):
        self.heard.append("error")


def test_fresh_handlers_of_one_class_are_examined_once(monkeypatch):
    """A handler for every request costs no signature."""

    class Fresh(Plain): ...

    examined: list[object] = []
    signature = inspect.signature
    monkeypatch.setattr(
        inspect, "signature", lambda function: examined.append(function) or signature(function)
    )
    handlers = [Fresh() for _ in range(5)]
    for handler in handlers:
        issue(handler)

    assert [["start", "error"]] * 5 == [handler.heard for handler in handlers]
    assert 2 == len(examined)


def test_only_overridden_methods_are_examined(monkeypatch):
    """The base class's own methods do nothing, and cost nothing."""
    examined: list[str] = []
    signature = inspect.signature

    def counting(function):
        examined.append(function.__name__)
        return signature(function)

    class Errors(BaseCallbackHandler):
        def on_llm_error(self, error, **kwargs): ...

    monkeypatch.setattr(inspect, "signature", counting)
    CallbackManager([Errors()])

    assert ["on_llm_error"] == examined


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (lambda self: None, "it takes 0 arguments and the event brings 2"),
        (lambda self, serialized: None, "it takes 1 arguments and the event brings 2"),
        (lambda self, a, b, colour, **kwargs: None, "its argument 'colour' is none of the event's"),
        (lambda self, a, b, c, /, **kwargs: None, "its argument 'c' takes no keyword"),
        (lambda self, a, b, *, size, **kwargs: None, "its argument 'size' is none of the event's"),
        (lambda self, colour, **kwargs: None, "its argument 'colour' is none of the event's"),
    ],
)
def test_method_that_cannot_take_its_event_is_refused_before_a_run(method, reason):
    """The error names the method and what is wrong, though no such run has started."""
    handler = type("Wrong", (), {"on_chain_start": method})()

    with pytest.raises(HandlerSignatureError, match=r"Wrong\.on_chain_start") as raised:
        CallbackManager([handler])

    assert reason == raised.value.reason


@pytest.mark.parametrize(
    "method",
    [
        lambda self, serialized, inputs, **kwargs: kwargs,
        lambda self, *arguments, **kwargs: kwargs,
        lambda self, *arguments: {},
        lambda self, a, b, c=None, /: {},
        lambda self, *, serialized, inputs: {},
        lambda self, inputs, *, serialized, **kwargs: kwargs,
        lambda self, **kwargs: kwargs,
        lambda self, serialized, inputs, *, run_id, depth, status=None: {},
    ],
)
def test_method_gets_what_its_signature_takes(method):
    """Positionally, by name, with all keywords or with those that it names."""
    calls: list[object] = []
    kind = type("Right", (), {"on_chain_start": lambda *a, **k: calls.append(method(*a, **k))})
    kind.on_chain_start.__signature__ = inspect.signature(method)

    issue(kind())

    assert 1 == len(calls)


def test_method_of_one_object_belongs_to_that_object_alone():
    """A handler with a method of its own is examined by itself, its siblings as their class."""
    heard: list[str] = []
    first, second = Plain(), Plain()
    first.on_chain_end = lambda outputs, **kwargs: heard.append("end")
    second.on_chain_start = lambda *a, **k: heard.append("own start")
    with CallbackManager([first, second, Plain()]).run("chain", "step", "in") as run:
        run.end("out")

    assert ["own start", "end"] == heard
    assert (["start"], []) == (first.heard, second.heard)


def test_flag_may_differ_from_one_handler_of_a_class_to_the_next():
    """A flag is an attribute of the object, or a property that answers for it."""

    class Chosen(Plain):
        def __init__(self, *, ignores: bool) -> None:
            super().__init__()
            self.ignores = ignores

        @property
        def ignore_chain(self) -> bool:
            return self.ignores

    deaf, listening, silenced = Chosen(ignores=True), Chosen(ignores=False), Plain()
    silenced.ignore_chain = True
    issue(deaf, listening, silenced)

    assert ([], ["start", "error"], []) == (deaf.heard, listening.heard, silenced.heard)


def test_policy_may_differ_from_one_handler_of_a_class_to_the_next():
    """Also where a property, or a slot, answers for it."""

    class Guard(BaseCallbackHandler):
        __slots__ = ("strict",)

        def __init__(self, *, strict: bool) -> None:
            self.strict = strict

        @property
        def raise_error(self) -> bool:
            return self.strict

        def on_chain_start(self, serialized, inputs, **kwargs):
            raise PermissionError

    CallbackManager([Guard(strict=False)]).on_chain_start({}, "in")
    with pytest.raises(PermissionError):
        CallbackManager([Guard(strict=True)]).on_chain_start({}, "in")


def test_stand_in_answers_for_itself():
    """A mock has every method, a proxy those of what it stands for: each object its own."""

    class Proxy:
        def __init__(self, target: object) -> None:
            self.target = target

        def __getattr__(self, name: str) -> Any:
            return getattr(self.target, name)

    class Errors:
        def __init__(self) -> None:
            self.heard: list[str] = []

        def on_chain_error(self, error, **kwargs):
            self.heard.append("error")

    mock, plain, errors = Mock(), Plain(), Errors()
    issue(mock, Proxy(plain), Proxy(errors))

    assert (1, 1) == (mock.on_chain_start.call_count, mock.on_chain_error.call_count)
    assert (["start", "error"], ["error"]) == (plain.heard, errors.heard)


def test_text_of_messages_reaches_a_handler_with_on_llm_start_alone():
    """Where it has both, and its own raises NotImplementedError, the text is what it gets."""

    class Text:
        def __init__(self) -> None:
            self.heard: list[object] = []

        def on_llm_start(self, serialized, prompts, **kwargs):
            self.heard.append(prompts)

    class Both(Text):
        def on_chat_model_start(self, serialized, messages, **kwargs):
            raise NotImplementedError

    handlers = Text(), Both()
    issue(*handlers, run_type="chat_model", payload=[[HumanMessage("hello")]])

    assert [[["Human: hello"]], [["Human: hello"]]] == [handler.heard for handler in handlers]
