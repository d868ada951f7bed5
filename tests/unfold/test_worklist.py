"""What is done in which order, tried again, and given up, with workers that follow a script."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold.job import Ended, Started
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.records import Records, RunWarning, Session
from omnifold_pub.unfold.worklist import work_through


class Scripted:
    """One worker; ``failures[name]`` are the reasons of the first attempts at a training."""

    def __init__(
        self, failures: Mapping[str, Sequence[str]], *, fatal: bool = False, records: Records | None = None
    ) -> None:
        self.failures = {name: deque(reasons) for name, reasons in failures.items()}
        self.fatal = fatal
        self.records = records
        self.queue: deque[tuple[str, int]] = deque()
        self.begun: list[tuple[str, int]] = []
        self.seen_running: list[list[str]] = []

    def submit(self, training: Training, number: int) -> None:
        self.queue.append((training.name, number))

    def events(self) -> list[Started | Ended]:
        if not self.begun or self.begun[-1] != self.queue[0]:
            self.begun.append(self.queue[0])
            return [Started(self.queue[0][0], "here", 7, "2026-01-31T12:00:00+00:00")]
        if self.records is not None:
            self.seen_running.append(list(self.records.claims))
        name, _ = self.queue.popleft()
        reasons = self.failures.get(name)
        return [Ended(name, "here", reasons.popleft() if reasons else None, fatal=self.fatal)]

    def close(self) -> None:
        """Nobody to let go."""


@pytest.fixture
def records(tmp_path: Path) -> Records:
    found = Records(tmp_path)
    found.begin(Session.of_this_process(workers=1, scheduler=None))
    return found


def training(family: str, *after: str) -> Training:
    return Training(family, 0, 1, after=tuple(f"{name}_0000" for name in after))


def names(workers: Scripted) -> list[str]:
    return [name.removesuffix("_0000") for name, _ in workers.begun]


def test_each_is_done_once_and_claimed_while_it_is(records: Records) -> None:
    workers = Scripted({}, records=records)
    finished: list[int] = []
    work_through([training("a"), training("b")], workers, records, on_finished=lambda: finished.append(1))
    assert workers.begun == [("a_0000", 1), ("b_0000", 1)]
    assert workers.seen_running == [["a_0000"], ["b_0000"]]
    assert len(finished) == 2
    assert records.claims == {}
    assert records.failures == {}


def test_what_fails_once_is_tried_again_after_the_others(records: Records) -> None:
    workers = Scripted({"a_0000": ["out of luck"]})
    with pytest.warns(RunWarning, match="a_0000 failed and is tried again: out of luck"):
        work_through([training("a"), training("b")], workers, records, on_finished=lambda: None)
    assert workers.begun == [("a_0000", 1), ("b_0000", 1), ("a_0000", 2)]
    assert records.failures == {}


def test_what_fails_twice_is_reported_when_the_others_are_done(records: Records) -> None:
    workers = Scripted({"a_0000": ["first", "second"], "c_0000": ["x", "y"]})
    finished: list[int] = []
    with pytest.warns(RunWarning), pytest.raises(TrainingError) as caught:
        work_through(list(map(training, "abcd")), workers, records, on_finished=lambda: finished.append(1))
    assert len(finished) == 2
    message = str(caught.value)
    assert message.startswith("2 of 4 trainings failed")
    assert "\n  a_0000: second" in message
    assert "\n  c_0000: y" in message
    assert {name: (f.attempts, f.final, f.reason) for name, f in records.failures.items()} == {
        "a_0000": (2, True, "second"),
        "c_0000": (2, True, "y"),
    }


def test_what_comes_after_waits(records: Records) -> None:
    workers = Scripted({})
    plan = [training("last", "middle", "first"), training("middle", "first"), training("first"), training("other")]
    work_through(plan, workers, records, on_finished=lambda: None)
    assert names(workers) == ["first", "other", "middle", "last"]


def test_what_is_done_already_holds_nothing_up(records: Records) -> None:
    workers = Scripted({})
    work_through([training("b", "a")], workers, records, done=["a_0000"], on_finished=lambda: None)
    assert names(workers) == ["b"]


def test_what_needs_a_failed_one_is_given_up_and_named(records: Records) -> None:
    workers = Scripted({"a_0000": ["no", "never"]})
    plan = [training("c", "b"), training("b", "a"), training("a"), training("d")]
    with pytest.warns(RunWarning), pytest.raises(TrainingError, match="3 of 4 trainings failed") as caught:
        work_through(plan, workers, records, on_finished=lambda: None)
    assert names(workers) == ["a", "d", "a"]
    assert "b_0000: needs a_0000, which failed" in str(caught.value)
    assert "c_0000: needs b_0000, which failed" in str(caught.value)
    assert records.failures["c_0000"].attempts == 0
    assert records.failures["c_0000"].final


def test_what_would_fail_all_ends_the_run(records: Records) -> None:
    workers = Scripted({"a_0000": ["disk full"]}, fatal=True)
    with pytest.raises(TrainingError, match="training a_0000: disk full"):
        work_through([training("a"), training("b")], workers, records, on_finished=lambda: None)
    assert names(workers) == ["a"]


def test_what_comes_after_nothing_in_the_campaign_is_an_error(records: Records) -> None:
    with pytest.raises(TrainingError, match="b_0000 comes after a_0000, not all of which are in the campaign"):
        work_through([training("b", "a")], Scripted({}), records, on_finished=lambda: None)


@settings(deadline=None, max_examples=50)
@given(data=st.data(), size=st.integers(1, 8))
def test_any_plan_is_done_in_an_order_that_it_allows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, size: int
) -> None:
    """A random graph without circles, in a random order, of which any training may fail once."""
    before = {
        number: data.draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        for number in range(size)
    }
    order = data.draw(st.permutations(range(size)))
    plan = [training(f"t{number}", *(f"t{other}" for other in sorted(before[number]))) for number in order]
    flaky = data.draw(st.sets(st.sampled_from([t.name for t in plan])))
    records = Records(tmp_path_factory.mktemp("run"))
    records.begin(Session.of_this_process(workers=1, scheduler=None))
    workers = Scripted({name: ["once"] for name in flaky})
    with pytest.warns(RunWarning) if flaky else contextlib.nullcontext():
        work_through(plan, workers, records, on_finished=lambda: None)
    last = {name: place for place, (name, _) in enumerate(workers.begun)}
    assert last.keys() == {t.name for t in plan}
    first = {name: place for place, (name, _) in reversed(list(enumerate(workers.begun)))}
    assert all(last[earlier] < first[t.name] for t in plan for earlier in t.after)
    assert len(workers.begun) == size + len(flaky)
