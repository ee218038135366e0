"""The handler ``console``: the runs as an indented tree, line by line while they go on."""

from __future__ import annotations

import os
import sys
import threading
from functools import lru_cache
from typing import Final
from uuid import UUID

from ..events import SEQUENCE_STEP, on_custom_event, on_llm_end, on_retry, on_text
from ..forks import renew_in_child
from ..text import escaped
from .lines import Line, LineHandler
from .rendering import (
    is_terminal,
    retry_of,
    shown,
    shown_error,
    usage_of,
    write_line,
)

_MOST_CHARACTERS: Final = 200
_MOST_OPEN_RUNS: Final = 10_000
_BOX: Final = "┌├└│─┬"
_ASCII: Final = str.maketrans(_BOX, "+|`|-+")
_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"
_COLOURS: Final = {
    "error": "\x1b[31m",
    "cancelled": "\x1b[33m",
    "interrupted": "\x1b[33m",
    "closed": "\x1b[33m",
}


class _Node:
    """A run that has started and not ended."""

    __slots__ = ("depth", "has_line", "inputs", "label", "parent")

    def __init__(self, label: str, inputs: str, parent: _Node | None) -> None:
        self.label = label
        self.inputs = inputs
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.has_line = False


class _Tree:
    """The open runs of one root; *latest* is what was last drawn at each depth."""

    __slots__ = ("is_named", "latest", "nodes", "root_run_id")

    def __init__(self, root_run_id: UUID) -> None:
        self.root_run_id = root_run_id
        self.nodes: dict[UUID, _Node] = {}
        self.latest: dict[int, _Node] = {}
        self.is_named = False


class ConsoleHandler(LineHandler):
    """Prints runs as a tree on stderr, with durations, token usage and errors.

    A run without nested runs is one line, printed at its end. Any other is a line when the first
    run in it starts, and one at its end. Where several trees grow at once each line begins with
    the last digits of its root's id; where branches of one tree do, a line that stands below
    another run's says ``of`` which run it is. An error is named by its class, with the way down to
    where it began. Payloads, the text of errors and the users' tags appear only with the policy
    ``content``: ``redacted``, or ``full``.

    Colours are for a terminal, unless ``NO_COLOR`` is set; lines are drawn in plain ASCII where
    the encoding of stderr lacks box characters. Safe to use from many threads.
    """

    sends_to = "stderr"
    content = "none"

    def __init__(self) -> None:
        self.renew()
        renew_in_child(self)
        # The first is told by the tool run that follows, the second by the end of the agent's run.
        self.mute("on_agent_action", "on_agent_finish")

    def renew(self) -> None:
        """Forget all runs: those of the parent, in a forked child."""
        self._trees: dict[UUID, _Tree] = {}
        self._open_runs = 0
        self._lock = threading.Lock()

    def tell(self, line: Line) -> None:
        """Print what can be said by now."""
        if line.spec is on_text and line.content == "none":
            return
        with self._lock:
            tree = self._trees.get(line.root_run_id)
            if tree is None:
                tree = self._trees[line.root_run_id] = _Tree(line.root_run_id)
            if len(self._trees) > 1:
                tree.is_named = True
            if line.spec.phase == "start":
                self._start(tree, line)
            elif line.spec.phase == "during":
                self._note(tree, line)
            else:
                self._end(tree, line)
            if not tree.nodes:
                self._forget(tree)

    def _start(self, tree: _Tree, line: Line) -> None:
        parent = None if line.parent_run_id is None else tree.nodes.get(line.parent_run_id)
        if parent is not None:
            self._print_start(tree, parent)
        tree.nodes[line.run_id] = _Node(self._label(line), self._content(line), parent)
        self._open_runs += 1
        while self._open_runs > _MOST_OPEN_RUNS:
            # Ends that come after all are lines of their own.
            self._forget(next(iter(self._trees.values())))

    def _end(self, tree: _Tree, line: Line) -> None:
        node = tree.nodes.pop(line.run_id, None)
        if node is None:
            # Its root has ended, or it started before we listened.
            node = _Node(self._label(line), "", None)
        else:
            self._open_runs -= 1
        text = f"{node.label}{self._outcome(line)}"
        colour = _COLOURS.get(line.status or "", "")
        if node.has_line:
            _print(tree, "│ " * node.depth + "└─ ", text + self._content(line), node, colour)
        else:
            text += node.inputs + self._content(line)
            _print(tree, _branch(node.parent), text, node.parent, colour)
        if line.run_id == line.root_run_id:
            self._forget(tree)

    def _forget(self, tree: _Tree) -> None:
        self._open_runs -= len(tree.nodes)
        tree.nodes.clear()
        self._trees.pop(tree.root_run_id, None)

    def _print_start(self, tree: _Tree, node: _Node) -> None:
        if node.has_line:
            return
        node.has_line = True
        if node.parent is None:
            drawn = "┌─ "
        else:
            self._print_start(tree, node.parent)
            drawn = "│ " * node.parent.depth + "├─┬ "
        _print(tree, drawn, node.label + node.inputs, node.parent)
        tree.latest[node.depth] = node

    def _note(self, tree: _Tree, line: Line) -> None:
        """Print what a run tells while it goes on, as if it were a run in it."""
        node = tree.nodes.get(line.run_id)
        if node is not None:
            self._print_start(tree, node)
        words = [line.spec.name.removeprefix("on_")]
        if line.spec is on_custom_event:
            words.append(escaped(str(line.payload[0])))
        elif line.spec is on_retry:
            words += [f"{name}={value}" for name, value in retry_of(line.payload[0]).items()]
        _print(tree, _branch(node), " ".join(words) + self._content(line), node)

    def _label(self, line: Line) -> str:
        tags = [
            tag
            for tag in map(escaped, line.tags)
            # The order of the lines says as much.
            if not tag.startswith(SEQUENCE_STEP.begins)
        ]
        label = f"{line.run_type} {escaped(str(line.name))}"
        return f"{label} [{', '.join(tags)}]" if tags else label

    def _outcome(self, line: Line) -> str:
        parts = [] if line.duration is None else [f"{line.duration * 1000:.1f} ms"]
        if line.spec is on_llm_end:
            usage = usage_of(line.payload[0])
            both = [str(usage[name]) for name in ("input_tokens", "output_tokens") if name in usage]
            if both:
                parts.append(f"{' + '.join(both)} tokens")
        if line.spec.phase == "error":
            parts.append(f"{line.status} {self._failure(line)}")
        elif line.status not in (None, "ok"):
            parts.append(str(line.status))
        return "".join(f"  {part}" for part in parts)

    def _failure(self, line: Line) -> str:
        error = line.payload[0]
        failure = escaped(type(error).__name__)
        if line.content != "none":
            failure += f": {shown_error(error, _MOST_CHARACTERS)}"
        way = line.origin[line.depth + 1 :]
        return f"{failure} from {escaped(' > '.join(way))}" if way else failure

    def _content(self, line: Line) -> str:
        if line.content == "none" or line.spec.phase == "error":
            return ""
        return "".join(
            f"  {name}={shown(value, _MOST_CHARACTERS)}"
            for name, value in zip(line.spec.positional, line.payload, strict=True)
            if name in line.spec.content
        )


def _branch(parent: _Node | None) -> str:
    return "── " if parent is None else "│ " * parent.depth + "├─ "


def _print(tree: _Tree, drawn: str, text: str, around: _Node | None, colour: str = "") -> None:
    """Print a line of the run *around*, and say so where it would seem to be another's."""
    stream = sys.stderr
    if around is not None and tree.latest.get(around.depth) is not around:
        tree.latest[around.depth] = around
        if not drawn.endswith("└─ "):  # The end of a run says which one it is.
            text += f"  (of {around.label})"
    tree.latest.pop(0 if around is None else around.depth + 1, None)
    if tree.is_named:
        drawn = f"{str(tree.root_run_id)[-6:]} {drawn}"
    if not _can_draw(getattr(stream, "encoding", None) or "utf-8"):
        drawn = drawn.translate(_ASCII)
    if is_terminal(stream) and not os.environ.get("NO_COLOR"):
        drawn = f"{_DIM}{drawn}{_RESET}"
        text = f"{colour}{text}{_RESET}" if colour else text
    write_line(drawn + text)


@lru_cache(maxsize=8)
def _can_draw(encoding: str) -> bool:
    try:
        _BOX.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
