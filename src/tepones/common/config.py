"""Files that people write, checked: models that refuse what they do not know, YAML that is small and says one thing."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from reprlib import repr as short
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tepones.common.errors import UsageError, one_line
from tepones.common.files import read_whole

Place = tuple[int | str, ...]

#: Limits on a YAML file: bytes, nesting, and values with every alias written out. The largest of `data` has a tenth.
LARGEST_YAML = 2**18
DEEPEST_YAML = 20
MOST_VALUES = 50_000

#: Characters of what is repeated of a file, or said of it by PyYAML.
LONGEST_ERROR = 300


class Strict(BaseModel):
    """A pydantic model that knows all its fields and whose values are finite and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def first_error(error: ValidationError, written: Callable[[Place], Place] = lambda place: place) -> str:
    """First of the things that are wrong with what a model was given, in one line: the field, the reason, the value.

    `written` turns the place of a field in the model, ``("ladders", 0, "seed")``, into where its author wrote it.
    """
    first = error.errors()[0]
    words = [".".join(str(part) for part in written(first["loc"])), one_line(first["msg"])]
    # Of a field that is not there, and of a file that is not JSON, the value is all that surrounds it.
    got = "" if first["type"] in ("missing", "json_invalid") else f", got {short(first['input'])[:LONGEST_ERROR]}"
    return ": ".join(word for word in words if word) + got


class _Careful(yaml.SafeLoader):
    """Refuses what a person would not write: keys given twice, endless nesting, aliases that multiply, inf and NaN."""

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = 0
        # Values of each node with its aliases written out; a node that is still being read is not there.
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """Read a node, or find the one that an alias stands for."""
        event = self.peek_event()
        if self._depth == DEEPEST_YAML:
            self._refuse(f"more than {DEEPEST_YAML} levels are nested", event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._sizes[node] = 1 + sum(self._sizes[part] for part in _parts(node))
        elif node not in self._sizes:
            self._refuse("an alias stands inside of what it stands for", event.start_mark)
        if self._sizes[node] > MOST_VALUES:
            self._refuse(f"with aliases written out it has more than {MOST_VALUES:,} values", event.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a dictionary; merged entries (``<<``) may be overridden, written ones may not."""
        written = Counter(
            key.value
            for key, _ in node.value
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge"
        )
        # A dictionary of YAML takes the last of several values in silence.
        if twice := [key for key, times in written.items() if times > 1]:
            self._refuse(f"{short(twice[0])} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_finite(self, node: yaml.ScalarNode) -> float:
        """Make a float."""
        value = self.construct_yaml_float(node)
        if not math.isfinite(value):
            self._refuse(f"{short(node.value)} is no finite number", node.start_mark)
        return value

    def _refuse(self, problem: str, mark: yaml.Mark) -> None:
        raise yaml.constructor.ConstructorError(None, None, problem, mark)


_Careful.add_constructor("tag:yaml.org,2002:float", _Careful.construct_finite)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def parse_yaml(text: str) -> Any:
    """Content of a YAML text.

    Raises
    ------
    UsageError
        If it is not valid YAML, gives one key of a mapping twice, is nested deeper than `DEEPEST_YAML`, has more values
        than `MOST_VALUES` with its aliases written out, or a number that is not finite; one line.
    """
    try:
        return yaml.load(text, _Careful)
    except Exception as error:  # of dates, long integers and wrong tags PyYAML raises whatever it runs into
        raise UsageError(f"not valid YAML: {one_line(error)[:LONGEST_ERROR]}") from None


def read_yaml(path: Path) -> Any:
    """Content of a YAML file in UTF-8, read as by `parse_yaml`.

    Raises
    ------
    UsageError
        If it cannot be read, is larger than `LARGEST_YAML`, or is refused by `parse_yaml`; one line with the file's
        name.
    """
    try:
        return parse_yaml(read_whole(path, LARGEST_YAML).decode())
    except UsageError as error:
        raise UsageError(f"{path.name}: {error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name}: not valid YAML: expected UTF-8 ({error.reason}, byte {error.start})") from None
    except OSError as error:
        raise UsageError(f"{path.name}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UsageError(f"{path.name}: cannot be read ({error})") from None
