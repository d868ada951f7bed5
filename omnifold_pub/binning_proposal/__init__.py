"""Bins that the publisher of a release vouches for, proposed."""
