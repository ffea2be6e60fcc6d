"""Files that people write, checked: models that refuse what they do not know, YAML without repeated keys."""

from collections.abc import Callable
from pathlib import Path
from reprlib import repr as short
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tepones.common.errors import UsageError, one_line

Place = tuple[int | str, ...]


class Strict(BaseModel):
    """A pydantic model that knows all its fields and whose values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def first_error(error: ValidationError, written: Callable[[Place], Place] = lambda place: place) -> str:
    """First of the things that are wrong with what a model was given, in one line: the field, the reason, the value.

    `written` turns the place of a field in the model, ``("ladders", 0, "seed")``, into where its author wrote it.
    """
    first = error.errors()[0]
    words = [".".join(str(part) for part in written(first["loc"])), one_line(first["msg"])]
    # Of a field that is not there, and of a file that is not JSON, the value is all that surrounds it.
    got = "" if first["type"] in ("missing", "json_invalid") else f", got {short(first['input'])}"
    return ": ".join(word for word in words if word) + got


class _OnceOnly(yaml.SafeLoader):
    """Refuses a mapping that holds a key twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a dictionary; merged entries (``<<``) may be overridden, written ones may not."""
        written = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        if twice := [key for key in written if written.count(key) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Content of a YAML file.

    Raises
    ------
    UsageError
        If it cannot be read, is not valid YAML, or gives one key of a mapping twice; one line with the file's name.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _OnceOnly)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: not valid YAML: {one_line(error)}") from error
    except OSError as error:
        raise UsageError(f"{path.name}: cannot be read ({error.strerror})") from error
