"""The metrics of the GenAI conventions, and the bound on what distinguishes them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chain_callbacks import CallbackManager
from chain_callbacks.runnables import AIMessage, FakeListChatModel, RunnableLambda, tool
from chain_callbacks_otel.bounds import Bounds

USAGE: Any = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
ANSWER = AIMessage("one two", usage_metadata=USAGE, response_metadata={"model_name": "m-1"})


class Model(FakeListChatModel):
    def _identifying_params(self, kwargs: Any) -> dict[str, Any]:
        return {"model": "m-1", "temperature": 0.5}


def test_model_has_a_duration_its_tokens_and_the_time_to_its_first_chunk(
    exported: Any, otel: Any
) -> None:
    """Names and attributes are the conventions'; none of them is of one run."""
    list(Model([ANSWER]).stream("x", {"callbacks": [otel]}))
    points = exported.points()
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "unknown",
        "gen_ai.request.model": "m-1",
    }
    answered = {**call, "gen_ai.response.model": "m-1"}
    assert {
        "gen_ai.client.operation.duration": [answered],
        "gen_ai.client.operation.time_to_first_chunk": [call],
        "gen_ai.client.operation.time_per_output_chunk": [call],
        "gen_ai.client.token.usage": [
            {**answered, "gen_ai.token.type": "input"},
            {**answered, "gen_ai.token.type": "output"},
        ],
    } == {name: [dict(each.attributes) for each in found] for name, found in points.items()}
    assert [7, 3] == [each.sum for each in points["gen_ai.client.token.usage"]]


def test_tools_agents_and_workflows_have_durations(exported: Any, otel: Any) -> None:
    """One of each by name; steps that are no operation have none."""

    @tool
    def add(a: int) -> int:
        """Add."""
        return a

    chain = RunnableLambda(lambda x: {"a": x}, name="step") | add
    chain.with_config(run_name="sums").invoke(1, {"callbacks": [otel]})
    manager = CallbackManager([otel])
    manager.on_chain_start({"name": "helper", "id": ["Agent"]}, 1).on_chain_end(2)
    assert {
        "gen_ai.execute_tool.duration": [
            {"gen_ai.tool.name": "add", "gen_ai.tool.type": "function"}
        ],
        "gen_ai.invoke_agent.duration": [{"gen_ai.agent.name": "helper"}],
        "gen_ai.invoke_workflow.duration": [{"gen_ai.workflow.name": "sums"}],
    } == exported.metrics()


@pytest.mark.parametrize(
    ("error", "expected"),
    [(OSError("x"), "OSError"), (asyncio.CancelledError(), "asyncio.exceptions.CancelledError")],
)
def test_what_failed_or_was_cancelled_is_told_apart(
    exported: Any, otel: Any, error: BaseException, expected: str
) -> None:
    """By the class of the error, so that it does not count among what succeeded."""
    with pytest.raises(type(error)):
        Model([error]).invoke("x", {"callbacks": [otel]})
    [point] = exported.metrics()["gen_ai.client.operation.duration"]
    assert expected == point["error.type"]


def test_names_that_are_made_of_data_are_no_series_without_end(exported: Any, otel: Any) -> None:
    """After the first hundred names of a sort, the rest are one."""
    manager = CallbackManager([otel])
    for number in range(130):
        manager.on_chain_start({"name": f"request {number}"}, 1).on_chain_end(2)
    found = exported.points()["gen_ai.invoke_workflow.duration"]
    assert 101 == len(found)
    [other] = [p for p in found if p.attributes["gen_ai.workflow.name"] == "_OTHER"]
    assert 30 == other.count
    assert 130 == len({span.name for span in exported.spans})


def test_bound_is_of_each_attribute() -> None:
    """Many values of one leave room for those of another; a known value is always itself."""
    bounds = Bounds(1)
    assert {} == bounds.beyond([("a", "x"), ("b", "y"), ("c", None)])
    assert {"a": "_OTHER"} == bounds.beyond([("a", "z"), ("b", "y")])
    assert {} == bounds.beyond([("a", "x")])
