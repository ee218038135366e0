"""Where the calls of a vendor's client are watched: the one method that all of them pass.

Clients of this build (OpenAI's and Anthropic's are generated alike) send every request by
``request``: create, parse, stream and raw responses, of all resources and helpers. What comes back
passes ``_process_response`` before anybody sees it, a pause before another attempt
``_sleep_for_retry``, and events are read by ``__stream__``. Nothing is replaced that a caller gets.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from importlib import import_module
from typing import Any, Final, TypeVar
from weakref import WeakSet

from ..context import here
from ..dispatch.run import Run
from ..hosts.running import manager_at, model_around, run_at
from ..runnables.wrappers import RetryState
from ..sink import NO_KEYWORDS
from .calls import Call
from .translation import Vendor, invocation_params, ls_metadata
from .wire import plain

Client = TypeVar("Client")

_CALL: Final = "__chain_callbacks_call__"

_active: ContextVar[Call | None] = ContextVar("chain_callbacks_call", default=None)

_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A child must not inherit the lock held, nor half of the hooks.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
_hooked: Final[set[str]] = set()
_everywhere: Final[set[str]] = set()
_watched: Final[WeakSet[Any]] = WeakSet()


def watch(vendor: Vendor, client: Client) -> Client:
    """Make the calls of *client* runs, and those of its copies by ``with_options``; return it."""
    install(vendor)
    # Copies of a client share its connections, and nothing else that could be told by.
    _watched.add(client._client)  # type: ignore[attr-defined]
    return client


def watch_all(vendor: Vendor) -> None:
    """Make the calls of every client of *vendor* runs, of those that are there already too."""
    install(vendor)
    _everywhere.add(vendor.package)


def install(vendor: Vendor) -> None:
    """Put the hooks into the classes of *vendor*'s client, once."""
    with _lock:
        if vendor.package in _hooked:
            return
        base = import_module(f"{vendor.package}._base_client")
        streams = import_module(f"{vendor.package}._streaming")
        sync, asynchronous = base.SyncAPIClient, base.AsyncAPIClient
        _put(sync, "request", functools.partial(_request, vendor))
        _put(asynchronous, "request", functools.partial(_arequest, vendor))
        _put(sync, "_process_response", _process_response)
        _put(asynchronous, "_process_response", _aprocess_response)
        _put(sync, "_sleep_for_retry", _sleep_for_retry)
        _put(asynchronous, "_sleep_for_retry", _asleep_for_retry)
        _put(streams.Stream, "__stream__", _stream)
        _put(streams.AsyncStream, "__stream__", _astream)
        _hooked.add(vendor.package)


def _put(owner: type, name: str, hook: Callable[[Any], Any]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(hook(original)))


def _request(vendor: Vendor, original: Any) -> Any:
    def request(client: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        call = _begun(vendor, client, options)
        if call is None:
            return original(client, cast_to, options, *args, **kwargs)
        run = call.run
        token = _active.set(call)
        try:
            run.start(*run.payload)
            run.enter()
            answer = original(client, cast_to, options, *args, **kwargs)
            run.exit()
            if not call.is_open:
                call.end()
        except BaseException as error:
            run.exit()
            call.fail(error)
            raise
        finally:
            _active.reset(token)
        return answer

    return request


def _arequest(vendor: Vendor, original: Any) -> Any:
    async def request(client: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        call = _begun(vendor, client, options)
        if call is None:
            return await original(client, cast_to, options, *args, **kwargs)
        run = call.run
        token = _active.set(call)
        try:
            await run.astart(*run.payload)
            run.enter()
            answer = await original(client, cast_to, options, *args, **kwargs)
            run.exit()
            if not call.is_open:
                await call.aend()
        except BaseException as error:
            run.exit()
            await call.afail(error)
            raise
        finally:
            _active.reset(token)
        return answer

    return request


def _begun(vendor: Vendor, client: Any, options: Any) -> Call | None:
    """Return the call that a request is; None where it is none, or nobody is to hear of it."""
    if vendor.package not in _everywhere and client._client not in _watched:
        return None
    endpoint = vendor.endpoints.get(options.url.partition("?")[0])
    if endpoint is None or options.method.lower() != "post":
        return None
    manager = manager_at(here())
    if manager is None or manager.is_silent or model_around() is not None:
        return None
    parts = (plain(options.json_data), plain(options.extra_json))
    # A body of another form is for the server to refuse.
    body = {k: v for part in parts if isinstance(part, Mapping) for k, v in part.items()}
    run = run_at(
        manager,
        "chat_model",
        endpoint.name,
        id_path=endpoint.name.split("."),
        metadata=ls_metadata(vendor.provider, body),
    )
    call = Call(run, endpoint)
    if run.hears(run.kind.start):
        params = invocation_params(vendor.provider, body, endpoint.content)
        told = {"invocation_params": params, "options": {}}
        run.payload = (([call.asked(body)],), told)
    else:
        run.payload = ((), NO_KEYWORDS)
    return call


# Between the request and what its caller gets.


def _process_response(original: Any) -> Any:
    def process(client: Any, *args: Any, **kwargs: Any) -> Any:
        _attach(kwargs.get("response"), is_async=False)
        return original(client, *args, **kwargs)

    return process


def _aprocess_response(original: Any) -> Any:
    async def process(client: Any, *args: Any, **kwargs: Any) -> Any:
        _attach(kwargs.get("response"), is_async=True)
        return await original(client, *args, **kwargs)

    return process


def _attach(response: Any, *, is_async: bool) -> None:
    """Have the call under way hear how *response* is read, where it is not read already."""
    call = _active.get()
    if call is None or response is None or not response.is_success:
        return
    if response.is_closed:
        call.take(response.content)
        return
    call.opened()
    vars(response)[_CALL] = call
    own: Any = type(response)
    response.__class__ = _watched_kind(own, is_async=is_async)


@functools.cache
def _watched_kind(kind: Any, *, is_async: bool) -> type:
    """Return the class of a response of *kind* until it is closed; then it is of its own again.

    A class, not attributes of the response that know it: in a cycle a stream that is dropped would
    be closed by the collector, whenever that comes, and not at once.
    """
    base: Any = kind

    class Watched(base):  # type: ignore[misc]
        def close(self) -> None:
            super().close()
            call = _restored(self, kind)
            if call is not None:
                call.closed()

        def __reduce_ex__(self, protocol: Any) -> Any:
            return _as_own(kind, super().__reduce_ex__(protocol))

        def iter_bytes(self, *args: Any, **kwargs: Any) -> Any:
            received = super().iter_bytes(*args, **kwargs)
            return vars(self)[_CALL].teed(received, is_events=_is_events(self))

    class AsyncWatched(base):  # type: ignore[misc]
        async def aclose(self) -> None:
            await super().aclose()
            call = _restored(self, kind)
            if call is not None:
                await call.aclosed()

        def __reduce_ex__(self, protocol: Any) -> Any:
            return _as_own(kind, super().__reduce_ex__(protocol))

        def aiter_bytes(self, *args: Any, **kwargs: Any) -> Any:
            received = super().aiter_bytes(*args, **kwargs)
            return vars(self)[_CALL].ateed(received, is_events=_is_events(self))

    watched: type = AsyncWatched if is_async else Watched
    watched.__name__, watched.__qualname__ = kind.__name__, kind.__qualname__
    watched.__module__ = kind.__module__
    return watched


def _restored(response: Any, kind: type) -> Call | None:
    """Give *response* its own class again; return its call, to the first who closes it."""
    response.__class__ = kind
    call: Call | None = vars(response).pop(_CALL, None)
    return call


def _as_own(kind: type, reduced: Any) -> Any:
    """Return how a response is copied or pickled, as it would be without us: so it may fail."""
    # Pickle refuses the usual maker for another class than the object's.
    _, _, state, *rest = reduced
    return (object.__new__, (kind,), {k: v for k, v in state.items() if k != _CALL}, *rest)


def _is_events(response: Any) -> bool:
    return "event-stream" in response.headers.get("content-type", "")


def _call_of(response: Any) -> Call | None:
    # Somebody's stand-in for a response may have no attributes of its own.
    return getattr(response, "__dict__", {}).get(_CALL)


def _stream(original: Any) -> Any:
    def stream(self: Any) -> Any:
        call = _call_of(self.response)
        flow = original(self)
        return flow if call is None else call.observed(flow)

    return stream


def _astream(original: Any) -> Any:
    def stream(self: Any) -> Any:
        call = _call_of(self.response)
        flow = original(self)
        return flow if call is None else call.aobserved(flow)

    return stream


# Another attempt.


def _sleep_for_retry(original: Any) -> Any:
    def sleep(client: Any, *args: Any, **kwargs: Any) -> None:
        run = model_around()
        if isinstance(run, Run):
            run.on_retry(_state(client, **kwargs))
        original(client, *args, **kwargs)

    return sleep


def _asleep_for_retry(original: Any) -> Any:
    async def sleep(client: Any, *args: Any, **kwargs: Any) -> None:
        run = model_around()
        if isinstance(run, Run):
            await run.aon_retry(_state(client, **kwargs))
        await original(client, *args, **kwargs)

    return sleep


def _state(
    client: Any, *, retries_taken: int, max_retries: int, options: Any, response: Any
) -> RetryState:
    error = sys.exception()
    headers = None
    if response is not None:
        headers = response.headers
        error = client._make_status_error_from_response(response)
    outcome: Future[Any] = Future()
    outcome.set_exception(error)
    pause = client._calculate_retry_timeout(max_retries - retries_taken, options, headers)
    return RetryState(retries_taken + 1, outcome, pause)
