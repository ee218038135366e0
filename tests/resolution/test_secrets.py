"""No setting's value leaves: canaries in all of them, looked for wherever something is told."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from chain_callbacks import HandlerSettings, check, explain, register, resolve
from chain_callbacks.errors import ChainCallbacksError, ConfigurationErrors, SettingsError
from chain_callbacks.inspection import doctor
from chain_callbacks.runnables import RunnableLambda

from .conftest import HANDLER, Listening

CANARY = "canary-hooks/T0/B0/XyZZy-7261"
STEP = RunnableLambda(lambda value: value, name="step")


def reachable(error: BaseException) -> list[BaseException]:
    """Return all exceptions that hang together with one: causes, contexts, those of a group."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or any(each is known for known in found):
            continue
        found.append(each)
        left += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return found


def told_of(error: BaseException) -> Iterator[str]:
    """Give everything that can be told of an exception, its frames' variables included."""
    for each in reachable(error):
        frame = each.__traceback__
        while frame is not None and frame.tb_frame.f_code.co_filename == __file__:
            frame = frame.tb_next  # Our own frames hold the canary.
        each.with_traceback(frame)
        yield str(each)
        yield repr(each)
        yield repr(each.args)
        yield repr(vars(each))
        yield str(getattr(each, "errors", str)())
        while frame is not None:
            yield repr({**frame.tb_frame.f_locals})
            frame = frame.tb_next
    yield "".join(traceback.format_exception(error))
    info = (type(error), error, error.__traceback__)
    transform = structlog.tracebacks.ExceptionDictTransformer(
        show_locals=True, locals_max_string=10_000
    )
    yield json.dumps(transform(info), default=repr)
    yield from _rich(error)


def _rich(error: BaseException) -> Iterator[str]:
    traceback = pytest.importorskip("rich.traceback", reason="rich is not installed")
    # What it would print, without the drawing, which takes half a second.
    trace = traceback.Traceback.extract(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=None
    )
    left = [*trace.stacks]
    while left:
        stack = left.pop()
        left += [each for group in getattr(stack, "exceptions", ()) for each in group.stacks]
        yield f"{stack.exc_value} {getattr(stack, 'notes', '')}"
        for frame in stack.frames:
            yield from ("".join(node.iter_tokens()) for node in (frame.locals or {}).values())


def assert_silent(told: Iterator[str] | list[str]) -> None:
    texts = list(told)
    # A piece of it is as good as all of it.
    pieces = {CANARY, CANARY.upper(), CANARY[:16], CANARY[-16:], CANARY[::-1]}
    assert [] == [text for text in texts for piece in pieces if piece in text]
    assert texts


@pytest.fixture(autouse=True)
def _watched(site, caplog):
    """Look through what was logged too, at every level, tracebacks included."""
    caplog.set_level(logging.DEBUG)
    yield
    assert_silent([caplog.text, *(repr(record.__dict__) for record in caplog.records)])
    for record in caplog.records:
        if record.exc_info and record.exc_info[1]:
            assert_silent(told_of(record.exc_info[1]))


class Plain(HandlerSettings):
    url: SecretStr
    count: int = 0


class Quoting(Plain):
    @field_validator("url")
    @classmethod
    def _quote(cls, value: SecretStr) -> SecretStr:
        raise ValueError(f"{value.get_secret_value()!r} is no url")


class QuotingAPiece(Plain):
    @field_validator("url")
    @classmethod
    def _quote(cls, value: SecretStr) -> SecretStr:
        raise ValueError(f"{value.get_secret_value()[:16].upper()}... is no url")


class Asserting(Plain):
    @field_validator("url")
    @classmethod
    def _quote(cls, value: SecretStr) -> SecretStr:
        raise AssertionError(f"not {value.get_secret_value()}")


class Custom(Plain):
    @field_validator("url")
    @classmethod
    def _quote(cls, value: SecretStr) -> SecretStr:
        raise PydanticCustomError("odd", "{value} is odd", {"value": value.get_secret_value()})


class Raising(Plain):
    @field_validator("url")
    @classmethod
    def _quote(cls, value: SecretStr) -> SecretStr:
        raise KeyError(value.get_secret_value())


class Before(Plain):
    @field_validator("url", mode="before")
    @classmethod
    def _quote(cls, value: str) -> str:
        raise ValueError(f"no {value}")


class Whole(Plain):
    @model_validator(mode="after")
    def _quote(self) -> Whole:
        raise ValueError(f"no {self.url.get_secret_value()}")


class WrongType(HandlerSettings):
    url: int


class NoJson(HandlerSettings):
    url: list[str]


class Nested(HandlerSettings):
    url: dict[str, dict[str, int]]


class Fine(Plain):
    pass


class Keeping(Listening):
    def __init__(self, settings: Plain) -> None:
        super().__init__("x", [])
        self.settings = settings


class RaisingFactory(Listening):
    def __init__(self, settings: Plain) -> None:
        value = settings.url.get_secret_value()
        headers = {"Authorization": f"Bearer {value}"}
        raise ValueError(f"{value} was refused: {headers}")


class ChainedFactory(Listening):
    def __init__(self, settings: Plain) -> None:
        raise RuntimeError("cannot connect") from OSError(settings.url.get_secret_value())


def wrong_type(settings: Plain) -> object:
    from dataclasses import make_dataclass

    return make_dataclass("Client", ["token"])(settings.url.get_secret_value())


def handler_of(model: type[HandlerSettings], kind: type = Keeping) -> type:
    return type("Handler", (kind,), {"settings_model": model})


def returning_what_is_none(settings: Plain) -> object:
    return wrong_type(settings)


returning_what_is_none.settings_model = Plain

CASES = {
    **{
        model.__name__: handler_of(model)
        for model in (
            Quoting, QuotingAPiece, Asserting, Custom, Raising, Before, Whole, WrongType, NoJson,
            Fine,
        )
    },
    "a factory that raises": handler_of(Plain, RaisingFactory),
    "a factory that chains": handler_of(Plain, ChainedFactory),
    "a factory of the wrong type": returning_what_is_none,
}  # fmt: skip


def by_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("CHAIN_CALLBACKS_X__URL", CANARY)


def by_file(monkeypatch, tmp_path):
    path = tmp_path / "callbacks.toml"
    path.write_text(f'[handlers.x]\nurl = "{CANARY}"\n')
    monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(path))


def by_secret_file(monkeypatch, tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "chain_callbacks_x__url").write_text(CANARY)
    monkeypatch.setenv("CHAIN_CALLBACKS_SECRETS_DIR", str(folder))


@pytest.mark.parametrize("way", [by_variable, by_file, by_secret_file])
@pytest.mark.parametrize("provider", CASES.values(), ids=CASES)
def test_no_value_is_told(provider, way, monkeypatch, tmp_path):
    """However a handler's settings are wrong, and wherever they stand, no value is told."""
    way(monkeypatch, tmp_path)
    monkeypatch.setenv("CHAIN_CALLBACKS", "x,slak")
    monkeypatch.setenv("CHAIN_CALLBACKS_X__COUNT", "0")
    monkeypatch.setenv("CHAIN_CALLBACKS_X__CUONT", CANARY)
    register("x", provider)
    STEP.invoke(1)
    for act in (check, lambda: strictly(monkeypatch), lambda: STEP.invoke(1)):
        with pytest.raises(ChainCallbacksError) as caught:
            act()
        assert_silent(told_of(caught.value))
    monkeypatch.delenv("CHAIN_CALLBACKS_STRICT")
    resolution = explain()
    assert_silent([str(resolution), json.dumps(resolution.as_data()), repr(resolution)])
    assert_silent(text for error in resolution.problems for text in told_of(error))
    assert_silent([repr(doctor.diagnose())])


def strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "1")
    STEP.invoke(1)


def test_a_message_without_a_value_is_told(monkeypatch):
    """What a validator says is kept where it quotes nothing: it is what mends the setting."""

    class Strict(Plain):
        @field_validator("url")
        @classmethod
        def _check(cls, value: SecretStr) -> SecretStr:
            raise ValueError("It must start with https://")

    register("x", handler_of(Strict))
    monkeypatch.setenv("CHAIN_CALLBACKS", "x")
    monkeypatch.setenv("CHAIN_CALLBACKS_X__URL", "http://" + CANARY)
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    (error,) = caught.value.exceptions
    assert ("CHAIN_CALLBACKS_X__URL is wrong: it must start with https://",) == error.problems


def test_a_key_inside_of_a_value_is_not_told(monkeypatch):
    """The place of a mistake within a structured value is part of the value."""
    register("x", handler_of(Nested))
    monkeypatch.setenv("CHAIN_CALLBACKS", "x")
    monkeypatch.setenv("CHAIN_CALLBACKS_X__URL", json.dumps({CANARY: {CANARY: "no"}}))
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    assert_silent(told_of(caught.value))


LIBRARY = """
from dataclasses import dataclass

@dataclass
class {name}:
    token: str
    def __post_init__(self):
        {act}
    {more}
"""


@pytest.mark.parametrize(
    ("act", "more"),
    [
        ("raise ValueError(self.token)", "on_chain_start = print"),
        ("pass", ""),
        ("pass", "def on_chain_start(self): ..."),
        ("import sys; sys.exit(self.token)", "on_chain_start = print"),
    ],
)
@pytest.mark.parametrize("way", ["file", "variable"])
def test_no_keyword_of_a_third_party_class_is_told(site, tmp_path, monkeypatch, act, more, way):
    """A library's class takes plain texts, and shows them in its repr: we do not."""
    (site / "library_x.py").write_text(LIBRARY.format(name="Tracer", act=act, more=more))
    token = f'token = "{CANARY}"\n' if way == "file" else ""
    path = tmp_path / "callbacks.toml"
    path.write_text(f'callbacks = ["x"]\n[handlers.x]\nclass = "library_x:Tracer"\n{token}')
    monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(path))
    if way == "variable":
        monkeypatch.setenv("CHAIN_CALLBACKS_X__TOKEN", CANARY)
    STEP.invoke(1)
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    assert_silent(told_of(caught.value))
    assert_silent([str(explain())])


def test_a_live_handler_is_not_told_when_another_fails(site, tmp_path, monkeypatch):
    """A traceback of one handler's failure does not show another that was made by then."""
    (site / "library_x.py").write_text(
        LIBRARY.format(name="Tracer", act="pass", more="def on_chain_start(self, *a, **k): ...")
    )
    path = tmp_path / "callbacks.toml"
    path.write_text(
        f'callbacks = ["x"]\nrequire = ["broken"]\n'
        f'[handlers.x]\nclass = "library_x:Tracer"\ntoken = "{CANARY}"\n'
    )
    monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(path))
    register("broken", lambda: 7)
    for act in (lambda: STEP.invoke(1), check, lambda: resolve(["slak"])):
        with pytest.raises(ChainCallbacksError) as caught:
            act()
        assert_silent(told_of(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        'import os\nTOKEN = os.environ["CHAIN_CALLBACKS_X__TOKEN"]\nraise RuntimeError(TOKEN)\n',
        'import os\nTOKEN = os.environ["CHAIN_CALLBACKS_X__TOKEN"]\nimport no_such_module\n',
        'import os\n__import__(os.environ["CHAIN_CALLBACKS_X__TOKEN"])\n',
    ],
)
def test_a_plugin_that_reads_its_settings_at_import(fake_distribution, monkeypatch, text):
    """What a module holds when its import fails is not told, and its text not where it quotes."""
    fake_distribution("x", entry_points={"x": "careless_x:X"}, modules={"careless_x": text})
    monkeypatch.setenv("CHAIN_CALLBACKS", "x")
    monkeypatch.setenv("CHAIN_CALLBACKS_X__TOKEN", CANARY)
    STEP.invoke(1)
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    assert_silent(told_of(caught.value))
    (error,) = caught.value.exceptions
    assert any("careless_x.py" in note for note in error.__notes__)


def test_an_import_that_fails_without_settings_has_its_cause(fake_distribution, monkeypatch):
    """Where nothing is set there is nothing to hide: the whole traceback is there."""
    fake_distribution("x", entry_points={"x": "careless_x:X"}, modules={"careless_x": "1 / 0"})
    monkeypatch.setenv("CHAIN_CALLBACKS", "x")
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    assert isinstance(caught.value.exceptions[0].__cause__, ZeroDivisionError)


@pytest.fixture
def file_with_a_secret(tmp_path, monkeypatch):
    """Write a file with a secret in a section, and a line or a section that is wrong."""

    def write(wrong: str) -> None:
        section = f'[handlers.x]\nurl = "{CANARY}"\n'
        path = tmp_path / "callbacks.toml"
        path.write_text(f"{section}{wrong}" if wrong.startswith("[") else f"{wrong}\n{section}")
        monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(path))

    return write


@pytest.mark.parametrize(
    "wrong",
    [
        "deny = ['a b']",
        "a = [",
        f"redactor = '{CANARY}'",
        f"require = {{token = '{CANARY}'}}",
        f"plugins = [['{CANARY}']]",
        f"a = '{CANARY}\n'",
    ],
)
def test_no_value_of_a_file_that_is_refused_is_shown(file_with_a_secret, wrong):
    """A mistake elsewhere in the file shows nothing of its sections."""
    file_with_a_secret(wrong)
    for act in (lambda: STEP.invoke(1), check, resolve):
        with pytest.raises(SettingsError) as caught:
            act()
        assert_silent(told_of(caught.value))
    explained = explain()
    (problem,) = explained.problems
    assert_silent([*told_of(problem), str(explained)])


@pytest.mark.parametrize(
    "wrong",
    [
        "nonsense = 1",
        f"nonsense = '{CANARY}'",
        f"strict = '{CANARY}'",
        f"exit_timeout = {{token = '{CANARY}'}}",
        f"secrets_dir = '{CANARY}'",
        f"delivery = '{CANARY}'",
        f"callbacks = {{token = '{CANARY}'}}",
        "[handlers.none]\nx = 1",
        f"[handlers]\ny = '{CANARY}'",
    ],
)
def test_no_value_of_a_setting_that_is_ignored_is_shown(file_with_a_secret, caplog, wrong):
    """A value in the wrong place is not in the warning, nor in what `check()` raises."""
    file_with_a_secret(wrong)
    assert 1 == STEP.invoke(1)
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    assert_silent([*told_of(caught.value), caplog.text])
    assert 1 == len(caught.value.exceptions)


def test_a_name_that_is_a_secret_by_mistake_is_quoted(monkeypatch):
    """What stands where names stand is no setting: it is quoted, or nobody could mend it."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "https://hooks")
    with pytest.raises(ConfigurationErrors, match=r"1 thing is wrong") as caught:
        check()
    assert "https://hooks" in str(caught.value.exceptions[0])


def test_the_text_of_a_plugin_is_what_it_is():
    """The module that these tests install holds no canary of its own."""
    assert CANARY not in HANDLER
