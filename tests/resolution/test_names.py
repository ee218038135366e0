"""The grammar of a list of names: what is read, what is refused, and that it can be written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chain_callbacks.errors import InvalidNameError
from chain_callbacks.resolution.names import (
    Entry,
    Ref,
    format_list,
    handler_name,
    parse_entry,
    parse_list,
)

WORDS = st.lists(st.text("ano09", min_size=1, max_size=5), min_size=1, max_size=3).map("-".join)
REFS = st.builds(
    Ref,
    WORDS.map(handler_name).filter(lambda name: name != "none"),
    st.none() | WORDS,
    st.none() | WORDS,
)
ENTRIES = st.builds(
    lambda operation, ref: Entry(operation, ref, "-" * (operation == "remove") + str(ref)),
    st.sampled_from(["add", "remove"]),
    REFS,
) | st.just(Entry("none", Ref("none"), "none"))
# Text that is likely to be nearly right.
NEARLY = st.text(alphabet="aZ0-_:/,. \tnoe\u212a\u0130\n") | st.text()


@given(NEARLY)
@example("chain-callbacks-chain-callbacks-slack")
@example("chain-callbacks-none")
@example("slac\u212a")
def test_any_text_is_entries_or_an_invalid_name(text: str):
    """Reading a text fails with `InvalidNameError` or not at all."""
    try:
        entries, refused = parse_list(text, source="a test"), None
    except InvalidNameError as error:
        entries, refused = (), error
    assert refused is None or refused.entry == text.split(",")[refused.position - 1]
    again = parse_list(format_list(entries), source="a test")
    assert [each[:2] for each in entries] == [each[:2] for each in again]


@given(st.lists(ENTRIES, max_size=5))
def test_what_is_written_is_read_as_the_same(entries: list[Entry]):
    """Formatting entries and parsing the text gives the entries."""
    assert tuple(entries) == parse_list(format_list(entries), source="a test")


@pytest.mark.parametrize(
    "text",
    ["slack", "SLACK", " slack ", "chain-callbacks-slack", "Chain_Callbacks_Slack", "slack\n"],
)
def test_spellings_of_one_name(text):
    """Case, joints, blanks and this project's prefix make no difference."""
    assert Entry("add", Ref("slack"), text.strip()) == parse_entry(text, source="a test")


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("slack:Audit_Log", Ref("slack", "audit-log")),
        ("Acme.Slack/slack", Ref("slack", None, "acme-slack")),
        ("acme_x/my_handler:a", Ref("my-handler", "a", "acme-x")),
        ("7", Ref("7")),
    ],
)
def test_instances_and_distributions(text, ref):
    """A reference names an instance after a colon and a distribution before a slash."""
    assert ref == parse_entry(text, source="a test").ref


def test_an_entry_says_what_it_does():
    """A minus removes, `none` clears, all else adds."""
    operations = [each.operation for each in parse_list("a,-b, NONE", source="a test")]
    assert ["add", "remove", "none"] == operations


def test_empty_entries_are_dropped():
    """Nothing between two commas is nothing."""
    assert ("a", "b") == tuple(each.ref.name for each in parse_list(" ,a,, b ,", source="a test"))


@pytest.mark.parametrize(
    "text",
    [
        "- slack", "--slack", "sl ack", "slack:", ":audit", "/slack", "a/b/c", "slack:a:b",
        "slack-", "_slack", "sl__ack", "slack.py", "module:Class.x", "slack?only=errors",
        "slac\u212a", "s\u00e4ck", "-none", "none:x", "acme/none", "-chain-callbacks-none",
    ],
)  # fmt: skip
def test_what_is_no_name(text):
    """Anything else is refused; a name carries no setting, no path and no filter."""
    with pytest.raises(InvalidNameError):
        parse_entry(text, source="a test")


def test_a_bad_entry_is_quoted_with_its_position():
    """The message quotes the entry and says where it stands, what is before it counted."""
    with pytest.raises(InvalidNameError) as caught:
        parse_list("slack,, sl ack", source="CHAIN_CALLBACKS")
    assert (
        "' sl ack' is not a handler name. Write entry 3 of CHAIN_CALLBACKS in letters and digits, "
        "joined by '-' or '_', such as 'slack', 'slack:audit', '-slack' or 'none'."
    ) == str(caught.value)
    assert (" sl ack", 3, "CHAIN_CALLBACKS") == (
        caught.value.entry,
        caught.value.position,
        caught.value.source,
    )
