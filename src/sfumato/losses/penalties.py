"""Penalties on the discriminator's slope, which keep adversarial training from circling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfumato.networks.layers import full_precision


def gradient_penalty(discriminator: nn.Module, pictures: Tensor, code: Tensor | None = None) -> Tensor:
    """E‖∂D(x)/∂x‖², a scalar ≥ 0 that can be descended: R1 on real pictures, R2 on generated ones.

    Zero-centred (Mescheder et al. 2018, section 4.1), without their factor γ/2. D(x) is the mean of a picture's logits
    over patches and scales: with the sum, γ would depend on how many patches a crop has. Pictures are (B, 3, H, W);
    without `code` (B, D) the discriminator is called with pictures alone.

    Lazily (Karras et al. 2020, appendix B), every k-th step adds γ/2 · k times this, which is γ/2 a step on average.

    The slope is taken in float32 inside autocast too.
    """
    with full_precision(pictures), torch.enable_grad():
        # Detached: the penalty is the discriminator's and not the generator's.
        x = pictures.detach().to(torch.promote_types(pictures.dtype, torch.float32)).requires_grad_()
        logits = discriminator(x) if code is None else discriminator(x, code.detach().to(x.dtype))
        # Pictures do not see each other, so the gradient of their sum has each one's own in its row.
        verdicts = torch.stack([scale.flatten(1).mean(1) for scale in logits]).mean(0)
        (slope,) = torch.autograd.grad(verdicts.sum(), x, create_graph=True)
        return slope.square().sum((1, 2, 3)).mean()
