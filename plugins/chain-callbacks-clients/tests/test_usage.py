"""Counts of tokens: running totals that must add up to the last of them."""

from __future__ import annotations

from typing import Any

from chain_callbacks_clients import UsageSoFar, usage_of


def test_running_totals_add_up_to_the_last() -> None:
    """Each report adds what is new; the same report twice adds nothing."""
    totals: list[Any] = [
        usage_of(input=6, output=1, input_token_details={"cache_read": 2}),
        usage_of(input=6, output=1, input_token_details={"cache_read": 2}),
        None,
        usage_of(input=6, output=13, output_token_details={"reasoning": 5}),
    ]
    usage = UsageSoFar()

    assert [
        totals[0],
        None,
        None,
        {
            "input_tokens": 0,
            "output_tokens": 12,
            "total_tokens": 12,
            "output_token_details": {"reasoning": 5},
        },
    ] == [usage.added(total) for total in totals]


def test_usage_has_the_counts_that_were_reported() -> None:
    """The total is what the server says, else the sum; a detail that is None is left out."""
    assert {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3} == usage_of(
        input=1, output=2, input_token_details={"cache_read": None}
    )
    assert {
        "input_tokens": 1,
        "output_tokens": 2,
        "total_tokens": 9,
        "input_token_details": {"cache_read": 0},
    } == usage_of(input=1, output=2, total=9, input_token_details={"cache_read": 0, "audio": None})
