"""What every score declares about itself."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Behaviour:
    """What a score does under changes of its input; every entry is tested.

    What all scores share is not repeated here: dead columns change nothing, one class, NaN, infinities and
    zero rows are refused in one line.

    Attributes
    ----------
    scaling, shifting, duplicates : str
        The value when all features are multiplied by 10, when a constant is added, when every column is there
        twice: ``"same"`` (within 10⁻⁶ of it), ``"up"``, ``"down"`` or ``"changes"`` (either way).
    few_rows : str
        With N ≤ D: ``"tells"`` (true labels score higher than shuffled ones), ``"blind"`` (any labels get the
        same value).
    empty : float or str
        The value if no feature is active.
    """

    scaling: str = "same"
    shifting: str = "same"
    duplicates: str = "same"
    few_rows: str = "tells"
    empty: Any = 0.0


@dataclass(frozen=True)
class Score:
    """A registered score.

    Attributes
    ----------
    function : callable
        Its parameters say what it needs: any of `moments`, `features`, `labels`, `probabilities`, `facts` and
        `seed`. Returns a float, or a dictionary from the names of parts to floats.
    title : str
        Its name in words.
    source : str
        Where the definition is from, and which variant this is.
    range, units, cost : str
    behaviour : Behaviour
    maximum : callable, optional
        Number of classes to the largest value there is; a score that reaches it is saturated.
    """

    function: Callable[..., float | dict[str, float]]
    title: str
    source: str
    range: str
    units: str
    cost: str
    behaviour: Behaviour
    maximum: Callable[[int], float] | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what the function takes."""
        return tuple(inspect.signature(self.function).parameters)

    @property
    def needs(self) -> str:
        """The input that decides when it can be computed: moments, features, probabilities or model facts."""
        for parameter, need in (("facts", "model facts"), ("probabilities", "probabilities")):
            if parameter in self.parameters:
                return need
        return "features" if "features" in self.parameters else "moments"
