"""What a redacted copy masks in structures, whatever carries a credential, and what it shows."""

from __future__ import annotations

from collections import OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from chain_callbacks.redaction import MASK, Copier, DefaultRedactor

CANARY = "c4nary-Xq7Zp0"


def redacted(value: Any, redactor: DefaultRedactor | None = None) -> Any:
    return Copier(redactor or DefaultRedactor()).copy(value)


@dataclass
class Variable:
    name: str
    value: Any
    comment: str = ""


class Parameter(BaseModel):
    key: str
    value: Any


class Header(NamedTuple):
    header: str
    value: str


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    one: str = Field(CANARY, alias="apiKey")
    two: str = Field(CANARY, validation_alias="access_token")
    three: str = Field(CANARY, serialization_alias="client-secret")
    four: str = Field(CANARY, validation_alias=AliasChoices("x", AliasPath("auth", "password")))
    other: str = Field("shown", alias="sessionId")


@dataclass
class Renamed:
    one: str = field(default=CANARY, metadata={"alias": "apiKey"})
    other: str = field(default="shown", metadata={"alias": "sessionId", "help": "no password"})


@pydantic_dataclass
class Validated:
    one: str = Field(CANARY, alias="apiKey")


class Names(Enum):
    TOKEN = "token"  # noqa: S105  A name.


Pair = namedtuple("Pair", "password other")  # noqa: PYI024

CARRIERS: dict[str, Any] = {
    "a mapping": {"api_key": CANARY},
    "a mapping in a list": [{"x": ({"api_key": CANARY},)}],
    "a mapping of another type": UserDict(api_key=CANARY),
    "a proxy": MappingProxyType({"api_key": CANARY}),
    "what is under the key": {"credentials": {"user": "bob", "list": [CANARY]}},
    "a key of bytes": {b"authorization": CANARY},
    "a key of several": {("headers", "authorization"): CANARY},
    "a key of an enumeration": {Names.TOKEN: CANARY},
    "a pair": ("Authorization", CANARY),
    "a pair in a list": [["x-api-key", CANARY], ["accept", "*/*"]],
    "a pair in a dequeue": deque([("token", CANARY)]),
    "fields of a tuple": Pair(CANARY, 1),
    "a record": {"name": "API_KEY", "value": CANARY},
    "a record backwards": {"value": CANARY, "type": "env", "name": "API_KEY"},
    "a record of tags": {"Key": "Password", "Value": CANARY},
    "a record of a stack": {"ParameterKey": "DbPassword", "ParameterValue": CANARY},
    "a record with a typed value": {"key": "api_key", "value": {"stringValue": CANARY}},
    "a record of a form": {"id": "password", "label": "Password", "value": CANARY},
    "a record with values": OrderedDict(header="Cookie", values=[CANARY]),
    "a record of one letter": {"k": "token", "v": CANARY},
    "a dataclass": Variable("API_KEY", CANARY),
    "a model": Parameter(key="X-Auth-Token", value=CANARY),
    "a tuple with names": Header("Authorization", CANARY),
    "records in a list": {"env": [Variable("A", "1"), Variable("TOKEN", CANARY)]},
    "aliases": Aliased(),
    "aliases of a dataclass": Renamed(),
    "aliases of a model's dataclass": Validated(),
    "arguments": ["curl", "--token", CANARY, "https://x"],
    "two arguments": ["--api-key", CANARY],
    "arguments in a tuple": ("run", "-password", CANARY),
    "an argument in one": ["run", f"--password={CANARY}"],
    "a flat list of headers": ["Host", "x", "Authorization", CANARY, "Accept", "*/*"],
    "a flat list that begins with it": ["X-Api-Key", CANARY, "Accept", "*/*"],
    "a default in a schema": {"api_key": {"type": "string", "default": CANARY}},
    "an example in a schema": {"password": {"type": "string", "examples": [CANARY]}},
    "an enumeration in a schema": {"properties": {"token": {"enum": [CANARY]}}},
    "what looks like a schema": {"password": {"type": "string", "text": CANARY}},
    "what an error was given": ValueError({"password": CANARY}),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_secret_is_masked_whatever_carries_it(carrier: str) -> None:
    """It is the key that says so, wherever it stands."""
    shown = repr(redacted(CARRIERS[carrier]))
    assert CANARY not in shown
    assert MASK in shown


TOOL = {
    "type": "function",
    "function": {
        "name": "log_in",
        "description": "Log in with a password.",
        "parameters": {
            "type": "object",
            "properties": {
                "password": {"type": "string", "description": "The password.", "minLength": 8},
                "token": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                "auth": {"$ref": "#/$defs/Auth"},
                "secret": {"type": ["string", "null"], "default": "", "title": "Secret"},
                "credentials": {
                    "type": "object",
                    "properties": {"api_key": {"type": "string"}},
                    "required": ["api_key"],
                },
            },
            "required": ["password", "username"],
        },
    },
}

SHOWN: dict[str, Any] = {
    "ids": {"session_id": "s-1", "metadata": {"langfuse_session_id": "s-1", "thread_id": "t"}},
    "counts": {"time_to_first_token": 0.5, "max_tokens": 7, "token_usage": {"total_tokens": 3}},
    "numbers": {"token": 17, "otp": 1.5, "auth_tokens": [1, 2], "is_secret": True, "auth": None},
    "a count in a record": {"name": "max_tokens", "value": "7"},
    "a number in a record": {"name": "token", "value": 7},
    "a switch in a record": {"key": "auth", "value": False},
    "a session in a record": {"key": "session_id", "value": "s-1"},
    "a message with a name": {"role": "user", "name": "secret_agent", "content": "hello"},
    "a record without a value": {"name": "password", "in": "query", "required": True},
    "a tool": TOOL,
    "the arguments of a tool": {"password": {"title": "Password", "type": "string"}},
    "an API's authentication": {"bearerAuth": {"type": "http", "scheme": "bearer"}},
    "names of columns": ["token", "password", "user", "email"],
    "two names": ("password", "token"),
    "required names": {"required": ["password", "username"]},
    "words": ["a", "token", "is", "text"],
    "options without values": ["--password", "--token"],
    "options that count": ["--max-tokens", "7", "--stop-token", "</s>"],
    "a set of names": {"password", "x"},
    "the tokens of a model": [{"token": "Hello", "logprob": -0.5, "bytes": None}],
    "messages": [("human", "hello"), ("ai", "what is a token?")],
}


@pytest.mark.parametrize("value", SHOWN)
def test_what_is_no_secret_is_shown(value: str) -> None:
    """Ids, counts, schemas, names and words are there as they were."""
    assert SHOWN[value] == redacted(SHOWN[value])


def test_aliases_that_say_nothing_are_shown() -> None:
    """A field is masked for what it is called, and not for what else it says."""
    assert ("shown", "shown") == (redacted(Aliased()).other, redacted(Renamed()).other)


def test_only_the_value_of_a_record_is_masked() -> None:
    """What else the record says of it is shown."""
    shown = redacted([Variable("API_KEY", CANARY, "for tests"), {"k": "pwd", "v": "x", "n": 1}])
    assert [Variable("API_KEY", MASK, "for tests"), {"k": "pwd", "v": MASK, "n": 1}] == shown


def test_an_extra_key_masks_numbers_in_whatever_carries_them() -> None:
    """What an organisation lists is masked, whatever it is."""
    redactor = DefaultRedactor(["employee id"])
    value = [{"employeeId": 17}, ("employee_id", 17), {"name": "EMPLOYEE-ID", "value": 17}]
    expected = [{"employeeId": MASK}, ("employee_id", MASK), {"name": "EMPLOYEE-ID", "value": MASK}]
    assert expected == redacted(value, redactor)


def test_a_redactor_without_a_word_on_numbers_masks_them() -> None:
    """It hides what stands under a key, whatever that is."""

    class Own:
        def hides(self, key: str, /) -> bool:
            return key == "customer"

        def redact(self, text: str, /) -> str:
            return text

    assert {"customer": MASK, "other": 17} == Copier(Own()).copy({"customer": 17, "other": 17})
