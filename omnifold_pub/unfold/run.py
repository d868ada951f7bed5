"""A campaign and the directory that its trainings are kept in.

::

    RUN/inputs.safetensors            the samples, as the trainings see them, and the analysis
    RUN/warm.safetensors              networks that the trainings start from, if they do
    RUN/trainings/<name>.safetensors  one finished training: weights, networks, losses, seeds, checksums
    RUN/trainings/<name>.damaged      one whose checksums were wrong; it was made anew
    RUN/lock                          held while a process works here

What is under way and what failed is beside them, see `omnifold_pub.unfold.records`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from omnifold_pub.errors import RunError
from omnifold_pub.files import sha256_of
from omnifold_pub.inputs.analysis import Analysis, luminosity_of
from omnifold_pub.observables.momenta import momenta_of
from omnifold_pub.unfold import store
from omnifold_pub.unfold.config import CampaignConfig, OmniFoldConfig
from omnifold_pub.unfold.job import Device, Files, Job
from omnifold_pub.unfold.plan import Training, plan_trainings
from omnifold_pub.unfold.preprocessing import Encoding, Pair, pairs_of

__all__ = ["Campaign", "inputs_path", "lock_path"]

ENGINE_VERSION = 3
"""Counts changes after which finished trainings would come out different."""


def inputs_path(directory: Path) -> Path:
    """Return the file of the samples and the analysis in a run directory."""
    return directory / "inputs.safetensors"


def lock_path(directory: Path) -> Path:
    """Return the file of a run directory that is locked while a process works there."""
    return directory / "lock"


@dataclass(frozen=True)
class Campaign:
    """An analysis, what it asks for, and where its run is kept.

    Attributes
    ----------
    analysis : Analysis
        The analysis file.
    directory : pathlib.Path
        Run directory.
    config : OmniFoldConfig
        Settings of each training.
    settings : CampaignConfig
        How many trainings of each family.
    trainings : list of Training
        All of them.
    """

    analysis: Analysis
    directory: Path
    config: OmniFoldConfig
    settings: CampaignConfig
    trainings: list[Training]

    @classmethod
    def of(cls, analysis: Analysis, directory: Path) -> Self:
        """Read the settings out of an analysis."""
        document = analysis.document
        config = OmniFoldConfig.from_dict(document.get("omnifold", {}))
        settings = CampaignConfig(**document.get("campaign", {}))
        return cls(analysis, directory, config, settings, plan_trainings(settings, document["inputs"]))

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """How the networks see each observable."""
        return tuple(Encoding(observable.encoding, observable.offset) for observable in self.analysis.observables)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs of objects that they see beside the observables, if they are to."""
        return pairs_of(list(momenta_of(self.analysis.document).values())) if self.config.pair_features else ()

    @property
    def luminosity(self) -> float:
        """Integrated luminosity in inverse units of the published weights."""
        return luminosity_of(self.analysis.document)

    def fingerprint(self, inputs_digest: str) -> str:
        """Identify everything, other than the training itself, that its weights depend on.

        Networks to start from count too, if the run directory has them.
        """
        parts = {
            "engine": ENGINE_VERSION,
            "inputs": inputs_digest,
            "omnifold": self.config.to_dict(),
            "encodings": [asdict(encoding) for encoding in self.encodings],
            "pairs": [asdict(pair) for pair in self.pairs],
            "luminosity": self.luminosity,
        }
        if self.warm is not None:
            parts["warm"] = sha256_of(self.warm)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def inputs_path(self) -> Path:
        """File of the samples and the analysis."""
        return inputs_path(self.directory)

    @property
    def warm_path(self) -> Path:
        """File of the networks that the trainings start from, if they do."""
        return self.directory / "warm.safetensors"

    @property
    def warm(self) -> Path | None:
        """That file, if it is there."""
        return self.warm_path if self.warm_path.exists() else None

    @property
    def trainings_folder(self) -> Path:
        """Folder of the finished trainings."""
        return self.directory / "trainings"

    def training_path(self, training: Training) -> Path:
        """File of one training."""
        return self._path(training.name)

    def files(self, training: Training) -> Files:
        """Return what a training reads."""
        return Files(self.inputs_path, tuple(map(self._path, training.after)), self.warm)

    def job(self, fingerprint: str, device: Device) -> Job:
        """Return what all trainings have in common."""
        return Job(self.config, self.encodings, self.pairs, self.luminosity, fingerprint, device)

    def _path(self, name: str) -> Path:
        return self.trainings_folder / f"{name}.safetensors"

    def remaining(self, fingerprint: str) -> list[Training]:
        """Return the trainings that are not on disk, having checked those that are.

        Raises
        ------
        RunError
            If one on disk is damaged, or of another campaign: it is never reused and never overwritten.
        """
        return [training for training in self.trainings if not self._finished(training, fingerprint)]

    def set_damaged_aside(self) -> list[Path]:
        """Rename the files of finished trainings whose checksums are wrong; return their new paths.

        They will be made anew.
        """
        aside = []
        for training in self.trainings:
            path = self.training_path(training)
            if path.exists():
                try:
                    store.check_content(path)
                except RunError:
                    aside.append(path.rename(path.with_suffix(".damaged")))
        return aside

    def _finished(self, training: Training, fingerprint: str) -> bool:
        path = self.training_path(training)
        if not path.exists():
            return False
        store.check_content(path)
        header = store.read_header(path)
        found = header["summary"]["training"]
        if header["fingerprint"] != fingerprint or found != training.to_dict():
            msg = (
                f"{path}: made with other inputs, settings or seeds{self._warm_hint} than the analysis file asks for "
                "now; choose another run directory, or delete this one"
            )
            raise RunError(msg)
        return True

    @property
    def _warm_hint(self) -> str:
        return " (or networks to start from)" if self.warm is not None else ""
