"""Where the calls of a vendor's client are watched: in the methods that every request passes.

Clients of this build (OpenAI's and Anthropic's are generated alike) send every request by
``request``: create, parse, stream and raw responses, of all resources and helpers. What comes back
passes ``_process_response`` before the caller gets it, a pause before another attempt passes
``_sleep_for_retry``, and ``__stream__`` reads events. Nothing that the caller gets is replaced.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from importlib import import_module
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from chain_callbacks import Run
from chain_callbacks.hosts import model_around
from chain_callbacks.runnables import RetryState

from .calls import Call, begin
from .responses import attach, call_of
from .steps import Steps, adrive, drive
from .translation import Vendor

Client = TypeVar("Client")

_MARK: Final = "__chain_callbacks_hook__"
_hooked: Final[set[str]] = set()
_everywhere: Final[dict[str, Vendor]] = {}
_watched: Final[WeakKeyDictionary[Any, Vendor]] = WeakKeyDictionary()


def watch(vendor: Vendor, client: Client) -> Client:
    """Make the calls of *client* runs, and those of its copies by ``with_options``; return it."""
    install(vendor)
    # A copy of a client shares its connections; nothing else tells that it is one.
    _watched[client._client] = vendor  # type: ignore[attr-defined]
    return client


def watch_all(vendor: Vendor) -> None:
    """Make the calls of every client of *vendor* runs, including clients made before."""
    install(vendor)
    _everywhere[vendor.package] = vendor


def install(vendor: Vendor) -> None:
    """Put the hooks into the classes of *vendor*'s client, once: all of them, or none.

    Raises:
        AttributeError: The client is of another build: it lacks one of the methods.
    """
    if vendor.package in _hooked:
        return
    base = import_module(f"{vendor.package}._base_client")
    streams = import_module(f"{vendor.package}._streaming")
    sync, asynchronous = base.SyncAPIClient, base.AsyncAPIClient
    hooks: list[tuple[type, str, Callable[[Any], Any]]] = [
        (sync, "request", functools.partial(_request, vendor.package)),
        (asynchronous, "request", functools.partial(_arequest, vendor.package)),
        (sync, "_process_response", _process_response),
        (asynchronous, "_process_response", _process_response),
        (sync, "_sleep_for_retry", _sleep_for_retry),
        (asynchronous, "_sleep_for_retry", _asleep_for_retry),
        (streams.Stream, "__stream__", _stream),
        (streams.AsyncStream, "__stream__", _stream),
    ]
    originals = [getattr(owner, name) for owner, name, _ in hooks]
    for (owner, name, hook), original in zip(hooks, originals, strict=True):
        # A mark, and no lock: an import may wait for a thread that would wait for the lock, and a
        # process may be forked while it is held.
        if not hasattr(original, _MARK):
            hooked = functools.wraps(original)(hook(original))
            setattr(hooked, _MARK, True)
            setattr(owner, name, hooked)
    _hooked.add(vendor.package)


def _request(package: str, original: Any) -> Any:
    def request(client: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        call = _call(package, client, options)
        if call is None:
            return original(client, cast_to, options, *args, **kwargs)
        with call:
            return original(client, cast_to, options, *args, **kwargs)

    return request


def _arequest(package: str, original: Any) -> Any:
    async def request(client: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        call = _call(package, client, options)
        if call is None:
            return await original(client, cast_to, options, *args, **kwargs)
        async with call:
            return await original(client, cast_to, options, *args, **kwargs)

    return request


def _call(package: str, client: Any, options: Any) -> Call | None:
    """Return the call that a request is; None if it is none, or if nobody listens."""
    vendor = _watched.get(client._client) or _everywhere.get(package)
    if vendor is None:
        return None
    endpoint = vendor.endpoints.get(options.url.partition("?")[0])
    if endpoint is None or options.method.lower() != "post":
        return None
    return begin(vendor, endpoint, options.json_data, options.extra_json)


def _process_response(original: Any) -> Any:
    # An asynchronous client awaits what this returns.
    def process(client: Any, *args: Any, **kwargs: Any) -> Any:
        attach(kwargs.get("response"))
        return original(client, *args, **kwargs)

    return process


def _stream(original: Any) -> Any:
    def stream(self: Any) -> Any:
        call = call_of(self.response)
        flow = original(self)
        return flow if call is None else call.observe(flow)

    return stream


def _sleep_for_retry(original: Any) -> Any:
    def sleep(client: Any, *args: Any, **kwargs: Any) -> None:
        drive(_retrying(client, kwargs))
        original(client, *args, **kwargs)

    return sleep


def _asleep_for_retry(original: Any) -> Any:
    async def sleep(client: Any, *args: Any, **kwargs: Any) -> None:
        await adrive(_retrying(client, kwargs))
        await original(client, *args, **kwargs)

    return sleep


def _retrying(client: Any, kwargs: Mapping[str, Any]) -> Steps:
    run = model_around()
    if isinstance(run, Run):
        yield run.on_retry, run.aon_retry, (_retry_state(client, **kwargs),), {}


def _retry_state(
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
