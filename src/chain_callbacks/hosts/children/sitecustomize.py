# mypy: ignore-errors
"""What ``chain-callbacks run --children`` has child processes import when they start.

Its folder is on ``PYTHONPATH``. A ``sitecustomize`` that would have been imported otherwise is
imported first; an interpreter that has not this very package installed is left alone.
"""

# Any Python that finds this folder reads this file: nothing here is newer than Python 2.7.
import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120


def _chain():
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != _folder]  # noqa: PTH100
    sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise


def _bridge():
    if sys.version_info < (3, 11):  # noqa: UP036  It may be any Python.
        return
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("chain_callbacks")
    package = os.path.dirname(os.path.dirname(_folder))  # noqa: PTH120
    if spec is None or spec.origin is None:
        return
    if os.path.realpath(os.path.dirname(spec.origin)) == os.path.realpath(package):  # noqa: PTH120
        import chain_callbacks.auto  # noqa: F401


try:
    _chain()
finally:
    _bridge()
