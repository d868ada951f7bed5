"""The same sums and calls on a Dask cluster as on this machine; workers that are lost, errors that travel."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pytest
from distributed import Client, LocalCluster
from numpy.typing import NDArray

from omnifold_pub import Estimate, Release, UnfoldingResult, extras, open_release, publish
from omnifold_pub.accumulation import opened as opened_module
from omnifold_pub.accumulation.calls import Members
from omnifold_pub.accumulation.cluster import Cluster
from omnifold_pub.accumulation.opened import Opened, Origin, opened
from omnifold_pub.errors import ClusterError, MissingExtraError, ObservableError, ReleaseError
from omnifold_pub.estimators import Custom, Histogram, Moments, Profile, Quantiles, Ratio, Statistic
from tests.conftest import make_result

Vector = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]

X = [-2.0, -0.7, 0.1, 0.8, 2.5]
SECONDS = 30
"""What any part of a test may take before it fails."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release in 25 files, so of 25 blocks; do not write to it."""
    return publish(make_result(), tmp_path_factory.mktemp("shared") / "release.manifest.json", shard_events=20)


@pytest.fixture(scope="module")
def local_cluster() -> Iterator[LocalCluster]:
    """Two processes of two threads."""
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=2, dashboard_address=":0", memory_limit=0, silence_logs=logging.CRITICAL
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(local_cluster: LocalCluster) -> Iterator[Client]:
    with Client(local_cluster) as connected:  # type: ignore[no-untyped-call]
        yield connected


@pytest.fixture
def many(shared: Path) -> Iterator[Release]:
    with open_release(shared) as release:
        yield release


def slope() -> Callable[[Columns, Vector], Vector]:
    """A straight-line fit of z against x; made here, so that it travels without this module."""

    def fit(events: Columns, weights: Vector) -> Vector:
        import numpy as np

        return np.polyfit(np.asarray(events["x"], dtype=float), events["z"], 1, w=np.sqrt(np.abs(weights)))

    return fit


LINEAR: dict[str, Statistic] = {
    "histogram": Histogram("x", X),
    "two": Histogram(["x", "y"], [X, [0.0, 15.0, 40.0, 120.0]], where="n >= 2", flow=True),
    "function": Histogram(lambda events: events["x"] * 2, X),
}
CASES: dict[str, dict[str, Any]] = {
    "analytic event sampling": LINEAR,
    "Poisson event sampling": {
        **LINEAR,
        "shape": Histogram("x", X, normalise=True),
        "profile": Profile("y", "x", X),
        "ratio": Ratio(Histogram("x", X, where="n >= 3"), Histogram("x", X)),
        "moments": Moments("x", [1, 2, 3]),
    },
    "sums and calls": {"histogram": Histogram("x", X), "median": Quantiles("y"), "fit": Custom(slope())},
}


def assert_same(found: Estimate, expected: Estimate, *, tolerance: float) -> None:
    """Compare every number under every member: of all kinds of components."""
    np.testing.assert_allclose(found.nominal, expected.nominal, rtol=tolerance)
    np.testing.assert_allclose(found.effective_events, expected.effective_events, rtol=tolerance)
    kinds = {component.kind for component in expected.components}
    assert kinds == {"ensemble", "bootstrap", "variation", "two_point", "hessian", "scale", "event_sampling"}
    for component in expected.components:
        members = expected.members(component.name)
        np.testing.assert_allclose(found.members(component.name), members, rtol=tolerance)
        covariance = expected.covariance(component.name)
        rounding = tolerance * np.abs(covariance).max()
        np.testing.assert_allclose(found.covariance(component.name), covariance, rtol=tolerance, atol=rounding)


@pytest.mark.parametrize("case", CASES)
def test_a_cluster_finds_what_this_machine_finds(many: Release, client: Client, case: str) -> None:
    assert_same(many.measure(CASES[case], scheduler=client), many.measure(CASES[case]), tolerance=1e-12)


def test_calls_are_the_same_bit_by_bit(many: Release, client: Client) -> None:
    wanted = {"median": Quantiles("y", [0.1, 0.5]), "fit": Custom(slope())}
    assert_same(many.measure(wanted, scheduler=client), many.measure(wanted), tolerance=0)
    assert_same(many.estimate(slope(), scheduler=client), many.estimate(slope()), tolerance=0)


def test_blocks_of_one_file_under_a_relative_path(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(make_result(events=40_000, members=20), tmp_path / "long.h5")
    monkeypatch.chdir(tmp_path)
    with open_release("long.h5") as release:
        expected = release.measure("x", X)
        assert_same(release.measure("x", X, scheduler=client), expected, tolerance=1e-12)
        release.load()  # the workers read the file all the same
        assert_same(release.measure("x", X, scheduler=client), expected, tolerance=1e-12)


def test_members_are_those_of_the_family_wherever_a_group_starts(tmp_path: Path) -> None:
    result = make_result(members=40)  # in chunks of 16
    family = result.families["data_bootstrap"][:]
    with open_release(publish(result, tmp_path / "release.h5")) as release:
        members = Members("data_bootstrap", 40, "family")
        for start, stop in [(0, 40), (3, 35), (16, 32), (15, 17), (39, 40)]:
            found = dict(members.weights(release._own, start, stop))
            assert list(found) == [f"data_bootstrap[{number}]" for number in range(start, stop)]
            np.testing.assert_array_equal(np.stack(list(found.values()), axis=1), family[:, start:stop])


def test_workers_read_a_url(release_path: Path, client: Client) -> None:
    with open_release(release_path) as here, open_release(f"file://{release_path}") as there:
        assert_same(there.measure("x", X, scheduler=client), here.measure("x", X), tolerance=1e-12)


@pytest.mark.parametrize("groups", [1, 7])
def test_the_size_of_the_cluster_is_but_rounding(
    many: Release, client: Client, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "groups", groups)
    wanted = {"shape": Histogram("x", X, normalise=True), "median": Quantiles("y")}
    assert_same(many.measure(wanted, scheduler=client), many.measure(wanted), tolerance=1e-12)


def test_progress_ends_at_the_number_of_blocks_and_of_members(many: Release, client: Client) -> None:
    told: list[tuple[int, int, str]] = []
    found = many.measure(CASES["sums and calls"], scheduler=client, progress=lambda *state: told.append(state))
    summing = [state for state in told if state[2] == "summing"]
    calling = [state for state in told if state[2] == "calling"]
    assert told == summing + calling
    assert summing == sorted(summing)
    assert len(summing) == 16
    assert summing[-1] == (25, 25, "summing")
    members = 1 + sum(len(found.members(component.name)) for component in many.components)
    assert [state[0] for state in calling] == sorted({state[0] for state in calling})
    assert calling[-1] == (members, members, "calling")


# What goes wrong


def message_of(call: Callable[[], object]) -> str:
    with pytest.raises(ObservableError) as caught:
        call()
    return str(caught.value)


def test_errors_are_those_of_this_machine(many: Release, client: Client) -> None:
    def worse(events: Columns) -> Vector:
        if events["x"].max() > 2.5:
            message = "an event like this"
            raise ValueError(message)
        return np.asarray(events["x"])

    def fails_under_up(events: Columns, weights: Vector) -> float:
        return float("nan") if weights.sum() > 1.025 * events_sum else 1.0

    def changes_size(events: Columns, weights: Vector) -> list[float]:
        return [1.0] if weights.sum() < 1.025 * events_sum else [1.0, 2.0]

    events_sum = float(many.nominal_weights.sum())
    wrong: list[Any] = [
        Histogram("sqrt(x)", X),
        Histogram("sqrt(x)", X, where="n > 2"),
        Histogram(worse, X),
        Histogram("no_such_column", X),
        Profile("y", "x", [0, 1, 1000, 1001]),
        Quantiles("log(x)"),
        Custom(fails_under_up),
        Custom(changes_size),
    ]
    for statistic in wrong:
        expected = message_of(lambda one=statistic: many.measure(one))  # type: ignore[misc]
        assert message_of(lambda one=statistic: many.measure(one, scheduler=client)) == expected  # type: ignore[misc]
    assert "NaN for" in message_of(lambda: many.measure(wrong[0], scheduler=client))


def test_an_error_says_on_which_worker_and_where_in_a_function(many: Release, client: Client) -> None:
    def fails(events: Columns, weights: Vector) -> float:
        return 1 / 0

    with pytest.raises(ObservableError, match="failed with ZeroDivisionError") as caught:
        many.estimate(fails, scheduler=client)
    (note,) = caught.value.__notes__
    assert any(address in note for address in client.nthreads())  # type: ignore[no-untyped-call]
    assert "in fails" in note


def test_a_file_that_the_workers_have_not_is_an_error(release_path: Path, client: Client) -> None:
    with open_release(release_path) as release:
        release_path.unlink()
        with pytest.raises(ReleaseError, match=r"no such file. All workers of a cluster read the release themselves"):
            release.measure("x", X, scheduler=client)


def test_another_release_of_the_same_name_is_an_error_that_names_both(
    release_path: Path, result: UnfoldingResult, client: Client
) -> None:
    newer = replace(result, nominal=result.nominal[:] * np.float32(1.0), metadata={**result.metadata, "title": "Newer"})
    moved = publish(newer, release_path.with_name("newer.h5"))
    with open_release(release_path) as release:
        moved.replace(release_path)
        with pytest.raises(ReleaseError, match=r"found 'Newer' of 20.*; expected 'Made by hand' of 20"):
            release.measure("x", X, scheduler=client)
    with open_release(release_path) as release:
        assert_same(release.measure("x", X, scheduler=client), release.measure("x", X), tolerance=1e-12)


def test_a_function_that_cannot_travel_is_refused(many: Release, client: Client) -> None:
    lock = threading.Lock()

    def locked(events: Columns, weights: Vector) -> float:
        with lock:
            return float(weights.sum())

    with pytest.raises(ObservableError, match=r"cannot be sent to a cluster.*no open files, locks"):
        many.estimate(locked, scheduler=client)


def test_a_function_of_a_module_that_the_workers_lack_is_an_error(
    many: Release, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_alone.py").write_text("def one(events, weights):\n    return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    one = importlib.import_module("mine_alone").one
    with pytest.raises(ObservableError, match=r"on a worker .*: No module named 'mine_alone'.*see upload_file"):
        many.estimate(one, scheduler=client)
    client.upload_file(str(tmp_path / "mine_alone.py"))
    assert many.estimate(one, scheduler=client).nominal.tolist() == [1.0]


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:8786", 4, threading])
def test_what_is_no_client_is_refused(many: Release, scheduler: Any) -> None:
    with pytest.raises(ObservableError, match=rf"expected a connected .*Client.*; found {type(scheduler).__name__} "):
        many.measure("x", X, scheduler=scheduler)


def test_a_closed_client_is_refused(many: Release, local_cluster: LocalCluster) -> None:
    with Client(local_cluster) as closed:  # type: ignore[no-untyped-call]
        pass
    with pytest.raises(ObservableError, match="found one that is closed"):
        many.measure("x", X, scheduler=closed)


def test_without_dask_the_extra_is_named(many: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    scheduler: Any = object()
    with pytest.raises(MissingExtraError, match=r"omnifold-pub\[dask\]"):
        many.measure("x", X, scheduler=scheduler)


def tasks_left(client: Client) -> list[str]:
    """Wait a little for the scheduler to have none."""
    left: list[str] = []
    for _ in range(50):
        left = client.run_on_scheduler(  # type: ignore[no-untyped-call]
            lambda dask_scheduler: [f"{key}: {task.state}" for key, task in dask_scheduler.tasks.items()]
        )
        if not left:
            break
        time.sleep(0.1)
    return left


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_on_the_cluster_when_it_is_interrupted(many: Release, client: Client, case: str) -> None:
    def stop(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        many.measure(CASES[case], scheduler=client, progress=stop)
    assert caught.tb is not None  # which holds all frames, so that nothing is cancelled by being forgotten
    assert tasks_left(client) == []


# Lost workers


def slow_pair(marks: Path) -> tuple[Statistic, Statistic]:
    """Statistics that leave a mark each time they are computed, and take their time."""

    def mark(what: str, seconds: float) -> None:
        import os
        import time
        import uuid

        (marks / f"{what}-{os.getpid()}-{uuid.uuid4().hex}").touch()
        time.sleep(seconds)

    def value(events: Columns) -> NDArray[Any]:
        mark("sums", 0.05)
        return events["x"]

    def mean(events: Columns, weights: Vector) -> float:
        mark("calls", 0.01)
        return float((events["x"] * weights).sum() / weights.sum())

    return Histogram(value, X, name="x"), Custom(mean, name="mean")


def kill_workers(marks: Path, phases: tuple[str, ...], kills: list[tuple[str, int, int]]) -> None:
    """In each phase wait until two processes were seen at work, and kill one of them."""
    done = {os.getpid()}
    for phase in phases:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            seen = [path.name.split("-") for path in marks.iterdir()]
            alive = sorted({int(pid) for what, pid, _ in seen if what == phase} - done)
            if len(alive) > 1:
                os.kill(alive[0], signal.SIGKILL)
                done.add(alive[0])
                kills.append((phase, alive[0], sum(what == phase for what, *_ in seen)))
                break
            time.sleep(0.01)


@pytest.fixture
def with_nannies() -> Iterator[Client]:
    """Two processes that are started again when they die."""
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0, silence_logs=logging.CRITICAL
        ) as cluster,
        Client(cluster) as connected,  # type: ignore[no-untyped-call]
    ):
        yield connected


@pytest.fixture
def without_nannies(tmp_path: Path) -> Iterator[Client]:
    """Two processes that nobody starts again."""
    with (
        LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=logging.CRITICAL) as cluster,  # type: ignore[no-untyped-call]
        Client(cluster) as connected,  # type: ignore[no-untyped-call]
    ):
        options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--memory-limit", "0"]
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, *options]
        command += ["--local-directory", str(tmp_path)]
        workers = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
        try:
            connected.wait_for_workers(2, timeout=SECONDS)
            yield connected
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("cluster", "phases"),
    [
        ("with_nannies", ("sums",)),
        pytest.param("with_nannies", ("calls",), marks=pytest.mark.slow),
        pytest.param("without_nannies", ("calls",), marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_is_killed_loses_nothing(
    many: Release, tmp_path: Path, cluster: str, phases: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    client: Client = request.getfixturevalue(cluster)
    marks = tmp_path / "marks"
    marks.mkdir()
    kills: list[tuple[str, int, int]] = []
    killer = threading.Thread(target=kill_workers, args=(marks, phases, kills))
    wanted = dict(zip(("x", "mean"), slow_pair(marks), strict=True))
    killer.start()
    try:
        found = many.measure(wanted, scheduler=client)
    finally:
        killer.join()
    assert [phase for phase, *_ in kills] == list(phases)
    for phase, pid, count in kills:
        left = [path.name.split("-") for path in marks.iterdir()]
        assert sum(what == phase for what, *_ in left) > count  # there was more to do
        assert max(int(other == str(pid)) for what, other, _ in left if what == phase) == 1

    def mean(events: Columns, weights: Vector) -> float:
        return float((events["x"] * weights).sum() / weights.sum())

    expected = many.measure({"x": Histogram(lambda events: events["x"], X), "mean": Custom(mean)})
    assert_same(found, expected, tolerance=1e-12)
    if cluster == "with_nannies":
        check_that_the_cluster_gives_up(many, client)


def check_that_the_cluster_gives_up(release: Release, client: Client) -> None:
    """Where every worker dies of a task: it is told, and not tried for ever."""

    def allow_none(dask_scheduler: distributed.Scheduler) -> None:
        dask_scheduler.allowed_failures = 0

    def deadly(events: Columns, weights: Vector) -> float:
        import os

        os._exit(1)

    client.run_on_scheduler(allow_none)  # type: ignore[no-untyped-call]
    with pytest.raises(ClusterError, match=r"the cluster gave up: Attempted to run task.*more memory"):
        release.estimate(deadly, scheduler=client)


# Releases that a process has open


class Files:
    """Counts what is opened and closed."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def origin(self, release: Release, name: str, number: int = 1) -> Origin:
        identity = replace(release._identity, sha256=str(number))

        def open_here(place: Any) -> Opened:
            time.sleep(0.02)
            self.log.append(f"open {place}")
            return Opened(identity, release._data, lambda: self.log.append(f"close {place}"))

        return Origin(Path(name), identity, open_here)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(opened_module, "_KEPT_OPEN", opened_module._Kept())
    return Files()


def test_a_process_opens_a_release_once(files: Files, release: Release) -> None:
    origin = files.origin(release, "a")

    def use() -> None:
        with opened(origin) as data:
            assert data.events.size == 500

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files.log == ["open a"]


def test_a_release_is_closed_when_another_takes_its_place_and_nobody_uses_it(files: Files, release: Release) -> None:
    old, new = files.origin(release, "a", 1), files.origin(release, "a", 2)
    with opened(old):
        with opened(new):
            assert files.log == ["open a", "open a"]
        with opened(new):
            assert files.log == ["open a", "open a"]
    with opened(new):
        assert files.log == ["open a", "open a", "close a"]


def test_few_releases_are_kept_open(files: Files, release: Release) -> None:
    for name in "abcdef":
        with opened(files.origin(release, name)):
            pass
    with opened(files.origin(release, "c")):
        pass
    with opened(files.origin(release, "a")):
        pass
    closed = [entry for entry in files.log if entry.startswith("close")]
    assert closed == ["close a", "close b", "close d"]
