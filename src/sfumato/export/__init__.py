"""Export: torch to ONNX, checked before it is kept.

This package is not public: its names may change.
"""
