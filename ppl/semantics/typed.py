"""The typed model: every name, index set, shape and support is known; sizes stay symbolic until data are bound.

Expressions here have few kinds: names are resolved, functions of the file are inlined, tables are filled in, operators are
functions of the catalogue. Indices of loops are renamed so that each is unique within its statement. Models used as distributions
are inlined: `first ~ reading(20)` has the statements of `reading` on `first` and `first.bias`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ppl.source.diagnostics import Diagnostic
from ppl.source.text import Span
from ppl.syntax import tree


@dataclass(frozen=True)
class IndexSet:
    """A finite set. `size` is None where data, a parameter or `length` gives it.

    Members are ordinals 0 … size-1 inside the engine; `members` are their names, or `low` is the number of the first.
    Two sets are the same where `key` is: a declared set by its name, a written-out one by its members.
    """

    key: str  # "N", "Place", "{left, right}", "0..3"
    size: int | None = None
    members: tuple[str, ...] | None = None
    low: int = 0
    size_name: str | None = None  # `type Cell = 0..M`: the parameter of type size that gives the upper bound
    span: Span | None = field(default=None, compare=False, repr=False)

    def names(self, size: int) -> tuple[str, ...] | None:
        """What so many members are called; None where that is 0, 1, 2, …"""
        return tuple(str(self.low + k) for k in range(size)) if self.members is None and self.low else self.members


@dataclass(frozen=True)
class Axis:
    """One axis of an array: the members of a set (and `extra` more: `z[t + 1]`), or an anonymous length.

    `set` None is an anonymous axis; its `size` is None where it cannot be known before data are bound.
    """

    set: IndexSet | None = None
    extra: int = 0
    size: int | None = None


Kind = Literal["real", "int", "bool", "positive", "unit", "simplex", "posdef", "member"]


@dataclass(frozen=True)
class ValueType:
    """What a value is: its kind, its axes (plates first, then those of the value), and the set of a member."""

    kind: Kind = "real"
    axes: tuple[Axis, ...] = ()
    member_of: IndexSet | None = None


# ------------------------------------------------------------------ expressions
@dataclass(frozen=True)
class TypedExpression:
    span: Span = field(compare=False, repr=False, kw_only=True)
    type: ValueType = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Constant(TypedExpression):
    value: float | int | bool


@dataclass(frozen=True)
class Text(TypedExpression):
    """A string: only the name of a file in `csv`."""

    value: str


@dataclass(frozen=True)
class Member(TypedExpression):
    """A member of a set by its name: a number only as its ordinal."""

    set: IndexSet
    ordinal: int


@dataclass(frozen=True)
class SizeOf(TypedExpression):
    set: IndexSet


@dataclass(frozen=True)
class IndexReference(TypedExpression):
    """The index of a loop; its value is the member's number (ordinal + low)."""

    name: str  # unique within the statement


@dataclass(frozen=True)
class VariableReference(TypedExpression):
    """A parameter, an input, a random or a deterministic variable, whole."""

    name: str


@dataclass(frozen=True)
class Slice(TypedExpression):
    low: TypedExpression
    high: TypedExpression


@dataclass(frozen=True)
class Indexed(TypedExpression):
    """`base[i, j]`; fewer indices than axes keep the rest."""

    base: TypedExpression
    indices: tuple[TypedExpression, ...]


@dataclass(frozen=True)
class Apply(TypedExpression):
    """A function of the catalogue; operators have names there:

    add subtract multiply divide remainder matmul power negate equal not_equal less less_equal greater greater_equal
    not and or if (condition, then, otherwise).
    """

    function: str
    arguments: tuple[TypedExpression, ...]


@dataclass(frozen=True)
class Stack(TypedExpression):
    """A written-out vector (of numbers, or of equal shapes); a table over a set with zeros filled in."""

    items: tuple[TypedExpression, ...]


@dataclass(frozen=True)
class Loop:
    """`n in N`, `t in 1..T`: the index runs over `set` from ordinal `low` to before `high` (None: its size)."""

    name: str
    set: IndexSet
    low: TypedExpression | None = None
    high: TypedExpression | None = None
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Comprehension(TypedExpression):
    """`sum(body for k in K)`; `function` is sum, prod, mean, min, max or logsumexp."""

    function: str
    loops: tuple[Loop, ...]
    body: TypedExpression


@dataclass(frozen=True)
class NetworkCall(TypedExpression):
    """A declared network at an input; its value has the axes of the plates around it and then the network's outputs."""

    network: str
    argument: TypedExpression


@dataclass(frozen=True)
class SelectArm:
    """For each subject the values that fit (numbers; ordinals for members), or None for any."""

    patterns: tuple[tuple[int | float, ...] | None, ...]
    value: TypedExpression


@dataclass(frozen=True)
class Select(TypedExpression):
    """`match`: the first arm that fits counts. Known to cover every case where the subjects' sets are finite."""

    subjects: tuple[TypedExpression, ...]
    arms: tuple[SelectArm, ...]


# ------------------------------------------------------------------ distributions
@dataclass(frozen=True)
class DistributionCall:
    """A distribution of the catalogue with its arguments by parameter name, as the user parametrised it.

    `match` and `if` over arms with one distribution and one parametrisation are pushed into the arguments as Select.
    Distributions among the arguments (Mixture, Truncated, Ordered) stand in `components`.
    """

    name: str
    arguments: dict[str, TypedExpression] = field(hash=False)
    components: tuple[DistributionCall, ...] = ()
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class DistributionChoice:
    """`match` whose arms hold different distributions."""

    subjects: tuple[TypedExpression, ...]
    arms: tuple[tuple[tuple[tuple[int | float, ...] | None, ...], DistributionCall], ...]
    span: Span = field(compare=False, repr=False, kw_only=True)


# ------------------------------------------------------------------ statements
@dataclass(frozen=True)
class Variable:
    """`type.axes` are the plates' axes (`plates` of them) and then the value's own."""

    name: str
    role: Literal["parameter", "input", "random", "deterministic"]
    type: ValueType
    plates: int = 0
    default: TypedExpression | None = None
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class TypedStatement:
    """Defines `variable[indices]` for each member of the loops."""

    variable: str
    indices: tuple[TypedExpression, ...]
    loops: tuple[Loop, ...]
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class RandomStatement(TypedStatement):
    distribution: DistributionCall | DistributionChoice


@dataclass(frozen=True)
class DeterministicStatement(TypedStatement):
    value: TypedExpression


@dataclass(frozen=True)
class Potential:
    """`factor EXPR`: its value is added to the log joint for each member of the loops."""

    loops: tuple[Loop, ...]
    value: TypedExpression
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Network:
    """`mlp(IN, HIDDEN, …, OUT)`: `widths` are its layers' sizes, known before data are bound or once sizes are."""

    name: str
    widths: tuple[TypedExpression, ...]
    activation: str = "relu"
    prior: DistributionCall | None = None  # of every weight and bias: a Bayesian network
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Amortisation:
    """`q(z[n]) by network encode(x[n]) = mlp(…)`: the posterior of each member is a function of data."""

    variable: str
    loops: tuple[Loop, ...]  # n in N: the indices of the variable, over its plates
    network: Network
    argument: TypedExpression
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Approximation:
    """An `approximate` block, its names checked. `blocks` hold variable names; `forms` say "point" or a family of a variable."""

    label: str | None
    blocks: tuple[tuple[str, ...], ...]
    separate: tuple[str, ...]  # variables written with an index, q(a[n]): factorised over the plate
    engine: str | None
    options: dict[str, float | bool] = field(hash=False)
    span: Span = field(compare=False, repr=False, kw_only=True)
    engine_span: Span | None = field(default=None, compare=False, repr=False)
    forms: dict[str, str] = field(default_factory=dict, hash=False)
    amortised: tuple[Amortisation, ...] = ()


# ------------------------------------------------------------------ agents
@dataclass(frozen=True)
class AgentStatement:
    """What is said of a state, an action or an outcome: its belief at time 0, its transition, its table, its preference, its habit.

    It is certain (`value`) or has a `distribution`. `time` names the index that stands for the time step in a preference.
    """

    role: Literal["initial", "next", "observe", "prefer", "habit"]
    variable: str
    indices: tuple[TypedExpression, ...]
    loops: tuple[Loop, ...]
    value: TypedExpression | None = None
    distribution: DistributionCall | DistributionChoice | None = None
    time: str | None = None
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class PolicyEntry:
    """A policy as it is written, a list of members of the planned action, with its weight in a habit."""

    actions: tuple[int, ...]
    weight: TypedExpression | None = None
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Planning:
    """`plan a, b by efe(…)`: `policies` None are all; `budget` is the condition after `subject to`."""

    actions: tuple[str, ...]
    options: dict[str, TypedExpression] = field(hash=False)
    policies: tuple[PolicyEntry, ...] | None = None
    budget: TypedExpression | None = None
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class TypedAgent:
    """What makes a model an agent. States, actions and outcomes are among the variables of the model."""

    roles: dict[str, Literal["state", "action", "outcome"]] = field(hash=False)
    statements: tuple[AgentStatement, ...] = ()
    habit: tuple[PolicyEntry, ...] | None = None  # over whole policies
    planning: Planning | None = None


# ------------------------------------------------------------------ generalized coordinates of motion
@dataclass(frozen=True)
class MotionStatement:
    """`x'' ~ Normal(…)`, `y ~ …`, `c = …` in a generalized block, or the value of a state at the start.

    `order` counts the primes of what it speaks of; `loops` are those of the plates around it, without the block's own. It is certain
    (`value`) or has a `distribution`. Expressions name derivatives with their primes, `x'`, and block variables without the block's axis.
    """

    variable: str
    order: int
    indices: tuple[TypedExpression, ...]
    loops: tuple[Loop, ...]
    value: TypedExpression | None = None
    distribution: DistributionCall | DistributionChoice | None = None
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class MotionPart:
    """States with their values at the start, and the statements about them and what is sensed of them, in the order of the file."""

    states: tuple[str, ...]
    starts: tuple[MotionStatement, ...]
    statements: tuple[MotionStatement, ...]


@dataclass(frozen=True)
class TypedWorld:
    """The process that a block's actions work on; `variables` are its states and sensors, without the block's axis."""

    part: MotionPart
    variables: dict[str, Variable] = field(hash=False)
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class TypedMotion:
    """A `generalized` block. Its states, causes, sensors and actions are among the variables of the model, with the axes of the `plates`
    around the block first, then the block's own, then those of plates inside it."""

    loop: Loop
    plates: tuple[Loop, ...]
    options: dict[str, TypedExpression] = field(hash=False)
    scheme: Literal["mode", "flow", "smooth"]
    part: MotionPart
    actions: tuple[str, ...] = ()
    world: TypedWorld | None = None
    span: Span = field(compare=False, repr=False, kw_only=True)

    def at_each_bin(self, s: MotionStatement, distribution: DistributionCall | DistributionChoice) -> RandomStatement:
        """What is said of a variable at one bin, as a statement about all of them."""
        outer, span = len(self.plates), self.loop.span or self.span
        own = IndexReference(self.loop.name, span=span, type=ValueType("member", (), self.loop.set))
        return RandomStatement(
            s.variable,
            (*s.indices[:outer], own, *s.indices[outer:]),
            (*s.loops[:outer], self.loop, *s.loops[outer:]),
            distribution,
            span=s.span,
        )

    @property
    def happening(self) -> dict[str, Variable]:
        """The states of the world, as a run tells of them: with the block's axis."""
        if self.world is None:
            return {}
        found, outer = {}, len(self.plates)
        for name in self.world.part.states:
            variable = self.world.variables[name]
            axes = variable.type.axes
            whole = replace(variable.type, axes=(*axes[:outer], Axis(self.loop.set), *axes[outer:]))
            found[name] = replace(variable, type=whole, plates=variable.plates + 1)
        return found

    @property
    def defined(self) -> tuple[str, ...]:
        """The variables that the block defines."""
        names = (*self.part.states, *(s.variable for s in self.part.statements), *self.actions)
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class TypedModel:
    name: str
    kind: Literal["model", "agent"]
    doc: str | None
    sets: dict[str, IndexSet]  # by key: all that its axes and loops use
    sizes: dict[str, TypedExpression | None]  # parameters of type `size`, by the key of their set, with their defaults
    variables: dict[str, Variable]  # in the order of definition, parameters (but sizes) first
    statements: tuple[RandomStatement | DeterministicStatement, ...]  # in the order of the file, plates flattened
    approximations: tuple[Approximation, ...] = ()
    potentials: tuple[Potential, ...] = ()
    networks: dict[str, Network] = field(default_factory=dict)
    agent: TypedAgent | None = None
    motion: TypedMotion | None = None
    begun: dict[str, tuple[int, int]] = field(default_factory=dict)  # series that go on: which axis is time, and what is in front
    exported: str | None = None  # what it is as a distribution in another model; None where it defines nothing
    warnings: tuple[Diagnostic, ...] = ()
    span: Span = field(compare=False, repr=False, kw_only=True)

    @property
    def parameters(self) -> dict[str, Variable]:
        return {name: v for name, v in self.variables.items() if v.role == "parameter"}


@dataclass(frozen=True)
class TypedFile:
    """A checked file. Tests, fits and runs keep their syntax: their names are checked, their values are computed when run."""

    models: dict[str, TypedModel]
    tests: tuple[tree.TestDeclaration, ...] = ()
    fits: tuple[tree.FitLine, ...] = ()
    runs: tuple[tree.RunLine, ...] = ()
    imported: dict[str, TypedModel] = field(default_factory=dict)  # from other files: tests may fit them, models may use them
    warnings: tuple[Diagnostic, ...] = ()
