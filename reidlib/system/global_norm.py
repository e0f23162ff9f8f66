"""Batch norm whose statistics are those of the whole batch, when several processes share it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reidlib.system.distributed import gather, processes


class GlobalBatchNorm(_BatchNorm):
    """Batch norm over the rows of all processes, for [n, C, ...] with any n, also unequal ones.

    ``nn.SyncBatchNorm`` does the same on CUDA, and on CUDA alone.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input if input.dtype == torch.float64 else input.float()
        channels = x.transpose(0, 1).flatten(1)  # [C, m]
        variance, mean = torch.var_mean(channels, 1, correction=0)
        own = torch.cat([mean, variance, mean.new_tensor([channels.shape[1]])])
        parts = gather(own.unsqueeze(0)).split([len(mean), len(mean), 1], 1)
        means, variances, counts = parts  # [processes, C], [processes, C], [processes, 1]
        counts = counts.detach()
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        variance = (counts * (variances + (means - mean).square())).sum(0) / total
        self._track(mean.detach(), variance.detach() * total / (total - 1))
        shape = (-1, *[1] * (x.ndim - 2))
        y = (x - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Moves the running statistics, which evaluation uses."""
        if not self.track_running_stats:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        for running, value in ((self.running_mean, mean), (self.running_var, variance)):
            assert running is not None
            running.lerp_(value.to(running.dtype), share)


def with_global_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` itself, with batch norm over all processes; its state keeps names and order."""
    if processes() == 1:
        return model
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return converted
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = GlobalBatchNorm  # it holds the same things: only forward differs
    return model
