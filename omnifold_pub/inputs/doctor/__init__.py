"""The input doctor: what is wrong with the inputs, or worth knowing, before anything is trained."""

from __future__ import annotations

from omnifold_pub.inputs.doctor.examination import INPUT_CHECKS, check_inputs
from omnifold_pub.inputs.doctor.findings import Finding, InputReport, Level

__all__ = ["INPUT_CHECKS", "Finding", "InputReport", "Level", "check_inputs"]
