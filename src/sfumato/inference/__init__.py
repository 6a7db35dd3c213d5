"""Inference with exported models through ONNX Runtime; nothing here needs torch.

This package is not public: its names may change.
"""

from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer

__all__ = ["Style", "Stylizer"]
