"""Run the measurements and print the table; with a path, write them there as JSON too."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from . import discovery
from .harness import measure, table


def main() -> int:
    """Measure everything; return 0 whatever came out, for it is no test."""
    results = [measure(case, repeats=repeats) for case, repeats in discovery.cases()]
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}")
    print(table(results))
    if len(sys.argv) > 1:
        data = [
            {
                "case": result.case.name,
                "work": result.case.work,
                "goal": dict(result.case.goal),
                "seconds": dict(result.medians),
            }
            for result in results
        ]
        Path(sys.argv[1]).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
