"""The syntax tree: what was written, and where. Immutable; equality ignores places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ppl.source.text import Span


@dataclass(frozen=True)
class Node:
    span: Span = field(compare=False, repr=False, kw_only=True)


# ------------------------------------------------------------------ expressions
@dataclass(frozen=True)
class Expression(Node):
    pass


@dataclass(frozen=True)
class Number(Expression):
    text: str  # as written: "3", "0.5", "1e-3", "inf"

    @property
    def value(self) -> float | int:
        return int(self.text) if self.text.isdigit() else float(self.text)


@dataclass(frozen=True)
class Text(Expression):
    value: str  # without the quotes


@dataclass(frozen=True)
class Truth(Expression):
    value: bool


@dataclass(frozen=True)
class Name(Expression):
    name: str
    primes: int = 0  # x'' has 2


@dataclass(frozen=True)
class Unary(Expression):
    operator: Literal["-", "not"]
    operand: Expression


@dataclass(frozen=True)
class Binary(Expression):
    operator: str  # ^ * / @ % + - == != < <= > >= and or
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Conditional(Expression):
    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True)
class Argument(Node):
    name: str | None  # None where positional
    value: Expression
    name_span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Call(Expression):
    """A function, a distribution, a submodel or `mlp`; semantics says which."""

    function: Name
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Attribute(Expression):
    base: Expression
    name: str  # first.bias


@dataclass(frozen=True)
class Range(Expression):
    """`low..high`, half-open; a slice where it stands in an index."""

    low: Expression
    high: Expression


@dataclass(frozen=True)
class Index(Expression):
    base: Expression
    indices: tuple[Expression, ...]


@dataclass(frozen=True)
class ListLiteral(Expression):
    items: tuple[Expression, ...]  # [1, 2], [[1, 0], [0, 1]]


@dataclass(frozen=True)
class TableEntry(Node):
    key: Expression  # a Name, a Number, a ListLiteral (habit policy)
    value: Expression


@dataclass(frozen=True)
class TableLiteral(Expression):
    entries: tuple[TableEntry, ...]  # {reward: 0.98, shock: 0.02}


@dataclass(frozen=True)
class SetLiteral(Expression):
    members: tuple[Expression, ...]  # {left, right}: Names or Numbers


@dataclass(frozen=True)
class Binder(Node):
    """`n in N`, `t in 1..T`, `s in {left, right}`."""

    name: str
    set: Expression  # Name, Range or SetLiteral


@dataclass(frozen=True)
class Comprehension(Expression):
    """`sum(beta[k] * y[t - 1 - k] for k in K)`."""

    function: Name
    body: Expression
    binders: tuple[Binder, ...]


@dataclass(frozen=True)
class Pattern(Node):
    """One position of an arm: `left | right`, `0`, `_` (then `alternatives` is empty)."""

    alternatives: tuple[Expression, ...]


@dataclass(frozen=True)
class Arm(Node):
    patterns: tuple[Pattern, ...]
    value: Expression


@dataclass(frozen=True)
class Match(Expression):
    subjects: tuple[Expression, ...]
    arms: tuple[Arm, ...]


# ------------------------------------------------------------------ statements
@dataclass(frozen=True)
class TypeExpression(Node):
    """`real[N, D]`, `J[N]`, `simplex[K]`, `size`, `{left, right}`.

    `base` is a word or the name of a set, or a SetLiteral.
    """

    base: Name | SetLiteral
    axes: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Target(Node):
    """What a statement defines: `x`, `x[n]`, `z[t + 1]`, `x''`."""

    name: str
    indices: tuple[Expression, ...] = ()
    primes: int = 0


@dataclass(frozen=True)
class Statement(Node):
    pass


@dataclass(frozen=True)
class Input(Statement):
    name: str
    type: TypeExpression
    default: Expression | None = None


@dataclass(frozen=True)
class Random(Statement):
    target: Target
    distribution: Expression  # Call, TableLiteral, Name (a bare member), Match with those in the arms, Conditional


@dataclass(frozen=True)
class Deterministic(Statement):
    target: Target
    value: Expression


@dataclass(frozen=True)
class Plate(Statement):
    binders: tuple[Binder, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class FactorStatement(Statement):
    value: Expression


@dataclass(frozen=True)
class Network(Statement):
    name: str
    value: Call  # mlp(L, 64, D, activation = tanh)


@dataclass(frozen=True)
class Export(Statement):
    name: str


@dataclass(frozen=True)
class Generalized(Statement):
    binder: Binder
    arguments: tuple[Argument, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class World(Statement):
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class StateDeclaration(Statement):
    target: Target  # indices where it stands in a plate
    type: TypeExpression
    relation: Literal["=", "~"] | None = None
    initial: Expression | None = None


@dataclass(frozen=True)
class ActionDeclaration(Statement):
    target: Target
    type: TypeExpression


@dataclass(frozen=True)
class Next(Statement):
    target: Target
    relation: Literal["=", "~"]
    value: Expression


@dataclass(frozen=True)
class Observe(Statement):
    target: Target
    type: TypeExpression
    relation: Literal["=", "~"]
    value: Expression


@dataclass(frozen=True)
class Prefer(Statement):
    target: Target
    distribution: Expression


@dataclass(frozen=True)
class Habit(Statement):
    target: Target
    distribution: Expression


@dataclass(frozen=True)
class PlanStatement(Statement):
    targets: tuple[Target, ...]
    method: Call  # efe(horizon = 2, …)


@dataclass(frozen=True)
class SubjectTo(Statement):
    condition: Expression  # sum(a) <= B


# ------------------------------------------------------------------ top level
@dataclass(frozen=True)
class TopLevel(Node):
    pass


@dataclass(frozen=True)
class TypeDeclaration(TopLevel):
    name: str
    value: Expression  # SetLiteral or Range


@dataclass(frozen=True)
class FunctionDeclaration(TopLevel):
    name: str
    parameters: tuple[str, ...]
    value: Expression


@dataclass(frozen=True)
class Parameter(Node):
    name: str
    type: TypeExpression | None = None
    default: Expression | None = None


@dataclass(frozen=True)
class ModelDeclaration(TopLevel):
    kind: Literal["model", "agent"]
    name: str
    parameters: tuple[Parameter, ...]
    doc: str | None
    body: tuple[Statement, ...]
    name_span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Factorisation(Node):
    """`q(mu, Lambda) q(z) q(pi)`: each block a tuple of targets."""

    blocks: tuple[tuple[Target, ...], ...]


@dataclass(frozen=True)
class Form(Node):
    """`q(pi): point`, `q(w): Normal`."""

    targets: tuple[Target, ...]
    family: str


@dataclass(frozen=True)
class Amortised(Node):
    """`q(z[n]) by network encode(x[n]) = mlp(D, 64, L)`."""

    targets: tuple[Target, ...]
    network: Call
    value: Call


@dataclass(frozen=True)
class Use(Node):
    """`use vmp(restarts = 8)`."""

    engine: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True)
class ApproximateDeclaration(TopLevel):
    model: str
    label: str | None
    items: tuple[Factorisation | Form | Amortised | Use, ...]
    model_span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Assignment(Node):
    """`x = [1, 0]`, `x.bias = 0.2`, `y[0] = 3`, in a `fit` or after `where`."""

    target: Expression  # Name, Attribute or Index
    value: Expression


@dataclass(frozen=True)
class FitLine(TopLevel):
    """`fit coin(a = 2) to x = [1, 0]`; at the top level or in a test."""

    model: Name
    arguments: tuple[Argument, ...]
    data: tuple[Assignment, ...]


@dataclass(frozen=True)
class RunLine(TopLevel):
    """`run tmaze(validity = 1) for 2 steps where side = left_good`."""

    model: Name
    arguments: tuple[Argument, ...]
    steps: Expression
    where: tuple[Assignment, ...]


@dataclass(frozen=True)
class Expect(Node):
    """`expect theta ~ Beta(4, 2)`, `expect mean(theta) = 4 / 7 within 1e-9`, `expect exact`.

    `relation` is "~" for a whole posterior, "=" for a number or a member, None for a word or a comparison that must hold.
    """

    subject: Expression
    relation: Literal["~", "="] | None = None
    value: Expression | None = None
    within: Expression | None = None


@dataclass(frozen=True)
class TestDeclaration(TopLevel):
    title: str
    items: tuple[FitLine | RunLine | Expect, ...]


@dataclass(frozen=True)
class Import(TopLevel):
    module: str  # dotted: mixtures, basics.coin
    names: tuple[str, ...]
    module_span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class File(Node):
    items: tuple[TopLevel, ...]
