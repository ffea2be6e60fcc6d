"""The code that decides a result, found by following names; its hash is part of the key of every record.

From the definitions that a cell names, every definition of this package that they mention is followed, through
functions, classes, constants, imports and the types of arguments, to the end. What is hashed is their syntax, so that
comments, docstrings, line breaks and type hints do not count, nor does the file in which a definition lies: moving code
changes no hash, editing it does.

Left out, by name, is what decides no value:

* registries: the code behind the entry that a cell uses is named by the cell itself (`module:object`, or
  `module:NAME[entry]` for an entry of a dictionary), so that a new entry changes nothing;
* the modules of `LEFT_OUT`: errors, places on disk, how files are written, progress, the store;
* the words of messages: what is raised counts, not what it says;
* other cells: what they compute is in the key through `Cell.requires`.

What cannot be seen this way is a definition that is found at run time by a computed name (`getattr`, `import_module`).
Registries are the only such place here, and cells name what they take from them.
"""

import ast
import copy
import hashlib
import pickle
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path

from tepones.common.errors import TeponesError

PACKAGE = "tepones"

#: Modules that decide no value.
LEFT_OUT = {
    "tepones.common._torchvision",
    "tepones.common.errors",
    "tepones.common.files",
    "tepones.common.paths",
    "tepones.common.progress",
    "tepones.common.registry",
    "tepones.companion.study.records",
}

#: How a definition is written in the syntax of another.
_MENTION = re.compile(r"<([\w.]+):(\w+)>")

#: Dictionaries that serve as registries: cells name the entries that they use.
REGISTRIES = {"tepones.pruning:STARTS", "tepones.tasks.glyphs:ALPHABETS", "tepones.tasks.sources:SOURCES"}

#: What describes a score to its readers: words in these calls decide no value.
DESCRIPTIONS = {"tepones.scores.base:Score", "tepones.scores.base:Behaviour", "tepones.scores.controls:_control"}


class Source:
    """The modules of the package as text.

    Parameters
    ----------
    edits : mapping of str to str, optional
        Texts of modules that take the place of those on disk: to see what an edit would change.
    """

    def __init__(self, edits: Mapping[str, str] | None = None):
        self.edits = dict(edits or {})
        self._modules: dict[str, _Module | None] = {}
        self._hashes: dict[tuple[str, ...], str] = {}

    def hash(self, references: Iterable[str]) -> str:
        """Hash of all definitions that are reached from these.

        Parameters
        ----------
        references : iterable of str
            ``module:object``, or ``module:NAME[entry]`` for an entry of a dictionary that is written out.

        Returns
        -------
        str
            20 hexadecimal digits.

        Raises
        ------
        TeponesError
            If there is no such definition.
        """
        references = tuple(sorted(set(references)))
        if references not in self._hashes:
            texts = sorted(set(self.reached(references).values()))
            self._hashes[references] = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:20]
        return self._hashes[references]

    def reached(self, references: Iterable[str]) -> dict[str, str]:
        """Syntax of every definition that is reached from these, by `module:object`."""
        waiting = [self._definition(reference) for reference in references]
        roots = set(waiting)
        found: dict[_Definition, set[_Definition]] = {}
        while waiting:
            definition = waiting.pop()
            if definition not in found:
                found[definition] = definition.mentioned
                waiting += [other for other in definition.mentioned if other in roots or not other.is_cell]
        return {definition.reference: definition.text for definition in found}

    def module(self, name: str) -> "_Module | None":
        """A module of this package by its dotted name, or None."""
        if name not in self._modules:
            text = self.edits.get(name) or _read(name)
            self._modules[name] = None if text is None else _Module(self, name, text)
        return self._modules[name]

    def _definition(self, reference: str) -> "_Definition":
        module, _, name = reference.partition(":")
        name, _, entry = name.rstrip("]").partition("[")
        if module.partition(".")[0] != PACKAGE:
            # A cell of elsewhere, as tests have them: the module that defines it is loaded.
            text = Path(sys.modules[module].__file__).read_text(encoding="utf-8")
            self._modules.setdefault(module, _Module(self, module, text))
        found = self.module(module) and self.module(module).resolve(name)
        if not isinstance(found, _Definition):
            raise TeponesError(f"no definition {reference} in the code of this package")
        return found.entry(entry) if entry else found


def _read(module: str) -> str | None:
    """Text of a module of this package, found without importing it: that would load torch."""
    package, *inside = module.split(".")
    path = Path(__file__).parents[2].joinpath(*inside)
    files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if package == PACKAGE and file.is_file()]
    return files[0].read_text(encoding="utf-8") if files else None


@cache
def source() -> Source:
    """The code of this checkout as it was when it was first asked for."""
    return Source()


class _Module:
    """A module: the statements that bind each name at its top level, and what its imports bind."""

    def __init__(self, source: Source, name: str, text: str):
        self.source, self.name = source, name
        self.definitions: dict[str, _Definition] = {}
        self.imports: dict[str, tuple[str, str]] = {}
        statements: dict[str, list[ast.stmt]] = {}
        # What binds no name (a call, say) may change what any definition of the module does.
        loose: list[ast.stmt] = []
        for statement in ast.parse(text).body:
            names = _bound(statement)
            for bound in names:
                statements.setdefault(bound, []).append(statement)
            if not names and not _imports_only(statement) and not _is_docstring(statement):
                loose.append(statement)
            self.imports |= _imported(statement)
        for bound, own in statements.items():
            self.definitions[bound] = _Definition(self, bound, [*own, *loose])

    def resolve(self, name: str) -> "_Definition | _Module | str | None":
        """What a global name of the module means: a definition or module of the package, an outside name, or None."""
        if name in self.definitions:
            return self.definitions[name]
        return self.look_up(*self.imports[name]) if name in self.imports else None

    def member(self, name: str) -> "_Definition | _Module | str | None":
        """What ``module.name`` means: as `resolve`, or a module inside of this package."""
        return self.resolve(name) or self.source.module(f"{self.name}.{name}")

    def look_up(self, module: str, name: str) -> "_Definition | _Module | str | None":
        """What ``from module import name`` (or ``import module``, with an empty name) gives."""
        found = self.source.module(module)
        if found is None:
            return f"{module}.{name}".rstrip(".")
        return found.member(name) if name else found


class _Definition:
    """The statements that bind a name of a module."""

    def __init__(self, module: _Module, name: str, statements: list[ast.stmt]):
        self.module, self.name, self.statements = module, name, statements
        self.reference = f"{module.name}:{name}"

    @cached_property
    def is_cell(self) -> bool:
        """Whether this is a cell: a class that computes what it describes."""
        classes = [statement for statement in self.statements if isinstance(statement, ast.ClassDef)]
        return any(_mentions(base, "Cell") for found in classes for base in found.bases)

    @cached_property
    def is_registry(self) -> bool:
        """Whether this is a registry: a new entry decides nothing for those who use another."""
        values = [statement.value for statement in self.statements if isinstance(statement, ast.Assign)]
        made = any(isinstance(value, ast.Call) and _mentions(value.func, "Registry") for value in values)
        return made or self.reference in REGISTRIES

    def entry(self, key: str) -> "_Definition":
        """The value of one entry of a dictionary that is written out."""
        for statement in self.statements:
            value = getattr(statement, "value", None)
            if isinstance(value, ast.Dict):
                for name, found in zip(value.keys, value.values, strict=True):
                    if isinstance(name, ast.Constant) and name.value == key:
                        return _Definition(self.module, f"{self.name}[{key}]", [ast.Expr(found)])
        raise TeponesError(f"no entry {key!r} in {self.reference}")

    @cached_property
    def _walked(self) -> "tuple[set[_Definition], str]":
        follower = _Follower(self)
        # A copy, made in less than half the time that `copy.deepcopy` takes.
        kept = [follower.visit(statement) for statement in pickle.loads(pickle.dumps(self.statements))]
        return follower.mentioned, "\n".join(map(_canonical, kept))

    @property
    def mentioned(self) -> "set[_Definition]":
        """The definitions that this one mentions, itself excluded."""
        return self._walked[0] - {self}

    @cached_property
    def bare_text(self) -> str:
        """The syntax, in which other definitions are known by their names."""
        return _MENTION.sub(lambda found: found[2], self._walked[1])

    @cached_property
    def text(self) -> str:
        """The syntax, in which other definitions are known by their names and their own bare texts.

        Wherever they lie, one of the same name that does something else is not the same.
        """
        others = {other.reference: other.bare_text for other in self.mentioned if not other.is_cell}

        def name(found: re.Match[str]) -> str:
            text = others.get(f"{found[1]}:{found[2]}", "")
            return f"{found[2]} {hashlib.sha256(text.encode()).hexdigest()[:12] if text else ''}"

        return _MENTION.sub(name, self._walked[1])


class _Follower(ast.NodeTransformer):
    """Collects what a definition mentions, and removes from its syntax what decides nothing."""

    def __init__(self, definition: _Definition):
        self.module = definition.module
        self.mentioned: set[_Definition] = set()
        self.local: list[set[str]] = []
        # Imports inside of functions.
        self.inner = {
            name: place
            for statement in definition.statements
            for node in ast.walk(statement)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name, place in _imported(node).items()
        }

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A global name becomes what it means."""
        return self._meaning(node, self._resolve(node.id))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """An attribute of a module becomes what it means."""
        found = self._attribute(node)
        if found is None:
            return self.generic_visit(node)
        return self._meaning(node, found)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """What describes something to readers is no part of the syntax."""
        called = self._attribute(node.func) if isinstance(node.func, ast.Attribute) else None
        called = self._resolve(node.func.id) if isinstance(node.func, ast.Name) else called
        if isinstance(called, _Definition) and (called.reference in DESCRIPTIONS or called.module.name in LEFT_OUT):
            node.args = [value for value in node.args if not self._describes(value)]
            node.keywords = [keyword for keyword in node.keywords if not self._describes(keyword.value)]
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """That something is raised counts, not in what words."""
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(exc=self.visit(raised) if raised else None, cause=None)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """The type of an argument says whose methods may be called."""
        self._follow_type(node.annotation)
        return ast.arg(arg=node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """The same of a field or variable."""
        self._follow_type(node.annotation)
        value = self.visit(node.value) if node.value else None
        return ast.Assign(targets=[self.visit(node.target)], value=value or ast.Constant(...))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """The same of what is returned; the docstring goes, and names that are bound inside mean nothing outside."""
        self._follow_type(node.returns)
        node.returns = None
        node.body = _without_docstring(node.body)
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        return self._inside(_local_names(node), node, "args", "body")

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """The docstring goes."""
        node.body = _without_docstring(node.body)
        return self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """Its arguments mean nothing outside."""
        return self._inside(_arguments(node.args), node, "args", "body")

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> ast.AST:
        """The names that it binds mean nothing outside; the first iterable is still outside."""
        first = node.generators[0]
        first.iter = self.visit(first.iter)
        names = {name for part in node.generators for name in _stored(part.target)}
        return self._inside(
            names, node, *(field for field in ("elt", "key", "value") if field in node._fields), "generators"
        )

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp

    def visit_Import(self, node: ast.Import) -> None:
        """Names become what they mean, wherever they are imported from: imports go."""

    visit_ImportFrom = visit_Import

    def _inside(self, names: set[str], node: ast.AST, *fields: str) -> ast.AST:
        """Visit some fields of a node where some names are local."""
        self.local.append(names)
        for field in fields:
            value = getattr(node, field)
            parts = [self.visit(part) for part in (value if isinstance(value, list) else [value])]
            kept = [part for part in parts if part is not None]
            setattr(node, field, kept if isinstance(value, list) else kept[0])
        self.local.pop()
        return node

    def _resolve(self, name: str) -> "_Definition | _Module | str | None":
        if any(name in names for names in self.local):
            return None
        return self.module.look_up(*self.inner[name]) if name in self.inner else self.module.resolve(name)

    def _describes(self, node: ast.expr) -> bool:
        """Whether this is a text, or the name of one."""
        found = self._resolve(node.id) if isinstance(node, ast.Name) else None
        texts = found.statements if isinstance(found, _Definition) else ()
        return _is_text(node) or any(isinstance(text, ast.Assign) and _is_text(text.value) for text in texts)

    def _attribute(self, node: ast.Attribute) -> "_Definition | _Module | str | None":
        """What ``module.name`` means; None if it is an attribute of anything else."""
        if isinstance(node.value, ast.Name):
            owner = self._resolve(node.value.id)
        elif isinstance(node.value, ast.Attribute):
            owner = self._attribute(node.value)
        else:
            return None
        if isinstance(owner, str):
            return f"{owner}.{node.attr}"
        return owner.member(node.attr) if isinstance(owner, _Module) else None

    def _meaning(self, node: ast.Name | ast.Attribute, found: "_Definition | _Module | str | None") -> ast.AST:
        if isinstance(found, str):
            return ast.Name(id=found)
        if isinstance(found, _Module):
            # Handed on as a whole: anything in it may be used.
            self._mention(*found.definitions.values())
            return ast.Name(id=found.name.rpartition(".")[2])
        if isinstance(found, _Definition):
            self._mention(found)
            return ast.Name(id=f"<{found.reference}>")
        return ast.Name(id=node.id) if isinstance(node, ast.Name) else node

    def _mention(self, *definitions: _Definition) -> None:
        self.mentioned |= {one for one in definitions if one.module.name not in LEFT_OUT and not one.is_registry}

    def _follow_type(self, annotation: ast.expr | None) -> None:
        if annotation is None:
            return
        self.visit(copy.deepcopy(annotation))
        for node in ast.walk(annotation):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._follow_type(ast.parse(node.value, mode="eval").body)


def _canonical(node: object) -> str:
    """Text of a syntax tree that is the same in every version of Python: unlike `ast.dump`, without empty fields."""
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
    told = [f"{name}={_canonical(value)}" for name, value in fields if name not in ("ctx", "kind", "type_comment")]
    return f"{type(node).__name__}({','.join(told)})"


def _bound(statement: ast.stmt) -> list[str]:
    """Names that a statement at the top of a module binds, imports excepted."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return []
    return sorted(_stored(statement))


def _stored(*nodes: ast.AST) -> set[str]:
    """Names that are bound by nodes, without what functions, classes, lambdas and comprehensions bind inside."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            # An assignment expression in a comprehension binds outside of it.
            found |= {part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr)}
        elif not isinstance(node, ast.Lambda):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                found.add(node.name)
            waiting += ast.iter_child_nodes(node)
    return found


def _local_names(function: ast.FunctionDef) -> set[str]:
    """Arguments of a function and names that it binds, unless it says that they are global."""
    shared = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
    return (_arguments(function.args) | _stored(*function.body)) - shared


def _arguments(arguments: ast.arguments) -> set[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {argument.arg for argument in every if argument}


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    return [statement for statement in body if not _is_docstring(statement)] or [ast.Pass()]


def _imported(statement: ast.stmt) -> dict[str, tuple[str, str]]:
    """Names that the imports of a statement bind, each with its module and its name there."""
    found = {}
    for node in ast.walk(statement) if not isinstance(statement, ast.FunctionDef | ast.ClassDef) else ():
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            # `import a.b` binds `a`.
            found |= {
                alias.asname or alias.name.partition(".")[0]: (
                    alias.name if alias.asname else alias.name.partition(".")[0],
                    "",
                )
                for alias in node.names
            }
    return found


def _imports_only(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If):
        return all(map(_imports_only, statement.body)) and not statement.orelse
    return isinstance(statement, ast.Import | ast.ImportFrom)


def _mentions(node: ast.expr, name: str) -> bool:
    return any(getattr(part, "id", getattr(part, "attr", None)) == name for part in ast.walk(node))


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and _is_text(statement.value)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
