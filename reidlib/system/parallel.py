"""One run on several devices: the processes of a torchrun job train each batch together.

One machine, one process for each GPU (on CPUs: any number, each with some of the cores)::

    torchrun --nproc-per-node 8 -m reidlib train recipe.json

Several machines: the same line on each of them, with where they meet. The run store must be a
folder that all of them see::

    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint first-host:29400 \\
        -m reidlib train recipe.json

A notebook does not start this itself: a kernel is one process, and its CUDA context does not
survive a fork. It finds the run in the store afterwards, as any other.

What is minimised is the mean over the processes of what ``model.loss`` returns on their rows, and
it equals the loss of one process on the whole batch:

* a mean over rows (cross entropy) is the mean over processes, since all have equally many rows;
* a loss that compares rows with each other (triplets) takes those of all processes by ``gather``;
* batch norm takes its statistics over the rows of all processes.

What a model draws itself (dropout) is drawn anew in every process, so it is not that of one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from reidlib.errors import ReidError


def processes() -> int:
    """How many processes train together; 1 without torchrun."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among them. Process 0 leads: it alone writes to the run store."""
    return dist.get_rank() if processes() > 1 else 0


@contextmanager
def joined(cuda: bool) -> Iterator[None]:
    """The block runs as one of torchrun's processes, each on a GPU of its own if ``cuda``.

    Does nothing in a process that torchrun did not start. A block that fails leaves the others
    waiting: let the process end, then torchrun ends them. Raises ReidError if there are more
    processes than GPUs.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if cuda and local >= there:
        raise ReidError(
            f"torchrun started more processes than this machine has GPUs ({there}): lower "
            "--nproc-per-node, or train with --device cpu"
        )
    if cuda:
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    yield
    dist.destroy_process_group()


def rows(n: int) -> slice:
    """The rows of a batch of ``n`` that are this process's. Raises ReidError for unequal shares."""
    share, rest = divmod(n, processes())
    if rest:
        raise ReidError(
            f"a batch of {n} images cannot be shared out evenly among {processes()} processes: "
            "change --nproc-per-node"
        )
    return slice(rank() * share, (rank() + 1) * share)


def gather(x: Tensor) -> Tensor:
    """[n, ...] of every process as [processes * n, ...], in their order; x itself without others.

    Gradients flow back to the process where a row comes from, from all processes: all must call it
    equally often, with equal shapes.
    """
    if processes() == 1:
        return x
    gathered: Tensor = _Gather.apply(x)
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.rows = slice(rank() * len(x), (rank() + 1) * len(x))
        parts = [torch.empty_like(x) for _ in range(processes())]
        dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.rows]


def mean(x: Tensor) -> Tensor:
    """The mean of a tensor over the processes, without gradients."""
    if processes() == 1:
        return x
    total = x.detach().clone()
    dist.all_reduce(total)
    return total / processes()


def agreed(answer: bool) -> bool:
    """What process 0 answers; the others wait for it."""
    if processes() == 1:
        return answer
    value = torch.tensor(int(answer))
    dist.broadcast(value, 0)
    return bool(value)


class _Loss(nn.Module):
    """A model whose ``forward`` is its loss, as DistributedDataParallel wants it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any) -> dict[str, Tensor]:
        losses = self.model.loss(batch)
        return {k: v if k == "loss" else v.detach() for k, v in losses.items()}


def shared_loss(model: Any) -> Callable[[Any], dict[str, Tensor]]:
    """``model.loss``, whose backward pass leaves the gradients' mean over all processes."""
    if processes() == 1:
        loss: Callable[[Any], dict[str, Tensor]] = model.loss
        return loss
    # a parameter that a step does not use gets no gradient, as in one process (torch warns that
    # looking for them costs a little time, if there are none)
    return DistributedDataParallel(_Loss(model), find_unused_parameters=True)


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
