"""Data: folders of pictures to batches, keyed by seed and step.

This package is not public: its names may change.
"""
