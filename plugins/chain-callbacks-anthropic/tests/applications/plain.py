"""An application that knows Anthropic's client and nothing of us: each way to call it, an error."""

import asyncio

import anthropic

ASKED = {
    "model": "model-1",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "What is 1 + 2?"}],
}


def text(message):
    return message.content[0].text


def delta(event):
    return getattr(event.delta, "text", "") if event.type == "content_block_delta" else ""


def ask():
    with anthropic.Anthropic() as client:
        messages = client.messages
        print("create", text(messages.create(**ASKED)))
        stream = messages.create(**ASKED, stream=True)
        print("stream", type(stream).__name__, "".join(map(delta, stream)))
        with messages.stream(**ASKED) as events:
            print("helper", type(events).__name__, list(events.text_stream))
            print("final", text(events.get_final_message()))
        raw = messages.with_raw_response.create(**ASKED)
        print("raw", type(raw).__name__, raw.status_code, text(raw.parse()))
        with messages.with_streaming_response.create(**ASKED) as response:
            print("streaming", type(response).__name__, text(response.parse()))
        print("beta", text(client.beta.messages.create(**ASKED)))
        try:
            messages.create(**{**ASKED, "messages": [{"role": "user", "content": 5}]})
        except anthropic.APIStatusError as error:
            print("error", type(error).__name__, error.status_code)


async def aask():
    async with anthropic.AsyncAnthropic() as client:
        messages = client.messages
        print("create", text(await messages.create(**ASKED)))
        stream = await messages.create(**ASKED, stream=True)
        print("stream", type(stream).__name__, "".join([delta(event) async for event in stream]))
        async with messages.stream(**ASKED) as events:
            print("helper", [word async for word in events.text_stream])
        raw = await messages.with_raw_response.create(**ASKED)
        print("raw", type(raw).__name__, raw.status_code, raw.http_response.json()["content"])


if __name__ == "__main__":
    ask()
    asyncio.run(aask())
