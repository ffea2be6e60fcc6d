"""Profiles: one scale of the whole study each, read from `data/profiles/NAME.yaml` and checked."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from tepones.backbones import BACKBONES, OBJECTIVES
from tepones.common import paths
from tepones.common.config import Place, Strict, first_error, read_yaml
from tepones.common.errors import UsageError, choose
from tepones.common.registry import Registry
from tepones.pruning import CRITERIA, SCHEDULES, UNPRUNED
from tepones.scores import SCORES
from tepones.tasks import TASKS

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


def _known(registry: Registry):
    """A pydantic check that a name is registered."""

    def check(name: str | None) -> str | None:
        if name is not None:
            registry.module(name)
        return name

    return check


class TaskSize(Strict):
    """A task, how many images of each class to take at most, and the number of classes if not the official one.

    Without a number for testing, every image that is not for training is a test image.
    """

    task: str
    train_per_class: Count
    test_per_class: Count | None = None
    classes: Count | None = None

    _task = field_validator("task")(_known(TASKS))


class TrainingSize(Strict):
    """Length and peak learning rate of a training run."""

    epochs: Positive
    learning_rate: Positive


class Ladder(Strict):
    """One ladder: its backbone, what that was trained on, how it is pruned, and the seed of all this.

    `weights` names a file of released weights to start from, in place of a pre-training. Where these are trained
    between rungs, it is on the answers of their own dense network to the images of the task `distillation`.
    """

    backbone: str
    source: TaskSize
    pixels: Count = 32
    pretraining: TrainingSize | None = None
    weights: str | None = None
    distillation: TaskSize | None = None
    objective: str = "supervised"
    criterion: str | None = None
    schedule: str
    scope: Literal["global", "layer"] = "global"
    fine_tuning: TrainingSize
    sparsities: tuple[Annotated[float, Field(gt=0, lt=1)], ...]
    seed: Annotated[int, Field(ge=0)] = 0
    label: str = ""

    _backbone = field_validator("backbone")(_known(BACKBONES))
    _objective = field_validator("objective")(_known(OBJECTIVES))
    _criterion = field_validator("criterion")(_known(CRITERIA))
    _schedule = field_validator("schedule")(_known(SCHEDULES))

    @field_validator("sparsities")
    @classmethod
    def _rising(cls, sparsities: tuple[float, ...]) -> tuple[float, ...]:
        if list(sparsities) != sorted(set(sparsities)):
            raise ValueError("sparsities must rise from rung to rung")
        return sparsities

    @model_validator(mode="after")
    def _one_start(self) -> "Ladder":
        if (self.pretraining is None) == (self.weights is None):
            raise ValueError("a ladder starts from a pretraining or from weights: give one of the two")
        if self.distillation and not self.weights:
            raise ValueError("distillation is for released weights: give weights")
        return self

    @model_validator(mode="after")
    def _one_criterion(self) -> "Ladder":
        if self.criterion is None and self.schedule not in UNPRUNED:
            raise ValueError(f"schedule {self.schedule} needs a criterion")
        if self.criterion is not None and self.schedule in UNPRUNED:
            raise ValueError(f"schedule {self.schedule} removes nothing: it takes no criterion")
        return self

    @property
    def method(self) -> str:
        """The pruning method in words: criterion and schedule, after the label, as far as there are any."""
        return " ".join(filter(None, (self.label, self.criterion, self.schedule)))

    @property
    def name(self) -> str:
        """The method and the seed."""
        return f"{self.method} {self.seed}"


class FullFineTuning(Strict):
    """Training of all weights that remain on the targets, besides the linear probe: where, how long, how often.

    Of the ladders named, the rungs up to the sparsity `most`.
    """

    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    ladders: Annotated[tuple[str, ...], Field(min_length=1)]
    most: Annotated[float, Field(gt=0, le=1)] = 1.0
    training: TrainingSize
    repeats: Count


class Profile(Strict):
    """Everything that decides a study. Fields are described in `CONTRIBUTING.md`."""

    name: str
    targets: Annotated[tuple[TaskSize, ...], Field(min_length=1)]
    ladders: Annotated[tuple[Ladder, ...], Field(min_length=1)]
    scores: Annotated[tuple[str, ...], Field(min_length=1)]
    probe_regularisation: Annotated[tuple[Positive, ...], Field(min_length=1)]
    full_fine_tuning: FullFineTuning | None = None
    ablations: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _fill_ladders(cls, given: dict[str, Any]) -> dict[str, Any]:
        """What a ladder does not say itself it takes from the fields of the same name of the profile."""
        shared = {name: given[name] for name in Ladder.model_fields if name in given}
        rest = {name: value for name, value in given.items() if name not in shared}
        ladders = given.get("ladders")
        if isinstance(ladders, list) and all(isinstance(ladder, dict) for ladder in ladders):
            rest["ladders"] = [shared | ladder for ladder in ladders]
        return rest

    @field_validator("scores")
    @classmethod
    def _known_scores(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            choose("score", name, SCORES)
        return names

    @model_validator(mode="after")
    def _consistent(self) -> "Profile":
        names = [ladder.name for ladder in self.ladders]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two ladders are called {min(twice)!r}: give one a label")
        full = self.full_fine_tuning
        for target in full.targets if full else ():
            choose("target", target, [size.task for size in self.targets])
        for ladder in (*(full.ladders if full else ()), *self.ablations):
            choose("ladder", ladder, names)
        return self


def names() -> list[str]:
    """Profiles of this checkout."""
    return sorted(path.stem for path in (paths.data() / "profiles").glob("*.yaml"))


def load(name: str) -> Profile:
    """Read a profile.

    Raises
    ------
    UsageError
        If there is no such profile, or a field is missing, unknown, of the wrong type or out of range; one line
        names the file, the field and what was expected.
    """
    choose("profile", name, names())
    path = paths.data() / "profiles" / f"{name}.yaml"
    given = read_yaml(path)
    if not isinstance(given, dict):
        raise UsageError(f"{path.name}: expected the fields of a profile, NAME: VALUE")
    try:
        return Profile.model_validate(given | {"name": name})
    except ValidationError as error:
        raise UsageError(f"{path.name}: {first_error(error, lambda place: _written(place, given))}") from error


def _written(place: Place, given: dict[str, Any]) -> Place:
    """Where in the file a field of a ladder is written: with the ladder, or above for all ladders."""
    if place[:1] == ("ladders",) and len(place) > 2 and place[2] not in given["ladders"][place[1]]:
        return place[2:]
    return place
