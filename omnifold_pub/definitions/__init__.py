"""Fiducial definitions as code: from the particles of an event to the columns of a release."""

from omnifold_pub.definitions.definition import (
    FiducialColumns,
    FiducialDefinition,
    definition_of,
    find_definition,
    known_definitions,
)
from omnifold_pub.definitions.particles import Particles

__all__ = [
    "FiducialColumns",
    "FiducialDefinition",
    "Particles",
    "definition_of",
    "find_definition",
    "known_definitions",
]
