"""The numbers as JSON keeps them, and as people read them; nothing is measured here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

KEPT: Final = Path(__file__).parent / "results.json"
"""The numbers of the last whole run, which are in the docs."""

Data = Mapping[str, Any]


def kept() -> Data:
    """Return the numbers that the repository has; none where it has none."""
    if not KEPT.exists():
        return {"cases": [], "skipped": [], "growth": []}
    data: Data = json.loads(KEPT.read_text(encoding="utf-8"))
    return data


def sentence(machine: Data) -> str:
    """Return what the numbers were made on."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['python']} on {machine['system']}, {machine['machine']}, "
        f"{machine['processors']} shared cores; {versions}"
    )


def lines(case: Data, kept: Data) -> str:
    """Return a case for people: what each side costs, and each goal with what was reached."""
    costs = ", ".join(f"{side} {shown(case, side)}" for side in sides_of(case))
    told = [case["case"], f"    {costs}"]
    for number, goal in enumerate(case["goals"]):
        met = "met" if goal["met"] else "NOT MET"
        before = _before(kept, case["case"], number)
        told.append(
            f"    {goal['goal']}: {amount(goal)}"
            + (f" ({goal['by_wall_clock']:.3g} by the clock)" if is_ratio(goal) else "")
            + f", {met}"
            + (f"; kept: {amount(before)}" if before else "")
        )
    return "\n".join(told)


def line_of_growth(line: Data) -> str:
    """Return how something grows, for people."""
    points = ", ".join(
        f"{size:,}: {duration(cost)}"
        for size, cost in zip(line["sizes"], next(iter(line["wall"].values())), strict=True)
    )
    met = "met" if line["met"] else "NOT MET"
    wanted = "flat" if line["is_flat"] else "straight or flatter"
    return f"growth with {line['line']}\n    {points}\n    {wanted}: bend {line['bend']:.2f}, {met}"


def summary(data: Data) -> str:
    """Return how many goals are met."""
    goals = [goal for case in data["cases"] for goal in case["goals"]] + [*data["growth"]]
    met = sum(goal["met"] for goal in goals)
    return f"{met} of {len(goals)} goals are met; {len(data['skipped'])} cases were skipped."


def sides_of(case: Data) -> list[str]:
    """Return the sides of a case that are not there to be taken off of others alone."""
    costs = next(iter(case["net"].values()))
    return [side for side in costs if side not in case["alone"]]


def shown(case: Data, side: str) -> str:
    """Return what a side costs above the plain call."""
    if "count" in case["net"]:
        return f"{case['net']['count'][side]:,.6g}"
    return duration(case["net"]["wall"][side])


def duration(seconds: float) -> str:
    """Return a duration in a unit that suits it."""
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def is_ratio(goal: Data) -> bool:
    """Tell whether a goal is a ratio of times."""
    return goal["kind"] in ("ahead", "within")


def amount(goal: Data) -> str:
    """Return what was reached of a goal."""
    reached = goal["reached"]
    if is_ratio(goal):
        return f"{reached:.3g} times"
    if goal["kind"] == "more" or "by_wall_clock" in goal:
        return f"{reached * 1e6:.3g} us"
    return f"{reached:,.6g}"


def _before(kept: Data, name: str, number: int) -> Data | None:
    for case in kept["cases"]:
        if case["case"] == name and number < len(case["goals"]):
            goal: Data = case["goals"][number]
            return goal
    return None
