"""An agent of pydantic-ai's with its offline model; nothing of chain-callbacks is in here."""

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

Agent.instrument_all()
agent = Agent(TestModel(), name="forecaster", instructions="Be short.")


@agent.tool_plain
def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"rain in {city}"


print(agent.run_sync("Will it rain?").output)
