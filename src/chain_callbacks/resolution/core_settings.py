"""The settings of the framework itself as one model: the variables, and the file behind them.

Nothing imports this module unless a variable other than the names is set.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeFloat, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from ..dispatch.options import EXIT_TIMEOUT
from ..errors import InvalidNameError, SettingsError, did_you_mean
from . import environment as env
from .names import DEFAULT_INSTANCE, parse_entry, parse_name


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _plain(names: tuple[str, ...]) -> tuple[str, ...]:
    for position, name in enumerate(names, start=1):
        parse_name(name, source="the list", position=position)
    return names


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("it must be an absolute path: a file lying about must redirect nothing")
    return path


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError("it must be a folder that is there")
    return path


Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_plain)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Folder = Annotated[AbsolutePath, AfterValidator(_folder)]


class _Variables(EnvSettingsSource):
    def __call__(self) -> dict[str, Any]:
        # The names are in the variable of the plain name, which the resolver reads by itself.
        return {field: value for field, value in super().__call__().items() if field != "callbacks"}


class CoreSettings(BaseSettings):
    """What the environment, and the file that it points to, say to the framework."""

    model_config = SettingsConfigDict(
        env_prefix=f"{env.NAMES}_",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    callbacks: Texts = Field((), description="The handlers that hear every run.")
    require: Names = Field(
        (), description="Handlers that are always there; code cannot remove or filter them."
    )
    allow: Names | None = Field(None, description="The only handlers that may be named.")
    deny: Names = Field((), description="Handlers that may not be named.")
    disabled: bool = Field(
        default=False, description="Attach nothing at all, handler objects included."
    )
    strict: bool = Field(
        default=False, description="Make everything that is wrong an error, all at once."
    )
    plugins: Texts = Field(
        (), description="Policy plugins; nothing is resolved where one is missing or fails."
    )
    hosts: Texts = Field(
        (), description="Bridges to set up besides our own; `-openai` takes one of ours out."
    )
    config: AbsolutePath | None = Field(None, description="A TOML file with these settings.")
    secrets_dir: Folder | None = Field(
        None, description="A folder with a file for each secret, named as its variable."
    )

    delivery: Literal["inline"] | None = Field(
        None, description="`inline` queues nothing: for serverless functions, and for debugging."
    )
    exit_timeout: NonNegativeFloat = Field(
        EXIT_TIMEOUT,
        description="Seconds that all handlers together have at the end of the process.",
    )
    flush_on_sigterm: bool = Field(
        default=False, description="Send what is queued before SIGTERM ends the process."
    )
    redact_keys: Texts = Field(
        (), description="Keys whose values are masked, besides the usual ones."
    )
    redactor: str | None = Field(
        None, description="A redactor of your own, `module:name`, besides the one that is there."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  The hook has these arguments.
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Have the environment beat what the file says."""
        return (_Variables(settings_cls), init_settings)


class _File:
    """What the file says; an object, so that no frame of a traceback shows it."""

    def __init__(self, path: Path) -> None:
        self.values = _load(path)
        self.sections = self.values.pop("handlers", {})


def read() -> tuple[CoreSettings, dict[str, dict[str, Any]]]:
    """Return the settings, and the sections of the file by handler.

    Raises:
        SettingsError: One is wrong, or the file cannot be read.
    """
    settings = _build({})
    if settings.config is None:
        return settings, {}
    file, where = _File(settings.config), str(settings.config)
    if not isinstance(file.sections, dict) or not all(
        isinstance(section, dict) for section in file.sections.values()
    ):
        raise SettingsError(problems=(f"[handlers] of {where} holds a table for each handler",))
    known = [*CoreSettings.model_fields.keys() - {"config"}, "handlers"]
    unknown = [key for key in file.values if key not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known)
        raise SettingsError(problems=(f"{unknown[0]!r} is no key of {where}.{hint}",))
    names = [_section(key, where) for key in file.sections]
    return _build(file.values), dict(zip(names, map(dict, file.sections.values()), strict=True))


def _section(key: str, where: str) -> str:
    try:
        operation, ref, _ = parse_entry(key, source=where)
        if operation == "add" and ref.distribution is None:
            return str(ref).removesuffix(f":{DEFAULT_INSTANCE}")
    except InvalidNameError:
        pass
    raise SettingsError(problems=(f"[handlers.{key!r}] of {where} is no handler's name",))


def _load(path: Path) -> dict[str, Any]:
    problem = None
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"the file {path} cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        problem = f"the file {path} is not UTF-8"
    except tomllib.TOMLDecodeError as error:
        # What it says of the place holds no value.
        problem = f"the file {path} is no TOML: {error}"
    raise SettingsError(problems=(problem,))


def _build(values: Mapping[str, Any]) -> CoreSettings:
    problems: list[str] = []
    try:
        return CoreSettings(**values)
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_context=False, include_url=False):
            field = "".join(str(part) for part in detail["loc"][:1])
            variable = env.NAMES if field == "callbacks" else f"{env.NAMES}_{field.upper()}"
            message = str(detail["msg"]).removeprefix("Value error, ")
            problems.append(f"{variable}: {message}")
    raise SettingsError(problems=tuple(problems))
