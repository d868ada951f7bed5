"""Damage a release in thousands of ways, and see that a reader gets the same answer or a refusal, never another one.

Run ``python tests/format/fuzzing.py RELEASE --structure 20000`` for more than the tests do. The reader works in a
process of its own, so that a crash or a hang of it is counted and not suffered.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import hashlib
import json
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from omnifold_pub import open_release
from omnifold_pub.errors import OmnifoldPubError
from omnifold_pub.format.documents import encode_document
from omnifold_pub.format.inspection import inspect
from omnifold_pub.integrity import verify
from omnifold_pub.validate import Report, validate

HANG = 20.0
"""Seconds after which a reader is said to hang."""

KINDS = ("structure", "chunk", "run", "sector", "cut", "forgery")

_SECTOR = 512


@dataclasses.dataclass(frozen=True)
class Damage:
    """What is done to a copy of the file.

    Attributes
    ----------
    kind : str
        "structure" or "chunk": one bit is flipped outside or inside of the chunks; "run": bits within some bytes
        are; "sector": bytes are zeroed; "cut": the file ends there; "forgery": a bit of the metadata is flipped and
        the checksums of their chunk are made to fit.
    offset : int
        Of the byte in the file, or in the metadata.
    bits : bytes
        What the bytes there are combined with by exclusive or.
    """

    kind: str
    offset: int
    bits: bytes = b""

    def apply(self, source: bytes, target: Path) -> None:
        """Write the damaged copy."""
        data = bytearray(source)
        if self.kind == "cut":
            del data[self.offset :]
        elif self.kind == "sector":
            data[self.offset : self.offset + _SECTOR] = bytes(len(data[self.offset : self.offset + _SECTOR]))
        elif self.kind != "forgery":
            for i, bit in enumerate(self.bits):
                data[self.offset + i] ^= bit
        target.write_bytes(data)
        if self.kind == "forgery":
            with h5py.File(target, "r+") as file:
                values = file["metadata"][()]
                values[self.offset] ^= self.bits[0]
                file["metadata"][...] = values


def plan(path: Path, counts: dict[str, int], seed: int) -> list[Damage]:
    """Draw damages: of each kind as many as asked for, spread evenly over the bytes that it can hit."""
    rng = random.Random(seed)  # noqa: S311 - nothing is kept secret here
    size = path.stat().st_size
    inside = np.zeros(size, dtype=bool)
    found = inspect(str(path))
    for entry in found.values():
        for offset, length in entry["places"]:
            inside[offset : offset + length] = True
    places = {"structure": np.flatnonzero(~inside), "chunk": np.flatnonzero(inside)}
    everywhere = {"run": size - 64, "cut": size, "forgery": found["metadata"]["shape"][0]}

    def spread(total: int, number: int) -> Iterator[int]:
        for i in range(number):
            yield min(total - 1, int((i + rng.random()) * total / number))

    damages = []
    for kind, number in counts.items():
        if kind == "sector":
            damages += [Damage(kind, offset) for offset in range(0, size, _SECTOR)]
        elif kind in places:
            for i in spread(len(places[kind]), number):
                damages.append(Damage(kind, int(places[kind][i]), bytes([1 << rng.randrange(8)])))
        else:
            for offset in spread(everywhere[kind], number):
                length = rng.choice([2, 3, 4, 8, 16, 64]) if kind == "run" else 1
                bits = bytes(rng.randrange(256) for _ in range(length)) if kind == "run" else b""
                damages.append(Damage(kind, offset, bits or bytes([1 << rng.randrange(8)])))
    return damages


def answer(path: Path) -> str:
    """Return a digest of all that a reader takes from a release."""
    state = hashlib.sha256()
    with open_release(path) as release:
        state.update(encode_document(release.metadata))
        bins: dict[str, Any] = {
            "x": [-10, -1, 0, 1, 10],
            "y": [0, 10, 40, 1000],
            "z": [0, 0.5, 1],
            "sum": ("x + n", [-10, 2, 4, 50]),
        }
        joint = release.measure(bins, nan="drop")
        for array in (joint.values(), joint.covariance(), joint.effective_events):
            state.update(array.tobytes())
        closure = release.closure("dd", "x", [-10, 0, 10])
        state.update(closure.unfolded.tobytes() + closure.target.tobytes())
        events, weights = release.canvas("other")
        state.update(events["z"].tobytes())
        state.update(weights.tobytes())
        state.update(release.network("tiny"))
        for name, dataset in release.datasets.items():
            state.update(name.encode())
            state.update(dataset.read().data)
    return state.hexdigest()


def outcome(damage: Damage, path: Path, truth: str) -> str:
    """Read a damaged file and say what came of it."""
    started = time.monotonic()
    try:
        if damage.kind == "forgery":
            told = all("digest" in {f.code for f in report.findings} or not report.valid for report in _reports(path))
            result = "found" if told else "not found"
        else:
            result = "same" if answer(path) == truth else "wrong"
    except OmnifoldPubError:
        result = "refused"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        result = f"exception {type(error).__name__}: {error}"[:200]
    return "hang" if time.monotonic() - started > HANG else result


def _reports(path: Path) -> tuple[Report, Report]:
    return validate(path), verify(path)


def work(path: Path, damages: Sequence[Damage], start: int) -> None:
    """Go through the damages and print one outcome a line."""
    source, truth = path.read_bytes(), answer(path)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "damaged.h5"
        for damage in damages[start:]:
            damage.apply(source, target)
            sys.stdout.write(outcome(damage, target, truth) + "\n")
            sys.stdout.flush()


def outcomes(command: list[str], damages: Sequence[Damage]) -> list[str]:
    """Return the outcome of each damage, whatever becomes of the process that reads."""
    done: list[str] = []
    while len(done) < len(damages):
        order = [*command, "--from", str(len(done))]
        with subprocess.Popen(order, stdout=subprocess.PIPE, bufsize=0) as process:
            assert process.stdout is not None
            while len(done) < len(damages):
                if not select.select([process.stdout], [], [], 2 * HANG + 10)[0]:
                    process.kill()
                    done.append("hang")
                    break
                line = process.stdout.readline().decode()  # nothing is buffered: what is left is left to select
                done.append(line.strip() or f"crash {process.wait()}")
                if not line:
                    break
    return done


def main() -> None:
    """Print the counts of outcomes by kind, and each failure, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readers", type=int, default=1, help="processes that read at a time")
    parser.add_argument("--part", type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--from", type=int, dest="start", default=0, help=argparse.SUPPRESS)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0)
    options = parser.parse_args()
    wanted = {kind: getattr(options, kind) for kind in KINDS if getattr(options, kind)}
    damages = plan(options.release, wanted, options.seed)
    parts = [damages[part :: options.readers] for part in range(options.readers)]
    if options.part is not None:
        work(options.release, parts[options.part], options.start)
        return
    commands = [[sys.executable, *sys.argv, "--part", str(part)] for part in range(options.readers)]
    with ThreadPoolExecutor(options.readers) as pool:
        results = list(pool.map(outcomes, commands, parts))
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    failures = []
    for done, here in zip(results, parts, strict=True):
        for damage, result in zip(here, done, strict=True):
            counts[damage.kind][result.split()[0]] += 1
            if result not in {"same", "refused", "found"}:
                failures.append([damage.kind, damage.offset, damage.bits.hex(), result])
    sys.stdout.write(json.dumps({"files": len(damages), "counts": counts, "failures": failures}) + "\n")


if __name__ == "__main__":
    main()
