"""Profiles: one scale of the whole study each, read from `data/profiles/NAME.yaml` and checked."""

from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tepones import paths
from tepones.backbones import BACKBONES
from tepones.errors import UsageError, choose
from tepones.pruning import CRITERIA, SCHEDULES
from tepones.registry import Registry
from tepones.scores import SCORES
from tepones.tasks import TASKS

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _known(registry: Registry):
    """A pydantic check that a name is registered."""

    def check(name: str) -> str:
        registry.module(name)
        return name

    return check


class TaskSize(_Strict):
    """A task and how many images of each class to take."""

    task: str
    train_per_class: Count
    test_per_class: Count

    _task = field_validator("task")(_known(TASKS))


class TrainingSize(_Strict):
    """Length and peak learning rate of a training run."""

    epochs: Positive
    learning_rate: Positive


class Ladder(_Strict):
    """One ladder: how it is pruned and the seed of its pre-training."""

    criterion: str
    schedule: str
    seed: Annotated[int, Field(ge=0)]

    _criterion = field_validator("criterion")(_known(CRITERIA))
    _schedule = field_validator("schedule")(_known(SCHEDULES))

    @property
    def method(self) -> str:
        """The pruning method in words: criterion and schedule."""
        return f"{self.criterion} {self.schedule}"

    @property
    def name(self) -> str:
        """The method and the seed."""
        return f"{self.method} {self.seed}"


class Profile(_Strict):
    """Everything that decides a study. Fields are described in `CONTRIBUTING.md`."""

    name: str
    backbone: str
    source: TaskSize
    targets: Annotated[tuple[TaskSize, ...], Field(min_length=1)]
    pretraining: TrainingSize
    fine_tuning: TrainingSize
    ladders: Annotated[tuple[Ladder, ...], Field(min_length=1)]
    sparsities: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)]
    scores: Annotated[tuple[str, ...], Field(min_length=1)]
    probe_regularisation: Annotated[tuple[Positive, ...], Field(min_length=1)]

    _backbone = field_validator("backbone")(_known(BACKBONES))

    @field_validator("scores")
    @classmethod
    def _known_scores(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            choose("score", name, SCORES)
        return names

    @field_validator("sparsities")
    @classmethod
    def _rising(cls, sparsities: tuple[float, ...]) -> tuple[float, ...]:
        if list(sparsities) != sorted(set(sparsities)):
            raise ValueError("sparsities must rise from rung to rung")
        return sparsities


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
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) | {"name": name})
    except yaml.YAMLError as error:
        raise UsageError(f"{path.name}: not valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path.name}: {field}: {first['msg']}, got {first['input']!r}") from error
