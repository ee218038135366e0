"""Functions that are called once a module has been imported, by whoever imports it.

A finder at the head of ``sys.meta_path`` looks names up in a dict, and does nothing more for a
module that nobody waits for. For one that is waited for, it has the finders after it find the
module, and calls what waits when the module's own code has run.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, NamespaceLoader
from types import ModuleType
from typing import Any, Final

log = logging.getLogger("chain_callbacks")


class _Looking(threading.local):
    """The names that this thread is asking the other finders for."""

    def __init__(self) -> None:
        self.names: set[str] = set()


class PostImportFinder(MetaPathFinder):
    """Finds what others find, and has functions called after a module was imported."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Callable[[], object]]] = {}
        self._looking = _Looking()
        self.loading: set[str] = set()

    def wait(self, module: str, function: Callable[[], object]) -> None:
        """Have *function* called after *module* was imported for the first time."""
        self._waiting.setdefault(module, []).append(function)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that another finder gives, for a module that is waited for."""
        # Another finder of this sort may ask all of them, us included.
        if fullname not in self._waiting or fullname in self._looking.names:
            return None
        self._looking.names.add(fullname)
        try:
            spec = self._found(fullname, path, target)
        finally:
            self._looking.names.discard(fullname)
        if spec is not None:
            loader = spec.loader
            if loader is None:
                # A namespace package: Python makes this loader for it where it finds none.
                loader = NamespaceLoader.__new__(NamespaceLoader)
                loader._path = spec.submodule_search_locations  # type: ignore[attr-defined]
            spec.loader = _Loader(loader, self)
        return spec

    def _found(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in tuple(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(fullname, path, target)
            if spec is not None:
                return spec
        return None

    def imported(self, module: str) -> None:
        """Call what waits for *module*; what a function raises is logged and goes no further."""
        for function in self._waiting.pop(module, ()):
            call(module, function)


class _Loader(Loader):
    """Loads a module as the loader that it stands for, which the module is left with."""

    def __init__(self, loader: Any, finder: PostImportFinder) -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        create = getattr(self._loader, "create_module", None)
        module: ModuleType | None = None if create is None else create(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # From here on nobody sees that we stood between: resources, `inspect` and reloading too.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        if isinstance(self._loader, NamespaceLoader):
            module.__file__ = None
        self._finder.loading.add(module.__name__)
        try:
            self._loader.exec_module(module)
        finally:
            self._finder.loading.discard(module.__name__)
        self._finder.imported(module.__name__)

    # Python leaves the frames of its import system out: a module that warns whoever imports it
    # names that module, and tracebacks do not show how it was loaded. So with this one.
    exec_module.__code__ = exec_module.__code__.replace(co_filename="<frozen importlib._bootstrap>")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


finder: Final = PostImportFinder()


def after_import(module: str, function: Callable[[], object]) -> None:
    """Have *function* called once *module* was imported; now, where it is already.

    A function that raises is logged, and the import of the module succeeds. A module that is never
    imported costs nothing.
    """
    if module in sys.modules and module not in finder.loading:
        call(module, function)
    else:
        finder.wait(module, function)


def call(module: str, function: Callable[[], object]) -> None:
    """Call what waited for *module*, and log what it raises."""
    try:
        function()
    except Exception as error:
        log.warning(
            "What was to follow the import of %s failed with %s. The program goes on without it.",
            module,
            type(error).__name__,
            exc_info=error,
        )
