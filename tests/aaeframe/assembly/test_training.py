from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aaeframe.assembly.training import data_spec, describe, prepare
from aaeframe.components.registry import Registry
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.data.identity import changes
from aaeframe.errors import ConfigError, DataError, DeviceError

GENERATOR = np.random.default_rng(0)
TABLE = GENERATOR.normal(size=(100, 4)).astype(np.float32)
IMAGES = GENERATOR.integers(0, 256, size=(100, 8, 8), dtype=np.uint8)
LABELS = np.arange(100) % 10


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


@pytest.fixture
def prepared(tmp_path, registry):
    def make(x=TABLE, labels=None, **table):
        table = {"prior": "mixture", "network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", **table}
        return prepare(resolve(parse(table), registry), from_arrays(x, labels))

    return make


def weights(training):
    return torch.nn.utils.parameters_to_vector(training.model.parameters())


def test_nothing_is_written_and_no_random_state_is_touched(prepared, tmp_path):
    before = torch.get_rng_state()
    prepared(LABELS[:, None] + TABLE, LABELS, data={"labels": 20}, encoder="universal")
    assert torch.equal(torch.get_rng_state(), before)
    assert list(tmp_path.iterdir()) == []


def test_first_weights_are_a_function_of_the_seed(prepared):
    first = weights(prepared())
    torch.manual_seed(99)
    assert torch.equal(weights(prepared()), first)
    assert torch.equal(weights(prepared(training={"batch_size": 7, "epochs": 5})), first)
    assert not torch.equal(weights(prepared(training={"seed": 1})), first)


def test_the_order_of_the_rows_is_a_function_of_the_seed(prepared):
    first, second, other = (prepared(training={"seed": seed}).batches.next().index for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("x", [TABLE, IMAGES], ids=["table", "images"])
def test_the_data_is_described_and_known_again(prepared, x):
    spec = from_arrays(x).spec
    training = prepared(x)
    tensors = {f"model.{name}": value for name, value in training.model.state_dict().items()}
    again = data_spec(describe(spec), tensors)
    assert again.shape == spec.shape
    assert again.support is spec.support
    assert torch.equal(again.mean, spec.mean)
    assert torch.equal(again.std, spec.std)


def spoiled(array, place):
    changed = array.copy()
    changed[place] += 1
    return changed


def test_the_same_data_is_known_again(prepared):
    assert prepared(TABLE, LABELS).data == prepared(TABLE.copy(), LABELS.copy()).data


@pytest.mark.slow
def test_one_changed_number_in_any_row_is_noticed(prepared):
    few = TABLE[:20]  # 16 to train on, two and two to hold out
    known = prepared(few).data
    assert [row for row in range(20) if prepared(spoiled(few, (row, 2))).data == known] == []


@pytest.mark.parametrize(
    ("x", "labels"),
    [(TABLE[:99], LABELS[:99]), (TABLE[::-1], LABELS), (TABLE, None), (TABLE, LABELS[::-1]), (TABLE[:, :3], LABELS)],
    ids=["fewer", "reordered", "unlabeled", "relabeled", "narrower"],
)
def test_other_data_is_noticed(prepared, x, labels):
    assert changes(prepared(TABLE, LABELS).data, prepared(x, labels).data)


def test_labels_are_told_balanced_and_the_rest_is_unlabeled(prepared):
    training = prepared(TABLE, LABELS, data={"labels": 20}, training={"batch_size": 10, "labeled_batch_size": 5})
    batch = training.batches.next()
    assert len(batch.x) == 10
    assert len(batch.labeled.x) == 5
    assert len(training.batches.unlabeled) == 60
    assert np.bincount(training.batches.labels).tolist() == [2] * 10
    assert training.data["num_classes"] == 10


def test_without_labels_no_class_is_told(prepared):
    training = prepared(TABLE, LABELS)
    assert training.batches.next().labeled is None
    assert training.data["num_classes"] is None


def test_labels_that_are_not_there_cannot_be_told(prepared):
    with pytest.raises(DataError, match="--labels 20 was asked for, but the data arrays has no labels; leave --labels"):
        prepared(TABLE, None, data={"labels": 20})


def test_labels_no_prior_knows_are_refused(prepared):
    with pytest.raises(ConfigError, match="no prior of gaussian knows classes"):
        prepared(TABLE, LABELS, data={"labels": 20}, prior="gaussian")


def test_labels_for_the_decoder_are_needed_of_validation_rows_too(registry, tmp_path):
    data = from_arrays(TABLE, LABELS)
    bare = replace(data, validation=replace(data.validation, labels=None))
    resolved = resolve(parse({"recipe": "supervised", "prior": "gaussian"}), registry)
    with pytest.raises(DataError, match=r"decodes each row with its label, but 10 validation rows"):
        prepare(resolved, bare)


@pytest.mark.parametrize("sizes", [{"batch_size": 1}, {"batch_size": 10, "labeled_batch_size": 1}])
def test_one_row_has_no_spread_to_normalize_by(prepared, sizes):
    table = {
        "prior": "y=categorical+z=gaussian",
        "data": {"labels": 20},
        "recipe": "semi-supervised",
        "training": {"labeled_batch_size": 10, **sizes},
    }
    prepared(TABLE, LABELS, **table)
    with pytest.raises(ConfigError, match="batch norm needs two rows or more in each minibatch"):
        prepared(TABLE, LABELS, **table, network="mlp(hidden=[8], batch_norm='encoder')")


def test_data_larger_than_allowed_is_not_kept_whole(prepared):
    assert prepared(IMAGES).batches.rows.resident
    assert not prepared(IMAGES, data={"max_resident_mib": 0.001}).batches.rows.resident
    assert prepared(IMAGES, data={"max_resident_mib": 0.001}).batches.next().x.dtype == torch.uint8


def test_weights_of_the_joint_schedule_reach_the_losses(prepared):
    def moved(weight):
        training = prepared(training={"schedule": "joint", "reconstruction_weight": weight, "batch_size": 10})
        before = weights(training)
        with torch.random.fork_rng():
            training.recipe.step(training.batches.next())
        return weights(training) - before

    assert not torch.equal(moved(1e-6), moved(1.0))


def test_a_device_that_is_not_there_is_refused(prepared):
    with pytest.raises(DeviceError, match="cuda:7"):
        prepared(training={"device": "cuda:7"})
