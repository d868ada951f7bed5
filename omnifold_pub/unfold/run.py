"""A campaign and the directory that its trainings are kept in.

::

    RUN/inputs.safetensors                    the samples, as the trainings see them, and the analysis
    RUN/trainings/<family>_NNNN.safetensors   one finished training: weights, networks, losses, seeds
    RUN/lock                                  held while a process works here
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from omnifold_pub.errors import RunError
from omnifold_pub.inputs.analysis import Analysis
from omnifold_pub.unfold import store
from omnifold_pub.unfold.config import CampaignConfig, OmniFoldConfig
from omnifold_pub.unfold.plan import Training, plan_trainings
from omnifold_pub.unfold.preprocessing import Encoding

__all__ = ["Campaign", "inputs_path"]

ENGINE_VERSION = 1
"""Counts changes after which finished trainings would come out different."""


def inputs_path(directory: Path) -> Path:
    """Return the file of the samples and the analysis in a run directory."""
    return directory / "inputs.safetensors"


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
        variations = [entry["name"] for entry in document["inputs"].get("variations", [])]
        return cls(analysis, directory, config, settings, plan_trainings(settings, variations))

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """How the networks see each observable."""
        return tuple(Encoding(observable.encoding, observable.offset) for observable in self.analysis.observables)

    @property
    def luminosity(self) -> float:
        """Integrated luminosity in inverse units of the published weights."""
        luminosity = self.analysis.document["luminosity"]
        per_pb = luminosity["value"] * (1000 if luminosity["unit"] == "fb-1" else 1)
        return float(per_pb / (1000 if self.analysis.document["weight_unit"] == "fb" else 1))

    def fingerprint(self, inputs_digest: str) -> str:
        """Identify everything, other than the training itself, that its weights depend on."""
        parts = {
            "engine": ENGINE_VERSION,
            "inputs": inputs_digest,
            "omnifold": self.config.to_dict(),
            "encodings": [asdict(encoding) for encoding in self.encodings],
            "luminosity": self.luminosity,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def inputs_path(self) -> Path:
        """File of the samples and the analysis."""
        return inputs_path(self.directory)

    @property
    def trainings_folder(self) -> Path:
        """Folder of the finished trainings."""
        return self.directory / "trainings"

    def training_path(self, training: Training) -> Path:
        """File of one training."""
        return self.trainings_folder / f"{training.name}.safetensors"

    def remaining(self, fingerprint: str) -> list[Training]:
        """Return the trainings that are not on disk.

        Raises
        ------
        RunError
            If one on disk is of another campaign: it is never reused and never overwritten.
        """
        return [training for training in self.trainings if not self._finished(training, fingerprint)]

    def _finished(self, training: Training, fingerprint: str) -> bool:
        path = self.training_path(training)
        if not path.exists():
            return False
        header = store.read_header(path)
        if header.get("fingerprint") != fingerprint or header.get("summary", {}).get("training") != asdict(training):
            msg = (
                f"{path}: made with other inputs, settings or seeds than the analysis file asks for now; "
                "choose another run directory, or delete this one"
            )
            raise RunError(msg)
        return True
