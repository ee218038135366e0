"""The command ``test``: one marked run through the real handler, and what came of it.

The run is called ``chain-callbacks test``, has the tag ``chain-callbacks:test`` and is of a type
that the handler, and its policy, listens to. It fails on purpose where the handler listens to
errors, so that an alert arrives. Exit code 1 if the handler cannot be made, was told of nothing,
failed, or did not send everything in time; 2 if the operator forbids it. ``--json`` prints an
object; keys may be added::

    {"name": "slack", "delivered": true,
     "events": ["on_chain_start", "on_chain_error"],   # what it was told
     "problems": []}                                   # what went wrong, a sentence each
"""

from __future__ import annotations

import logging
from argparse import Namespace
from typing import Any, Final, TypeAlias

from ..delivery.flush import flush
from ..dispatch.manager import CallbackManager
from ..dispatch.routes import Listener, Routes
from ..dispatch.run import Run
from ..errors import BrokenPluginError, HandlerDeniedError, InvalidPolicyError
from ..events import EventSpec, RunType, on_custom_event, on_text
from ..resolution import instances
from ..resolution.delivery_options import applied_settings
from ..resolution.names import parse_name
from ..resolution.settings import VARIABLES
from ..runnables import AIMessage, ChatGeneration, HumanMessage, LLMResult
from ..text import one_line
from .output import say, say_data

RUN: Final = "chain-callbacks test"
TAG: Final = "chain-callbacks:test"
_TEXT: Final = "This is a test of a handler."


_ANSWER: Final = LLMResult([[ChatGeneration(AIMessage(_TEXT))]])
_RUNS: Final[dict[RunType, tuple[Any, Any]]] = {
    "chain": ({"test": True}, {"test": True}),
    "chat_model": ([[HumanMessage(_TEXT)]], _ANSWER),
    "llm": ([_TEXT], _ANSWER),
    "tool": (_TEXT, _TEXT),
    "retriever": (_TEXT, []),
    "embeddings": ([_TEXT], [[0.0]]),
    "prompt": ({"test": True}, _TEXT),
    "parser": (_TEXT, _TEXT),
}
"""What a run of each type is given, and what it gives, in the order in which they are tried."""

_Events: TypeAlias = tuple[tuple[EventSpec[...], tuple[Any, ...]], ...]
_BETWEEN: Final[_Events] = (
    (on_text, (_TEXT,)),
    (on_custom_event, (RUN, {"test": True})),
)


class TestError(Exception):
    """Nothing failed: this is the error of a test run, for a handler to tell about."""

    __test__ = False  # It is no test case of pytest's.


class _Heard(logging.Handler):
    """Keeps what the framework, or a plugin through its logger, says while the test goes on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Below the sentence may stand where it happened.
        self.sentences.append(record.getMessage().partition("\n")[0])


def run(arguments: Namespace) -> int:
    """Send one run through the handler, close it, and say what came of it."""
    key = _permitted(arguments.name)
    heard = _Heard()
    log = logging.getLogger("chain_callbacks")
    log.addHandler(heard)
    told: list[str] = []
    try:
        _try(key, told)
    except (BrokenPluginError, InvalidPolicyError) as error:
        heard.sentences.append(str(error))
    finally:
        log.removeHandler(heard)
    is_delivered = not heard.sentences
    if arguments.json:
        say_data(
            {
                "name": str(key),
                "delivered": is_delivered,
                "events": told,
                "problems": heard.sentences,
            }
        )
    elif is_delivered:
        say(f"{key} was told of {', '.join(told)} and reported no failure.")
    else:
        for sentence in heard.sentences:
            is_named = sentence.startswith(f"{key}:")
            say(one_line(sentence if is_named else f"{key}: {sentence}"))
    return 0 if is_delivered else 1


def _permitted(name: str) -> instances.Key:
    """Return the key of a handler that may be used.

    Raises:
        ChainCallbacksError: There is none of that name, or the operator forbids it.
    """
    ref = parse_name(name, source=RUN)
    key = instances.identify(ref, source=RUN)
    current = applied_settings()
    rule = current.rule_against(ref, key.distribution)
    if current.disabled:
        rule = VARIABLES["disabled"]
    if rule is not None:
        raise HandlerDeniedError(name=str(ref), source=RUN, rule=rule)
    return key


def _try(key: instances.Key, told: list[str]) -> None:
    live = instances.live(key, source=RUN)
    listener = Listener(
        key, live.handler, operator=live.operator, name=str(key), content="redacted"
    )
    log = logging.getLogger("chain_callbacks")
    # A policy may want a tag that no test would have by chance.
    tags = (TAG, *sorted(live.operator.tags or ()))
    routes = Routes([listener])
    _issue(CallbackManager.of(routes, routes, tags=tags), told)
    if not told:
        policy = str(live.operator)
        log.warning(
            "It was told of nothing: %s.",
            f"its policy, {policy}, lets no event through that it implements"
            if policy
            else "it implements no event that a test run has",
        )
    report = flush()
    if str(key) in report.late:
        each = report.handlers[str(key)]
        log.warning(
            "It did not send everything in time: %d pending, %d failed, %d dropped.",
            each.pending,
            each.failed,
            each.dropped,
        )
    # Closed now, while whatever goes wrong is still heard.
    for _, close in instances.closing():
        close()


def _issue(manager: CallbackManager, told: list[str]) -> None:
    """Make the run whose error is heard; else whose end or start; else what comes between."""
    runs = {each: manager.run(each, RUN, given) for each, (given, _) in _RUNS.items()}
    for phase in ("error", "end", "start"):
        for run in runs.values():
            if run.hears(getattr(run.kind, phase)):
                _tell(run, told, fails=phase == "error")
                return
    _tell(runs["chain"], told, fails=False, between=_BETWEEN)


def _tell(run: Run, told: list[str], *, fails: bool, between: _Events = ()) -> None:
    last = run.kind.error if fails else run.kind.end
    issued = (run.kind.start, *(spec for spec, _ in between), last)
    told += [spec.name for spec in issued if run.hears(spec)]
    try:
        with run:
            for spec, payload in between:
                run.tell(spec, payload, {})
            if fails:
                run.fail(TestError("This is a test of a handler; nothing failed."))
            else:
                run.end(_RUNS[run.run_type][1])
    except Exception as error:  # Its policy, on_error=raise, lets it stop a run.
        logging.getLogger("chain_callbacks").warning(
            "It stopped the run with %s.", type(error).__name__
        )
