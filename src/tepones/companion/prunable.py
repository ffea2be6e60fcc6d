"""A listing of what pruning can remove of a backbone, and what not."""

from collections import Counter

from torch import nn

from tepones.backbones.base import Backbone
from tepones.pruning.masks import n_weights, prunable


def not_prunable(backbone: Backbone) -> Counter[str]:
    """Number of the encoder's parameters that are not prunable, by kind.

    ``norms`` are counted with their biases; ``embeddings`` are those of positions and the convolutions that make tokens
    of an image; ``others`` fit no kind, such as the learned scale of a layer.
    """
    weights, numbers = prunable(backbone), Counter()
    for name, parameter in backbone.named_parameters():
        if name.startswith("encoder.") and name not in weights:
            numbers[_kind(backbone, name)] += parameter.numel()
    return numbers


def _kind(backbone: Backbone, name: str) -> str:
    path, _, last = name.rpartition(".")
    layer = backbone.get_submodule(path)
    if isinstance(layer, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
        return "norms"
    if last.endswith("bias"):
        return "biases"
    if last in ("class_token", "cls_token"):
        return "class tokens"
    if last == "pos_embedding" or isinstance(layer, nn.Embedding | nn.Conv2d):
        return "embeddings"
    return "others"


def lines(backbone: Backbone) -> list[str]:
    """The listing as lines of text.

    Parameters
    ----------
    backbone : Backbone
        Made for one source class, so that the parameters of its classifier are those for each class.

    Returns
    -------
    list of str
        A line for each prunable weight (name, shape, number), their sum and its share of the encoder's parameters; then
        a line for each kind of what is not prunable.
    """
    weights = prunable(backbone)
    total = n_weights(backbone)
    n_parameters = sum(parameter.numel() for parameter in backbone.encoder.parameters())
    rows = [(name, "×".join(map(str, weight.shape)), f"{weight.numel():,}") for name, weight in weights.items()]
    rows.append((f"prunable, {total / n_parameters:.1%} of the encoder's {n_parameters:,}", "", f"{total:,}"))
    rows.append(("", "", ""))
    rows += [(f"not prunable: {kind}", "", f"{number:,}") for kind, number in not_prunable(backbone).items()]
    n_classifier = sum(parameter.numel() for parameter in backbone.classifier.parameters())
    rows.append(("not prunable: source classifier, for each class", "", f"{n_classifier:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}".rstrip() for row in rows]
