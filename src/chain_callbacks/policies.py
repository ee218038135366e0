"""How a handler is listened to: its policy, and the wrappers that state one in code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, get_args

from .errors import InvalidPolicyError, UnknownPolicyError
from .events import RunType
from .handler import BaseCallbackHandler, Content, Delivery, HandlerLike, OnError

# `only=llm` means models of either sort, `only=chain` every step that issues chain events.
_INCLUDES: Final[dict[str, frozenset[str]]] = {
    **{run_type: frozenset({run_type}) for run_type in get_args(RunType)},
    "llm": frozenset({"llm", "chat_model"}),
    "chain": frozenset({"chain", "prompt", "parser"}),
}


class Only(NamedTuple):
    """The value of the policy ``only``: three dimensions, all of which must hold."""

    errors: bool = False
    roots: bool = False
    run_types: frozenset[str] | None = None

    def narrowed(self, other: Only) -> Only:
        """Return what both let through."""
        if self.run_types is None or other.run_types is None:
            run_types = self.run_types if other.run_types is None else other.run_types
        else:
            run_types = self.run_types & other.run_types
        return Only(self.errors or other.errors, self.roots or other.roots, run_types)

    def __str__(self) -> str:
        words = [word for word in ("errors", "roots") if getattr(self, word)]
        left = set(self.run_types or ())
        for name, included in sorted(_INCLUDES.items(), key=lambda item: -len(item[1])):
            if included <= left:
                words.append(name)
                left -= included
        return "+".join(words) or ("all" if self.run_types is None else "nothing")


CONTENTS: Final[tuple[Content, ...]] = get_args(Content)
"""The levels of content, each showing less than the one before it."""


CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "content": CONTENTS,
    "delivery": get_args(Delivery),
    "on_error": get_args(OnError),
}
"""The policies that a class of handlers may state for itself, with their values."""


def stricter(a: Content, b: Content) -> Content:
    """Return which of two levels shows less."""
    return b if CONTENTS.index(b) > CONTENTS.index(a) else a


class WhenFull(NamedTuple):
    """The value of the policy ``when_full``: how many seconds a full queue makes its caller wait.

    What still finds no room then takes the place of what matters less.
    """

    seconds: float = 0.0

    def __str__(self) -> str:
        return f"block({self.seconds:g})" if self.seconds else "drop"


IN_CODE: Final = "policy()"
"""Who states a policy in code; where it does is known when it is attached."""


class Policy(NamedTuple):
    """How a handler is listened to; a field that is None was not stated.

    *only* selects runs and events, *tags* the runs that carry one of them. A value that resets
    (``only="all"``, ``tags="*"``) is stated and lets everything through. *content* is how much is
    shown, *delivery* how it gets there, *on_error* what an exception of the handler does. The
    others are of its queue. *by* has, for each field that was stated, who did.
    """

    only: Only | None = None
    tags: frozenset[str] | None = None
    content: Content | None = None
    delivery: Delivery | None = None
    on_error: OnError | None = None
    when_full: WhenFull | None = None
    queue_records: int | None = None
    queue_bytes: int | None = None
    by: tuple[tuple[str, str], ...] = ()

    def replaced(self, later: Policy) -> Policy:
        """Return this policy with what *later* states in its place."""
        stated = {name: value for name, value in later.stated().items() if name != "by"}
        return self._replace(**stated, by=tuple({**dict(self.by), **dict(later.by)}.items()))

    def stated_in(self, place: str) -> Policy:
        """Return this policy, with *place* as where code stated what it states there."""
        by = [(name, f"{IN_CODE} in {place}" if who == IN_CODE else who) for name, who in self.by]
        return self._replace(by=tuple(by))

    def stated(self) -> dict[str, Any]:
        """Return the fields that were stated, by name."""
        return {
            name: value
            for name, value in zip(self._fields[:-1], self, strict=False)
            if value is not None
        }

    def __str__(self) -> str:
        shown = self.stated()
        if self.tags is not None:
            shown["tags"] = "+".join(sorted(self.tags)) or "*"
        return " ".join(f"{name}={value}" for name, value in shown.items())


UNSTATED: Final = Policy()


class Hearing(NamedTuple):
    """What is left of a run's events for one listener, after the operator's policy and the code's.

    *tags* holds a set for each policy that states some; a run must carry one of each.
    """

    only: Only = Only()
    tags: tuple[frozenset[str], ...] = ()

    @classmethod
    def of(cls, *policies: Policy) -> Hearing:
        """Return what all of *policies* let through: code may tighten, never loosen."""
        only = Only()
        for policy in policies:
            only = only.narrowed(policy.only or Only())
        return cls(only, tuple(policy.tags for policy in policies if policy.tags))

    def selects(self, run_type: str, tags: Iterable[str]) -> bool:
        """Tell whether a run of this type with these tags is heard at all."""
        types = self.only.run_types
        return (types is None or run_type in types) and not any(
            wanted.isdisjoint(tags) for wanted in self.tags
        )


EVERYTHING: Final = Hearing()


class Manner(NamedTuple):
    """How one listener is told, after its handler's defaults and all policies."""

    content: Content = "full"
    delivery: Delivery = "inline"
    on_error: OnError = "log"
    when_full: WhenFull = WhenFull()
    queue_records: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024

    @classmethod
    def of(
        cls,
        defaults: Mapping[str, Any],
        operator: Policy,
        code: Policy,
        *,
        content: Content = "full",
        name: str,
    ) -> Manner:
        """Return how a handler is told, whose class states *defaults* for itself.

        *content* is the level that nothing else states. The operator's settings beat what code
        states, but for content, of which the stricter level holds. *name* is the handler's.

        Raises:
            InvalidPolicyError: A queued handler cannot stop a run that does not wait for it.
        """
        manner = cls(**{"content": content, **defaults})
        if not UNSTATED == operator == code:
            manner = manner._replace(**_manners(code))._replace(**_manners(operator))
            if operator.content is not None and code.content is not None:
                manner = manner._replace(content=stricter(operator.content, code.content))
        if manner.delivery == "queued" and manner.on_error == "raise":
            raise InvalidPolicyError(
                policy="delivery",
                value="queued",
                source=dict((*code.by, *operator.by)).get("delivery", name),
                valid=("inline",),
                reason="on_error=raise is to stop the run, and a queue is read when it has gone on",
            )
        return manner

    def as_policy(self, *stated: Policy) -> Policy:
        """Return what of it neither of *stated* says, where that is not the usual."""
        known = {name for policy in stated for name in policy.stated()}
        usual = Manner()
        return Policy(
            **{
                name: value
                for name, value in self._asdict().items()
                if name not in known and value != getattr(usual, name)
            }
        )


def defaults_of(handler: object) -> dict[str, Any]:
    """Return the policies that a handler, or a class of handlers, states for itself.

    Raises:
        InvalidPolicyError: One has a value that there is not.
    """
    stated: dict[str, Any] = {}
    kind = handler if isinstance(handler, type) else type(handler)
    if issubclass(kind, BaseCallbackHandler):
        for name, valid in CHOICES.items():
            value = getattr(handler, name)
            if name == "content" and value is None:
                continue
            if value not in valid:
                source = f"the class {kind.__qualname__}"
                raise InvalidPolicyError(policy=name, value=str(value), source=source, valid=valid)
            stated[name] = value
    if getattr(handler, "raise_error", False) is True:
        stated["on_error"] = "raise"
    return stated


def _manners(policy: Policy) -> dict[str, Any]:
    return {name: value for name, value in policy.stated().items() if name in Manner._fields}


def _parse_only(value: str, source: str) -> Only:
    result = Only()
    for word in filter(None, (part.strip().lower() for part in value.split("+"))):
        if word == "all":
            result = Only()
        elif word in ("errors", "roots"):
            result = Only(
                result.errors or word == "errors", result.roots or word == "roots", result.run_types
            )
        elif word in _INCLUDES:
            result = result._replace(run_types=(result.run_types or frozenset()) | _INCLUDES[word])
        else:
            valid = ("all", "errors", "roots", *_INCLUDES)
            raise InvalidPolicyError(policy="only", value=word, source=source, valid=valid)
    return result


def _parse_tags(value: str, _source: str) -> frozenset[str]:
    tags = frozenset(filter(None, (part.strip() for part in value.split("+"))))
    return frozenset() if "*" in tags else tags


def _choosing(name: str) -> Callable[[str, str], Any]:
    def parse(value: str, source: str) -> str:
        word = value.strip().lower()
        if word not in CHOICES[name]:
            raise InvalidPolicyError(policy=name, value=value, source=source, valid=CHOICES[name])
        return word

    return parse


def _counting(name: str) -> Callable[[str, str], Any]:
    def parse(value: str, source: str) -> int:
        word = value.strip().replace("_", "")
        if not (word.isascii() and word.isdigit() and int(word)):
            raise InvalidPolicyError(policy=name, value=value, source=source, valid=("10000",))
        return int(word)

    return parse


_BLOCK: Final = re.compile(r"block\((\d{1,6}(?:\.\d{1,6})?)\)")


def _parse_when_full(value: str, source: str) -> WhenFull:
    word = value.strip().lower()
    if word == "drop":
        return WhenFull()
    found = _BLOCK.fullmatch(word)
    if found is None:
        valid = ("drop", "block(2)")
        raise InvalidPolicyError(policy="when_full", value=value, source=source, valid=valid)
    return WhenFull(float(found[1]))


_PARSERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "only": _parse_only,
    "tags": _parse_tags,
    "content": _choosing("content"),
    "delivery": _choosing("delivery"),
    "on_error": _choosing("on_error"),
    "when_full": _parse_when_full,
    "queue_records": _counting("queue_records"),
    "queue_bytes": _counting("queue_bytes"),
}
POLICIES: Final = tuple(_PARSERS)
"""The names of the policies, which are settings of every handler too."""


def parse_policy(values: Mapping[str, str | int], *, source: str) -> Policy:
    """Return the policy that *values* state, by name.

    Raises:
        InvalidPolicyError: A name or a value is unknown; it quotes *source*.
    """
    stated = {}
    for name, value in values.items():
        if name not in _PARSERS:
            raise UnknownPolicyError(policy=name, value=str(value), source=source, valid=POLICIES)
        text = str(value) if type(value) is int else value
        if not isinstance(text, str):
            raise InvalidPolicyError(
                policy=name, value=repr(value), source=source, valid=("a text, joined by '+'",)
            )
        stated[name] = _PARSERS[name](text, source)
    return Policy(**stated, by=tuple((name, source) for name in stated))


@dataclass(frozen=True, eq=False, slots=True)
class Local:
    """A handler, or a name, that hears the run it is attached to and no run nested in it."""

    handler: HandlerLike


@dataclass(frozen=True, eq=False, slots=True)
class WithPolicy:
    """A handler, or a name, with the policy that code states for it; made by ``policy()``."""

    handler: HandlerLike
    policy: Policy


def unwrapped(handler: HandlerLike) -> tuple[HandlerLike, Policy]:
    """Return what ``policy()`` was put round, and what was stated; the outermost statement wins."""
    if not isinstance(handler, WithPolicy):
        return handler, UNSTATED
    inner, stated = unwrapped(handler.handler)
    return inner, stated.replaced(handler.policy)


def policy(handler: HandlerLike, /, **values: str | int) -> WithPolicy:
    """Return *handler*, an object or a name, to be listened to in the way that *values* say.

    ``policy("slack", only="errors+roots")`` hears failed roots, ``policy(handler, tags="prod")``
    the runs that carry the tag, ``policy(handler, content="redacted", delivery="queued")`` is told
    later, with secrets masked. A later statement for the same handler replaces an earlier one;
    neither loosens what the operator's settings say.

    Raises:
        InvalidPolicyError: A policy has an unknown name or value.
    """
    return WithPolicy(handler, parse_policy(values, source=IN_CODE))
