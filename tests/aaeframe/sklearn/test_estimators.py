"""The estimators as scikit-learn's users meet them."""

from __future__ import annotations

import io
import pickletools

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.distributions import Independent, Laplace

import aaeframe
from aaeframe.errors import ConfigError, DataError, RunError, UnknownComponent
from aaeframe.sklearn import (
    AdversarialAutoencoder,
    AdversarialClassifier,
    AdversarialClusterer,
    AdversarialOutlierDetector,
)

pytestmark = pytest.mark.filterwarnings("ignore::aaeframe.errors.TrainingWarning")

X, Y = load_iris(return_X_y=True)
BLOBS, TRUTH = make_blobs(n_samples=150, centers=3, cluster_std=0.5, random_state=0)


@pytest.fixture(scope="module")
def coder():
    return AdversarialAutoencoder(prior="mixture(components=3)", steps=300).fit(X)


@pytest.fixture(scope="module")
def detector():
    return AdversarialOutlierDetector(steps=60, contamination=0.05).fit(X)


@pytest.fixture
def again():
    """An estimator after a pickle."""

    def through(estimator):
        stored = io.BytesIO()
        joblib.dump(estimator, stored)
        stored.seek(0)
        return joblib.load(stored)

    return through


def test_codes_decode_to_the_rows_and_samples_look_like_them(coder):
    codes = coder.transform(X)
    back = coder.inverse_transform(codes)
    assert codes.shape == (150, 2)
    assert back.dtype == codes.dtype == np.float64
    assert ((back - X) ** 2).mean() < 0.3 * X.var(0).mean()
    samples = coder.sample(50, random_state=1)
    assert samples.shape == (50, 4)
    np.testing.assert_array_equal(samples, coder.sample(50, random_state=1))
    assert ((samples > X.min(0) - 2) & (samples < X.max(0) + 2)).all()
    with pytest.raises(ValueError, match="X has 3 features, but codes have 2"):
        coder.inverse_transform(np.zeros((1, 3)))


@pytest.mark.slow
def test_two_fits_have_the_same_bits_and_leave_random_states_alone(coder):
    np.random.seed(3)
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    again = clone(coder).fit(X)
    np.testing.assert_array_equal(again.transform(X), coder.transform(X))
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_a_fit_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    AdversarialAutoencoder(steps=3).fit(X)
    assert list(tmp_path.iterdir()) == []


def test_columns_of_a_product_are_side_by_side():
    coder = AdversarialAutoencoder(prior="categorical(classes=3)+gaussian(size=2)", steps=3).fit(X)
    assert coder.transform(X).shape == (150, 5)
    assert coder.get_feature_names_out()[-1] == "adversarialautoencoder4"
    np.testing.assert_allclose(coder.transform(X)[:, :3].sum(1), 1, atol=1e-6)
    assert coder.inverse_transform(coder.transform(X)).shape == X.shape


@pytest.mark.slow
def test_clusters_of_blobs_are_found():
    clusterer = AdversarialClusterer(3, steps=300).fit(BLOBS)
    assert adjusted_rand_score(clusterer.labels_, TRUTH) > 0.9
    np.testing.assert_array_equal(clusterer.predict(BLOBS), clusterer.labels_)
    np.testing.assert_allclose(clusterer.predict_proba(BLOBS).sum(1), 1)
    assert clusterer.transform(BLOBS).shape == (150, 2)


@pytest.mark.slow
def test_a_classifier_learns_from_rows_without_a_label():
    names = np.array(["ann", "bob", "cy"])[TRUTH]
    few = np.full(150, "?", dtype=object)
    for name in ("ann", "bob", "cy"):
        few[np.flatnonzero(names == name)[:3]] = name
    classifier = AdversarialClassifier(unlabeled="?", steps=300).fit(BLOBS, few)
    assert classifier.classes_.tolist() == ["ann", "bob", "cy"]
    assert classifier.score(BLOBS, names) > 0.95
    with pytest.raises(ValueError, match="no row of y has a label: every one is unlabeled='\\?'"):
        AdversarialClassifier(unlabeled="?").fit(BLOBS, np.full(150, "?"))


def test_minus_one_is_a_class_unless_it_is_said_to_be_no_label():
    y = np.where(TRUTH == 0, -1, 1)
    assert AdversarialClassifier(steps=3).fit(BLOBS, y).classes_.tolist() == [-1, 1]
    assert AdversarialClassifier(steps=3, unlabeled=-1).fit(BLOBS, y).classes_.tolist() == [1]


def test_a_number_may_say_that_a_text_is_lacking():
    few = np.where(np.arange(150) % 2, np.array(["ann", "bob", "cy"], dtype=object)[TRUTH], -1)
    assert AdversarialClassifier(steps=3, unlabeled=-1).fit(BLOBS, few).classes_.tolist() == ["ann", "bob", "cy"]


@pytest.mark.parametrize(("y", "unlabeled"), [(np.array(["ann", "bob", "-1"])[TRUTH], -1), (TRUTH - 1, "-1")])
def test_what_only_looks_like_no_label_is_told(y, unlabeled):
    with pytest.raises(ValueError, match=f"y has '-1' as .*, which unlabeled={unlabeled!r} is not"):
        AdversarialClassifier(steps=3, unlabeled=unlabeled).fit(BLOBS, y)


def test_parameters_drawn_by_numpy_are_numbers():
    coder = AdversarialAutoencoder(steps=np.int64(3), batch_size=np.int32(7), random_state=np.int64(1)).fit(X)
    assert coder.n_iter_ == 3


def test_a_share_of_the_training_rows_are_outliers(detector):
    assert (detector.predict(X) == -1).sum() == 8  # 5 % of 150, rounded up by the quantile between two rows
    far = X.mean(0) + 30 * X.std(0)
    assert detector.predict([far]) == [-1]
    assert detector.score_samples([far])[0] < detector.score_samples(X).min()
    np.testing.assert_allclose(detector.decision_function(X), detector.score_samples(X) - detector.offset_)
    with pytest.raises(ValueError, match=r"contamination=0\.6 must be in \(0, 0\.5\]"):
        AdversarialOutlierDetector(contamination=0.6).fit(X)
    with pytest.raises(ValueError, match=r"contamination='auto' must be in"):
        AdversarialOutlierDetector(contamination="auto").fit(X)


def test_a_row_has_the_same_result_alone_and_among_others(coder):
    np.testing.assert_array_equal(coder.transform(X[70:71]), coder.transform(X)[70:71])


def test_a_pickle_names_only_the_class(detector):
    stored = io.BytesIO()
    joblib.dump(detector, stored)
    names = [arg for op, arg, _ in pickletools.genops(stored.getvalue()) if op.name in ("GLOBAL", "STACK_GLOBAL")]
    strings = [arg for op, arg, _ in pickletools.genops(stored.getvalue()) if "UNICODE" in op.name]
    assert len(names) == 1
    assert strings[:2] == ["aaeframe.sklearn.outlier_detector", "AdversarialOutlierDetector"]
    stored.seek(0)
    back = joblib.load(stored)
    np.testing.assert_array_equal(back.decision_function(X), detector.decision_function(X))


def test_a_run_becomes_an_estimator_and_an_estimator_a_run(detector, tmp_path):
    detector.to_run(tmp_path / "run")
    run = aaeframe.load(tmp_path / "run", data=X)
    np.testing.assert_allclose(-run.scores(X), detector.score_samples(X), rtol=1e-5)
    back = AdversarialAutoencoder.from_run(tmp_path / "run")
    np.testing.assert_allclose(back.score_samples(X), detector.score_samples(X))
    with pytest.raises(RunError, match="is a run of the recipe 'aaeframe:unsupervised', which is no AdversarialClas"):
        AdversarialClassifier.from_run(tmp_path / "run")
    with pytest.raises(NotFittedError):
        AdversarialAutoencoder().to_run(tmp_path / "other")


@pytest.mark.slow
def test_classes_come_back_from_a_folder(tmp_path):
    classifier = AdversarialClassifier(steps=30).fit(BLOBS, 10 * TRUTH)
    classifier.to_run(tmp_path / "run")
    back = AdversarialClassifier.from_run(tmp_path / "run")
    assert back.classes_.tolist() == [0, 10, 20]
    np.testing.assert_array_equal(back.predict(BLOBS), classifier.predict(BLOBS))


@pytest.mark.slow
def test_objects_and_settings_of_scikit_learn_are_pickled_with_the_estimator(again):
    prior = Independent(Laplace(torch.zeros(2), 1.0), 1)
    of_blocks = AdversarialAutoencoder(prior={"a": prior, "b": "gaussian(size=1)"}, steps=3).fit(X)
    np.testing.assert_array_equal(again(of_blocks).transform(X), of_blocks.transform(X))
    clusterer = AdversarialClusterer(3, style=prior, steps=3).fit(X).set_output(transform="pandas")
    np.testing.assert_array_equal(again(clusterer).predict(X), clusterer.labels_)


def test_an_estimator_of_a_folder_is_pickled_written_and_trained_on(coder, again, tmp_path):
    coder.to_run(tmp_path / "run")
    back = AdversarialAutoencoder.from_run(tmp_path / "run", warm_start=True, steps=10)
    np.testing.assert_array_equal(again(back).transform(X), coder.transform(X))
    back.to_run(tmp_path / "copy")
    assert aaeframe.load(tmp_path / "copy").step == coder.n_iter_
    back.set_params(config={"training": {"input_noise": 0.1}}).fit(X)
    assert back.run_.config.prior["mixture"].options["components"] == 3
    assert back.run_.config.training.input_noise == 0.1
    assert back.n_iter_ == 10
    with pytest.raises(ConfigError, match="network='mlp\\(hidden=\\[9\\]\\)' is not used: a warm start after from_run"):
        back.set_params(network="mlp(hidden=[9])").fit(X)
    assert back.set_params(warm_start=False).fit(X).run_.config.network.options["hidden"] == [9]
    with pytest.raises(ConfigError, match=r"prior=\{'mixture': 'gaussian'\} is not used: a warm start after from_run"):
        AdversarialAutoencoder.from_run(tmp_path / "copy", warm_start=True, prior={"mixture": "gaussian"}).fit(X)


def test_a_threshold_comes_back_from_a_folder(detector, tmp_path):
    detector.to_run(tmp_path / "run")
    back = AdversarialOutlierDetector.from_run(tmp_path / "run", contamination=0.05)
    assert back.offset_ == pytest.approx(detector.offset_)


def test_a_threshold_of_another_kind_comes_back_with_the_training_rows(tmp_path):
    detector = AdversarialOutlierDetector(kind="reconstruction", steps=3).fit(X)
    detector.to_run(tmp_path / "run")
    with pytest.raises(DataError, match="pass the same data again"):
        AdversarialOutlierDetector.from_run(tmp_path / "run", kind="reconstruction")
    rows = aaeframe.data.from_arrays(X, held_out=(0, 0))
    back = AdversarialOutlierDetector.from_run(tmp_path / "run", kind="reconstruction", data=rows)
    assert back.offset_ == pytest.approx(detector.offset_)
    assert back.run_.given is None


def test_classes_that_only_look_like_numbers_stay_texts(tmp_path):
    classifier = AdversarialClassifier(steps=3).fit(BLOBS, np.array(["01", "1", "2"])[TRUTH])
    classifier.to_run(tmp_path / "run")
    assert AdversarialClassifier.from_run(tmp_path / "run").classes_.tolist() == ["01", "1", "2"]


def test_a_score_is_of_the_rows_that_have_a_label():
    few = np.where(np.arange(len(TRUTH)) < 30, TRUTH, -1)
    classifier = AdversarialClassifier(unlabeled=-1, steps=3).fit(BLOBS, few)
    right = classifier.predict(BLOBS) == few
    assert classifier.score(BLOBS, few) == right[:30].mean()
    weight = np.arange(len(few))
    assert classifier.score(BLOBS, few, weight) == pytest.approx(np.average(right[:30], weights=weight[:30]))
    with pytest.raises(ValueError, match="no row of y has a label"):
        classifier.score(BLOBS, np.full(len(few), -1))


def test_rows_beyond_float32_are_refused(coder, detector):
    for method in (coder.transform, coder.score_samples, detector.predict, lambda x: coder.inverse_transform(x[:, :2])):
        with pytest.raises(ValueError, match="X contains infinity or a value too large for dtype\\('float32'\\)"):
            method(1e39 * (X - X.mean(0)))


def test_a_threshold_is_of_the_kind_of_score_that_it_was_found_by(again):
    detector = AdversarialOutlierDetector(steps=3).fit(X)
    other = again(detector).set_params(kind="reconstruction")
    assert other.score_samples(X).shape == (len(X),)
    with pytest.raises(ValueError, match="offset_ is of kind='density', found kind='reconstruction'; fit again"):
        other.predict(X)
    assert set(other.fit(X).predict(X)) == {-1, 1}


def test_clusters_without_a_style_have_no_codes(tmp_path):
    parts = {"network": "mlp(hidden=[4])", "discriminator": "mlp(hidden=[4])", "steps": 3}
    aaeframe.train(
        X, recipe="clustering", prior="categorical(classes=3)", out=tmp_path / "run", progress=False, **parts
    )
    clusterer = AdversarialClusterer.from_run(tmp_path / "run", warm_start=True, steps=2)
    assert clusterer.predict_proba(X).shape == (len(X), 3)
    with pytest.raises(RunError, match="has no block besides 'categorical', so there is no style"):
        clusterer.transform(X)
    assert clusterer.fit(X).predict_proba(X).shape == (len(X), 3)
    with pytest.raises(ConfigError, match=r"n_clusters=5 is not used: .* keeps the 3 clusters of the folder"):
        clusterer.set_params(n_clusters=5).fit(X)


def test_a_warm_start_needs_the_classes_of_the_first_fit():
    classifier = AdversarialClassifier(steps=3, warm_start=True).fit(BLOBS, TRUTH)
    with pytest.raises(DataError, match="has learned the classes 0, 1, 2, found 1, 2, 3"):
        classifier.fit(BLOBS, TRUTH + 1)


@pytest.mark.slow
def test_a_warm_start_goes_on_from_the_last_weights():
    cold = {"reconstruction": {"lr": 1e-12}, "discriminator": {"lr": 1e-12}, "generator": {"lr": 1e-12}}
    coder = AdversarialAutoencoder(steps=50, warm_start=True).fit(X)
    first = coder.transform(X)
    coder.set_params(config={"optimizers": cold}, steps=1).fit(X)
    np.testing.assert_allclose(coder.transform(X), first, atol=1e-4)


def test_a_wrong_component_is_named():
    with pytest.raises(UnknownComponent, match="no active plugin offers a prior named 'mixtur'"):
        AdversarialAutoencoder(prior="mixtur").fit(X)


@pytest.mark.slow
def test_a_grid_of_priors_in_a_pipeline():
    coder = AdversarialAutoencoder(steps=60, network="mlp(hidden=[16])")
    pipeline = make_pipeline(StandardScaler(), coder, AdversarialClassifier(steps=60))
    grid = {"adversarialautoencoder__prior": ["gaussian(size=2)", "swissroll"]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, Y)
    assert search.best_params_["adversarialautoencoder__prior"] in grid["adversarialautoencoder__prior"]
    assert search.best_score_ > 0.5
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()
