"""The networks: modules and nothing else.

This package is not public: its names may change.
"""
