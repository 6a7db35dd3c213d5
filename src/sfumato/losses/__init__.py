"""Loss terms and their weighted sum; nothing here steps an optimiser.

This package is not public: its names may change.
"""
