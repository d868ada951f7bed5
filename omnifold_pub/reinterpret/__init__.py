"""Confront a theory with a measurement."""
