"""Attempts that fail: another attempt, an alternative, and one that nothing saves."""

from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from witness import Witness

attempts = []


def flaky(text):
    attempts.append(text)
    if len(attempts) % 2:
        raise ValueError("once more")
    return text


def broken(text):
    raise LookupError(text)


@tool
def hands_on(text: str, config=None) -> str:
    """Hand the text on."""
    return RunnableLambda(str.upper).with_config(run_name="upper").invoke(text)


first = RunnableLambda(broken).with_config(run_name="first")
second = RunnableLambda(str.title).with_config(run_name="second")
chain = (
    RunnableLambda(flaky).with_retry(wait_exponential_jitter=False)
    | first.with_fallbacks([second])
    | hands_on
)

witness = Witness()
for config in (None, {"callbacks": [witness]}):
    print(chain.invoke("text", config))
    print(chain.batch(["other"], config))
    try:
        (second | first).invoke("text", config)
    except LookupError as error:
        print(repr(error))
witness.report()
