"""Worker processes: each works through trainings, one at a time, in one thread."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process

from omnifold_pub.errors import TrainingError
from omnifold_pub.unfold import store
from omnifold_pub.unfold.plan import Training
from omnifold_pub.unfold.run import Campaign
from omnifold_pub.unfold.samples import read_sample

__all__ = ["available_cores", "run_trainings"]


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _die_with_parent() -> None:
    """End a worker whose parent was killed: it would go on training for nobody."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start_worker() -> None:
    _die_with_parent()
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))  # Ctrl-C: nothing to save, and no traceback from each worker
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)


def _work(training: Training, campaign: Campaign, fingerprint: str) -> None:
    """Do one training and store it."""
    from omnifold_pub.unfold.training import train

    simulation, data = read_sample(campaign.inputs_path, training.variation)
    try:
        trained = train(
            training,
            simulation,
            data,
            config=campaign.config,
            encodings=campaign.encodings,
            luminosity=campaign.luminosity,
        )
    except TrainingError as error:
        msg = f"training {training.name}: {error}"
        raise TrainingError(msg) from error
    arrays = {"weight": trained.weight} | {f"networks/{name}": values for name, values in trained.networks.items()}
    header = {"fingerprint": fingerprint, "summary": trained.summary}
    store.write_arrays(campaign.training_path(training), arrays, header)


def run_trainings(
    trainings: Sequence[Training],
    campaign: Campaign,
    fingerprint: str,
    *,
    workers: int,
    on_finished: Callable[[], None],
) -> None:
    """Do trainings and store them.

    After an error the trainings under way are ended and stored, no more are started, and the error is raised.

    Raises
    ------
    TrainingError
        If a training fails, or a worker is killed.
    """
    # Threads do not survive a fork, and numpy may hold some: workers start from scratch.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        pending: set[Future[None]] = {pool.submit(_work, training, campaign, fingerprint) for training in trainings}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    on_finished()
        except BrokenProcessPool as error:
            msg = (
                "a worker process died (killed, or out of memory); finished trainings are kept: "
                "run the same command again, with fewer workers if memory is short"
            )
            raise TrainingError(msg) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
