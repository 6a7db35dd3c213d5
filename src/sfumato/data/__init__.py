"""Training data: folders of pictures, and batches determined by seed and step.

This package is not public: its names may change.
"""
