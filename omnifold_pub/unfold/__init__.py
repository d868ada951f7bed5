"""The OmniFold engine and its campaign of replicas.

Only `omnifold_pub.unfold.omnifold` and `omnifold_pub.unfold.classifier` import PyTorch.
"""
