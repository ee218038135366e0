"""OpenAI's client and nothing else: an answer, a stream, two at a time, an error, a cut."""

import asyncio

import openai

ASKED = {"model": "model-1", "messages": [{"role": "user", "content": "What is 1 + 2?"}]}


async def main():
    async with openai.AsyncOpenAI(max_retries=0) as client:
        create = client.chat.completions.create
        print((await create(**ASKED)).choices[0].message.content)
        stream = await create(**ASKED, stream=True, stream_options={"include_usage": True})
        print("".join([c.choices[0].delta.content or "" async for c in stream if c.choices]))
        print(len(await asyncio.gather(create(**ASKED), create(**ASKED))))
        try:
            await create(**ASKED)
        except openai.APIStatusError as error:
            print("failed", error.status_code)
        async with await create(**ASKED, stream=True) as cut:
            async for _ in cut:
                break
        print("cut")


asyncio.run(main())
