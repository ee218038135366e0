"""The handler `structlog`."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from chain_callbacks import resolve
from chain_callbacks.dispatch.handler_class import events_of
from chain_callbacks.dispatch.manager import CallbackManager
from chain_callbacks.handlers.settings import StructlogSettings
from chain_callbacks.handlers.structlog_handler import StructlogHandler
from chain_callbacks.policies import policy
from chain_callbacks.resolution import instances
from chain_callbacks.runnables import AIMessage, ChatGeneration, LLMResult
from chain_callbacks.testing import FakeClock, deterministic


@pytest.fixture(autouse=True)
def clock() -> Iterator[FakeClock]:
    with deterministic() as clock:
        yield clock


@pytest.fixture(autouse=True)
def _no_configuration_of_structlog() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def id_of(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012x}"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def fail(handler: StructlogHandler, error: BaseException, **options: Any) -> None:
    manager = CallbackManager([handler])
    with (
        pytest.raises(type(error)),
        manager.run("chain", "job", {"password": "hunter2"}, **options) as run,
        run.get_child().run("tool", "search", "hunter2"),
    ):
        raise error


def test_each_event_is_one_line_with_ids_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    """A start and an end are a line each, on stderr, with the run, its parent and its duration."""
    manager = CallbackManager([StructlogHandler()])
    with manager.run("chain", "job", {"x": 1}) as run:
        with run.get_child("seq:step:1").run("prompt", "ask", "x") as step:
            step.end("y")
        run.end("z")
    at = {"timestamp": "2030-01-01T00:00:00.001Z"}
    job = {"run_type": "chain", "run_name": "job", "run_id": id_of(1), "root_run_id": id_of(1)}
    ask = {
        "run_type": "prompt",
        "run_name": "ask",
        "run_id": id_of(2),
        "parent_run_id": id_of(1),
        "root_run_id": id_of(1),
        "tags": ["seq:step:1"],
    }
    start = {"level": "debug", "event": "chain_start"}
    end = {"level": "info", "event": "chain_end"}
    expected = [
        {**at, **start, **job},
        {"timestamp": "2030-01-01T00:00:00.002Z", **start, **ask},
        {"timestamp": "2030-01-01T00:00:00.003Z", **end, **ask, "duration_ms": 1.0},
        {"timestamp": "2030-01-01T00:00:00.004Z", **end, **job, "duration_ms": 3.0},
    ]
    assert expected == lines(capsys)


def test_a_json_line_begins_with_time_level_and_event(capsys: pytest.CaptureFixture[str]) -> None:
    """A line that a person reads unrendered starts with what they look for."""
    with CallbackManager([StructlogHandler()]).run("chain", "job", 1):
        pass
    expected = (
        '{"timestamp": "2030-01-01T00:00:00.001Z", "level": "debug", "event": "chain_start", '
        f'"run_type": "chain", "run_name": "job", "run_id": "{id_of(1)}", '
        f'"root_run_id": "{id_of(1)}"}}'
    )
    assert expected == capsys.readouterr().err.splitlines()[0]


def test_the_console_renderer_has_the_same_fields_in_the_same_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With `renderer=console` a line is key=value, without colours off a terminal."""
    handler = StructlogHandler(StructlogSettings(renderer="console"))
    with CallbackManager([handler]).run("chain", "job", 1):
        pass
    line = capsys.readouterr().err.splitlines()[1]
    time, level, event, *fields = line.replace("[info     ]", "info").split()
    assert (time, level, event) == ("2030-01-01T00:00:00.002Z", "info", "chain_end")
    assert fields == [
        "run_type=chain",
        "run_name=job",
        f"run_id={id_of(1)}",
        f"root_run_id={id_of(1)}",
        "duration_ms=1.0",
    ]


@pytest.mark.parametrize(("no_color", "expected"), [("", "\x1b["), ("1", "")])
def test_a_terminal_gets_the_console_renderer(
    monkeypatch: pytest.MonkeyPatch, no_color: str, expected: str
) -> None:
    """`auto` renders for people where they watch, in colours unless `NO_COLOR` is set."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    with CallbackManager([StructlogHandler()]).run("chain", "job", 1):
        pass
    assert "run_name" in terminal.getvalue()
    assert '"run_name"' not in terminal.getvalue()
    assert expected == "".join(re.findall(r"\x1b\[", terminal.getvalue())[:1])


def test_stderr_is_the_one_at_the_time_of_the_event(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirection between two events takes effect, as it does for `print`."""
    elsewhere = io.StringIO()
    with CallbackManager([StructlogHandler()]).run("chain", "job", 1):
        monkeypatch.setattr(sys, "stderr", elsewhere)
    assert "chain_end" in elsewhere.getvalue()
    monkeypatch.undo()
    assert "chain_end" not in capsys.readouterr().err


def test_an_error_names_its_class_and_where_it_began(capsys: pytest.CaptureFixture[str]) -> None:
    """Each run that an exception leaves says so at ERROR, with one id, and outer ones the way."""
    fail(StructlogHandler(), ValueError("hunter2"))
    inner, outer = lines(capsys)[2:]
    assert ("tool_error", "chain_error") == (inner["event"], outer["event"])
    for line in (inner, outer):
        assert ("error", "error", "ValueError") == (line["level"], line["status"], line["error"])
    assert inner["error_id"] == outer["error_id"]
    assert "origin" not in inner
    assert outer["origin"] == "job > search"


def test_a_cancelled_run_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """What a person interrupted is INFO, with its status."""
    fail(StructlogHandler(), KeyboardInterrupt())
    line = lines(capsys)[-1]
    assert ("info", "cancelled") == (line["level"], line["status"])


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["chain_start", "tool_start", "tool_error", "chain_error"]),
        ("info", ["tool_error", "chain_error"]),
        ("error", ["tool_error", "chain_error"]),
    ],
)
def test_level_is_the_least_that_is_shown(
    capsys: pytest.CaptureFixture[str], level: Any, expected: list[str]
) -> None:
    """Starts are below INFO, errors above everything."""
    fail(StructlogHandler(StructlogSettings(level=level)), ValueError())
    assert expected == [line["event"] for line in lines(capsys)]


def test_a_cancelled_run_is_not_shown_where_only_errors_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its end comes as an error event and is none."""
    fail(StructlogHandler(StructlogSettings(level="error")), KeyboardInterrupt())
    assert lines(capsys) == []


def test_an_event_below_the_level_is_not_listened_for() -> None:
    """No route is built for what would not be shown, and none ever for tokens."""
    everything = events_of(StructlogHandler())
    assert "on_chain_start" in everything
    assert "on_llm_new_token" not in everything
    quiet = events_of(StructlogHandler(StructlogSettings(level="info")))
    assert {"on_chain_end", "on_chain_error", "on_retry"} <= {*quiet}
    assert not [name for name in quiet if name.endswith("_start")]


def test_a_subclass_hears_what_it_overrides_at_any_level() -> None:
    """Muting is for the methods of the handler, not for those of whoever builds on it."""

    class Own(StructlogHandler):
        def on_chain_start(self, *arguments: Any, **facts: Any) -> None: ...

    assert "on_chain_start" in events_of(Own(StructlogSettings(level="error")))


def test_payloads_are_not_shown_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither inputs, outputs, the text of errors, metadata nor the users' own tags get out."""
    fail(StructlogHandler(), ValueError("hunter2"), tags=["hunter2"], metadata={"a": "hunter2"})
    manager = CallbackManager([StructlogHandler()])
    with manager.run("chain", "job", "hunter2") as run:
        run.on_text("hunter2")
        run.on_custom_event("progress", "hunter2")
        run.on_agent_action("hunter2")
        run.end("hunter2")
    assert "hunter2" not in capsys.readouterr().err


def test_payloads_are_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    """With `content=full` each event has what it brought, by the argument's name."""
    handler = policy(StructlogHandler(), content="full")
    fail(handler, ValueError("no such thing"), tags=["prod"])
    manager = CallbackManager([handler])
    with manager.run("chain", "job", 1) as run:
        run.end(["two"])
    found = lines(capsys)
    assert found[0]["inputs"] == "{'password': 'hunter2'}"
    assert found[0]["tags"] == ["prod"]
    assert found[1]["input_str"] == "hunter2"
    assert found[2]["error_text"] == "no such thing"
    assert found[5]["outputs"] == "['two']"


def test_a_long_value_is_cut_and_its_length_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A document of a megabyte makes no line of a megabyte."""
    handler = policy(StructlogHandler(), content="full")
    with CallbackManager([handler]).run("chain", "job", "a" * 1001):
        pass
    assert "a" * 1000 + "... [1001 characters]" == lines(capsys)[0]["inputs"]


def test_a_value_that_cannot_be_shown_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A `repr` that raises costs its value, not the line."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    handler = policy(StructlogHandler(), content="full")
    with CallbackManager([handler]).run("chain", "job", Broken()):
        pass
    name = Broken.__qualname__
    assert f"[unprintable: {name}]" == lines(capsys)[0]["inputs"]


@pytest.mark.parametrize("renderer", ["json", "console"])
def test_control_characters_are_written_out(
    capsys: pytest.CaptureFixture[str], renderer: Any
) -> None:
    """Neither a name, a payload, an error nor a tag can forge a line or drive a terminal."""
    evil = "a\n2030 [info] forged\x1b[31m\x9b31m\u202e\u2028"
    error = type(evil, (Exception,), {})(evil)
    handler = policy(StructlogHandler(StructlogSettings(renderer=renderer)), content="full")
    manager = CallbackManager([handler])
    run = manager.run("chain", evil, evil, tags=[evil])
    run.start(*run.payload)
    run.on_custom_event(evil, evil)
    run.fail(error)
    written = capsys.readouterr().err
    assert len(written.splitlines()) == 3
    assert written.replace("\n", "").isprintable()


def answer(**usage: Any) -> LLMResult:
    message = AIMessage("", usage_metadata=usage or None)  # type: ignore[arg-type]
    return LLMResult([[ChatGeneration(message)]])


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (
            answer(input_tokens=5, output_tokens=7, total_tokens=12),
            {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12},
        ),
        (
            LLMResult([], llm_output={"token_usage": {"prompt_tokens": 5}}),
            {"input_tokens": 5},
        ),
        (
            LLMResult([], llm_output={"usage": {"output_tokens": 7}}),
            {"output_tokens": 7},
        ),
        (answer(), {}),
        ("no result", {}),
    ],
)
def test_the_end_of_a_model_has_its_token_usage(
    capsys: pytest.CaptureFixture[str], response: Any, expected: dict[str, int]
) -> None:
    """Usage is taken from the messages, else from what the provider said, in one set of names."""
    with CallbackManager([StructlogHandler()]).run("chat_model", "m", [[]]) as run:
        run.end(response)
    line = lines(capsys)[-1]
    assert line["event"] == "llm_end"
    assert expected == {name: value for name, value in line.items() if name.endswith("_tokens")}


def test_a_configured_pipeline_of_the_program_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    """Who has configured structlog finds our lines among their own, with their processors."""
    logged: list[dict[str, Any]] = []

    def keep(_logger: Any, _method: str, event_dict: dict[str, Any]) -> Any:
        logged.append(dict(event_dict))
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    with CallbackManager([StructlogHandler()]).run("chain", "job", 1):
        pass
    assert ["chain_start", "chain_end"] == [line["event"] for line in logged]
    assert (capsys.readouterr().err, logged[1]["duration_ms"]) == ("", 1.0)


def test_a_renderer_that_was_chosen_beats_the_pipeline_of_the_program(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Asking for JSON gives JSON on stderr, whatever else is configured."""
    logged: list[Any] = []
    structlog.configure(processors=[lambda *arguments: logged.append(arguments) or ""])
    handler = StructlogHandler(StructlogSettings(renderer="json"))
    with CallbackManager([handler]).run("chain", "job", 1):
        pass
    assert (logged, len(lines(capsys))) == ([], 2)


def test_a_pipeline_that_ends_in_logging_takes_every_field(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No field has a name that a `LogRecord` keeps for itself."""
    structlog.configure(
        processors=[structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = policy(StructlogHandler(), content="full")
    with caplog.at_level(logging.DEBUG, "chain_callbacks"):
        fail(handler, ValueError("x"))
        with CallbackManager([handler]).run("chat_model", "m", [[]]) as run:
            run.on_custom_event("progress", 1)
            run.end(answer(input_tokens=1))
    messages = [record.message for record in caplog.records]
    assert not [message for message in messages if "failed" in message]
    assert messages[-3:] == ["chat_model_start", "custom_event", "llm_end"]


def test_global_configuration_is_left_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither structlog's nor logging's is touched by making, using and closing the handler."""

    def state() -> Any:
        root = logging.getLogger()
        log = logging.getLogger("chain_callbacks")
        return (
            structlog.is_configured(),
            structlog.get_config(),
            *((each.level, [*each.handlers], [*each.filters]) for each in (root, log)),
        )

    before = state()
    handler = StructlogHandler()
    with CallbackManager([handler]).run("chain", "job", 1):
        pass
    handler.close()
    assert state() == before
    assert len(lines(capsys)) == 2


def loaded_by(code: str) -> set[str]:
    code = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_the_module_loads_no_third_party() -> None:
    """Who lists handlers pays for neither structlog nor pydantic."""
    loaded = loaded_by("import chain_callbacks.handlers.structlog_handler")
    assert loaded.isdisjoint({"structlog", "pydantic", "pydantic_settings"})


def test_a_handler_without_settings_loads_no_pydantic() -> None:
    """The ordinary case does not pay for a settings model."""
    module = "chain_callbacks.handlers.structlog_handler"
    loaded = loaded_by(f"from {module} import StructlogHandler; StructlogHandler()")
    assert "structlog" in loaded
    assert loaded.isdisjoint({"pydantic", "pydantic_settings"})


def test_settings_are_read_from_the_environment_in_any_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`LEVEL=INFO` is what people write."""
    monkeypatch.setattr(instances, "_registered", {"lines": StructlogHandler})
    monkeypatch.setenv("CHAIN_CALLBACKS_LINES__LEVEL", "INFO")
    monkeypatch.setenv("CHAIN_CALLBACKS_LINES__RENDERER", "Json")
    monkeypatch.setenv("CHAIN_CALLBACKS_LINES__CONTENT", "full")
    instances.reset()
    with resolve("lines").manager.run("chain", "job", 1) as run:
        run.end("z")
    instances.reset()
    assert [("chain_end", "z")] == [(line["event"], line["outputs"]) for line in lines(capsys)]


def test_a_retry_names_its_attempt_and_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A retry is a WARNING, with what failed and how often it was tried."""
    outcome = SimpleNamespace(exception=lambda timeout: ValueError("hunter2"))
    with CallbackManager([StructlogHandler()]).run("chain", "job", 1) as run:
        run.on_retry(SimpleNamespace(attempt_number=2, outcome=outcome))
        run.on_retry("another shape")
    found = lines(capsys)
    expected = ["warning", "retry", 2, "ValueError"]
    assert expected == [found[1][name] for name in ("level", "event", "attempt", "error")]
    assert "attempt" not in found[2]
