"""The work of one process of a launch."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed as dist
from torch import nn
from torch.distributions import Normal, constraints

import aaeframe
from aaeframe import cli, processes, version
from aaeframe.assembly.training import prepare
from aaeframe.cli import summary
from aaeframe.components.registry import Registry
from aaeframe.configuration.compose import without_none
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.errors import AaeframeError, ConfigError, DataError, MissingName
from aaeframe.processes import launcher
from aaeframe.runs.objects import read_parts
from aaeframe.seeds import stream
from aaeframe.training.loop import Training
from aaeframe.training.loss_log import LossLog

torch.set_num_threads(1)
LABELS = np.arange(300) % 10
ROWS = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32) + LABELS[:, None]
EQUAL = np.where(np.arange(300)[:, None] < 290, 0, ROWS)
IMAGES = np.random.default_rng(1).integers(0, 256, size=(300, 8, 8), dtype=np.uint8)
SMALL = {"network": "mlp(hidden=[16])", "discriminator": "mlp(hidden=[8])"}
STEPS = 20


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """A digest of the bits of all tensors."""
    found = hashlib.sha256()
    for name, it in sorted(tensors.items()):
        found.update(name.encode() + it.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


class Learned(nn.Module):
    """A Gaussian that is trained to have the codes' density."""

    event_shape, support = torch.Size([2]), constraints.independent(constraints.real, 1)

    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.full((2,), 3.0))
        self.norm = nn.BatchNorm1d(2, affine=False)  # its running variance depends on the number of rows

    def sample(self, sample_shape=torch.Size()):
        return (self.loc + torch.randn(*sample_shape, 2)).detach()

    def loss(self, code):
        self.norm(code)
        return (code.mean(0) - self.loc).square().sum()


class Normed(nn.Sequential):
    """A discriminator with batch norm, whose gradient penalty needs the second derivative of batch norm."""

    def __init__(self, block, num_classes):
        size = block.event_shape.numel()
        super().__init__(nn.Linear(size, 8), nn.BatchNorm1d(8), nn.Softplus(), nn.Linear(8, 1))

    def forward(self, z, labels=None):
        return super().forward(z.flatten(1)).squeeze(1)


class Mixing(nn.Module):
    """A discriminator that subtracts the mean of the minibatch."""

    def __init__(self, block, num_classes):
        super().__init__()
        self.layer = nn.Linear(block.event_shape.numel(), 1)

    def forward(self, z, labels=None):
        z = z.flatten(1)
        return self.layer(z - z.mean(0)).squeeze(1)


class Counting(nn.Module):
    """A discriminator that keeps a mean of what it sees."""

    def __init__(self, block, num_classes):
        super().__init__()
        self.layer = nn.Linear(block.event_shape.numel(), 1)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, z, labels=None):
        if self.training:
            self.seen.lerp_(z.detach().mean(), 0.1)
        return self.layer(z.flatten(1)).squeeze(1)


def steps(table: dict[str, Any], folder: str, *, images: bool = False, **objects: Any) -> dict[str, Any]:
    """Train without noise: the gradients of one step at a rate of 0 by phase, and the weights after 20 steps.

    Both are written to a file of this process; the digests of the weights are returned.
    """
    Normal.rsample = lambda self, sample_shape=torch.Size(): self.loc  # for encoders that draw
    with processes.joined("test"):
        resolved = resolve(*_with_objects(table, **objects))
        training = prepare(resolved, from_arrays(IMAGES if images else ROWS, LABELS))
        training.model.train()
        gradients: dict[str, torch.Tensor] = {}
        with stream(0, "training"), processes.synchronized(training.model):
            with _counted() as moved:
                _at_rest(training, gradients)
            for _ in range(STEPS):
                training._step()
            training.losses.collect()
        weights = dict(training.model.state_dict())
        if training.average is not None:
            weights |= {f"ema.{name}": it for name, it in training.average.model.state_dict().items()}
        losses = training.losses.means()
        rank = processes.rank()
    torch.save({"gradients": gradients, "weights": weights, "losses": losses}, Path(folder) / f"{rank}.pt")
    trained = [it for optimizer in training.optimizers.values() for it in optimizer.param_groups[0]["params"]]
    sizes = {"moved": sum(moved), "expected": sum(4 * it.numel() for it in trained)}
    return {"weights": digest(weights), "gradients": digest(gradients), **sizes}


@contextlib.contextmanager
def _counted():
    """The bytes that this process gives to each sum over processes."""
    moved, reduce = [], dist.all_reduce

    def counted(tensor, *arguments):
        moved.append(tensor.nbytes)
        return reduce(tensor, *arguments)

    dist.all_reduce = counted
    try:
        yield moved
    finally:
        dist.all_reduce = reduce


def _with_objects(table, *, learned=False, normed=False):
    """The configuration, the registry and the objects of a run; the prior or the discriminator may be from Python."""
    nothing = dict.fromkeys(("encoder", "network", "recipe"))
    parts = read_parts(prior=Learned() if learned else None, discriminator=Normed if normed else None, **nothing)
    return parts.complete(parse({**table, **without_none(parts.table)})), Registry.load(), parts.objects


def _at_rest(training: Training, gradients: dict[str, torch.Tensor]) -> None:
    """One step at a rate of 0, so that every phase begins at the same weights."""
    handles, rates = [], {}
    for phase, optimizer in training.optimizers.items():

        def keep(it, *_, phase=phase):
            gradients[phase] = torch.cat(
                [one.grad.flatten() for one in it.param_groups[0]["params"] if one.grad is not None]
            )

        handles.append(optimizer.register_step_pre_hook(keep))
        rates[phase] = optimizer.param_groups[0]["lr"]
        optimizer.param_groups[0]["lr"] = 0.0
    buffers = {name: it.clone() for name, it in training.model.named_buffers()}
    training.recipe.step(training.batches.next())
    training.batches.load_state_dict({"epoch": 0, "position": 0})
    for handle in handles:
        handle.remove()
    for phase, optimizer in training.optimizers.items():
        optimizer.param_groups[0]["lr"] = rates[phase]
        optimizer.state.clear()
    for name, it in training.model.named_buffers():
        it.copy_(buffers[name])


def several_steps(cases: dict[str, dict[str, Any]], folder: str) -> dict[str, dict[str, Any]]:
    """The work of `steps` for several cases in turn."""
    found = {}
    for name, case in cases.items():
        place = Path(folder) / name
        place.mkdir(parents=True, exist_ok=True)
        found[name] = steps(**{**case, "folder": str(place)})
    return found


def trained(cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Train runs in memory, with noise and all: the digest of the weights by case, and the metrics."""
    found = {}
    for name, table in cases.items():
        run = aaeframe.train((ROWS, LABELS), config=table, keep=False)
        rows = [
            {key: it for key, it in row.items() if key not in ("seconds", "steps_per_second")} for row in run.metrics
        ]
        found[name] = [digest(run.model.state_dict()), rows]
    return found


def exchanged() -> dict[str, Any]:
    """Results of the exchanges between three processes or more."""
    with processes.joined("test"):
        rank, size = processes.rank(), processes.size()
        rows = torch.arange(14.0).view(7, 2)
        own = rows[processes.share(7)]
        even = torch.full((2, 1), float(rank + 1), requires_grad=True)
        # The loss of each process is its number times the sum of squares of the rows of all.
        (rank * processes.gathered(even).square().sum()).backward()
        mean = torch.tensor([float(rank)], requires_grad=True)
        (rank * processes.averaged(mean)).backward()
        found = {
            "rows": processes.gathered(own, 7).tolist(),
            "gathered gradient": even.grad.flatten().tolist(),
            "averaged": float(processes.averaged(mean)),
            "averaged gradient": float(mean.grad),
            "agreed": processes.agree(rank, -rank),
            "first": processes.first(lambda: {"rank": processes.rank(), "text": "é ü"}),
            "together": processes.together(lambda: rank),
            "size": size,
        }
        for name, work in {
            "one fails": lambda: _fail(DataError("no rows") if rank == 1 else None),
            "all fail": lambda: _fail(ConfigError("no")),
            "unknown": lambda: _fail(KeyError("lost") if rank == 2 else None),
            "special": lambda: _fail(MissingName("no column", "--label-key", "y") if rank == 1 else None),
        }.items():
            found[name] = _told(lambda work=work: processes.together(work))
        found["first fails"] = _told(lambda: processes.first(lambda: _fail(DataError("full"))))
        found["same"] = _told(lambda: processes.require_same("facts", {"a": {"b": rank // 2}, "c": 1}))
        weights = {"first": torch.zeros(3), "second": torch.full((), float(rank == 1)), "third": torch.ones(2) * rank}
        found["losses"] = [_logged(parts) for parts in ([50], [17, 33])]
        found["tensors"] = _told(lambda: processes.require_same_tensors(9, weights))
    found["after"] = [processes.rank(), processes.size()]
    return found


def _logged(parts: list[int]) -> list[str]:
    """The bits of the sums of 50 steps of losses, which are read in so many parts."""
    numbers = np.random.default_rng(processes.rank()).normal(size=(50, 7))
    log, step = LossLog(), 0
    for part in parts:
        for _ in range(part):
            log.add(step, {f"loss/{name}": torch.tensor(it) for name, it in enumerate(numbers[step])})
            step += 1
        log.collect()
    return [it.hex() for it in log.means().values()]


def _fail(error: Exception | None) -> None:
    if error is not None:
        raise error


def _told(work: Callable[[], Any]) -> list[str]:
    try:
        work()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return []


def refused(tables: dict[str, Any]) -> dict[str, list[str]]:
    """The class and the message of the error of each training."""
    found = {}
    for name, (table, discriminator) in tables.items():
        try:
            rows = EQUAL if name.endswith("equal rows") else ROWS
            aaeframe.train((rows, LABELS), config=table, keep=False, discriminator=globals().get(discriminator))
        except AaeframeError as error:
            found[name] = [type(error).__name__, str(error)]
    return found


class Sizes:
    """An observer that keeps the number of processes of each training."""

    def __init__(self):
        self.found = []

    def epoch_ended(self, row, warnings):
        self.found.append(processes.size())


class Trains:
    """An observer that begins another training."""

    def epoch_ended(self, row, warnings):
        aaeframe.train((ROWS, LABELS), config={"training": {"epochs": 1}}, keep=False)


def one_after_another(table: dict[str, Any]) -> list[list[str]]:
    """The errors of trainings: inside another, in all processes, in two threads, in one process, and after that."""
    found = []

    def train(config=table, **more):
        aaeframe.train((ROWS, LABELS), config=config, keep=False, **more)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(observers=[Trains()])
    found.append(sorted({str(it.message) for it in caught if "inside another" in str(it.message)}))
    found.append(_told(lambda: train(discriminator=Mixing)))
    found.append(_told(lambda: train({**table, "optimizers": {"reconstruction": "adam(lr=1e30)"}})))
    sizes = Sizes()
    with ThreadPoolExecutor() as pool:
        beside = [pool.submit(_told, lambda: train(observers=[sizes])) for _ in range(2)]
        found.append([*(it.result() for it in beside), sizes.found])
    if not launcher.is_first_of_launch():
        _let_happen("fail", 4)
    found.append(_told(train))
    found.append(_told(train))
    return found


def beside_a_group() -> list[str]:
    """The error of a training where torch.distributed is in use already."""
    dist.init_process_group("gloo")
    return _told(lambda: aaeframe.train((ROWS, LABELS), keep=False))


def command(arguments: list[str], happening: str = "", at: int = 0, on: int = 0) -> None:
    """The command line, in which something happens in one process after a step, or before all."""
    if launcher.is_first_of_launch() == (on == 0):
        _let_happen(happening, at)
    summary.finish = lambda run, given, *, json: print(run.folder.path)  # evaluation and figures take seconds
    sys.argv = ["aaeframe", *arguments]
    cli.main()


def commands(each: list[list[str]]) -> None:
    """The command line, with other arguments in each process."""
    command(each[0 if launcher.is_first_of_launch() else 1])


def kept_by_the_first(run: str) -> list[str]:
    """The error of a training whose run is kept by the first process alone."""
    out = {"out": run} if launcher.is_first_of_launch() else {"keep": False}
    return _told(lambda: aaeframe.train((ROWS, LABELS), config={**SMALL, "prior": "gaussian"}, epochs=1, **out))


def _let_happen(what: str, at: int) -> None:
    if what == "version":
        version.__version__ = "0.0.7"
    original = Training._step

    def step(self):
        original(self)
        if self.batches.step == at:
            _act(what)

    if at:
        Training._step = step


def _act(what: str) -> None:
    if what == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    elif what == "pause":
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    elif what == "fail":
        raise ValueError("a component is broken")
    elif what == "gone":
        raise DataError("a file is gone")
    else:
        os.kill(os.getpid(), getattr(signal, what))
