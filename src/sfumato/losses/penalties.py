"""Gradient penalties on the discriminator, which keep adversarial training from oscillating."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfumato.networks.layers import full_precision


def gradient_penalty(discriminator: nn.Module, pictures: Tensor, code: Tensor | None = None) -> Tensor:
    """Return E‖∂D(x)/∂x‖², a differentiable scalar ≥ 0: R1 on real pictures, R2 on generated ones.

    The penalty is zero-centred (Mescheder et al. 2018, section 4.1), without their factor γ/2. D(x) is the mean of a
    picture's logits over patches and scales: with the sum, γ would depend on the number of patches in a crop. Callers
    apply it lazily (Karras et al. 2020, appendix B): every k-th step adds it times γ/2 · k, on average γ/2 a step. The
    gradient is computed in float32 inside autocast too.

    Args:
        discriminator: maps pictures, and `code` unless that is None, to logit maps.
        pictures: (B, 3, H, W).
        code: style codes (B, D); None for an unconditional discriminator.
    """
    with full_precision(pictures), torch.enable_grad():
        # Detached: the penalty trains the discriminator, not the generator.
        x = pictures.detach().to(torch.promote_types(pictures.dtype, torch.float32)).requires_grad_()
        logits = discriminator(x) if code is None else discriminator(x, code.detach().to(x.dtype))
        # Samples are independent, so row i of the gradient of the sum is sample i's own gradient.
        verdicts = torch.stack([scale.flatten(1).mean(1) for scale in logits]).mean(0)
        (slope,) = torch.autograd.grad(verdicts.sum(), x, create_graph=True)
        return slope.square().sum((1, 2, 3)).mean()
