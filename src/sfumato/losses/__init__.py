"""Losses: named terms that never step an optimiser."""
