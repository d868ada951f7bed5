"""Measure how fast OmniFold trains here: against a plain Keras OmniFold, against the machine, and for a campaign.

Usage: ``python scripts/bench_engine.py [--keras-python PYTHON] [--parts compare throughput cuda] [--json FILE]``

Keras and TensorFlow live in an environment of their own; without ``--keras-python`` their rows are left out::

    python3.11 -m venv keras-omnifold
    keras-omnifold/bin/pip install omnifold==0.1.36 tensorflow==2.21.0 keras==3.15.1

Everything is measured in this run, in processes that are loaded and warm before the clock starts; it stops when the
last of those that were started together is done. "Processor" is the time of all threads of one training.

``compare``
    The problem of ``make_toy_unfolding.py``, unfolded by both engines: one training alone, and two at once in one
    thread each (time per training: that of the pair, halved). The Keras OmniFold alone has as many threads as there
    are cores; it runs with the package's own settings and, where ``--keras-tuned`` is given, with ours (batch, learning
    rate, activation). Closure is the triangular discriminator, 1000 * sum (p - q)^2 / (p + q) / 2 over 20 bins that
    each hold q = 1/20 of nature exactly, of each observable; and chi2 = sum (p - q)^2 / (q / N_data + sum w^2 /
    (sum w)^2), which leaves out what the detector costs. "exact" is the simulation reweighted by the known ratio: the
    floor that its number of events sets. All trainings of an engine are averaged. For events that the detector lost,
    the package keeps the previous push (``--efficiency 1``: none is lost).
``throughput``
    The engine's own operations per second over whole fits (shuffling, held-out losses and all), next to what
    `torch.mm` of 2048 x 2048 float32 matrices does, by as many processes.
``cuda``
    One training of the campaign's size, where there is a CUDA device.

What was found is printed by ``engine_tables.py``; ``--json`` keeps it, and is written after each part.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.unfold.config import OmniFoldConfig

HERE = Path(__file__).resolve().parent
CAMPAIGN = 400_000
"""Events of a campaign as large as that of ATLAS (arXiv:2405.20041), simulated and data."""

Found = dict[str, Any]
Array = NDArray[np.float64]


def worker(kind: str, **options: Any) -> list[str]:
    """Return the command of one process of ours."""
    return [sys.executable, str(HERE / "engine_worker.py"), kind, *flags(**options)]


def flags(**options: Any) -> list[str]:
    """Return options as a command line has them; None: left out.

    Examples
    --------
    >>> flags(batch_size=3, hidden=(100, 100), seed=None)
    ['--batch-size', '3', '--hidden', '100', '100']
    """
    given: list[str] = []
    for name, value in options.items():
        if value is not None:
            values = value if isinstance(value, (list, tuple)) else [value]
            given += [f"--{name.replace('_', '-')}", *map(str, values)]
    return given


def together(commands: Sequence[list[str]], *, threads: int = 1) -> tuple[float, list[Found]]:
    """Start processes, let them work at the same time, and return the seconds that it took and what each reports."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryFile("w+") as chatter:
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": chatter, "text": True}
        running: list[Any] = []
        try:
            running += [subprocess.Popen(command, env=environment, **pipes) for command in commands]  # noqa: S603 - ours
            ready = [any(line.strip() == "ready" for line in process.stdout) for process in running]
            for process in running if all(ready) else ():
                process.stdin.write("\n")
                process.stdin.flush()
            answers = [process.communicate()[0] for process in running]
        finally:
            for process in running:
                process.kill()
        if not all(ready) or any(process.returncode for process in running):
            chatter.seek(0)
            msg = f"{' '.join(commands[0])}\nfailed; its last words:\n{chatter.read()[-2000:]}"
            raise SystemExit(msg)
    found = [json.loads(answer.splitlines()[-1]) for answer in answers]
    return max(report["seconds"] for report in found), found


def closure(z: Array, edges: Array, weights: Array, *, n_data: int) -> dict[str, list[float]]:
    """Compare weighted events with bins of which nature fills each alike, for every observable.

    Returns
    -------
    dict
        ``triangular[observable]``, times 1000, and ``chi2[observable]`` per degree of freedom.
    """
    result: dict[str, list[float]] = {"triangular": [], "chi2": []}
    total = weights.sum()
    for x, bins in zip(z.T, edges, strict=True):
        p = np.histogram(x, bins, weights=weights)[0] / total
        variance = np.histogram(x, bins, weights=weights**2)[0] / total**2
        q = 1 / len(p)
        result["triangular"].append(float(500 * np.sum((p - q) ** 2 / (p + q))))
        result["chi2"].append(float(np.sum((p - q) ** 2 / (q / n_data + variance)) / (len(p) - 1)))
    return result


def contestants(arguments: argparse.Namespace) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Yield who is compared: name, command up to its options, and its options."""
    common = {"iterations": arguments.iterations, "epochs": arguments.epochs, "hidden": arguments.hidden}
    ours = {"batch_size": arguments.batch_size, "learning_rate": arguments.learning_rate}
    for precision in arguments.precision:
        own = {"schedule": arguments.schedule, "activation": arguments.activation, "precision": precision}
        yield f"omnifold_pub, {precision}", worker("unfold"), common | ours | own
    if arguments.keras_python:
        theirs = [arguments.keras_python, str(HERE / "keras_omnifold.py")]
        yield "Keras, its settings", theirs, common
        if arguments.keras_tuned:
            ours |= {"activation": arguments.activation}
            default = OmniFoldConfig()
            tuned = {name: getattr(default, name) if value is None else value for name, value in ours.items()}
            yield "Keras, our settings", theirs, common | tuned


def compare(arguments: argparse.Namespace, folder: Path) -> Found:
    """Unfold the same problem with all engines."""
    problem = folder / "problem.npz"
    sizes = {name: getattr(arguments, name) for name in ("events", "observables", "efficiency", "seed")}
    make = [sys.executable, str(HERE / "make_toy_unfolding.py"), str(problem), *flags(**sizes)]
    subprocess.run(make, check=True)  # noqa: S603 - our own script
    with np.load(problem, allow_pickle=False) as arrays:
        z, log_r, edges = (arrays[name] for name in ("z", "log_r", "edges"))
        n_data, n_reco = len(arrays["data"]), int(arrays["pass_reco"].sum())

    def close(weights: Array) -> dict[str, list[float]]:
        return closure(z, edges, weights, n_data=n_data)

    found: Found = {"n_simulated": len(z), "n_reco": n_reco, "n_data": n_data, "engines": {}}
    found |= {"prior": close(np.ones(len(z))), "exact": close(np.exp(log_r))}
    seeds = count(arguments.seed)
    for name, command, options in contestants(arguments):
        is_keras = command[0] == arguments.keras_python
        # Several trainings at once is how a campaign uses the cores; alone, TensorFlow may use them all.
        runs: Found = {"closures": []}
        for label, processes in (("alone", 1), ("pair", 2)):
            threads = arguments.cores if is_keras and processes == 1 else 1
            outputs = [folder / f"{len(found['engines'])}-{label}-{i}.npy" for i in range(processes)]
            files = [[str(problem), str(push)] if is_keras else flags(file=problem, push=push) for push in outputs]
            seeded = [flags(**options, threads=threads, seed=next(seeds)) for _ in outputs]
            commands = [[*command, *file, *rest] for file, rest in zip(files, seeded, strict=True)]
            load = os.getloadavg()[0]
            seconds, reports = together(commands, threads=threads)
            runs[label] = {"seconds": seconds / processes, "load": load, "threads": threads, "reports": reports}
            runs["closures"] += [close(np.load(push, allow_pickle=False)) for push in outputs]
        found["engines"][name] = runs
    return found


def throughput(arguments: argparse.Namespace, folder: Path) -> list[Found]:
    """Measure the engine's operations per second, and what there is to be had; nothing is written to the folder."""
    del folder
    rows: list[Found] = []
    for processes in (1, 2):
        for precision in arguments.precision:
            _, reports = together([worker("multiply", precision=precision)] * processes)
            speed = sum(report["flops"] / report["seconds"] for report in reports) / 1e9
            rows.append({"what": "torch.mm", "precision": precision, "processes": processes, "gflops": speed})
    ceiling = {row["processes"]: row["gflops"] for row in rows if row["precision"] == "float32"}
    for precision in arguments.precision:
        for batch in arguments.batches:
            for processes in (1, 2):
                options = {"rows": arguments.rows, "epochs": arguments.fit_epochs, "hidden": arguments.hidden}
                options |= {"features": arguments.observables, "activation": arguments.activation}
                fit = worker("fit", batch_size=batch, precision=precision, **options)
                _, reports = together([fit] * processes)
                speed = sum(report["flops"] / report["seconds"] for report in reports) / 1e9
                row = {"what": "training", "precision": precision, "processes": processes, "batch": batch}
                row |= {"rows": sum(report["rows"] / report["seconds"] for report in reports), "gflops": speed}
                rows.append(row | {"percent": 100 * speed / ceiling[processes]} if ceiling else row)
    return rows


def cuda(arguments: argparse.Namespace, folder: Path) -> list[Found]:
    """Measure trainings of the campaign's size on a CUDA device."""
    import torch

    if not torch.cuda.is_available():
        return []
    problem = folder / "campaign.npz"
    sizes = flags(events=CAMPAIGN, observables=arguments.observables, efficiency=1)
    make = [sys.executable, str(HERE / "make_toy_unfolding.py"), str(problem), *sizes]
    subprocess.run(make, check=True)  # noqa: S603 - our own script
    found = []
    for batch in arguments.cuda_batches:
        for processes in arguments.cuda_processes:
            part = {"iterations": 1, "epochs": arguments.epochs, "batch_size": batch, "hidden": arguments.hidden}
            seconds, reports = together([worker("unfold", file=problem, device="cuda", **part)] * processes)
            rows = sum(report["rows"] for report in reports)
            row = {"device": torch.cuda.get_device_name(), "batch": batch, "processes": processes}
            found.append(row | {"epochs": arguments.epochs, "seconds": seconds, "rows": rows})
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("compare", "throughput", "cuda"), default=None)
    parser.add_argument("--keras-python", help="interpreter of the environment that has Keras and pip omnifold")
    parser.add_argument("--keras-tuned", action="store_true", help="Keras with our batch and learning rate too")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--observables", type=int, default=24)
    parser.add_argument("--efficiency", type=float, default=0.9)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--hidden", type=int, nargs="+", default=[100, 100, 100])
    parser.add_argument("--batch-size", type=int, help="default: the package's")
    parser.add_argument("--learning-rate", type=float, help="default: the package's")
    parser.add_argument("--schedule", choices=("constant", "cosine"), help="default: the package's")
    parser.add_argument("--activation", choices=("relu", "silu"), help="default: the package's")
    parser.add_argument("--precision", nargs="+", choices=("float32", "bfloat16"), default=["float32"])
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192], help="throughput")
    parser.add_argument("--rows", type=int, default=200_000, help="throughput: of each fit")
    parser.add_argument("--fit-epochs", type=int, default=10, help="throughput: of each fit")
    parser.add_argument("--cuda-batches", type=int, nargs="+", default=[1024, 8192])
    parser.add_argument("--cuda-processes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to write; what was written is removed")
    parser.add_argument("--json", type=Path, help="write all that was found here too")
    arguments = parser.parse_args()
    work: dict[str, Callable[[argparse.Namespace, Path], Any]]
    work = {"compare": compare, "throughput": throughput, "cuda": cuda}
    parts = [part for part in work if arguments.parts is None or part in arguments.parts]
    arguments.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{platform.machine()}, {arguments.cores} cores, Python {platform.python_version()}"
    found: Found = {"machine": f"{machine}, load {os.getloadavg()[0]:.1f} before"}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        file = arguments.json or folder / "found.json"
        for part in parts:
            found[part] = work[part](arguments, folder)
            file.write_text(json.dumps(found, indent=1) + "\n")
        tables = [sys.executable, str(HERE / "engine_tables.py"), str(file)]
        subprocess.run(tables, check=True)  # noqa: S603 - our own script


if __name__ == "__main__":
    main()
