"""The networks: torch modules, without losses, optimisers or files.

This package is not public: its names may change.
"""
