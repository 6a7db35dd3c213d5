from __future__ import annotations

from pathlib import Path

import pytest

from sfumato.inference import Style, Stylizer
from support import scene


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model, tiny and untrained, exported as any other."""
    import torch  # which the tests of the light install do without

    from sfumato.export.onnx import export_model
    from sfumato.networks.config import ModelConfig
    from sfumato.networks.model import StyleTransferModel

    torch.manual_seed(0)
    config = ModelConfig(widths=(8, 12, 16), blocks=1, texture_size=16, style_size=16)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    export_model(StyleTransferModel(config), folder, "tiny")
    return folder


@pytest.fixture(scope="session")
def stylizer(bundle: Path) -> Stylizer:
    return Stylizer(bundle, threads=1)


@pytest.fixture(scope="session")
def style(stylizer: Stylizer) -> Style:
    """A style of the tiny model."""
    return Style.from_image(scene(90, 80, 5, 0.3), "waves", stylizer)
