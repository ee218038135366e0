"""Templates that make a prompt of their variables."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from ..errors import did_you_mean, quoted
from ..events import KINDS, RunKind
from .base import Runnable
from .messages import BaseMessage, convert_to_messages
from .outputs import ChatPromptValue, StringPromptValue

_FORMATTER: Final = string.Formatter()


def variables_of(template: str) -> tuple[str, ...]:
    """Return the variables of a template in the syntax of ``str.format``, in their order.

    Raises:
        ValueError: A field is more than a name: an index or an attribute would let whoever writes
            the template read what the variables lead to.
    """
    names: dict[str, None] = {}
    for _, name, format_spec, _ in _FORMATTER.parse(template):
        if name is None:
            continue
        if not name.isidentifier():
            raise ValueError(
                f"{{{name}}} is no variable of a template. Write a plain name, such as {{number}}, "
                "or double the braces where they are meant as text."
            )
        names[name] = None
        # A format may have fields itself: "{number:{width}}".
        names.update(dict.fromkeys(variables_of(format_spec or "")))
    return tuple(names)


def _checked(name: str, wanted: Sequence[str], value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        if len(wanted) == 1:
            return {wanted[0]: value}
        raise TypeError(
            f"{name} takes a dict with {quoted(wanted)} and got a {type(value).__name__}."
        )
    missing = [each for each in wanted if each not in value]
    if missing:
        hint = did_you_mean(missing[0], map(str, value))
        raise KeyError(f"{name} needs {quoted(missing)}; it got {quoted(map(str, value))}.{hint}")
    return value


class _Template(Runnable[Any, Any]):
    """What both templates share: variables, some of them filled beforehand."""

    kind: ClassVar[RunKind] = KINDS["prompt"]

    input_variables: tuple[str, ...] = ()

    def _values(self, input: Any) -> Mapping[str, Any]:
        return _checked(self.get_name(), self.input_variables, input)


class PromptTemplate(_Template):
    """A text with variables, in the syntax of ``str.format``."""

    def __init__(self, template: str, *, name: str | None = None, callbacks: Any = None) -> None:
        super().__init__(name=name, callbacks=callbacks)
        self.template = template
        self.input_variables = variables_of(template)

    @classmethod
    def from_template(cls, template: str, **kwargs: Any) -> PromptTemplate:
        """Return the template of a text."""
        return cls(template, **kwargs)

    def format(self, **values: Any) -> str:
        """Return the text with *values* in it."""
        return self.template.format(**values)

    def _invoke(self, input: Any, **kwargs: Any) -> StringPromptValue:
        return StringPromptValue(self.template.format(**self._values(input)))

    async def _ainvoke(self, input: Any, **kwargs: Any) -> StringPromptValue:
        return self._invoke(input)


class MessagesPlaceholder:
    """A place in a chat prompt for the messages that a variable holds."""

    def __init__(self, variable_name: str, *, optional: bool = False) -> None:
        self.variable_name = variable_name
        self.optional = optional


class ChatPromptTemplate(_Template):
    """A list of messages with variables.

    Args:
        messages: Each a message (taken as it is), a pair of a role and a template,
            ``("placeholder", "{variable}")``, a ``MessagesPlaceholder``, or a text (of a human).
    """

    def __init__(
        self, messages: Iterable[Any], *, name: str | None = None, callbacks: Any = None
    ) -> None:
        super().__init__(name=name, callbacks=callbacks)
        self.messages = tuple(_part(message) for message in messages)
        names: dict[str, None] = {}
        for part in self.messages:
            if isinstance(part, MessagesPlaceholder):
                if not part.optional:
                    names[part.variable_name] = None
            elif isinstance(part, tuple):
                names.update(dict.fromkeys(variables_of(part[1])))
        self.input_variables = tuple(names)

    @classmethod
    def from_template(cls, template: str, **kwargs: Any) -> ChatPromptTemplate:
        """Return a prompt of one message of a human."""
        return cls([("human", template)], **kwargs)

    @classmethod
    def from_messages(cls, messages: Iterable[Any], **kwargs: Any) -> ChatPromptTemplate:
        """Return a prompt of several messages; see the class."""
        return cls(messages, **kwargs)

    def format_messages(self, **values: Any) -> list[BaseMessage]:
        """Return the messages with *values* in them."""
        return self._invoke(values).messages

    def _invoke(self, input: Any, **kwargs: Any) -> ChatPromptValue:
        values = self._values(input)
        made: list[BaseMessage] = []
        for part in self.messages:
            if isinstance(part, MessagesPlaceholder):
                made.extend(convert_to_messages(values.get(part.variable_name, [])))
            elif isinstance(part, tuple):
                made.extend(convert_to_messages([(part[0], part[1].format(**values))]))
            else:
                made.append(part)
        return ChatPromptValue(made)

    async def _ainvoke(self, input: Any, **kwargs: Any) -> ChatPromptValue:
        return self._invoke(input)


def _part(message: Any) -> BaseMessage | MessagesPlaceholder | tuple[str, str]:
    if isinstance(message, BaseMessage | MessagesPlaceholder):
        return message
    if isinstance(message, str):
        return ("human", message)
    role, template = message
    if role == "placeholder":
        return MessagesPlaceholder(template.strip("{}"), optional=True)
    return (role, template)
