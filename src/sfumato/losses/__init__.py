"""Losses: named terms that never step an optimiser.

This package is not public: its names may change.
"""
