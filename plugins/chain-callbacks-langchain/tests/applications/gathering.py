"""Asynchronous chains at the same time, each with steps at the same time."""

import asyncio

from langchain_core.runnables import RunnableLambda, RunnableParallel
from witness import Witness


async def slow(number):
    await asyncio.sleep(0)
    return number


async def both(number):
    return sum(await asyncio.gather(leaf.ainvoke(number), leaf.ainvoke(number)))


leaf = RunnableLambda(slow).with_config(run_name="leaf")
pair = RunnableLambda(both).with_config(run_name="pair")
chain = pair | RunnableParallel(left=leaf, right=RunnableLambda(lambda number: number))

witness = Witness()


async def main():
    print(await asyncio.gather(chain.ainvoke(1), chain.ainvoke(2, {"callbacks": [witness]})))


asyncio.run(main())
witness.report()
