from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mox_junk import Lesson, Table, TableError, classify
from mox_junk import table as table_room
from mox_junk.table import FIRST_SLOTS

WORDS = [f"word{number}" for number in range(30)]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    table = Table(tmp_path / "junk")
    yield table
    table.close()


def learn(table: Table, *lessons: Lesson) -> int:
    with table.learning() as learning:
        epoch = learning.prepare(lessons)
        learning.apply()
    return epoch


def test_what_was_learned_is_found(table: Table) -> None:
    assert learn(table, Lesson({"pills", "cheap"}, junk=1), Lesson({"cheap", "flight"}, wanted=1)) == 1
    assert table.totals() == (1, 1)
    assert table.find(["pills", "cheap", "flight", "unseen"]) == {"pills": (0, 1), "cheap": (1, 1), "flight": (1, 0)}


def test_what_is_forgotten_is_gone(table: Table) -> None:
    learn(table, Lesson({"pills", "cheap"}, junk=1))
    learn(table, Lesson({"pills"}, junk=-1), Lesson({"pills"}, junk=-1))  # once too often: never below nothing
    assert table.totals() == (0, 0)
    assert table.find(["pills", "cheap"]) == {"cheap": (0, 1)}


def test_it_grows_and_every_process_sees_it(table: Table, tmp_path: Path) -> None:
    other = Table(tmp_path / "junk")
    many = [f"w{number}" for number in range(FIRST_SLOTS * 2)]
    learn(table, Lesson(many, wanted=1))
    assert (tmp_path / "junk" / "words").stat().st_size > 16 * FIRST_SLOTS * 2
    assert len(other.find(many)) == len(many)
    assert other.totals() == (1, 0)
    other.close()


def test_opened_again(table: Table, tmp_path: Path) -> None:
    learn(table, Lesson({"pills"}, junk=1))
    again = Table(tmp_path / "junk")
    assert (again.find(["pills"]), again.epoch) == ({"pills": (0, 1)}, 1)
    again.close()


def test_prepared_but_the_marks_were_not_kept(table: Table) -> None:
    with table.learning() as learning:
        learning.prepare([Lesson({"pills"}, junk=1)])
    with table.learning() as learning:
        assert learning.agrees(0)
        with pytest.raises(TableError):
            learning.apply()
    assert table.find(["pills"]) == {}


def test_prepared_and_the_marks_were_kept(table: Table) -> None:
    with table.learning() as learning:
        epoch = learning.prepare([Lesson({"pills"}, junk=1)])
    with table.learning() as learning:
        assert learning.agrees(epoch)
    assert (table.find(["pills"]), table.totals(), table.epoch) == ({"pills": (0, 1)}, (0, 1), 1)


@pytest.mark.parametrize("epoch", [0, 2, 7])
def test_a_table_of_another_time_is_made_anew(table: Table, epoch: int) -> None:
    learn(table, Lesson({"pills"}, junk=1))
    with table.learning() as learning:
        assert not learning.agrees(epoch)
        learning.clear(epoch)
    assert (table.find(["pills"]), table.totals(), table.epoch) == ({}, (0, 0), epoch)


def test_a_torn_journal_is_no_journal(table: Table, tmp_path: Path) -> None:
    with table.learning() as learning:
        epoch = learning.prepare([Lesson({"pills"}, junk=1)])
    journal = tmp_path / "junk" / "journal"
    journal.write_bytes(journal.read_bytes()[:-3])
    with table.learning() as learning:
        assert not learning.agrees(epoch)


@pytest.mark.parametrize("data", [b"", b"x" * 64, b"x" * 200], ids=["empty", "short", "foreign"])
def test_a_damaged_table_says_so(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "words").write_bytes(data)
    with pytest.raises(TableError, match="learn again"):
        Table(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TableError, match="file"):
        Table(tmp_path / "file")


def test_killed_at_any_step(tmp_path: Path) -> None:
    """The writer dies at each step of the way; the next one finds a table that agrees with what was kept."""
    steps = ["prepare", "keep", "write", "flush"]
    for dies_at in steps:
        folder = tmp_path / dies_at
        first = Table(folder)
        learn(first, Lesson({"cheap"}, junk=1))
        first.close()
        kept = folder / "kept"
        kept.write_text("1")
        child = os.fork()
        if child == 0:
            table = Table(folder)
            with table.learning() as learning:
                epoch = learning.prepare([Lesson({"pills"}, junk=1)])
                if dies_at == "prepare":
                    os.kill(os.getpid(), signal.SIGKILL)
                kept.write_text(str(epoch))
                if dies_at == "keep":
                    os.kill(os.getpid(), signal.SIGKILL)
                prepared = learning._prepared()
                assert prepared is not None
                if dies_at == "write":
                    table_room._slot = lambda cells, hash: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore
                learning._write(*prepared)
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        table = Table(folder)
        with table.learning() as learning:
            assert learning.agrees(int(kept.read_text())), dies_at
        expected = {"cheap": (0, 1)} if dies_at == "prepare" else {"cheap": (0, 1), "pills": (0, 1)}
        assert table.find(["cheap", "pills"]) == expected, dies_at
        table.close()


def test_it_classifies(table: Table) -> None:
    learn(table, *[Lesson({"meeting"}, wanted=1)] * 50, *[Lesson({"pills"}, junk=1)] * 50)
    assert classify({"pills"}, table).probability > 0.95
    assert classify({"meeting"}, table).probability < 0.05


class Model(RuleBasedStateMachine):
    """A table beside two dictionaries, one per count."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.table = Table(Path(self.folder.name))
        self.counts: dict[str, tuple[int, int]] = {}
        self.totals = (0, 0)

    @rule(words=st.sets(st.sampled_from(WORDS)), wanted=st.integers(-1, 1), junk=st.integers(-1, 1))
    def learn(self, words: set[str], wanted: int, junk: int) -> None:
        learn(self.table, Lesson(words, wanted, junk))
        for word in words:
            had = self.counts.get(word, (0, 0))
            self.counts[word] = (max(0, had[0] + wanted), max(0, had[1] + junk))
        self.totals = (max(0, self.totals[0] + wanted), max(0, self.totals[1] + junk))

    @rule()
    def reopen(self) -> None:
        self.table.close()
        self.table = Table(Path(self.folder.name))

    @rule()
    def clear(self) -> None:
        with self.table.learning() as learning:
            learning.clear(self.table.epoch)
        self.counts.clear()
        self.totals = (0, 0)

    @invariant()
    def agrees(self) -> None:
        assert self.table.find(WORDS) == {word: counts for word, counts in self.counts.items() if any(counts)}
        assert self.table.totals() == self.totals

    def teardown(self) -> None:
        self.table.close()
        self.folder.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
