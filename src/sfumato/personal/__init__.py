"""A person's own style: what they like, learnt, and put on their photos.

This package is not public: its names may change.
"""
