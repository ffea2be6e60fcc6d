"""Activation entropy, after ENTROPI."""

import numpy as np
from scipy.special import entr

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments


def entropi(moments: ClassMoments) -> float:
    """Mean over all features of the entropy, in bits, of being ON (x > 0).

    After Spadaro et al. (2023), "Shannon strikes again!", ICCVW, 10.1109/ICCVW60793.2023.00165, of which only the
    abstract was available: among source models, that of the highest activation entropy transfers best. The form
    is that of sibling code (EASIER, layer entropy), applied to the encoder's output. Labels play no part. The mean
    is over all features: a dead one has a state and the entropy 0, so that dying never raises the score.

    Returns
    -------
    float
        Bits, in [0, 1]; 0 if no feature is active. Cost after the pass: C·D.
    """
    on = moments.on.sum(0) / moments.n
    return float(np.mean(entr(on) + entr(1 - on)) / np.log(2))


ENTROPI = Score(
    entropi,
    title="Activation entropy",
    range="[0, 1]",
    units="bits",
    behaviour=Behaviour(shifting="changes", dead="down", few_rows="no part"),
    maximum=lambda n_classes: 1.0,
    uses_labels=False,
)
