"""Unfold a file of ``make_toy_unfolding.py`` with the OmniFold of the package index, in an environment of its own.

It is run by ``bench_engine.py``, with the interpreter of that environment. Nothing of the package is changed: its
settings are its own unless given here. Current Keras clones a model through its configuration and finds the package's
loss function there, which it does not know; it is registered from here.

It prints ``ready`` when all is loaded, waits for a line on its input, unfolds, and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import inspect
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def unfold(arguments: argparse.Namespace) -> dict[str, Any]:
    """Unfold, and say how long it took."""
    # Type checkers run in the environment of omnifold_pub, where none of these is.
    tensorflow, keras, omnifold, net = map(importlib.import_module, ("tensorflow", "keras", "omnifold", "omnifold.net"))
    tensorflow.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    keras.saving.register_keras_serializable(package="omnifold")(net.weighted_binary_crossentropy)
    keras.utils.set_random_seed(arguments.seed)
    with np.load(arguments.file, allow_pickle=False) as arrays:
        truth, reco, pass_reco, data = (arrays[name] for name in ("truth", "reco", "pass_reco", "data"))
    model = {"layer_sizes": list(arguments.hidden)} | (
        {"activation": arguments.activation} if arguments.activation else {}
    )
    fit = {"batch_size": arguments.batch_size, "lr": arguments.learning_rate}
    fit = {name: value for name, value in fit.items() if value is not None}
    default = inspect.signature(omnifold.MultiFold).parameters["batch_size"].default
    batch = arguments.batch_size or default
    if (len(truth) + len(data)) // batch * batch // 5 < batch:
        # The package repeats its held-out fifth for ever, and Keras takes no step at all for no limit.
        sys.exit(f"{len(truth)} events are too few for batches of {batch}: the package would never stop validating")
    print("ready", file=sys.__stdout__, flush=True)
    sys.stdin.readline()
    start, processor = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        engine = omnifold.MultiFold(
            "toy",
            omnifold.MLP(truth.shape[1], **model),
            omnifold.MLP(truth.shape[1], **model),
            omnifold.DataLoader(reco=data, normalize=True),
            omnifold.DataLoader(reco=reco, pass_reco=pass_reco, gen=truth, normalize=True),
            weights_folder=folder,
            log_folder=folder,
            niter=arguments.iterations,
            epochs=arguments.epochs,
            **fit,
        )
        engine.Unfold()
        engine.log_file.close()
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    np.save(arguments.push, np.asarray(engine.weights_push, dtype=np.float64))
    versions = {name: importlib.metadata.version(name) for name in ("omnifold", "tensorflow", "keras")}
    used = {"batch_size": engine.BATCH_SIZE, "learning_rate": engine.LR}
    used["activation"] = engine.model1.layers[1].activation.__name__
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "processor": processor, "peak_mib": peak, "versions": versions, "settings": used}


def main() -> None:
    """Unfold, with all chatter on the error stream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("push", type=Path, help=".npy file to write push[event] to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--hidden", type=int, nargs="+", default=[100, 100, 100])
    parser.add_argument("--activation", help="default: the package's")
    parser.add_argument("--batch-size", type=int, help="default: the package's")
    parser.add_argument("--learning-rate", type=float, help="default: the package's")
    arguments = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):
        found = unfold(arguments)
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
