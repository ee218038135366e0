"""What there is to know of one handler: its settings and which are set, its events, its origin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from ..dispatch.handler_class import events_of
from ..errors import BrokenPluginError
from ..handler import BaseCallbackHandler
from ..policies import POLICIES, Manner, defaults_of
from ..resolution import instances
from ..resolution.handler_settings import RawSettings, instances_of, model_of
from ..resolution.index import Provenance
from ..resolution.names import DEFAULT_INSTANCE, parse_name
from ..resolution.plugins import describe
from ..resolution.settings import NAMES, settings

_ASKING: Final = "chain-callbacks show"
MASK: Final = "********"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a handler.

    Attributes:
        name, kind, default, description: As the model has them; *default* is None where it is
            required, else as text.
        variable: What sets it in the environment.
        is_required, is_secret: Of the field.
        set_by: ``environment``, ``secret file`` or ``file``; None where nothing sets it.
        value: What is set, as text; masked unless it is harmless: a policy, a number, a switch or
            one of a few words.
    """

    name: str
    kind: str
    default: str | None
    description: str
    variable: str
    is_required: bool
    is_secret: bool
    set_by: str | None
    value: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to know of one handler."""

    name: str
    provenance: Provenance
    sends_to: str | None
    events: tuple[str, ...]
    settings: tuple[Setting, ...]
    instances: tuple[str, ...]


def show(name: str) -> Shown:
    """Return what there is to know of a handler, after importing it; it is not made.

    Raises:
        ChainCallbacksError: There is none of that name, or it cannot be imported.
    """
    key = instances.identify(parse_name(name, source=_ASKING), source=_ASKING)
    provider, provenance = instances.provider_of(key, source=_ASKING)
    instance = None if key.instance == DEFAULT_INSTANCE else key.instance
    given = RawSettings(key.name, instance)
    facts = _facts(provider)
    if isinstance(facts, str):
        raise BrokenPluginError(
            name=str(key),
            source=_ASKING,
            reason=facts,
            distribution=provenance.distribution,
            version=provenance.version,
            location=provenance.location,
        )
    fields, sends_to, events = facts
    return Shown(
        name=str(key),
        provenance=provenance,
        sends_to=sends_to,
        events=events,
        settings=(
            *(_setting(field, info, given) for field, info in fields.items()),
            *(_policy(policy, provider, given) for policy in POLICIES),
        ),
        instances=instances_of(key.name),
    )


def _facts(provider: Any) -> tuple[dict[str, Any], str | None, tuple[str, ...]] | str:
    """Return the fields of its settings, where it sends data and its events, or why it cannot."""
    try:
        model = model_of(provider)
        fields = {} if model is None else dict(model.model_fields)
        return fields, getattr(provider, "sends_to", None), _events(provider)
    except Exception as error:
        return f"its settings or events cannot be read: {describe(error)}"


def _events(provider: Any) -> tuple[str, ...]:
    # Of a class they can be told without making one; of a function only of what it makes.
    if not isinstance(provider, type):
        return ()
    if issubclass(provider, BaseCallbackHandler):
        return events_of(object.__new__(provider))
    return tuple(name for name in dir(provider) if name.startswith("on_"))


def _setting(field: str, info: Any, given: RawSettings) -> Setting:
    kind = kind_of(info.annotation)
    is_secret = "Secret" in kind
    variable = given.prefix + field.upper()
    set_by, value = _given(field, variable, given)
    return Setting(
        field,
        kind,
        None if info.is_required() else str(info.get_default(call_default_factory=True)),
        info.description or "",
        variable,
        info.is_required(),
        is_secret,
        set_by,
        None if value is None else (str(value) if _is_harmless(kind) else MASK),
    )


def _given(field: str, variable: str, given: RawSettings) -> tuple[str | None, Any]:
    if field in given.variables:
        return "environment", given.variables[field]
    folder = settings().secrets_dir
    if folder is not None and _has_file(folder, variable):
        return "secret file", MASK
    if field in given.section:
        return "file", given.section[field]
    return None, None


def _has_file(folder: Path, variable: str) -> bool:
    try:
        return any(each.name.upper() == variable for each in folder.iterdir())
    except OSError:
        return False


def _policy(name: str, provider: Any, given: RawSettings) -> Setting:
    value, source = given.policies.get(name, (None, ""))
    set_by = None if value is None else "environment" if source.startswith(NAMES) else "file"
    return Setting(
        name,
        "policy",
        str(getattr(Manner(**{"content": "redacted", **defaults_of(provider)}), name, "")),
        "how it is listened to",
        given.prefix + name.upper(),
        is_required=False,
        is_secret=False,
        set_by=set_by,
        value=None if value is None else str(value),
    )


def _is_harmless(kind: str) -> bool:
    words = set(kind.replace("|", " ").split()) - {"None"}
    return words <= {"int", "float", "bool"} or kind.startswith("one of")


def kind_of(annotation: Any) -> str:
    """Return an annotation as a person writes it; the choices of a literal as a list."""
    if hasattr(annotation, "__metadata__"):
        return kind_of(annotation.__origin__)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if origin in (Union, UnionType):
        return " | ".join(kind_of(each) for each in arguments)
    if origin is tuple:
        return "list"
    if annotation is NoneType:
        return "None"
    return getattr(annotation, "__name__", str(annotation))
