"""Export of models from torch to ONNX, with a check that both compute the same.

This package is not public: its names may change.
"""
