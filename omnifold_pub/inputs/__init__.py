"""Inputs: the analysis file and the samples it names."""
