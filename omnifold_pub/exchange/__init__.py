"""A measurement in the formats of other programs."""
