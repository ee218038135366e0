"""What a call states in ``config``: what is refused, what is inherited, what is for one run."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from uuid import UUID

import pytest

from chain_callbacks import BaseCallbackHandler, attached
from chain_callbacks.errors import InvalidConfigError, NotAHandlerError, RecursionLimitError
from chain_callbacks.runnables import (
    FakeListChatModel,
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from chain_callbacks.runnables.config import DEFAULT_RECURSION_LIMIT
from chain_callbacks.testing import RecordingHandler

LONG = 10.0
ID, OTHER_ID = UUID(int=1), UUID(int=2)


class Quiet(BaseCallbackHandler):
    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None: ...


def never(_: Any) -> Any:
    raise AssertionError("something ran")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"callback": []},
            "config['callback'] is not a key of a config. Did you mean 'callbacks'?",
        ),
        ({"tag": ["a"]}, "Did you mean 'tags'?"),
        ({"tags": "a"}, "config['tags'] is of type str. It must be a list of texts."),
        ({"metadata": ["a"]}, "config['metadata'] is of type list. It must be a mapping."),
        ({"run_id": "a"}, "config['run_id'] is of type str. It must be a uuid.UUID."),
        ({"run_name": 1}, "config['run_name'] is of type int. It must be a text."),
        ({"max_concurrency": 0}, "It must be a whole number above 0."),
        ({"recursion_limit": True}, "It must be a whole number above 0."),
        ([Quiet()], "Pass a dict"),
    ],
)
@pytest.mark.parametrize("form", ["invoke", "stream", "ainvoke", "astream", "batch", "abatch"])
def test_a_config_that_says_nothing_is_refused(form: str, config: Any, message: str) -> None:
    """An unknown key and a value of a wrong type raise before anything runs."""
    with pytest.raises(InvalidConfigError) as caught:
        called(RunnableLambda(never), form, config)
    if not (isinstance(config, list) and "batch" in form):
        assert message in str(caught.value)


def called(step: Runnable[Any, Any], form: str, config: Any, **kwargs: Any) -> Any:
    if form in ("batch", "abatch"):
        result = getattr(step, form)(["x"] * 2, config, **kwargs)
        return asyncio.run(result) if form == "abatch" else result
    if form == "ainvoke":
        return asyncio.run(step.ainvoke("x", config))
    # A stream is resolved at the call: it is not even read here.
    return getattr(step, form)("x", config)


@pytest.mark.parametrize("form", ["batch", "abatch"])
def test_a_wrong_config_is_no_result_of_a_batch(form: str) -> None:
    """``return_exceptions`` is for what the items raise, not for what the call got wrong."""
    step = RunnableLambda(never)
    with pytest.raises(InvalidConfigError):
        called(step, form, {"callback": []}, return_exceptions=True)
    with pytest.raises(InvalidConfigError):
        called(step, form, [{}, {"callback": []}], return_exceptions=True)
    with pytest.raises(InvalidConfigError):
        called(step.with_config(tags=["t"]), form, {"callback": []}, return_exceptions=True)
    with pytest.raises(InvalidConfigError, match="has 1 values for 2 inputs"):
        called(step, form, [{}])


def test_a_wrong_key_is_refused_when_it_is_bound() -> None:
    """``with_config`` refuses what a call would refuse."""
    with pytest.raises(InvalidConfigError, match="Did you mean 'callbacks'"):
        RunnablePassthrough().with_config({"callback": []})  # type: ignore[typeddict-unknown-key]


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (Quiet, "Pass an instance: Quiet()"),
        ([Quiet], r"config\[\"callbacks\"\]\[0\] is the class Quiet, not a handler"),
        ([Quiet(), 3], r"config\[\"callbacks\"\]\[1\] is an object of type int, not a handler"),
        ([[Quiet()]], "a flat list of them"),
        ({"a": Quiet()}, "a flat list of them"),
        (object(), "is an object of type object, not a handler"),
    ],
)
def test_what_is_no_handler_is_refused(callbacks: Any, message: str) -> None:
    """A class, and a thing without events, raise before anything runs, wherever they stand."""
    with pytest.raises(NotAHandlerError, match=message):
        RunnableLambda(never).invoke("x", {"callbacks": callbacks})
    with pytest.raises(NotAHandlerError):
        RunnableLambda(never, callbacks=callbacks).invoke("x")
    with pytest.raises(NotAHandlerError):
        RunnableLambda(never).with_config(callbacks=callbacks).invoke("x")


def test_callbacks_may_be_one_handler_or_a_tuple(recorder: RecordingHandler) -> None:
    """One handler alone, a tuple and a list are all the same."""
    for callbacks in (recorder, (recorder,), [recorder]):
        RunnablePassthrough().invoke("x", {"callbacks": callbacks})
    assert recorder.trees() == ["chain RunnablePassthrough"] * 3


def test_nothing_of_the_caller_is_changed(recorder: RecordingHandler) -> None:
    """After a thousand runs the caller's config, and every list in it, is what it was."""
    inner = RunnablePassthrough().with_config(tags=["inner"], callbacks=[Quiet()])
    chain = RunnableLambda(lambda x: x) | inner | {"a": RunnablePassthrough()}
    callbacks, tags, metadata = [recorder], ["a"], {"m": [1]}
    config: RunnableConfig = {"callbacks": callbacks, "tags": tags, "metadata": metadata}
    for _ in range(1000):
        chain.invoke("x", config)
        recorder.clear()
    list(chain.stream("x", config))
    chain.batch(["x", "y"], config)
    assert config == {"callbacks": callbacks, "tags": tags, "metadata": metadata}
    assert (callbacks, tags, metadata) == ([recorder], ["a"], {"m": [1]})


def tags_of(recorder: RecordingHandler) -> dict[str, tuple[str, ...]]:
    return {run.name: run.tags for run in recorder.runs}


def test_tags_add_up_and_metadata_merges(recorder: RecordingHandler) -> None:
    """Tags come in the order in which they were given, each once; an inner key of metadata wins."""
    inner = RunnablePassthrough(name="inner").with_config(
        tags=["b", "c"], metadata={"x": "inner", "z": 3}
    )

    def outer(value: Any) -> Any:
        return inner.invoke(value, {"tags": ["d"], "metadata": {"z": 4}})

    RunnableLambda(outer).with_config(tags=["a"]).invoke(
        "x", {"callbacks": [recorder], "tags": ["b"], "metadata": {"x": "outer", "y": 2}}
    )
    assert tags_of(recorder) == {"outer": ("a", "b"), "inner": ("a", "b", "c", "d")}
    metadata = {r.run_name: dict(r.metadata) for r in recorder.records}
    assert metadata == {"outer": {"x": "outer", "y": 2}, "inner": {"x": "inner", "y": 2, "z": 4}}


@pytest.mark.parametrize("key", ["tags", "metadata"])
def test_what_is_stated_alone_is_handed_down(key: str, recorder: RecordingHandler) -> None:
    """A config that holds tags, or metadata, and nothing else is heard as any other."""
    value: Any = {"tags": ["a"], "metadata": {"m": 1}}[key]
    with attached(recorder):
        RunnableLambda(lambda x: RunnablePassthrough().invoke(x), name="outer").invoke(
            "x",
            {key: value},  # type: ignore[misc]
        )
    kept = [getattr(r, key) for r in recorder.records if r.name == "on_chain_start"]
    assert [list(each) if key == "tags" else dict(each) for each in kept] == [value] * 2


def test_step_tags_are_for_one_run(recorder: RecordingHandler) -> None:
    """The tag that says which step a run is does not go down to what is nested in it."""
    step = RunnableLambda(lambda x: RunnablePassthrough(name="deep").invoke(x), name="step")
    (step | RunnablePassthrough(name="last")).invoke("x", {"callbacks": [recorder]})
    assert tags_of(recorder) == {
        "RunnableSequence": (),
        "step": ("seq:step:1",),
        "deep": (),
        "last": ("seq:step:2",),
    }


@pytest.mark.parametrize("form", ["invoke", "stream", "ainvoke"])
def test_name_and_id_are_for_one_run(form: str, recorder: RecordingHandler) -> None:
    """``run_name`` and ``run_id`` reach the run of the call, and none that is nested in it."""
    chain = RunnablePassthrough(name="one") | RunnablePassthrough(name="two")
    config: Any = {"callbacks": [recorder], "run_name": "mine", "run_id": ID}
    result = called(chain, form, config)
    if form == "stream":
        list(result)
    assert [run.name for run in recorder.runs] == ["mine", "one", "two"]
    assert [run.id == ID for run in recorder.runs] == [True, False, False]


@pytest.mark.parametrize("form", ["batch", "abatch"])
def test_a_batch_takes_an_id_for_each_input(form: str, recorder: RecordingHandler) -> None:
    """A list of ids is one an input, in their order; any other number of them is refused."""
    step = RunnablePassthrough()
    called(step, form, {"callbacks": [recorder], "run_id": [ID, OTHER_ID]})
    assert {run.id for run in recorder.runs} == {ID, OTHER_ID}
    with pytest.raises(InvalidConfigError, match="has 1 values for 2 inputs"):
        called(step, form, {"run_id": [ID]})
    with pytest.raises(InvalidConfigError, match="is the same for several inputs"):
        called(step, form, {"run_id": ID})
    with pytest.raises(InvalidConfigError, match="is the same for several inputs"):
        called(step.with_config(run_id=ID), form, None)


def test_a_batch_takes_a_config_for_each_input(recorder: RecordingHandler) -> None:
    """Each input may have a config of its own; None stands for an empty one."""
    configs: Any = [{"callbacks": [recorder], "tags": ["a"]}, None]
    assert RunnablePassthrough().batch(["x", "y"], configs) == ["x", "y"]
    assert [run.tags for run in recorder.runs] == [("a",)]


def test_an_empty_batch_is_empty() -> None:
    """No inputs are no outputs, and no runs."""
    assert RunnableLambda(never).batch([]) == []
    assert asyncio.run(RunnableLambda(never).abatch([])) == []


class Gauge:
    """Knows how many are inside at a time; lets nobody out before *size* are in."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size)
        self.lock = threading.Lock()
        self.inside = self.most = 0

    def __call__(self, value: Any) -> Any:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.barrier.wait(LONG)
        with self.lock:
            self.inside -= 1
        return value


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("form", ["batch", "abatch"])
def test_a_batch_runs_as_many_at_a_time_as_it_may(*, form: str, bound: bool) -> None:
    """``max_concurrency`` is reached and never passed, in threads and in tasks."""
    gauge = Gauge(2)

    def work(value: Any) -> Any:
        return gauge(value)

    step: Runnable[Any, Any] = RunnableLambda(work)
    config: Any = {"max_concurrency": 2}
    if bound:
        step, config = step.with_config(config), None
    inputs = [*range(6)]
    if form == "batch":
        assert step.batch(inputs, config) == inputs
    else:
        assert asyncio.run(step.abatch(inputs, config)) == inputs
    assert gauge.most == 2


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_limit_is_inherited(*, is_heard: bool, recorder: RecordingHandler) -> None:
    """``max_concurrency`` of the outermost call holds for parallels and batches further down."""
    gauge = Gauge(1)

    def outer(value: Any) -> Any:
        RunnableParallel(dict.fromkeys("abc", gauge)).invoke(value)
        with attached(RecordingHandler()):
            RunnableLambda(gauge).batch([1, 2, 3])

    config: RunnableConfig = {"max_concurrency": 1}
    if is_heard:
        config["callbacks"] = [recorder]
    RunnableLambda(outer).invoke("x", config)
    assert gauge.most == 1


@pytest.mark.parametrize("form", ["batch", "abatch"])
def test_exceptions_may_be_results(form: str, recorder: RecordingHandler) -> None:
    """With ``return_exceptions`` an exception stands in its place; every run has its end."""
    failure = ValueError("no")

    def odd(value: int) -> int:
        if value % 2:
            return value
        raise failure

    step, config = RunnableLambda(odd), {"callbacks": [recorder]}
    if form == "batch":
        results = step.batch([1, 2, 3], config, return_exceptions=True)  # type: ignore[arg-type]
    else:
        results = asyncio.run(step.abatch([1, 2, 3], config, return_exceptions=True))  # type: ignore[arg-type]
    assert results == [1, failure, 3]
    assert sorted(recorder.trees()) == ["chain odd", "chain odd", "chain odd error ValueError"]


@pytest.mark.parametrize("limit", [3, None])
@pytest.mark.parametrize("is_heard", [True, False])
@pytest.mark.parametrize("form", ["invoke", "ainvoke", "stream"])
def test_functions_that_return_runnables_stop_somewhere(
    *, form: str, is_heard: bool, limit: int | None, recorder: RecordingHandler
) -> None:
    """``recursion_limit`` says how deep functions may return runnables; 25 if nobody says."""
    calls: list[Any] = []

    def again(value: Any) -> Any:
        calls.append(value)
        return RunnableLambda(again)

    config: Any = {"callbacks": [recorder]} if is_heard else {}
    if limit:
        config["recursion_limit"] = limit
    expected = limit or DEFAULT_RECURSION_LIMIT
    with pytest.raises(RecursionLimitError, match=f"stopped after {expected} steps"):
        list(called(RunnableLambda(again), form, config))
    assert len(calls) == expected
    assert recorder.problems() == []


def test_a_function_is_given_what_goes_down(recorder: RecordingHandler) -> None:
    """The config that a function gets has the child manager and no name or id of its own run."""
    seen: list[RunnableConfig] = []

    def work(value: Any, config: RunnableConfig) -> Any:
        seen.append(config)
        return RunnablePassthrough(name="inner").invoke(value, config)

    call: RunnableConfig = {
        "callbacks": [recorder],
        "tags": ["a"],
        "metadata": {"m": 1},
        "run_name": "mine",
        "run_id": ID,
        "max_concurrency": 4,
        "recursion_limit": 7,
    }
    RunnableLambda(work).invoke("x", call)
    manager = seen[0].pop("callbacks")
    assert manager.parent_run_id == ID
    assert seen == [
        {"tags": ["a"], "metadata": {"m": 1}, "max_concurrency": 4, "recursion_limit": 7}
    ]
    assert recorder.tree() == "chain mine [a]\n  chain inner [a]"


def test_a_function_is_given_a_config_though_nobody_listens() -> None:
    """A function may pass its config on whether or not there are handlers."""

    def work(value: Any, config: RunnableConfig) -> Any:
        return RunnablePassthrough().invoke(value, config)

    assert RunnableLambda(work).invoke("x") == "x"


def test_the_first_parameter_takes_the_input_whatever_it_is_called() -> None:
    """A function may call its input ``config`` or ``run``."""
    assert RunnableLambda(lambda config: config).invoke("x") == "x"
    assert RunnableLambda(lambda run: run).invoke("x") == "x"


def test_attaching_a_handler_changes_no_result(recorder: RecordingHandler) -> None:
    """A model's answer has an id whether or not it is heard."""
    model = FakeListChatModel(["a"])
    unheard, heard = model.invoke("x"), model.invoke("x", {"callbacks": [recorder]})
    assert (unheard.id is None, heard.id is None) == (False, False)
    assert unheard.text == heard.text
