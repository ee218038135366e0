"""A handler that keeps what it hears, for a test to compare."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType

from ..dispatch.identity import source
from ..handler import BaseCallbackHandler, EventRecord
from .records import Record
from .trees import RunSummary, draw, problems_of, summaries


class RecordingHandler(BaseCallbackHandler):
    r"""Keeps every event in the order in which it was heard, and draws the runs as a tree.

    ``tree()`` is text that a test compares. It is the same at each time, also where branches or
    tool calls run side by side, and holds neither ids nor times::

        recorder = RecordingHandler()
        chain.invoke({"topic": "bears"}, config={"callbacks": [recorder]})
        assert recorder.tree() == textwrap.dedent('''\
            chain RunnableSequence
              prompt PromptTemplate [seq:step:1]
              chat_model FakeListChatModel [seq:step:2] tokens=3''')

    A line is the run's type and name, its tags, its status unless it is ``ok`` (``error
    ValueError``, ``closed``, ``cancelled``, ``open`` where no end was heard), and how often it
    issued other events. What must not happen is in capitals, so that no comparison passes over
    it. One recorder may be told from many threads.
    """

    def __init__(self) -> None:
        self._records: list[Record] = []

    def on_event(self, record: EventRecord, /) -> None:
        """Keep the event."""
        run = record.run
        kept = Record(
            name=record.name,
            run_id=run.id,
            parent_id=run.parent_id,
            root_id=run.root_id,
            run_name=run.name,
            run_type=run.run_type,
            tags=tuple(run.tags),
            metadata=MappingProxyType(dict(run.metadata)),
            payload=MappingProxyType(dict(record.payload)),
            status=run.status,
            duration=run.duration,
            at=datetime.fromtimestamp(source.wall() / 1e9, UTC),
        )
        self._records.append(kept)

    @property
    def records(self) -> tuple[Record, ...]:
        """What was heard until now, in order."""
        return tuple(self._records)

    @property
    def runs(self) -> tuple[RunSummary, ...]:
        """The runs that were heard until now, in the order of their first event."""
        return tuple(summaries(self.records))

    def names(self) -> list[str]:
        """Return the names of the events in order: ``["on_chain_start", "on_chain_end"]``."""
        return [record.name for record in self.records]

    def tree(self, *, ids: bool = False) -> str:
        """Return all run trees as text, without a newline at the end.

        Roots are in the order of their starts, and so are the runs in a run, except that parallel
        branches, tool calls, steps and attempts that follow one another stand in the order of their
        tags. *ids* puts ``#1``, ``#2`` before the runs, in the order of their first event.
        """
        return "\n".join(self.trees(ids=ids))

    def trees(self, *, ids: bool = False) -> list[str]:
        """Return one text for each root, in the order of their starts; sort those of a batch."""
        return draw(self.runs, ids=ids)

    def problems(self) -> list[str]:
        """Return a sentence for each thing that must not happen; an empty list where all is well.

        A start without its one end, an end without its start, either of them twice, a parent that
        was never heard.
        """
        return problems_of(self.runs)

    def clear(self) -> None:
        """Forget what was heard."""
        self._records.clear()
