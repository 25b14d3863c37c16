"""What a name may mean at a place: the names of the file, of the model, and of the loops around."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

from ppl.semantics.affine import Affine, Bounds, loop_bounds
from ppl.semantics.constants import Folded
from ppl.semantics.typed import Axis, IndexSet, Loop, Network, TypedExpression, TypedModel, ValueType, Variable
from ppl.source.diagnostics import Findings, did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree

Elaborate = Callable[..., TypedExpression | None]
"""`elaborate(written, scope, expected)` of the expressions, handed to the modules that it uses itself."""


@dataclass(frozen=True)
class FunctionEntry:
    """A function of a file, with the names of the file that it was written in."""

    declaration: tree.FunctionDeclaration
    home: FileNames


@dataclass
class FileNames:
    """What the top level of a file defines or imports."""

    findings: Findings
    types: dict[str, IndexSet] = field(default_factory=dict)
    functions: dict[str, FunctionEntry] = field(default_factory=dict)
    models: dict[str, tree.ModelDeclaration] = field(default_factory=dict)
    imported: dict[str, TypedModel] = field(default_factory=dict)
    typed_model: Callable[[str], TypedModel | None] = lambda name: None  # checks a model of the file when it is first asked for

    @property
    def model_names(self) -> tuple[str, ...]:
        return (*self.models, *self.imported)


@dataclass(frozen=True)
class ActiveLoop:
    """A loop around the place, under the name that was written."""

    written: str
    loop: Loop


@dataclass(frozen=True)
class Piece:
    """One statement's part in the definition of a variable: `z[0]`, `z[t] for t in 1..T`."""

    name: str
    order: int  # of the statement in the model
    loops: tuple[ActiveLoop, ...]
    indices: tuple[TypedExpression, ...]
    places: tuple[Affine, ...]  # the indices as ordinals
    span: Span


@dataclass
class ModelNames:
    """What a model defines. `variables` and the sets below it fill up as the statements are checked in order."""

    file: FileNames
    findings: Findings
    sets: dict[str, IndexSet] = field(default_factory=dict)  # by name
    members: dict[str, list[IndexSet]] = field(default_factory=dict)
    pieces: dict[str, list[Piece]] = field(default_factory=dict)
    plates: dict[str, tuple[Axis, ...]] = field(default_factory=dict)
    mentions: dict[str, set[str]] = field(default_factory=dict)  # the names that stand in the definition of each variable
    variables: dict[str, Variable] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    parts: dict[str, list[Piece]] = field(default_factory=dict)  # of each variable of a submodel: the pieces that are that submodel
    broken: set[str] = field(default_factory=set)  # their definitions have errors, which are reported there
    random: set[str] = field(default_factory=set)  # random variables and what depends on them
    constants: dict[str, Folded] = field(default_factory=dict)
    roles: dict[str, type] = field(default_factory=dict)  # of an agent's names: which kind of statement declares each
    sizes_and_loops: set[str] = field(default_factory=set)  # the names of sets that a loop walks or a parameter sizes
    index_names: set[str] = field(default_factory=set)  # of any loop of the model
    hidden: dict[str, str] = field(default_factory=dict)  # names that may not be used here, with the reason
    primes: dict[str, int] = field(default_factory=dict)  # how many derivatives a variable of a generalized block has

    def add_members(self, index_set: IndexSet) -> None:
        for member in index_set.members or ():
            sets = self.members.setdefault(member, [])
            if all(known.key != index_set.key for known in sets):
                sets.append(index_set)


@dataclass
class StatementNotes:
    """What is gathered while one statement is checked."""

    index_names: set[str] = field(default_factory=set)
    inlined: int = 0  # calls of the file's functions that were written out
    expected: dict[str, ValueType] = field(default_factory=dict)  # what the statement defines, before its type is known


@dataclass(frozen=True)
class Scope:
    """The names in reach of an expression."""

    model: ModelNames
    loops: tuple[ActiveLoop, ...] = ()
    piece: Piece | None = None  # what the statement defines
    order: int | None = None  # of the statement; None where definitions need not come first
    bindings: Mapping[str, TypedExpression | None] | None = None  # inside a function of the file: its parameters
    functions: FileNames | None = None  # inside a function of the file: the names of its file
    calling: tuple[str, ...] = ()
    notes: StatementNotes = field(default_factory=StatementNotes)

    @property
    def findings(self) -> Findings:
        return self.model.findings

    @property
    def file(self) -> FileNames:
        return self.functions or self.model.file

    @property
    def bounds(self) -> dict[str, Bounds]:
        ranges = {active.loop.name: loop_bounds(active.loop) for active in self.loops}
        return {name: bounds for name, bounds in ranges.items() if bounds is not None}

    def inside(self, loops: tuple[ActiveLoop, ...]) -> Scope:
        return replace(self, loops=self.loops + loops)

    def fresh_index(self, name: str) -> str:
        """A name for an index that no other index of the statement has."""
        unique, count = name, 2
        while unique in self.notes.index_names:
            unique, count = f"{name}_{count}", count + 1
        self.notes.index_names.add(unique)
        return unique

    def loop_named(self, name: str) -> ActiveLoop | None:
        return next((active for active in reversed(self.loops) if active.written == name), None)

    def sets_with(self, member: str) -> list[IndexSet]:
        """The sets in reach that have a member of that name; a function of the file sees the types of its file."""
        if self.bindings is None:
            return self.model.members.get(member, [])
        return [index_set for index_set in self.file.types.values() if member in (index_set.members or ())]

    def known_names(self) -> list[str]:
        """All that a value may be called here: for did-you-mean."""
        if self.bindings is not None:
            return [*self.bindings, *(active.written for active in self.loops)]
        model = self.model
        names = [*model.variables, *model.pieces, *(active.written for active in self.loops), *model.sets, *model.members]
        return [name for name in names if name not in model.hidden]

    def unknown(self, name: str, span: Span, hint: str = "") -> None:
        if name in self.model.index_names:
            hint = f"`{name}` is the index of a loop elsewhere: it is known only inside"
        else:
            hint = did_you_mean(name, self.known_names()) or hint
        self.findings.error("AIM0104", f"unknown name `{name}`", span, hint)


def walk(node: tree.Node) -> Iterator[tree.Node]:
    """A node and all nodes below it."""
    yield node
    for attribute in fields(node):
        yield from _walk_value(getattr(node, attribute.name))


def _walk_value(value: object) -> Iterator[tree.Node]:
    if isinstance(value, tree.Node):
        yield from walk(value)
    elif isinstance(value, tuple):
        for item in value:
            yield from _walk_value(item)


def word_span(span: Span, word: str, skipped: int = 0) -> Span:
    """The place of a word inside a place, without its first characters; the whole where it is not written there."""
    offset = span.text.find(word)
    return span if offset < 0 else Span(span.source, span.start + offset + skipped, span.start + offset + len(word))


def plates_differ(target: tree.Target, variable: Variable) -> str:
    """The message about a target with another number of indices than its variable has plates."""
    plates = f"{variable.plates or 'no'} plate{'' if variable.plates == 1 else 's'}"
    count = f"{len(target.indices) or 'no'} {'index' if len(target.indices) == 1 else 'indices'}"
    return f"`{target.name}` has {plates}, here {'is' if len(target.indices) == 1 else 'are'} {count}"


def backticked(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
