"""A prompt, a model and a parser: called, streamed and in batches, in both worlds."""

import asyncio

from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from witness import Witness

witness = Witness()
prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
chain = prompt | FakeListChatModel(responses=["one two"]) | StrOutputParser()


async def in_the_other_world(config):
    print(await chain.ainvoke({"question": "a"}, config))
    print([chunk async for chunk in chain.astream({"question": "b"}, config)])
    print(await chain.abatch([{"question": "c"}, {"question": "d"}], config))


for config in (None, {"callbacks": [witness], "tags": ["watched"]}):
    print(chain.invoke({"question": "a"}, config))
    print(list(chain.stream({"question": "b"}, config)))
    print(chain.batch([{"question": "c"}, {"question": "d"}], config))
    asyncio.run(in_the_other_world(config))
witness.report()
