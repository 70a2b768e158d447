"""The catalogue of data sets; torch-free, and nothing is read or downloaded to list them."""

from __future__ import annotations

from aaeframe import Component, hookimpl

_CATALOGUE = "aaeframe.data.catalogue"


@hookimpl
def aaeframe_data_sets() -> list[Component]:
    """The data sets of the paper, and one that needs no download."""
    return [
        Component(
            "digits",
            f"{_CATALOGUE}:load_digits",
            "1,797 handwritten digits of 8x8 gray pixels, from scikit-learn; needs no download",
        ),
        Component("mnist", f"{_CATALOGUE}:load_mnist", "70,000 handwritten digits of 28x28 gray pixels"),
        Component(
            "fashion-mnist", f"{_CATALOGUE}:load_fashion_mnist", "70,000 pieces of clothing of 28x28 gray pixels"
        ),
        Component("svhn", f"{_CATALOGUE}:load_svhn", "99,289 house numbers' digits of 32x32 color pixels"),
        Component(
            "tfd",
            f"{_CATALOGUE}:load_tfd",
            "faces of 48x48 gray pixels, the Toronto Face Database; you bring its TFD_48x48.mat",
        ),
    ]
