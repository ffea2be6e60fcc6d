"""What a score is: a function, and what is declared about it.

The names of the function's parameters say what it is given:

* ``moments``: the `ClassMoments` of the features and labels. Where the features are given too, the moments may be left
  out and are then computed;
* ``features``: ndarray (may be memory-mapped) or torch tensor, shape (N, D);
* ``labels``: a sequence of N hashable classes;
* ``probabilities``: ndarray or torch tensor, shape (N, C_s), the source classifier's output after the softmax;
* ``facts``: what is known of the backbone, a dictionary from names to numbers;
* ``seed``: an integer that decides everything random.

It returns a float, or a dictionary from the names of parts to floats. It raises UsageError on what
`ClassMoments.update` refuses, on fewer than two classes, and on rows of ``probabilities`` that are no distribution.

What a docstring says of the cost holds after the one pass of N·D² that fills the moments, where d of the D features are
active and n_c of the N rows are of class c.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Behaviour:
    """What a score does under changes of its input; every entry is tested.

    What all scores share has no entry here: one class, NaN, infinities and zero rows are refused.

    Attributes
    ----------
    scaling, shifting, duplicates, dead : str
        The value when all features are multiplied by 10, when 1 is added to them, when every column is there
        twice, when as many dead columns are appended: ``"same"`` (within 10⁻⁶ of it), ``"up"``, ``"down"`` or
        ``"changes"`` (either way); ``"no part"`` if features play none.
    few_rows : str
        With N ≤ D and features of about unit variance: ``"tells"`` (true labels score higher than shuffled ones),
        ``"blind"`` (any labels get the same value), ``"reversed"``; ``"no part"`` if labels or features play none.
    empty : str
        The value if no feature is active: a formula in N, the class frequencies π_c and counts n_c and the number of
        classes C; ``"no part"`` if features play none, ``"any"`` if nothing is said of the value.
    """

    scaling: str = "same"
    shifting: str = "same"
    duplicates: str = "same"
    dead: str = "same"
    few_rows: str = "tells"
    empty: str = "0"


@dataclass(frozen=True)
class Score:
    """A registered score.

    Attributes
    ----------
    function : callable
        Computes the score. Its docstring says where the definition is from, and which variant this is.
    title : str
        Its name in words.
    range, units : str
        In words, for tables.
    behaviour : Behaviour
    maximum : callable, optional
        Takes the number of classes and returns the largest value that the score can have; a score that reaches it is
        called saturated. Left out where there is no largest value.
    uses_labels : bool
        Whether the target's labels play a part: without, there is nothing to compare with on shuffled ones.
    """

    function: Callable[..., float | dict[str, float]]
    title: str
    range: str
    units: str
    behaviour: Behaviour
    maximum: Callable[[int], float] | None = None
    uses_labels: bool = True

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what the function takes."""
        return tuple(inspect.signature(self.function).parameters)

    @property
    def needs(self) -> str:
        """The rarest input that the score needs, one of moments, features, probabilities and model facts."""
        for parameter, need in (("facts", "model facts"), ("probabilities", "probabilities")):
            if parameter in self.parameters:
                return need
        return "features" if "features" in self.parameters else "moments"
