"""The OmniFold engine and its campaign of replicas.

PyTorch is imported by the engine (`omnifold`, `classifier`, `training`) and inside the worker processes, nowhere else.
"""
