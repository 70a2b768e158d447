"""The quick measurement on validation rows after each epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from aaeframe import processes, supports
from aaeframe.data import Dataset
from aaeframe.data.dataset import spread_places
from aaeframe.evaluation.class_reports import class_error
from aaeframe.evaluation.evaluate import one_draw, train_mean
from aaeframe.evaluation.wasserstein import sliced_wasserstein
from aaeframe.losses.reconstruction import reconstruction_loss, row_errors
from aaeframe.model.autoencoder import Autoencoder, sample
from aaeframe.protocols import ClassMetric
from aaeframe.seeds import generator, stream


class Validation:
    """Measures at most 1,000 validation rows after each epoch; does not change the global random state."""

    def __init__(
        self, dataset: Dataset, seed: int, device: torch.device, *, class_metric: ClassMetric | None = None
    ) -> None:
        held = dataset.validation
        self._x = torch.from_numpy(held.spread()).to(device)
        self._mean = train_mean(dataset.train).to(device)
        labels = None if held.labels is None else held.labels[spread_places(len(held))]
        self._labels = None if labels is None else torch.from_numpy(labels).to(device)
        self._labeled = None if self._labels is None else self._labels >= 0
        self._seed, self._device, self._class_metric = seed, device, class_metric

    def __call__(self, model: Autoencoder, epoch: int) -> dict[str, float]:
        """The metrics of one epoch by name; none without validation rows.

        "validation/reconstruction" and "mean_image_error" are reconstruction errors. Each block has "mismatch", the
        sliced Wasserstein distance of codes and prior samples, and "mismatch_floor", that of two sets of prior samples.
        A one-hot block also has "entropy", of the mean code, "uncertainty", the mean entropy of the codes, in nats, and
        "classes". If it has several one-hot vectors, these are means over them.

        "validation/error" is the share of wrong classes, if there are labels and a class block. Clusters are assigned
        to classes on these rows themselves.
        """
        if not len(self._x):
            return {}
        with torch.no_grad(), stream(self._seed, "validation", epoch, device=self._device):
            codes, errors = self._shared(model, epoch)
            return processes.first(lambda: self._measured(model, codes, errors, epoch))

    def _shared(self, model: Autoencoder, epoch: int) -> tuple[dict[str, Tensor], Tensor]:
        """The codes and the reconstruction error of each row; several processes compute a part each."""
        count = len(self._x)
        if count < processes.size():
            return self._encoded(model, slice(None), epoch)
        codes, errors = processes.together(lambda: self._encoded(model, processes.share(count), epoch))
        return {name: processes.gathered(z, count) for name, z in codes.items()}, processes.gathered(errors, count)

    def _encoded(self, model: Autoencoder, part: slice, epoch: int) -> tuple[dict[str, Tensor], Tensor]:
        noise = generator(self._seed, "validation", "noise", epoch, part.start or 0)
        codes = one_draw(model, self._x[part], noise)
        labels = self._labels[part] if self._labels is not None and model.representation.takes_labels else None
        x, x_hat = model.scale(self._x[part]), model.scale(model.decode(codes, labels))
        return codes, row_errors(x_hat, x)

    def _measured(self, model: Autoencoder, codes: dict[str, Tensor], errors: Tensor, epoch: int) -> dict[str, float]:
        x = model.scale(self._x)
        row = {
            "validation/reconstruction": float(errors.mean()),
            "mean_image_error": float(reconstruction_loss(model.scale(self._mean).expand_as(x), x)),
        }
        for name, z in codes.items():
            row |= self._look(model, name, z, epoch)
        if self._class_metric is not None and self._labels is not None and model.class_block is not None:
            y, truth = codes[model.class_block][self._labeled], self._labels[self._labeled]
            if len(truth):
                row["validation/error"] = class_error(y, truth, y, truth, self._class_metric)
        return row

    def _look(self, model: Autoencoder, name: str, z: Tensor, epoch: int) -> dict[str, float]:
        prior = model.priors[name]
        samples, others = (sample(prior, len(z), z.device) for _ in range(2))

        def distance(to: Tensor) -> float:
            directions = generator(self._seed, "validation", "directions", epoch)
            return sliced_wasserstein(to.flatten(1), samples.flatten(1), projections=50, generator=directions)

        look = {f"mismatch/{name}": distance(z), f"mismatch_floor/{name}": distance(others)}
        if supports.is_one_hot(prior.support):
            look[f"entropy/{name}"] = float(torch.special.entr(z.double().mean(0)).sum(-1).mean())
            look[f"uncertainty/{name}"] = float(torch.special.entr(z.double()).sum(-1).mean())
            look[f"classes/{name}"] = z.shape[-1]
        return look
