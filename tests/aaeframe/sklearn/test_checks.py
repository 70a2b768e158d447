"""Every check of scikit-learn on all four estimators, with default parameters but for the budget."""

from __future__ import annotations

import os
from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from aaeframe.sklearn import (
    AdversarialAutoencoder,
    AdversarialClassifier,
    AdversarialClusterer,
    AdversarialOutlierDetector,
)

FEW, ENOUGH = 6, 60
"""Steps for checks of the interface, and for those that clusters and classes are found."""
OF_QUALITY = ("check_clustering", "check_classifiers_train")
CLASSES = (AdversarialAutoencoder, AdversarialClassifier, AdversarialClusterer, AdversarialOutlierDetector)


@pytest.mark.filterwarnings("ignore::aaeframe.errors.TrainingWarning")
@parametrize_with_checks([made(steps=FEW) for made in CLASSES])
def test_check(estimator, check):
    name = getattr(check, "func", check).__name__
    if name == "check_array_api_input" and not os.environ.get("SCIPY_ARRAY_API"):
        return  # it runs only where this variable was set before scipy was imported
    try:
        check(estimator.set_params(steps=ENOUGH if name in OF_QUALITY else FEW))
    except SkipTest as error:  # without pandas
        pytest.skip(f"no extra 'integrations': {error}")
