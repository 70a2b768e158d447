"""The base class of the four estimators: parameters, the training of a run in memory, pickling, folders of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from aaeframe.api import train
from aaeframe.data import from_arrays
from aaeframe.errors import ConfigError, RunError
from aaeframe.runs.fixed_batches import codes
from aaeframe.runs.in_memory import from_bytes, to_bytes
from aaeframe.runs.loading import load
from aaeframe.runs.objects import DiscriminatorObject, EncoderObject, NetworkObject, read_objects
from aaeframe.runs.run import Run
from aaeframe.sklearn.attributes import pack, unpack
from aaeframe.sklearn.blocks import STYLE

FLOATS = (np.float32, np.float64)
COMPONENTS = ("prior", "encoder", "network", "discriminator")


def single(x: np.ndarray) -> np.ndarray:
    """Numbers as float32. ValueError for one that is beyond it."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = x.astype(np.float32, copy=False)
        assert_all_finite(found, input_name="X")
    return found


class AdversarialEstimator(BaseEstimator):
    """Base class: trains a run in memory, on every row of a table.

    Parameters of all estimators:

    Args:
        encoder, network, discriminator: components, as for `aaeframe.train`.
        steps: minibatches to train on. 2000 take a few seconds.
        batch_size: rows of a minibatch; all rows if there are fewer.
        scale: the scaling of the columns, "standardize" or another of `data.scale`.
        config: a TOML file or a table of the configuration for everything that has no parameter here.
        preset: the name of a preset, below `config`.
        device: see `aaeframe.training.device.pick`.
        warm_start: train on from the weights of the last `fit`, on data of the same columns and in its scale.
        random_state: an int, a RandomState, or None for numpy's global one. The same int gives the same bits.
        verbose: show a progress bar.

    Attributes:
        run_: the trained `aaeframe.Run`, in memory.
        n_features_in_, feature_names_in_: the columns.
        n_iter_: the number of steps.
    """

    run_: Run
    n_features_in_: int
    _inherits = False
    """Whether the components of the run are not those of the parameters, as it came from a folder."""

    def __init__(
        self,
        *,
        encoder: str | EncoderObject,
        network: str | NetworkObject,
        discriminator: str | DiscriminatorObject,
        steps: int,
        batch_size: int,
        scale: str | tuple[float, float],
        preset: str | None,
        config: str | Path | Mapping[str, Any] | None,
        device: str,
        warm_start: bool,
        random_state: int | np.random.RandomState | None,
        verbose: bool,
    ) -> None:
        self.encoder = encoder
        self.network = network
        self.discriminator = discriminator
        self.steps = steps
        self.batch_size = batch_size
        self.scale = scale
        self.preset = preset
        self.config = config
        self.device = device
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def from_run(cls, path: str | Path, *, data: Any = None, **parameters: Any) -> Self:
        """A fitted estimator from the folder of a run on a table. `parameters` are those of the constructor.

        The threshold of an outlier detector may need the training rows: `data`, as for `to_run`, if no file has them.
        RunError for a run whose recipe or data this estimator does not have.
        """
        made = cls(**parameters)
        run = load(path, device=made.device, data=data, **made._objects())
        if len(run.model.data_shape) != 1:
            raise RunError(
                f"{path} was trained on rows of shape {tuple(run.model.data_shape)}; estimators take tables, so use it "
                "by aaeframe.load"
            )
        if not made._fits(run):
            raise RunError(
                f"{path} is a run of the recipe {run.config.recipe.component!r}, which is no {cls.__name__}; use it by "
                "aaeframe.load"
            )
        made._take(replace(run, given=None))
        made._inherits = True
        if run.data["columns"] is not None:
            made.feature_names_in_ = np.array(run.data["columns"], dtype=object)
        made._adopt(run)
        return made

    def to_run(self, path: str | Path) -> Run:
        """Write the trained run to a new folder, which `aaeframe.load` and the command line read.

        The folder does not hold the training rows. To use them, pass `aaeframe.load`, or `from_run`, the argument
        `data=aaeframe.data.from_arrays(X, held_out=(0, 0))`, with the same `columns` and labels.
        """
        check_is_fitted(self)
        return self.run_.save(path)

    def _fits(self, run: Run) -> bool:
        """Whether a run is of the kind that this estimator trains."""
        return run.model.class_block is None and not run.model.representation.takes_labels

    def _adopt(self, run: Run) -> None:
        """Set the fitted attributes that a run of a folder gives."""

    def _train(
        self,
        x: np.ndarray,
        classes: np.ndarray | None = None,
        *,
        prior: Any,
        recipe: str,
        class_names: tuple[str, ...] | None = None,
        **settings: Any,
    ) -> None:
        """Train a run in memory on rows (N, D) with class indices (N,), and keep it without them as `run_`."""
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31)
        columns = list(getattr(self, "feature_names_in_", [])) or None
        name = type(self).__name__
        data = from_arrays(x, classes, columns=columns, name=name, held_out=(0, 0), scale=self.scale)
        if class_names is not None:
            data = replace(data, class_names=class_names)
        parts = {"prior": prior, "recipe": recipe, "preset": self.preset, "config": self.config}
        parts |= {"encoder": self.encoder, "network": self.network, "discriminator": self.discriminator}
        initial = getattr(self, "run_", None) if self.warm_start else None
        self._inherits = initial is not None and self._inherits
        if self._inherits:  # the components are those of a folder, and not the parameters
            self._refuse_components()
            parts = {"preset": self.preset, "config": self.config}
        run = train(
            data,
            initial=initial,
            steps=self.steps,
            batch_size=self.batch_size,
            checkpoint_every=2**31,  # only the last weights are kept
            device=self.device,
            seed=int(seed),
            keep=False,
            progress=bool(self.verbose),
            **parts,
            **settings,
        )
        self._measure(run, x)
        self._take(replace(run, given=None))

    def _refuse_components(self) -> None:
        """ConfigError for a component, by name, that a warm start after `from_run` would not use."""
        defaults = signature(type(self)).parameters
        for name in (*COMPONENTS, "style"):
            given = getattr(self, name, None)
            parts = given.values() if isinstance(given, Mapping) else [given]
            if all(isinstance(it, str) for it in parts) and given != defaults[name].default:
                raise ConfigError(
                    f"{name}={given!r} is not used: a warm start after from_run keeps the components of the folder; "
                    "leave it out, or set warm_start=False to train anew"
                )

    def _measure(self, run: Run, x: np.ndarray) -> None:
        """Set the fitted attributes that need the training rows."""

    def _take(self, run: Run) -> None:
        self.run_, self.n_iter_, self.n_features_in_ = run, run.step, run.model.data_shape.numel()

    def _rows(self, x: Any) -> np.ndarray:
        """Rows (N, D), checked by scikit-learn: float32 or float64, finite in float32, which networks compute in."""
        check_is_fitted(self)
        rows = cast(np.ndarray, validate_data(self, x, dtype=FLOATS, reset=False))
        single(rows)
        return rows

    def _training_rows(self, x: Any) -> np.ndarray:
        return cast(np.ndarray, validate_data(self, x, dtype=FLOATS, ensure_min_samples=2))

    def _codes(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The codes of rows by block, each (N, size) and of the type of x."""
        return {name: z.astype(x.dtype, copy=False) for name, z in codes(self.run_, x).items()}

    def _objects(self) -> dict[str, Any]:
        """The components that are objects from Python."""
        given = {name: getattr(self, name) for name in COMPONENTS if hasattr(self, name)}
        if hasattr(self, "style"):
            given["prior"] = {STYLE: self.style}
        for name, it in given.items():
            if isinstance(it, Mapping):
                given[name] = {block: part for block, part in it.items() if not isinstance(part, str)} or None
        return {name: it for name, it in given.items() if it is not None and not isinstance(it, str)}

    def __getstate__(self) -> dict[str, Any]:
        """Parameters, and fitted attributes as numbers, texts and bytes: the class is a pickle's only global."""
        state = dict(super().__getstate__())
        run = state.pop("run_", None)
        packed = {"attributes": {name: pack(value) for name, value in state.items()}}
        return packed if run is None else {**packed, "run": to_bytes(run)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore what `__getstate__` gave."""
        self.__dict__.update({name: unpack(it) for name, it in state["attributes"].items()})
        if "run" in state:
            self.run_ = from_bytes(state["run"], objects=read_objects(**self._objects()), device=self.device)
