"""What an event looks like to those who may not see all of it: facts alone, or secrets masked.

``delivery.md``, "Privacy", has the rules. What a view is made of fails closed: whatever raises
while it is made, the redactor or the payload's own code, withholds that argument.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice, repeat
from typing import Any, Final

from ..events import STEPS, EventSpec
from ..handler import Content
from ..redaction import ITEMS, Copier, emptied, stand_in

log = logging.getLogger("chain_callbacks")

WITHHELD: Final = "[withheld]"

# What stands for an argument of which nothing is shown, in the shape that handlers expect;
# of any other argument, None does.
_NOTHING: Final[Mapping[str, Callable[[], Any]]] = {
    "documents": list,
    "input_str": str,
    "messages": lambda: [[]],
    "prompts": lambda: [""],
    "query": str,
    "text": str,
    "texts": list,
    "token": str,
}
_IN_LISTS: Final[Mapping[str, Callable[[], Any]]] = {
    "documents": lambda: [WITHHELD],
    "messages": lambda: [[WITHHELD]],
    "prompts": lambda: [WITHHELD],
    "texts": lambda: [WITHHELD],
}

_COUNTS: Final = ("token_usage", "usage")
_MODELS: Final = ("model_name", "model", "model_id")
_REASONS: Final = ("finish_reason", "stop_reason")
# Of a call and of a run's metadata: what names the model that code chose, and how it was set. The
# latter names are LangChain's standard ones (``langchain_core``, ``LangSmithParams``).
_PARAMETERS: Final = (
    *_MODELS,
    *("temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "n", "seed"),
    *("frequency_penalty", "presence_penalty", "stream"),
)
_METADATA: Final = (
    *("ls_provider", "ls_model_name", "ls_model_type", "ls_temperature", "ls_max_tokens"),
    *("ls_integration", "lc_agent_name"),
)
_LONGEST_NAME: Final = 200
_ANSWERS: Final = 20


def view(
    spec: EventSpec[...],
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
    level: Content,
    copier: Copier,
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return the payload of an event as *level* shows it; at ``full`` the payload itself.

    Below ``full`` nothing that can be changed is shared with the payload. An argument that the
    event's row does not name is content. It never raises, but for a ``KeyboardInterrupt``.
    """
    if level == "full":
        return arguments, keywords
    ways = _ways_of(spec)
    if len(ways) < len(arguments):
        ways = (*ways, *repeat(_content_way(""), len(arguments) - len(ways)))
    own = None if level == "none" else copier
    shown = tuple([way(value, own) for way, value in zip(ways, arguments, strict=False)])
    if not keywords:
        return shown, {}
    return shown, {name: _way(spec, name)(each, own) for name, each in keywords.items()}


def run_view(
    tags: Sequence[str], metadata: Mapping[str, Any], level: Content, copier: Copier
) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    """Return the tags and the metadata of a run as *level* shows them.

    The tags that say where in a composition a run stands are facts; the key of ``map:key:K`` is
    redacted all the same, since a program may make its keys of its data.
    """
    if level == "full":
        return tuple(tags), metadata
    if not tags and not metadata:
        return (), {}
    kept = [tag for tag in tags if level == "redacted" or _is_structural(tag)]
    seen_tags = _closed(lambda: copier.copy(tuple(kept)), lambda: (WITHHELD,))
    if level == "none":
        return seen_tags, _closed(lambda: _named(metadata, _METADATA), dict)
    return seen_tags, _closed(lambda: copier.copy(metadata), lambda: {"metadata": WITHHELD})


@lru_cache(maxsize=1)
def _structural() -> re.Pattern[str]:
    return re.compile("|".join(each.pattern for each in STEPS))


def _is_structural(tag: object) -> bool:
    return isinstance(tag, str) and _structural().fullmatch(tag) is not None


@dataclass(frozen=True, slots=True)
class RetryView:
    """What a handler below ``full`` gets for the state of a retry: the facts of it.

    *outcome* is a finished future that holds a stand-in for the error.
    """

    attempt_number: int | None
    idle_for: float | None
    outcome: Future[Any]


_Way = Callable[[Any, Copier | None], Any]
"""How one argument is shown; without a copier only what is a fact."""


@cache
def _ways_of(spec: EventSpec[...]) -> tuple[_Way, ...]:
    return tuple(_way(spec, name) for name in spec.positional)


def _way(spec: EventSpec[...], name: str) -> _Way:
    if name not in spec.content and (name in spec.positional or name in spec.keywords):
        return _fact
    return _content_way(name)


@lru_cache(maxsize=256)
def _content_way(name: str) -> _Way:
    if name in _WAYS:
        return _WAYS[name]
    nothing = _NOTHING.get(name, _none)
    withheld = _IN_LISTS.get(name, lambda: WITHHELD)
    # A secret may be split across tokens; the end event has the whole.
    is_part = name in ("token", "chunk")

    def shown(value: Any, copier: Copier | None) -> Any:
        if value is None:
            return None
        if copier is None or is_part:
            return nothing()
        return _closed(lambda: copier.copy(value), withheld)

    return shown


def _embeddings(value: Any, copier: Copier | None) -> Any:
    if value is None:
        return None
    if copier is None:
        return []
    # A vector can be turned back into its text, which nobody could redact by then.
    return _closed(lambda: [[] for _ in islice(value, ITEMS)], list)


def _parameters(value: Any, copier: Copier | None) -> Any:
    if value is None:
        return None
    if copier is None:
        return _closed(lambda: _named(value, _PARAMETERS), _none) or None
    return _closed(lambda: copier.copy(value), lambda: WITHHELD)


def _response(value: Any, copier: Copier | None) -> Any:
    if value is None:
        return None
    if copier is None:
        return _usage(value)
    return _closed(lambda: copier.copy(value), lambda: _usage(value, WITHHELD) or WITHHELD)


def _none() -> None:
    return None


def _fact(value: Any, _copier: Copier | None) -> Any:
    # `serialized` is one object for all who are told of a start.
    if not isinstance(value, dict):
        return value
    return {key: [*each] if isinstance(each, list) else each for key, each in value.items()}


def _closed(make: Callable[[], Any], withheld: Callable[[], Any]) -> Any:
    try:
        return make()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _say(type(error).__qualname__)
        return withheld()


@lru_cache(maxsize=64)
def _say(error: str) -> None:
    """Log once for each class of error, without its text: that may hold the payload."""
    log.warning(
        "Payloads are withheld from handlers below content=full: while a view of one was made, a "
        "redactor or the payload itself raised %s. What it says is not logged, since it may hold "
        "the payload. Try the redactor on such a payload by itself.",
        error,
    )


def _error(error: Any, copier: Copier | None) -> Any:
    if error is None:
        return None
    if not isinstance(error, BaseException):
        return None if copier is None else _closed(lambda: copier.copy(error), lambda: WITHHELD)
    if copier is None:
        return stand_in(error, "")
    return _closed(lambda: copier.error(error), lambda: stand_in(error, WITHHELD))


def _retry(state: Any, copier: Copier | None) -> RetryView | None:
    if state is None:
        return None
    failed = _failure(state)
    return RetryView(
        _closed(lambda: _number(getattr(state, "attempt_number", None)), _none),
        _closed(lambda: _number(getattr(state, "idle_for", None)), _none),
        _finished(_error(failed, copier) if isinstance(failed, BaseException) else None),
    )


def _finished(error: BaseException | None) -> Future[Any]:
    future: Future[Any] = Future()
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
    return future


_WAYS: Final[Mapping[str, _Way]] = {
    "embeddings": _embeddings,
    "error": _error,
    "invocation_params": _parameters,
    "response": _response,
    "retry_state": _retry,
}


def _failure(state: Any) -> Any:
    try:
        return state.outcome.exception(timeout=0)
    except KeyboardInterrupt:
        raise
    except BaseException:  # It has no outcome, or none yet: that is a fact, too.
        return None


def _number(value: Any) -> int | float | None:
    return value if type(value) in (int, float) else None


def _usage(response: Any, text: str = "") -> Any:
    """Return a model's answer with its usage alone, an object of its own class; *text* for texts.

    None where it is no answer as models give it.
    """
    return _closed(lambda: _used(response, text), _none)


def _used(response: Any, text: str) -> Any:
    generations = getattr(response, "generations", None)
    if not isinstance(generations, list):
        return None
    return emptied(
        response,
        generations=[
            [_generation(each, text) for each in _first(few, _ANSWERS)]
            for few in _first(generations, ITEMS)
        ],
        llm_output=_output(getattr(response, "llm_output", None), (*_COUNTS, *_MODELS, *_REASONS))
        or None,
    )


def _generation(generation: Any, text: str) -> Any:
    message = getattr(generation, "message", None)
    used = emptied(
        message,
        content=text,
        usage_metadata=_counts(getattr(message, "usage_metadata", None)) or None,
        response_metadata=_output(
            getattr(message, "response_metadata", None), (*_MODELS, *_REASONS)
        ),
    )
    info = getattr(generation, "generation_info", None)
    shown = None if info is None else _output(info, _REASONS)
    return emptied(generation, text=text, message=used, generation_info=shown)


def _first(values: Any, count: int) -> Sequence[Any]:
    return values[:count] if isinstance(values, list) else ()


def _output(metadata: Any, names: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(metadata, dict):
        for name in names:
            value = metadata.get(name)
            if name in _COUNTS:
                value = _counts(value) or None
            elif not isinstance(value, str) or len(value) > _LONGEST_NAME:
                continue
            elif name in _REASONS and not value.isidentifier():
                continue  # It is a provider's word, such as `tool_calls`, or it is something else.
            if value is not None:
                found[name] = value
    return found


def _named(values: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return what *values* has under *names*, where it is a short text or a number."""
    found = {name: values.get(name) for name in names} if isinstance(values, Mapping) else {}
    return {
        name: value
        for name, value in found.items()
        if type(value) in (bool, int, float) or (type(value) is str and len(value) <= _LONGEST_NAME)
    }


def _counts(usage: Any, depth: int = 3) -> dict[str, Any]:
    """Return the numbers of a count of tokens, whose names are a provider's, not a user's."""
    found: dict[str, Any] = {}
    if isinstance(usage, dict) and depth:
        for name, value in islice(usage.items(), ITEMS):
            if not (isinstance(name, str) and name.isidentifier() and len(name) <= _LONGEST_NAME):
                continue
            count = _number(value) if not isinstance(value, dict) else _counts(value, depth - 1)
            if count is not None and count != {}:
                found[name] = count
    return found
