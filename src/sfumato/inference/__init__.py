"""Pictures through ONNX Runtime: no torch."""

from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer

__all__ = ["Style", "Stylizer"]
