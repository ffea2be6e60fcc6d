"""The parts of NCTI against scikit-learn."""

import numpy as np
import pytest
from labelled_features import labelled
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tepones.scores.ncti import ncti

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_ncti_is_scikit_learns_discriminant_on_principal_components():
    x, y = labelled(n=300, d=80, c=5, apart=0.3, scale=0.05)
    pca = PCA(n_components=64, svd_solver="full").fit(x)
    ridge = np.exp(-pca.explained_variance_[:32].sum())
    assert ridge > 1e-3
    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage=ridge)
    projected = model.fit_transform(pca.transform(x), y)
    p = model.predict_proba(pca.transform(x))
    parts = ncti(x, y)
    assert parts["seli"] == pytest.approx(np.linalg.norm(projected - projected.mean(0), "nuc"), rel=1e-6)
    assert parts["ncc"] == pytest.approx(p[np.arange(300), y].mean(), rel=1e-6)
    nuclear = sum(np.linalg.norm(p[y == c], "nuc") for c in range(5))
    assert parts["vc"] == pytest.approx(np.log(nuclear), rel=1e-6)
