"""What every score declares about itself."""

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
        Computes the score. The names of its parameters say what it is given: any of `moments`, `features`, `labels`,
        `probabilities`, `facts` and `seed`. Returns a float, or a dictionary from the names of parts to floats.
    title : str
        Its name in words.
    source : str
        Where the definition is from, and which variant this is.
    range, units, cost : str
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
    source: str
    range: str
    units: str
    cost: str
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
