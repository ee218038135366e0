"""How a handler is listened to: its policy, and the wrappers that state one in code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, get_args

from .errors import InvalidPolicyError
from .events import RunType
from .handler import HandlerLike

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


class Policy(NamedTuple):
    """How a handler is listened to; a field that is None was not stated.

    *only* selects runs and events, *tags* the runs that carry one of them. A value that resets
    (``only="all"``, ``tags="*"``) is stated and lets everything through. *by* has, for each field
    that was stated, who did.
    """

    only: Only | None = None
    tags: frozenset[str] | None = None
    by: tuple[tuple[str, str], ...] = ()

    def replaced(self, later: Policy) -> Policy:
        """Return this policy with what *later* states in its place."""
        return Policy(
            self.only if later.only is None else later.only,
            self.tags if later.tags is None else later.tags,
            tuple({**dict(self.by), **dict(later.by)}.items()),
        )

    def __str__(self) -> str:
        stated = {
            "only": self.only,
            "tags": "+".join(sorted(self.tags)) or "*" if self.tags is not None else None,
        }
        return " ".join(f"{name}={value}" for name, value in stated.items() if value is not None)


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


_PARSERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "only": _parse_only,
    "tags": _parse_tags,
}
POLICIES: Final = tuple(_PARSERS)
"""The names of the policies, which are settings of every handler too."""


def parse_policy(values: Mapping[str, str], *, source: str) -> Policy:
    """Return the policy that *values* state, by name.

    Raises:
        InvalidPolicyError: A name or a value is unknown; it quotes *source*.
    """
    stated = {}
    for name, value in values.items():
        if name not in _PARSERS:
            raise InvalidPolicyError(policy="policy", value=name, source=source, valid=POLICIES)
        if not isinstance(value, str):
            raise InvalidPolicyError(
                policy=name, value=repr(value), source=source, valid=("a text, joined by '+'",)
            )
        stated[name] = _PARSERS[name](value, source)
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


def policy(handler: HandlerLike, /, **values: str) -> WithPolicy:
    """Return *handler*, an object or a name, to be listened to in the way that *values* say.

    ``policy("slack", only="errors+roots")`` hears failed roots, ``policy(handler, tags="prod")``
    the runs that carry the tag. A later statement for the same handler replaces an earlier one;
    neither loosens what the operator's settings say.

    Raises:
        InvalidPolicyError: A policy has an unknown name or value.
    """
    return WithPolicy(handler, parse_policy(values, source="policy()"))
