"""Parts that a factory reads from a file: a run has their weights, and needs the file no more."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import ROWS, assert_same_model

import aaeframe
from aaeframe.components.objects import ObjectComponent
from aaeframe.components.options import resolve_component
from aaeframe.errors import AaeframeError, BrokenComponent, CheckpointError, ConfigError
from aaeframe_plugins.discriminators.mlp import MLP as Critic
from aaeframe_plugins.encoders.deterministic import Deterministic
from aaeframe_plugins.networks.mlp import MLP

SMALL = {"epochs": 1, "batch_size": 20, "device": "cpu", "prior": "gaussian"}


class Stopping:
    """Ends a run at its second step."""

    def stepped(self, step, losses):
        if step == 2:
            raise aaeframe.StopRun


def read(path):
    """The width of a hidden layer, as a file has it."""
    return [int(np.load(path))]


class Network(MLP):
    """A network whose width is that of a file, and whose encoder is fixed."""

    def __init__(self, data, code_size, *, path: Path):
        super().__init__(data, code_size, hidden=read(path))
        self.encoder.requires_grad_(False)

    @classmethod
    def from_state(cls, state, data, code_size, *, path: Path):
        network = MLP(data, code_size, hidden=[state["decoder.0.weight"].shape[0]])
        network.encoder.requires_grad_(False)
        return network


class Encoder(Deterministic):
    """An encoder with a scale in a file."""

    def __init__(self, network, blocks, *, path: Path):
        super().__init__(network, blocks)
        self.register_buffer("scale", torch.tensor(1.0 / read(path)[0]))

    @classmethod
    def from_state(cls, state, network, blocks, *, path: Path):
        encoder = cls.__new__(cls)
        Deterministic.__init__(encoder, network, blocks)
        encoder.register_buffer("scale", state["scale"])
        return encoder

    def forward(self, x, noise=None):
        return {name: self.scale * z for name, z in super().forward(x, noise).items()}


class Discriminator(Critic):
    """A discriminator whose width is that of a file."""

    def __init__(self, block, num_classes, *, path: Path):
        super().__init__(block, num_classes, hidden=read(path))

    @classmethod
    def from_state(cls, state, block, num_classes, *, path: Path):
        return Critic(block, num_classes, hidden=[state["head.weight"].shape[1]])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "width.npy"
    np.save(path, 8)
    return path


def parts(file):
    return {
        "network": functools.partial(Network, path=file),
        "encoder": functools.partial(Encoder, path=file),
        "discriminator": functools.partial(Discriminator, path=file),
    }


def test_a_run_is_loaded_and_resumed_without_the_file(file, tmp_path):
    whole = aaeframe.train(ROWS, **SMALL, **parts(file), out=tmp_path / "whole")
    with pytest.warns(UserWarning, match="the observer 'Stopping' ended the run, at step 2"):
        aaeframe.train(ROWS, **SMALL, **parts(file), out=tmp_path / "stopped", observers=[Stopping()])
    file.unlink()

    assert_same_model(aaeframe.load(tmp_path / "whole", **parts(file)), whole)
    assert_same_model(aaeframe.resume(tmp_path / "stopped", data=ROWS, **parts(file)), whole)


@pytest.mark.parametrize("kind", ["network", "encoder", "discriminator"])
def test_training_anew_without_the_file_is_refused(kind, file, tmp_path):
    part = parts(file)[kind]
    file.unlink()
    with pytest.raises(AaeframeError, match=r"width\.npy"):
        aaeframe.train(ROWS, **SMALL, **{kind: part}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["network", "encoder", "discriminator"])
def test_weights_of_a_file_are_not_drawn_anew(kind, file, tmp_path):
    with pytest.raises(ConfigError, match=rf"training\.initial_std would replace the weights of the {kind}"):
        aaeframe.train(ROWS, **SMALL, **{kind: parts(file)[kind]}, out=tmp_path / "run", initial_std=0.01)


def resolved(factory, file):
    return resolve_component(ObjectComponent.of("network", "the network", functools.partial(factory, path=file)), {})


def test_a_checkpoint_without_the_weights_is_refused_as_such(file):
    with pytest.raises(CheckpointError, match=r"the checkpoint lacks 'decoder\.0\.weight' of the network"):
        resolved(Network, file).restore({}, None, 2)


def test_a_from_state_with_other_arguments_is_named(file):
    class Wrong(Network):
        @classmethod
        def from_state(cls, state, *, path: Path):
            """Without what a network is given."""

    with pytest.raises(BrokenComponent, match=r"from_state\(state, data, code_size\)"):
        resolved(Wrong, file).restore({}, None, 2)
