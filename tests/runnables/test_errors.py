"""What an error event says: one id, one origin, and which runs recovered from it."""

from __future__ import annotations

from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler
from chain_callbacks.runnables import RunnableLambda, RunnablePassthrough
from chain_callbacks.runnables.wrappers import RunnableRetry, RunnableWithFallbacks
from chain_callbacks.testing import RecordingHandler


def test_an_error_has_one_id_and_one_origin_up_the_tree() -> None:
    """Each run that one exception leaves tells its one id; where it began is said, once."""
    heard: list[tuple[str, Any, bool, tuple[str, ...]]] = []

    class Handler(BaseCallbackHandler):
        def on_chain_error(
            self,
            error: BaseException,
            *,
            name: str,
            error_id: Any,
            is_origin: bool,
            origin: tuple[str, ...],
            **kwargs: Any,
        ) -> None:
            heard.append((name, error_id, is_origin, origin))

    def breaks(_: str) -> str:
        raise ValueError("no")

    def outer(text: str) -> str:
        return (RunnablePassthrough() | breaks).invoke(text)

    with pytest.raises(ValueError, match="no"):
        RunnableLambda(outer).invoke("x", {"callbacks": [Handler()]})
    path = ("outer", "RunnableSequence", "breaks")
    assert [(name, is_origin, where) for name, _, is_origin, where in heard] == [
        ("breaks", True, path),
        ("RunnableSequence", False, path),
        ("outer", False, path),
    ]
    assert len({error_id for _, error_id, _, _ in heard}) == 1


def test_a_recovered_run_ends_well(recorder: RecordingHandler) -> None:
    """A run whose nested run failed, and that returned all the same, is no error."""

    def breaks(_: str) -> str:
        raise ValueError

    def careful(text: str) -> str:
        try:
            return RunnableLambda(breaks).invoke(text)
        except ValueError:
            return "saved"

    assert RunnableLambda(careful).invoke("x", {"callbacks": [recorder]}) == "saved"
    assert recorder.tree() == "chain careful\n  chain breaks error ValueError"


def test_an_exception_that_replaces_another_is_an_origin_of_its_own() -> None:
    """A wrapped error begins where it was wrapped, with an id of its own."""
    heard: list[tuple[str, Any, bool]] = []

    class Handler(BaseCallbackHandler):
        def on_chain_error(
            self, error: Any, *, name: str, error_id: Any, is_origin: bool, **kwargs: Any
        ) -> None:
            heard.append((name, error_id, is_origin))

    def breaks(_: str) -> str:
        raise ValueError

    def wraps(text: str) -> str:
        try:
            return RunnableLambda(breaks).invoke(text)
        except ValueError as error:
            raise RuntimeError from error

    with pytest.raises(RuntimeError):
        RunnableLambda(wraps).invoke("x", {"callbacks": [Handler()]})
    assert [(name, is_origin) for name, _, is_origin in heard] == [
        ("breaks", True),
        ("wraps", True),
    ]
    assert len({error_id for _, error_id, _ in heard}) == 2


def test_fallbacks_that_all_fail_raise_the_first_error(recorder: RecordingHandler) -> None:
    """The first alternative's exception leaves, and keeps the id and origin it had there."""

    def first(_: str) -> str:
        raise ValueError("first")

    def second(_: str) -> str:
        raise KeyError("second")

    chain = RunnableLambda(first).with_fallbacks([RunnableLambda(second)])
    with pytest.raises(ValueError, match="first"):
        chain.invoke("x", {"callbacks": [recorder]})
    assert recorder.tree() == (
        "chain RunnableWithFallbacks error ValueError\n"
        "  chain first error ValueError\n"
        "  chain second error KeyError"
    )


def test_one_of_several_may_stand_alone() -> None:
    """One alternative, and one class of exceptions, need no list around them."""
    failed: list[str] = []

    def breaks(text: str) -> str:
        failed.append(text)
        raise ValueError("no")

    step = RunnableLambda(breaks)
    spare = RunnablePassthrough()
    assert RunnableWithFallbacks(step, spare, exceptions_to_handle=ValueError).invoke("x") == "x"
    retry = RunnableRetry(step, retry_if_exception_type=ValueError, wait_exponential_jitter=False)
    with pytest.raises(ValueError, match="no"):
        retry.invoke("y")
    assert failed == ["x", "y", "y", "y"]
