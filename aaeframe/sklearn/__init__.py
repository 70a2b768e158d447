"""Adversarial autoencoders as scikit-learn estimators, for pipelines, grid searches and joblib."""

from aaeframe.sklearn.autoencoder import AdversarialAutoencoder
from aaeframe.sklearn.classifier import AdversarialClassifier
from aaeframe.sklearn.clusterer import AdversarialClusterer
from aaeframe.sklearn.outlier_detector import AdversarialOutlierDetector

__all__ = ["AdversarialAutoencoder", "AdversarialClassifier", "AdversarialClusterer", "AdversarialOutlierDetector"]
