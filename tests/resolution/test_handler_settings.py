"""Where a handler's settings come from: variables, secret files, the operator's file."""

from __future__ import annotations

import sys

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from chain_callbacks import (
    HandlerSettings,
    attached,
    check,
    explain,
    policy,
    register,
    reload,
    resolve,
)
from chain_callbacks.errors import (
    ConfigurationErrors,
    HandlerSettingsError,
    InvalidPolicyError,
    UnknownInstanceError,
)
from chain_callbacks.resolution import instances
from chain_callbacks.runnables import RunnableLambda

from .conftest import Listening

STEP = RunnableLambda(lambda value: value, name="step")


class Settings(HandlerSettings):
    url: SecretStr
    channel: str = "general"
    retries: int = 3
    labels: tuple[str, ...] = ()


@pytest.fixture(autouse=True)
def slack(heard, site):
    """Register `slack`, a handler with settings; what it was made with stands in it."""

    class Slack(Listening):
        settings_model = Settings

        def __init__(self, settings: Settings) -> None:
            super().__init__("slack", heard)
            self.settings = settings
            self.is_closed = False

        def close(self) -> None:
            self.is_closed = True

    register("slack", Slack)


@pytest.fixture
def config_file(tmp_path, monkeypatch):
    """Write the operator's file."""

    def write(text: str) -> None:
        path = tmp_path / "callbacks.toml"
        path.write_text(text, "utf-8")
        monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(path))

    return write


def settings_of(name: str = "slack") -> tuple[str, str, int]:
    resolve([name])
    settings = instances.live_handlers()[name].settings
    return (settings.url.get_secret_value(), settings.channel, settings.retries)


def problems_of(name: str = "slack") -> tuple[str, ...]:
    key = instances.identify(instances.Ref(name), source="a test")
    with pytest.raises(HandlerSettingsError) as caught:
        instances.live(key, source="a test")
    return caught.value.problems


def test_variables_fill_the_model(monkeypatch):
    """A field is a variable: the handler's name, two underscores, the field."""
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__URL", "https://x")
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__RETRIES", "5")
    assert ("https://x", "general", 5) == settings_of()


def test_the_file_fills_the_model(config_file):
    """A section of the operator's file has a handler's fields by name."""
    config_file('[handlers.slack]\nurl = "https://file"\nretries = 7\n')
    assert ("https://file", "general", 7) == settings_of()


def test_a_secret_file_fills_a_field(tmp_path, monkeypatch):
    """A file named as the variable, in the operator's folder, holds the value."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "chain_callbacks_slack__url").write_text("https://secret\n")
    monkeypatch.setenv("CHAIN_CALLBACKS_SECRETS_DIR", str(folder))
    assert ("https://secret", "general", 3) == settings_of()


@pytest.mark.parametrize("text", ["\ufeffhttps://secret\n", "\ufeff https://secret \r\n"])
def test_a_byte_order_mark_is_no_part_of_a_secret(tmp_path, monkeypatch, text):
    """An editor may put one before the text: it is taken off, as blanks around it are."""
    (tmp_path / "CHAIN_CALLBACKS_SLACK__URL").write_text(text, encoding="utf-8")
    (tmp_path / "CHAIN_CALLBACKS_SLACK__RETRIES").write_text("\ufeff7", encoding="utf-8")
    monkeypatch.setenv("CHAIN_CALLBACKS_SECRETS_DIR", str(tmp_path))
    assert ("https://secret", "general", 7) == settings_of()


def test_a_variable_beats_a_secret_file_beats_the_file(tmp_path, monkeypatch, config_file):
    """Nearer to the process wins, field by field."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "CHAIN_CALLBACKS_SLACK__URL").write_text("secret")
    (folder / "CHAIN_CALLBACKS_SLACK__CHANNEL").write_text("secret")
    config_file(
        f'secrets_dir = "{folder}"\n[handlers.slack]\nurl = "f"\nchannel = "f"\nretries = 9\n'
    )
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__URL", "variable")
    assert ("variable", "secret", 9) == settings_of()


def test_an_empty_variable_is_none(monkeypatch, config_file):
    """A variable that is set to nothing leaves the file's value."""
    config_file('[handlers.slack]\nurl = "https://file"\n')
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__URL", "")
    assert ("https://file", "general", 3) == settings_of()


def test_named_instances_have_settings_and_keys_of_their_own(monkeypatch, config_file, heard):
    """`slack:audit` is a second handler, which takes over nothing of the first."""
    config_file('[handlers.slack]\nurl = "plain"\nchannel = "c"\n[handlers."slack:file"]\nurl="f"')
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__AUDIT_LOG__URL", "audit")
    callbacks = ["slack", "slack:audit-log", "Slack:File", "slack:default"]
    STEP.invoke(1, {"callbacks": callbacks})
    assert [("step", "slack")] * 3 == heard
    assert {"slack", "slack:audit-log", "slack:file"} == set(instances.live_handlers())
    assert ("plain", "c", 3) == settings_of("slack")
    assert ("audit", "general", 3) == settings_of("slack:audit-log")
    assert ("f", "general", 3) == settings_of("slack:file")


def test_an_instance_that_nobody_configured(monkeypatch):
    """Naming it is an error that says which variable makes it exist."""
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__URL", "x")
    with pytest.raises(UnknownInstanceError) as caught:
        resolve(["slack:audit"])
    assert (
        "No handler is called 'slack:audit': the instance is not configured; "
        'config["callbacks"][0] asks for it. Set one of its settings, '
        "CHAIN_CALLBACKS_SLACK__AUDIT__<FIELD>."
    ) == str(caught.value)


def test_removing_an_instance_leaves_the_others(monkeypatch, heard):
    """`-slack:audit` takes that one out, `-slack` all of them."""
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__URL", "x")
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__AUDIT__URL", "y")
    monkeypatch.setenv("CHAIN_CALLBACKS", "slack,slack:audit")

    def keys(*callbacks: str) -> list[str]:
        rows = resolve(list(callbacks)).as_data()
        return [row["name"] for row in rows if row["status"] == "active"]

    assert ["slack"] == keys("-slack:audit")
    assert ["slack:audit"] == keys("-slack:default")
    assert [] == keys("-slack")


def test_a_missing_field_is_named_by_its_variable(said):
    """What is missing is named as what is to be set."""
    assert ("CHAIN_CALLBACKS_SLACK__URL is not set",) == problems_of()
    assert 1 == STEP.invoke(1, {"callbacks": ["slack"]})
    assert [
        (
            'slack: CHAIN_CALLBACKS_SLACK__URL is not set. config["callbacks"][0] asks for it. '
            'Correct the settings, or remove the name from config["callbacks"][0].\n'
            "The run goes on without it."
        )
    ] == said()


def test_a_wrong_value_is_named_by_its_variable_and_not_shown(monkeypatch):
    """A value that does not fit is told by its variable and by what was wanted."""
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__URL", "x")
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__RETRIES", "many")
    assert (
        (
            "CHAIN_CALLBACKS_SLACK__RETRIES is wrong: input should be a valid integer, unable to "
            "parse string as an integer"
        ),
    ) == problems_of()


def test_a_list_that_is_no_json(monkeypatch):
    """A list in a variable must be JSON; where it is not, the variable is named."""
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__URL", "x")
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__LABELS", "a,b")
    assert (
        "CHAIN_CALLBACKS_SLACK__LABELS is wrong: it is not the JSON that its type asks for",
    ) == problems_of()


def test_a_validator_that_raises_what_it_likes(monkeypatch, said):
    """An author's validator may raise any exception; the run goes on without the handler."""
    from pydantic import field_validator

    class Odd(HandlerSettings):
        url: str = ""

        @field_validator("url")
        @classmethod
        def _check(cls, value: str) -> str:
            raise KeyError(value)

    class Handler(Listening):
        settings_model = Odd

    register("odd", Handler)
    monkeypatch.setenv("CHAIN_CALLBACKS_ODD__URL", "x")
    assert 1 == STEP.invoke(1, {"callbacks": ["odd"]})
    (warning,) = said()
    assert warning.startswith("odd: reading them raised KeyError. ")


def test_a_misspelt_variable_is_noticed(monkeypatch, said):
    """A variable that is none of a handler's settings is told, with the one that it is like."""
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__URL", "x")
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__CHANEL", "x")
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__ONYL", "x")
    STEP.invoke(1, {"callbacks": ["slack"]})
    assert [
        (
            "slack: CHAIN_CALLBACKS_SLACK__CHANEL is not a setting of it. "
            "Did you mean 'CHAIN_CALLBACKS_SLACK__CHANNEL'?"
        ),
        (
            "slack: CHAIN_CALLBACKS_SLACK__ONYL is not a setting of it. "
            "Did you mean 'CHAIN_CALLBACKS_SLACK__ONLY'?"
        ),
    ] == sorted(said())


def test_a_misspelt_variable_stands_beside_what_is_missing(monkeypatch):
    """The likeliest reason for a missing field is told with it."""
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__ULR", "x")
    assert (
        "CHAIN_CALLBACKS_SLACK__URL is not set",
        (
            "CHAIN_CALLBACKS_SLACK__ULR is not a setting of it. "
            "Did you mean 'CHAIN_CALLBACKS_SLACK__URL'?"
        ),
    ) == problems_of()


def test_a_misspelt_variable_of_a_handler_without_settings(monkeypatch, said, listening):
    """Policies are settings of every handler, and a misspelt one is noticed too."""
    register("plain", lambda: listening("plain"))
    monkeypatch.setenv("CHAIN_CALLBACKS_PLAIN__ONYL", "errors")
    STEP.invoke(1, {"callbacks": ["plain"]})
    assert [
        (
            "plain: CHAIN_CALLBACKS_PLAIN__ONYL is not a setting of it. "
            "Did you mean 'CHAIN_CALLBACKS_PLAIN__ONLY'?"
        )
    ] == said()


def test_a_misspelt_key_of_the_file(config_file):
    """A key that is no field is refused, with the one that it is like."""
    config_file('[handlers.slack]\nurl = "x"\nchanel = "y"\n')
    assert ("'chanel' is not a key of [handlers.slack]. Did you mean 'channel'?",) == problems_of()


def test_a_settings_object_made_in_code_reads_nothing(monkeypatch, tmp_path):
    """Made by hand, a settings object has its arguments and defaults, whatever is set."""
    for variable in ("URL", "CHANNEL", "CHAIN_CALLBACKS_SLACK__CHANNEL", "channel"):
        monkeypatch.setenv(variable, "from outside")
    assert ("x", "general") == (Settings(url="x").url.get_secret_value(), Settings(url="x").channel)
    with pytest.raises(ValidationError):
        Settings()


def test_a_file_lying_about_is_not_read(monkeypatch, tmp_path):
    """A `.env` in the working directory redirects nothing, though a model asks for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "URL=evil\nCHANNEL=evil\nCHAIN_CALLBACKS_SLACK__CHANNEL=evil\nCHAIN_CALLBACKS=slack\n"
    )

    class Careless(Settings):
        model_config = SettingsConfigDict(env_file=".env")

    class Handler(Listening):
        settings_model = Careless

        def __init__(self, settings):
            self.settings = settings

    register("careless", Handler)
    monkeypatch.setenv("CHAIN_CALLBACKS_CARELESS__URL", "x")
    assert ("x", "general", 3) == settings_of("careless")
    assert "general" == Careless(url="x").channel


def test_settings_are_read_once_until_a_reload(monkeypatch, config_file):
    """A handler keeps its settings; `reload()` closes it and makes one with those of then."""
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__URL", "one")
    assert ("one", "general", 3) == settings_of()
    first = instances.live_handlers()["slack"]
    monkeypatch.setenv("CHAIN_CALLBACKS_SLACK__URL", "two")
    assert ("one", "general", 3) == settings_of()
    reload()
    assert first.is_closed
    assert ("two", "general", 3) == settings_of()
    assert first is not instances.live_handlers()["slack"]


def test_the_file_is_read_once_until_a_reload(config_file, tmp_path):
    """A file that changes while the process runs changes nothing before `reload()`."""
    config_file('callbacks = ["slack"]\n[handlers.slack]\nurl = "one"\n')
    assert ["slack"] == [row["text"] for row in resolve().as_data()]
    (tmp_path / "callbacks.toml").write_text("callbacks = []\n")
    assert ["slack"] == [row["text"] for row in resolve().as_data()]
    reload()
    assert [] == resolve().as_data()


def test_a_reload_awaits_and_isolates(monkeypatch, said):
    """An asynchronous `close` is awaited; one that raises is logged, and the others closed."""
    closed = []

    class Asynchronous(Listening):
        async def close(self) -> None:
            closed.append(self.name)

    class Failing(Listening):
        def close(self) -> None:
            raise OSError("no")

    register("failing", lambda: Failing("failing", []))
    register("asynchronous", lambda: Asynchronous("asynchronous", []))
    resolve(["failing", "asynchronous"])
    reload()
    assert ["asynchronous"] == closed
    assert ["Closing the handler failing failed with OSError."] == said()


@pytest.fixture
def library(site):
    """A library with a handler of its own, which knows nothing of us."""
    (site / "library_x.py").write_text(
        "class Tracer:\n"
        "    def __init__(self, public_key, *, host='here', sample=1.0):\n"
        "        self.given = (public_key, host, sample)\n"
        "    def on_chain_start(self, serialized, inputs, **kwargs):\n"
        "        pass\n"
        "class Group:\n    Inner = Tracer\n"
    )


@pytest.mark.usefixtures("library")
def test_a_third_party_class_by_the_file_alone(config_file, monkeypatch):
    """`class` names it; the section's other keys, and variables, are its keyword arguments."""
    config_file(
        'callbacks = ["tracer"]\n[handlers.tracer]\nclass = "library_x:Tracer"\n'
        'public_key = "p"\nsample = 0.5\nonly = "roots"\n'
        '[handlers."tracer:inner"]\nclass = "library_x:Group.Inner"\npublic_key = "q"\n'
    )
    monkeypatch.setenv("CHAIN_CALLBACKS_TRACER__HOST", "there")
    rows = resolve(["tracer:inner"]).as_data()
    assert [("tracer", "only=roots content=redacted"), ("tracer:inner", "content=redacted")] == [
        (row["name"], row["policy"]) for row in rows
    ]
    assert [("p", "there", 0.5), ("q", "here", 1.0)] == [
        each.given for each in instances.live_handlers().values()
    ]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("library_x:Missing", "AttributeError: module 'library_x' has no attribute 'Missing'"),
        ("library_x", "AttributeError: module 'library_x' has no attribute ''"),
        ("no_library:X", "ModuleNotFoundError: No module named 'no_library'"),
        ("library_x:__name__", "class = 'library_x:__name__' cannot be called"),
        ("library_x:Group", ("it returns an object of type Group, not one with methods of the "
         "event table, such as on_chain_start")),
        ("library_x:Tracer", "making it raised TypeError"),
    ],
)  # fmt: skip
def test_a_third_party_class_that_cannot_be_used(config_file, path, reason):
    """It is broken as a plugin may be, and the reason names what is wrong with the path."""
    config_file(f'callbacks = ["tracer"]\n[handlers.tracer]\nclass = "{path}"\n')
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    assert [reason] == [error.reason for error in caught.value.exceptions]


def test_a_dotted_path_is_no_name(config_file):
    """A class is named in the file alone: never at run time, nor in the environment."""
    with pytest.raises(ValueError, match="is not a handler name"):
        resolve(["library_x:Tracer.x"])
    config_file('[handlers.tracer]\nclass = "library_x:Tracer"\n')
    with pytest.raises(UnknownInstanceError):
        resolve(["tracer:Other"])
    assert "library_x" not in sys.modules


@pytest.fixture
def plain(listening):
    """A handler without settings, `plain`."""
    register("plain", lambda: listening("plain"))


@pytest.mark.usefixtures("plain")
def test_policies_are_settings_of_any_handler(config_file, monkeypatch, heard):
    """In a variable or in the file; the variable beats the file, policy by policy."""
    config_file('callbacks = ["plain"]\n[handlers.plain]\nonly = "errors"\ntags = ["a", "b"]\n')
    monkeypatch.setenv("CHAIN_CALLBACKS_PLAIN__ONLY", "roots")
    (row,) = resolve().as_data()
    assert "only=roots tags=a+b content=redacted" == row["policy"]
    STEP.invoke(1)
    STEP.invoke(1, {"tags": ["b"]})
    assert [("step", "plain")] == heard


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_variable_is_as_one_that_is_not_set(config_file, monkeypatch, heard, empty):
    """It loosens nothing that the file says."""
    config_file('callbacks = ["plain"]\n[handlers.plain]\nonly = "errors"\n')
    monkeypatch.setenv("CHAIN_CALLBACKS_PLAIN__ONLY", empty)
    STEP.invoke(1)
    (row,) = resolve().as_data()
    assert ([], "only=errors content=redacted") == (heard, row["policy"])


@pytest.mark.usefixtures("plain")
def test_code_tightens_what_the_operator_set(monkeypatch, heard):
    """A policy stated in code is added to the operator's."""
    monkeypatch.setenv("CHAIN_CALLBACKS_PLAIN__ONLY", "chain")
    STEP.invoke(1, {"callbacks": [policy("plain", tags="prod")]})
    STEP.invoke(1, {"callbacks": [policy("plain", tags="prod")], "tags": ["prod"]})
    assert [("step", "plain")] == heard


@pytest.mark.usefixtures("plain")
def test_explain_shows_the_policy_of_a_later_entry():
    """It is the row of the handler that says how it is listened to, and who stated it where."""
    first, later = explain(
        config={"callbacks": ["plain", policy("plain", only="errors")]}
    ).as_data()
    assert ("only=errors content=redacted", "merged") == (first["policy"], later["status"])
    assert ['only=errors by policy() in config["callbacks"][1]'] == first["stated_by"]


def test_explain_shows_the_policy_of_an_object_that_is_named_too(monkeypatch, listening):
    """One object by two ways is one row that has what both state."""
    handler = listening("shared")
    register("shared", lambda: handler)
    monkeypatch.setenv("CHAIN_CALLBACKS_SHARED__ONLY", "errors")
    first, _ = explain(config={"callbacks": [handler, policy("shared", tags="x")]}).as_data()
    assert "only=errors tags=x" == first["policy"]
    assert [
        "only=errors by CHAIN_CALLBACKS_SHARED__ONLY",
        'tags=x by policy() in config["callbacks"][1]',
    ] == first["stated_by"]


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("only", ["all", "chain", "roots"])
def test_code_never_loosens_what_the_operator_set(monkeypatch, heard, only):
    """Whatever code states, what the operator filtered out stays out."""
    monkeypatch.setenv("CHAIN_CALLBACKS_PLAIN__ONLY", "errors+llm")
    monkeypatch.setenv("CHAIN_CALLBACKS_PLAIN__TAGS", "audited")
    with attached(policy("plain", only=only)):
        STEP.invoke(1, {"callbacks": [policy("plain", only=only, tags="*")]})
    assert [] == heard


def test_an_object_named_twice_keeps_the_operators_policy(monkeypatch, heard, listening):
    """A handler passed as an object, and named too, is not loosened by coming first."""
    handler = listening("shared")
    register("shared", lambda: handler)
    monkeypatch.setenv("CHAIN_CALLBACKS_SHARED__ONLY", "errors")
    STEP.invoke(1, {"callbacks": [handler, "shared"]})
    assert [] == heard


@pytest.mark.usefixtures("plain")
def test_a_wrong_policy_is_refused(monkeypatch, said):
    """A misspelt policy loosens nothing: the handler is not used, and the variable named."""
    monkeypatch.setenv("CHAIN_CALLBACKS_PLAIN__ONLY", "eror")
    monkeypatch.setenv("CHAIN_CALLBACKS", "plain")
    assert 1 == STEP.invoke(1)
    (warning,) = said()
    assert warning.startswith(
        "'eror' is not a value of the policy 'only'; CHAIN_CALLBACKS_PLAIN__ONLY states it. "
        "Did you mean 'errors'?"
    )
    monkeypatch.delenv("CHAIN_CALLBACKS")
    with pytest.raises(InvalidPolicyError):
        resolve(["plain"])
