"""What masks secrets: the redactor that is there, and an organisation's own beside it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Protocol

from ..attributes import once
from .keys import Phrase, Phrases, names_credential, names_usage, words_of
from .services import SHORTEST, mask_known_forms
from .texts import mask_values

_LONGEST_KEY: Final = 200


class Redactor(Protocol):
    """Says what of a payload is a secret; an organisation's own has these two methods.

    Both are called from any thread, and often: they should be fast. What they are given has been
    cut to size. Whatever one of them raises withholds the payload.
    """

    def hides(self, key: str, /) -> bool:
        """Tell whether what stands under *key*, a mapping's or a field's name, is masked whole."""
        ...

    def redact(self, text: str, /) -> str:
        """Return *text* with the secrets in it masked."""
        ...


def hides_number(redactor: Redactor, key: str) -> bool:
    """Tell whether *redactor* masks a number under *key*, too.

    One that does not say so by a method of this name masks whatever stands under what it hides.
    """
    return bool(getattr(redactor, "hides_number", redactor.hides)(key))


class Several:
    """Masks what any of its redactors does."""

    def __init__(self, *redactors: Redactor) -> None:
        self._redactors = redactors

    def hides(self, key: str, /) -> bool:
        """Tell whether one of them hides the key."""
        return any(redactor.hides(key) for redactor in self._redactors)

    def hides_number(self, key: str, /) -> bool:
        """Tell whether one of them hides a number under the key."""
        return any(hides_number(redactor, key) for redactor in self._redactors)

    def redact(self, text: str, /) -> str:
        """Return *text* as it is once all have seen it, in their order."""
        for redactor in self._redactors:
            text = redactor.redact(text)
        return text


class DefaultRedactor:
    """Masks what stands under the usual keys, and keys and tokens of well-known services.

    A key is compared by its words, however they are joined: *extra_keys* ``("employee id",)``
    also hides ``employeeId`` and ``EMPLOYEE-ID``. Counts of tokens are never hidden.
    """

    def __init__(self, extra_keys: Iterable[str] = ()) -> None:
        self._extra_keys = tuple(extra_keys)
        self._answers = lru_cache(maxsize=2048)(self._hides)

    @once
    def _extra(self) -> Phrases:
        return Phrases(self._extra_keys)

    def hides(self, key: str, /) -> bool:
        """Tell whether *key* names a credential, or has one of the extra keys in it."""
        return self._answers(key[:_LONGEST_KEY])

    def hides_number(self, key: str, /) -> bool:
        """Tell whether *key* has one of the extra keys in it: a credential is a text."""
        return self._is_extra(words_of(key[:_LONGEST_KEY]))

    def _hides(self, key: str) -> bool:
        words = words_of(key)
        return names_credential(words) or self._is_extra(words)

    def _is_extra(self, words: Phrase) -> bool:
        return self._extra.is_in(words) and not names_usage(words)

    def redact(self, text: str, /) -> str:
        """Return *text* without private keys, services' tokens, and values of hidden keys."""
        # A name, as most keys of mappings are.
        if len(text) < SHORTEST and text.isidentifier():
            return text[:]
        return mask_values(mask_known_forms(text), self.hides, self.hides_number)
