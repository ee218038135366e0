"""An agent of pydantic-ai's that streams, and one whose tool fails; nothing of ours is in here."""

import asyncio

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

Agent.instrument_all()
reader = Agent(TestModel(custom_output_text="a b c"), name="reader")
broken = Agent(TestModel(), name="broken")


@broken.tool_plain
def look(at: str) -> str:
    """Look at something."""
    raise TimeoutError(f"no sight of {at}")


async def main() -> None:
    async with reader.run_stream("Read.") as result:
        print([text async for text in result.stream_text(delta=True)])
    try:
        await broken.run("Look.")
    except TimeoutError as error:
        print(error)


asyncio.run(main())
