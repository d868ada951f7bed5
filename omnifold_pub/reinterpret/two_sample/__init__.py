"""Distances between two weighted samples of events, without bins: of an unfolding and its truth, or a theory."""
