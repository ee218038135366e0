"""Which keys name a credential, by their words.

A key is read as words however they are joined: `accessToken`, `ACCESS-TOKEN` and `access_token`
are the same two. What only counts, configures, identifies or describes is no credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final

Phrase = tuple[str, ...]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORD: Final = r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]++"

# A key that has these words in a row names a credential, unless `_DESCRIBING` says otherwise.
_CREDENTIALS: Final = """
    password, passwords, passwd, pwd, pw, passphrase, passphrases, passcode, passcodes
    db pass, user pass, smtp pass, secret, secrets, client secret, app secret, shared secret
    auth, authorization, authentication, credential, credentials, cred, creds, cookie, cookies
    bearer, jwt, otp, totp, sig, signature, phpsessid, jsessionid, connect sid
    api key, api keys, access key, access keys, private key, private keys, secret key, secret keys
    encryption key, encryption keys, signing key, signing keys, ssh key, ssh keys
    account key, admin key, app key, auth key, client key, consumer key, deploy key, functions key
    license key, master key, service key, session key, shared key, storage key, subscription key
    webhook key, recovery code, recovery codes, backup code, backup codes, seed phrase
    recovery phrase
"""
# These do whatever else the key says.
_ALWAYS: Final = """
    access key id, secret id, net session id, webhook url, connection string
"""
# And so does a word that ends in one of these, such as `PGPASSWORD`.
_ENDINGS: Final = ("password", "passwd", "passphrase", "apikey", "secretkey", "privatekey")
# A verb, and the usual short name of a password.
_ALONE: Final = ("pass",)
# "tokens" are text of a model, unless they are one of these; "token" is a credential, unless...
_PLURAL_TOKENS: Final = """
    access tokens, api tokens, auth tokens, bearer tokens, id tokens, refresh tokens
    secret tokens, session tokens
"""
# ... the word before or after it is one of these: a count, a limit, a mark in a vocabulary, a
# place in a list.
_COUNTING: Final = _set(
    """
    audio average avg batch begin bos budget cached class cls completion continuation cost
    count counts cursor decoder delta detail details embedding end eod eos first forced
    generated idempotency image images input last latency length limit logprob logprobs mask
    max mean min missing n next num number output p pad padding page per prefill price prompt
    prompts rate reasoning remaining resume sep separator skip special speed split start stop
    sync text thinking throughput time total unk unknown usage used vocab
    """
)
# What a model used and may use, which no extra key hides either.
_USAGE: Final = frozenset(
    f"{kind}tokens"
    for kind in (
        *("", "input", "output", "total", "prompt", "completion", "reasoning", "cached"),
        *("max", "maxnew", "maxinput", "maxoutput", "maxcompletion"),
    )
)
# Where a key ends in one of these its value says something about a credential, and is none.
_DESCRIBING: Final = _set(
    """
    alg algorithm algorithms arn at attempts class config configuration consent count counts
    description detail details dir disabled domain enabled error exception expiration expire
    expired expires expiry fd field file filename format host id ids in index issuer kind
    label len length lengths lifetime limit limits manager max metadata method methods min
    mode module ms name names param parameters params path paths pattern placeholder
    policies policy provider providers re reason regex region required requirements
    resources retries role rotation rules samesite scheme schemes scope scopes script
    seconds size status strategy strength supported title ttl type types usage valid
    validity verified version versions
    """
)
# The address of a service; that of a reset or of a webhook lets in whoever has it.
_ADDRESSES: Final = frozenset({"endpoint", "endpoints", "uri", "uris", "url", "urls"})
_SERVED: Final = frozenset({"auth", "authentication", "authorization", "jwt", "token"})
# What has a signature that is its type.
_CALLABLE: Final = frozenset({"call", "function", "method", "type"})


@cache
def _words_in() -> re.Pattern[str]:
    return re.compile(_WORD)


@lru_cache(maxsize=2048)
def words_of(key: str) -> Phrase:
    """Return the words of *key* in lower case; digits and marks only part them."""
    return tuple(word.lower() for word in _words_in().findall(key))


class Phrases:
    """Words in a row to be found in keys; *texts* are separated by commas and line ends."""

    __slots__ = ("_joined", "_longest", "_phrases")

    def __init__(self, texts: Iterable[str]) -> None:
        found = (words_of(each) for text in texts for each in text.replace("\n", ",").split(","))
        self._phrases = frozenset(filter(None, found))
        self._joined = frozenset(map("".join, self._phrases))
        self._longest = max(map(len, self._phrases), default=0)

    def is_in(self, words: Phrase) -> bool:
        """Tell whether one of them is among *words*, written as one word or as several."""
        return not self._joined.isdisjoint(words) or any(
            words[start : start + length] in self._phrases
            for length in range(2, self._longest + 1)
            for start in range(len(words) - length + 1)
        )


@cache
def _always() -> Phrases:
    return Phrases([_ALWAYS])


@cache
def _credentials() -> Phrases:
    return Phrases([_CREDENTIALS, _PLURAL_TOKENS])


@cache
def _qualified_tokens() -> Phrases:
    """The tokens that stay credentials beside a word of counting: `next_access_token`."""
    return Phrases([_PLURAL_TOKENS, _PLURAL_TOKENS.replace("tokens", "token")])


def names_usage(words: Phrase) -> bool:
    """Tell whether a key of these *words* says how many tokens a model used, or may use."""
    return "".join(words) in _USAGE


def names_credential(words: Phrase) -> bool:
    """Tell whether what stands under a key of these *words* is a credential.

    ``session_id``, ``max_tokens``, ``stop_token``, ``password_policy`` and ``token_url`` are not.
    """
    if not words or words == _ALONE or _always().is_in(words):
        return bool(words)
    if words[-1] in _DESCRIBING:
        return False
    if words[-1] in _ADDRESSES and not _SERVED.isdisjoint(words):
        return False
    if "signature" in words and not _CALLABLE.isdisjoint(words):
        return False
    if _credentials().is_in(words) or _qualified_tokens().is_in(words):
        return True
    if any(word.endswith(_ENDINGS) for word in words):
        return True
    if "token" not in words:
        return False
    place = words.index("token")
    return _COUNTING.isdisjoint(words[max(0, place - 1) : place + 2])
