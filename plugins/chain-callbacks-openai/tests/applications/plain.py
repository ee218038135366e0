"""An application that knows OpenAI's client and nothing of us: ways to call it, and an error."""

import asyncio

import openai
from pydantic import BaseModel

ASKED = {"model": "model-1", "messages": [{"role": "user", "content": "What is 1 + 2?"}]}


class Sum(BaseModel):
    total: int


def text(completion):
    return completion.choices[0].message.content


def delta(chunk):
    return chunk.choices[0].delta.content or "" if chunk.choices else ""


def ask():
    with openai.OpenAI() as client:
        completions = client.chat.completions
        print("create", text(completions.create(**ASKED)))
        stream = completions.create(**ASKED, stream=True)
        print("stream", type(stream).__name__, "".join(map(delta, stream)))
        print("parse", completions.parse(**ASKED, response_format=Sum).choices[0].message.parsed)
        with completions.stream(**ASKED) as events:
            print("helper", [e.delta for e in events if e.type == "content.delta"])
        raw = completions.with_raw_response.create(**ASKED)
        print("raw", type(raw).__name__, raw.status_code, text(raw.parse()))
        with completions.with_streaming_response.create(**ASKED) as response:
            print("streaming", type(response).__name__, text(response.parse()))
        print("responses", client.responses.create(model="model-1", input="1 + 2?").output_text)
        try:
            completions.create(**{**ASKED, "messages": [{"role": "user", "content": 5}]})
        except openai.APIStatusError as error:
            print("error", type(error).__name__, error.status_code)


async def aask():
    async with openai.AsyncOpenAI() as client:
        completions = client.chat.completions
        print("create", text(await completions.create(**ASKED)))
        stream = await completions.create(**ASKED, stream=True)
        print("stream", type(stream).__name__, "".join([delta(chunk) async for chunk in stream]))
        print("parse", (await completions.parse(**ASKED, response_format=Sum)).choices[0].message)
        async with completions.stream(**ASKED) as events:
            print("helper", [e.delta async for e in events if e.type == "content.delta"])
        raw = await completions.with_raw_response.create(**ASKED)
        print("raw", type(raw).__name__, raw.status_code, text(raw.parse()))


if __name__ == "__main__":
    ask()
    asyncio.run(aask())
