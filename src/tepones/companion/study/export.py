"""The zoo is made of ladders that a study computed."""

import json
from pathlib import Path

from tepones.backbones.base import Backbone
from tepones.backbones.features import accuracy
from tepones.common.errors import TeponesError, UsageError
from tepones.companion.study import plan
from tepones.companion.study.cells import load_rung
from tepones.companion.study.profiles import Ladder, Profile
from tepones.companion.study.records import Store, Tensors, versions
from tepones.ranking import zoo

#: What a manifest tells of how a ladder was made: fields of `tepones.companion.study.profiles.Ladder`.
_CONFIG = {"criterion", "schedule", "scope", "objective", "pretraining", "weights", "fine_tuning"}


def export(ladder: Ladder, records: Store, destination: Path) -> Path:
    """Write a computed ladder as a ladder of the zoo.

    Parameters
    ----------
    ladder : Ladder
    records : Store
        With its rungs and the images of its source task.
    destination : Path
        The ladder's folder, named after the ladder, is made in it.

    Returns
    -------
    Path
        The ladder's folder.

    Raises
    ------
    TeponesError
        If a record is missing, or the backbone cannot be shrunk.
    """
    target, about = _target(ladder, destination), _about(ladder) | {"versions": versions()}
    images = records.require(plan.images(ladder.source, ladder.pixels)).tensors()
    backbones = (load_rung(records, cell)[0] for cell in plan.rungs(ladder))
    zoo.write(target, backbones, about, lambda backbone: _source_accuracy(backbone, images))
    return target


def export_profile(profile: Profile) -> list[Path]:
    """Write the first ladder of each method of a computed profile into the zoo, `data/zoo`; returns their folders.

    Variants of a method, which have a label, are left out: the repository has room for 15 MB.

    Raises
    ------
    UsageError
        If a ladder of the zoo would be replaced by one of another study that has the same name.
    TeponesError
        If a record is missing. In either case nothing is written.
    """
    first: dict[str, Ladder] = {}
    for ladder in profile.ladders:
        if not ladder.label:
            first.setdefault(ladder.method, ladder)
    records = plan.store(profile)
    for ladder in first.values():
        _refuse_another(ladder, _target(ladder, zoo.folder()))
        if any(records.get(cell) is None for cell in plan.rungs(ladder)):
            raise TeponesError(f"ladder {ladder.name} is not computed: tepones run --profile {profile.name}")
    return [export(ladder, records, zoo.folder()) for ladder in first.values()]


def _target(ladder: Ladder, destination: Path) -> Path:
    return destination / ladder.name.replace(" ", "-")


def _about(ladder: Ladder) -> dict[str, object]:
    """How a ladder was made, for its manifest."""
    return {
        "architecture": ladder.backbone,
        "task": ladder.source.model_dump(),
        "side": ladder.pixels,
        "method": ladder.method,
        "config": ladder.model_dump(include=_CONFIG),
        "seed": ladder.seed,
    }


def _refuse_another(ladder: Ladder, target: Path) -> None:
    """Refuse to replace a ladder that was made otherwise: names do not hold the images or the training."""
    if not (target / zoo.MANIFEST).is_file():
        return
    there, about = zoo.manifest(target).model_dump(mode="json"), json.loads(json.dumps(_about(ladder)))
    differing = next((field for field, value in about.items() if there[field] != value), None)
    if differing:
        raise UsageError(f"{target}: holds a ladder of another {differing}; remove it to have this one in its place")


def _source_accuracy(backbone: Backbone, images: Tensors) -> float | None:
    labels = images["test_labels"]
    return accuracy(backbone, images["test_images"], labels) if len(labels) else None
