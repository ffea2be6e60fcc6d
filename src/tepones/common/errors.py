"""The two ways in which something goes wrong, each told to the user in one line."""


class TeponesError(Exception):
    """A run failed: a file is damaged, a computation did not finish. The command line exits with 1."""


class UsageError(TeponesError, ValueError):
    """Wrong use: an unknown name, a value of the wrong type or out of range. The command line exits with 2.

    The message is one line that names the thing and the valid choices.
    """


def one_line(error: object) -> str:
    """Text of an error, without line breaks."""
    return " ".join(str(error).split())


def shown(name: object) -> str:
    """A name from outside as it may stand in a line for a terminal: what does not print is escaped.

    Names of files may hold line breaks, escape sequences, signs that turn the direction of writing, and bytes that are
    no text.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in str(name)
    )


def as_text(name: object) -> str:
    """A name from outside in which bytes that are no text are escaped, so that it can stand in a table or a file."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def choose(kind: str, name: str, choices) -> None:
    """Raise `UsageError` unless `name` is one of `choices`; the line says the kind of thing and lists the choices."""
    choices = sorted(choices)
    if name not in choices:
        raise UsageError(f"unknown {kind} {name!r}; choose from: {', '.join(choices)}")
