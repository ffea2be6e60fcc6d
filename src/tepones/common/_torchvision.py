"""The one place that imports torchvision.

A torchvision built for CUDA, beside a torch built for the CPU alone, fails to import: it registers the
shape rules of two operators whose compiled code could not be loaded. Declaring the operators first is enough
for models, transforms and data sets. Where the operators exist nothing is declared.
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def _load_compiled() -> None:
    """Load torchvision's own operators, if this torch can."""
    folder = Path(importlib.util.find_spec("torchvision").submodule_search_locations[0])
    for library in folder.glob("_C.*"):
        try:
            torch.ops.load_library(str(library))
        except OSError:  # built for another torch: the case that this module exists for
            return


_load_compiled()
_missing = [schema for name, schema in _SCHEMAS.items() if not hasattr(torch.ops.torchvision, name)]
if _missing:
    _declared = torch.library.Library("torchvision", "FRAGMENT")
    for _schema in _missing:
        _declared.define(_schema)

import torchvision  # noqa: E402  (only importable once the operators are declared)

__all__ = ["torchvision"]
