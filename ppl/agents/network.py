"""An agent with its sizes and numbers: states, actions, outcomes, and the table of each statement.

A table's axes are the states and actions that its statement names, then the member that it tells of. Where a statement reads a
random table (`Categorical(A[side])`), the network keeps which row of it stands at each combination: what the agent learns is
counts of rows. Where plates are stacked, a table has an axis of members in front, and the agent falls into kinds: the network of one
member for each stacked plate, and one of all that stands by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ppl.agents.evaluation import AgentEvaluator, Factor, by_member, factors_of, plate_members, refuse_twice
from ppl.agents.gaussian import Reals, Settled
from ppl.agents.parameters import may_be_learnt, random_names, read_by, refuse_unknown
from ppl.agents.real_rules import Apart, reals_of
from ppl.agents.rows import Columns
from ppl.agents.stacking import stacked_plates
from ppl.arrays.plated import Plated, namespace
from ppl.graph.bound import BoundModel
from ppl.graph.supports import computed
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.text import Span

SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Table:
    """p(child | parents): `known` has the axes of the parents and then the child's, 0 where a learnt row stands; `rows` has for
    each learnt table the row that stands there, or -1. Of a stacked factor, whose plates have this `shape`, its members come first."""

    child: str
    parents: tuple[str, ...]
    known: Any = field(repr=False)
    rows: Mapping[str, np.ndarray] = field(repr=False)
    span: Span = field(repr=False)
    shape: tuple[int, ...] = ()

    @property
    def lead(self) -> int:
        """How many axes stand before those of the parents."""
        return 1 if self.shape else 0

    def probabilities(self, known: Any, learnt: Mapping[str, Any]) -> Any:
        """The whole table, given its known part and the probabilities of each learnt row."""
        table = known
        for name, rows in self.rows.items():
            xp = namespace(table, learnt[name])
            table = table + xp.where(rows[..., None] >= 0, learnt[name][np.maximum(rows, 0)], 0.0)
        return table


@dataclass(frozen=True)
class LearntTable:
    """Independent Dirichlet rows: `concentration` is rows × members; `shape` are the plates of the rows."""

    name: str
    concentration: Any = field(repr=False)
    shape: tuple[int, ...]
    pair: bool  # a Beta: the rows are (1 - p, p)

    def shaped(self, rows: Any) -> Any:
        """Probabilities of the rows as the variable's value."""
        return rows[:, 1].reshape(self.shape) if self.pair else rows.reshape(*self.shape, -1)


@dataclass(frozen=True)
class AgentNetwork:
    """All that perception, learning and planning need of an agent. `evaluator` holds the parameters that it was built with.

    States, actions and outcomes with members stand here, with their tables; the real ones in `reals`, with their rules.
    """

    model: typed.TypedModel
    bound: BoundModel
    evaluator: AgentEvaluator = field(repr=False)
    states: tuple[Factor, ...]
    actions: tuple[Factor, ...]
    outcomes: tuple[Factor, ...]
    initial: dict[str, Table] = field(repr=False)
    transitions: dict[str, Table] = field(repr=False)
    observations: dict[str, Table] = field(repr=False)
    learnt: dict[str, LearntTable] = field(repr=False)
    reals: Reals | None = field(default=None, repr=False)
    fitted: bool = False  # its numbers may be traced
    shape: tuple[int, ...] = ()  # of the plates, where this is the network of one member of a kind

    @property
    def count(self) -> int:
        """How many members of this kind there are."""
        return prod(self.shape)

    @cached_property
    def kinds(self) -> tuple[AgentNetwork, ...]:
        """The networks of one member each: of all that stands by itself, then of each stacked plate."""
        factors = self.factor.values()
        stacked = dict.fromkeys(_plates(f) for f in factors if f.shape)
        if not stacked:
            return (self,)
        alone = any(not f.shape for f in factors)
        return tuple(self._kind(key) for key in (*([()] if alone else []), *stacked))

    def _kind(self, plates: tuple[str, ...]) -> AgentNetwork:
        """What has these plates, for one member."""
        own = {name: f for name, f in self.factor.items() if _plates(f) == plates}
        factors = (tuple(f.member for f in of if f.name in own) for of in (self.states, self.actions, self.outcomes))
        states, actions, outcomes = factors
        tables = ({n: t for n, t in of.items() if n in own} for of in (self.initial, self.transitions, self.observations))
        initial, transitions, observations = tables
        shape = next((f.shape for f in own.values()), ())
        reals = self.reals.of_kind({n: f for n, f in own.items() if f.real}, own) if self.reals is not None else None
        learnt = {} if plates else self.learnt
        own_parts = {"initial": initial, "transitions": transitions, "observations": observations, "learnt": learnt, "reals": reals}
        return replace(self, states=states, actions=actions, outcomes=outcomes, **own_parts, shape=shape)

    @property
    def agent(self) -> typed.TypedAgent:
        assert self.model.agent is not None
        return self.model.agent

    @cached_property
    def factor(self) -> dict[str, Factor]:
        return {f.name: f for f in (*self.states, *self.actions, *self.outcomes)} | (self.reals.factors if self.reals else {})

    def told_of(self, learnt: str) -> tuple[str, ...]:
        """The members that a learnt table is about: those of a state or an outcome whose statement reads it."""
        tables = (*self.initial.values(), *self.transitions.values(), *self.observations.values())
        return next((self.factor[t.child].members for t in tables if learnt in t.rows), ())

    @cached_property
    def seen(self) -> Columns:
        """All outcomes, as the columns of what is seen at a step."""
        return Columns((*self.outcomes, *(self.reals.outcomes if self.reals else ())))

    @cached_property
    def done(self) -> Columns:
        """All actions, as the columns of what is done."""
        return Columns((*self.actions, *(self.reals.actions if self.reals else ())))

    @cached_property
    def truth(self) -> Columns:
        """All states, as the columns of what is so."""
        return Columns((*self.states, *(self.reals.states if self.reals else ())))

    def log_preferences(self, times: Any) -> dict[str, Any]:
        """The log of the preferred probability of each member, for each of these time steps: T × members, by outcome or state."""
        found: dict[str, Any] = {}
        for statement, factor, loops in self.said("prefer"):
            refuse_twice(factor, found, statement)
            loops = {**loops, statement.time or "t": Plated(("time",), times)}
            table = self._said_of(factor, statement, loops)
            members = {"time": tuple(map(str, times))}
            _refuse_unnormalised(table, factor, members, "the preference over")
            xp, p = namespace(table.known), table.known
            timed = xp.moveaxis(p, table.lead, 0) if table.parents else p
            found[factor.name] = _log(xp.broadcast_to(timed, (len(times), *p.shape[: table.lead], factor.size)))
        return found

    def _said_of(self, factor: Factor, statement: typed.AgentStatement, loops: Mapping[str, Plated]) -> Table:
        """What a statement says of a factor, as a table."""
        parents, known = by_member(_table(statement, factor, loops, self.evaluator), statement, factor)
        return Table(factor.name, parents, known, {}, statement.span, factor.shape)

    def log_habits(self) -> dict[str, Any]:
        """The log of the prior probability of each member of the actions that have a habit."""
        found: dict[str, Any] = {}
        for statement, factor, loops in self.said("habit"):
            refuse_twice(factor, found, statement)
            table = self._said_of(factor, statement, loops)
            _refuse_unnormalised(table, factor, {}, "the habit over")
            found[factor.name] = _log(table.known)
        return found

    def said(self, role: str):
        """Each statement of a role for each member of its plates: the statement, its factor, the values of its indices. Real factors
        have theirs in `reals`."""
        own = {f.variable.name for f in (*self.states, *self.actions, *self.outcomes)}
        for statement in self.agent.statements:
            if statement.role == role and statement.variable in own:
                for factor, loops in self.evaluator.members_of(statement):
                    yield statement, factor, loops

    def number(self, e: typed.TypedExpression) -> Any:
        """The value of an expression of parameters."""
        return self.evaluator.number(e, {}).data


def build(
    bound: BoundModel, values: Mapping[str, Any] | None = None, *, stand_ins: Mapping[str, Any] | None = None, apart: tuple[str, ...] = ()
) -> AgentNetwork:
    """The network of an agent with its parameters. `values` are those of random ones that are not given, traced where an agent is
    fitted; `stand_ins` are then known values of theirs, at which learnt rows are told from other entries. The plates of variables `apart`
    are not stacked.

    A parent on which a table does not depend is left out, where the table is known. Raises `AimError` where one does not normalise,
    and where a random variable is read that has no value and is no learnt table.
    """
    model = bound.model
    assert model.agent is not None
    roles = model.agent.roles
    given = {n for n in bound.values if np.all(bound.observed.get(n, True))}
    open_tables = [n for n in random_names(model) if may_be_learnt(model, n) and n not in given]
    stacked = stacked_plates(bound, open_tables, apart)
    by_role: dict[str, list[Factor]] = {"state": [], "action": [], "outcome": []}
    real: dict[str, list[Factor]] = {"state": [], "action": [], "outcome": []}
    for name, role in roles.items():
        for factor in factors_of(model.variables[name], bound, stacked):
            (real if factor.real else by_role)[role].append(factor)
    factors = {(f.variable.name, f.place): f for found in by_role.values() for f in found}
    known = {n: v for n, v in bound.values.items() if n not in roles and np.all(bound.observed.get(n, True))}
    stated = {n: Plated((), namespace(v).asarray(v)) for n, v in (values or {}).items()}
    known = computed(model, known, bound.sizes) if values is None else known | stated
    evaluator = AgentEvaluator(bound.sizes, known, model=model, factors=factors)
    candidates = [n for n in random_names(model) if may_be_learnt(model, n) and n not in evaluator.values]
    refuse_unknown(model, known, candidates)
    learnt = _learnt(model, bound, evaluator, candidates)
    reader = _Reader(evaluator, learnt, stand_ins)
    tables: dict[str, dict[str, Table]] = {"initial": {}, "next": {}, "observe": {}}
    for statement in model.agent.statements:
        if statement.role in tables and any(name == statement.variable for name, _ in factors):
            for factor, loops in evaluator.members_of(statement):
                refuse_twice(factor, tables[statement.role], statement)
                tables[statement.role][factor.name] = reader.table(statement, factor, loops)
    _refuse_missing(by_role, tables)
    states, actions, outcomes = (tuple(by_role[role]) for role in ("state", "action", "outcome"))
    try:
        reals = reals_of(evaluator, real, actions, _settled(states, actions, tables))
    except Apart as one:
        return build(bound, values, stand_ins=stand_ins, apart=(*apart, one.name))
    _refuse_missing(real, reals.rules if reals is not None else tables)
    return AgentNetwork(
        model,
        bound,
        evaluator,
        states,
        actions,
        outcomes,
        tables["initial"],
        tables["next"],
        tables["observe"],
        learnt,
        reals,
        fitted=values is not None,
    )


def _plates(factor: Factor) -> tuple[str, ...]:
    """The sets over which a factor is stacked."""
    axes = factor.variable.type.axes[: factor.variable.plates] if factor.shape else ()
    return tuple(axis.set.key for axis in axes if axis.set is not None)


def _settled(states: tuple[Factor, ...], actions: tuple[Factor, ...], tables: Mapping[str, Mapping[str, Table]]) -> dict[str, Settled]:
    """The states that are known at every step: certain at the beginning, and then what an action sets."""
    names, found = {a.name for a in actions}, {}
    for f in states:
        begun, moved = tables["initial"].get(f.name), tables["next"].get(f.name)
        if begun is None or moved is None or begun.parents or not set(moved.parents) <= names:
            continue
        if all(isinstance(t.known, np.ndarray) and not t.rows and _certain(_distinct(t.known)) for t in (begun, moved)):
            first, then = (np.broadcast_to(_distinct(t.known).argmax(axis=-1), t.known.shape[:-1]) for t in (begun, moved))
            found[f.name] = Settled(f.size, moved.parents, first, then)
    return found


def _certain(known: np.ndarray) -> bool:
    return bool(((known == 0.0) | (known == 1.0)).all())


def _distinct(known: np.ndarray) -> np.ndarray:
    """Of axes along which all is the same by how it was made, one entry."""
    return known[tuple(slice(None) if stride else slice(0, 1) for stride in known.strides)]


def _refuse_missing(factors: Mapping[str, list[Factor]], tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Members of plates that no statement speaks of."""
    for factor in factors["state"]:
        if factor.name not in tables["next"]:
            text = f"nothing says what the state `{factor.name}` is at the next step"
            raise AimError([Diagnostic("AIM0401", text, factor.variable.span, f"write `next {factor.name} = {factor.name}` if it stays")])


def _table(statement: typed.AgentStatement, factor: Factor, loops: Mapping[str, Plated], evaluator: AgentEvaluator) -> Plated:
    own = factor.variable.type.member_of
    assert own is not None
    try:
        table = evaluator.probabilities(statement, factor.size, own, loops)
    except KeyError as missing:
        text = f"`{factor.name}` has members, and changes with `{missing.args[0]}`, which is real"
        hint = "let it be real too: what is discrete depends on what is discrete"
        raise AimError([Diagnostic("AIM0418", text, statement.span, hint)]) from None
    return Plated(table.dims, table.data * 1.0)  # {a: 1} is written in whole numbers


def _log(p: Any) -> Any:
    """The logarithm, whose derivative at a probability of 0 is taken as 0: a member that never is stays so."""
    xp = namespace(p)
    return xp.where(p == 0, -np.inf, xp.log(xp.where(p == 0, 1.0, p)))


# ------------------------------------------------------------------ learnt tables
def _learnt(model: typed.TypedModel, bound: BoundModel, evaluator: AgentEvaluator, names: list[str]) -> dict[str, LearntTable]:
    """Random tables of an agent: Dirichlet rows, and Beta probabilities as rows of two."""
    found: dict[str, LearntTable] = {}
    for statement in model.statements:
        name = statement.variable
        if not isinstance(statement, typed.RandomStatement) or name not in names:
            continue
        call, variable = statement.distribution, model.variables[name]
        assert isinstance(call, typed.DistributionCall)
        shape = tuple(bound.length(axis) for axis in variable.type.axes[: variable.plates])
        rows: list[Any] = [None] * int(np.prod(shape, dtype=int))
        before = found.get(name)
        if before is not None:
            rows = list(before.concentration)
        for loops in plate_members(statement.loops, evaluator):
            place = tuple(int(evaluator.index(i, variable.type.axes[k], loops).data) for k, i in enumerate(statement.indices))
            given = {key: evaluator.number(value, loops).data for key, value in call.arguments.items()}
            row = given["concentration"] if call.name == "Dirichlet" else namespace(*given.values()).stack([given["b"], given["a"]])
            row = row.astype(float) if isinstance(row, np.ndarray) else row
            rows[int(np.ravel_multi_index(place, shape)) if shape else 0] = row
        filled = [row for row in rows if row is not None]
        concentration = namespace(*filled).stack(filled) if len(filled) == len(rows) else rows
        found[name] = LearntTable(name, concentration, shape, call.name == "Beta")
    return found


@dataclass(frozen=True)
class _Reader:
    """Tables of statements, with the rows of learnt tables recognised: two draws of the tables tell which entries follow which row."""

    evaluator: AgentEvaluator
    learnt: Mapping[str, LearntTable]
    stand_ins: Mapping[str, Any] | None = None

    def table(self, statement: typed.AgentStatement, factor: Factor, loops: Mapping[str, Plated]) -> Table:
        probes = [_probe(self.learnt, seed) for seed in (1, 2)]
        table = self._with(probes[0], statement, factor, loops)
        used = [name for name in self.learnt if name in read_by(statement, self.evaluator.model)]
        if not used:
            parents, known = by_member(table, statement, factor)
            return self._checked(Table(factor.name, parents, known, {}, statement.span, factor.shape), factor)
        first, second = (self._with(probe | dict(self.stand_ins or {}), statement, factor, loops) for probe in probes)
        dims = tuple(dict.fromkeys((*first.dims, *second.dims)))
        shape = tuple(self._size(d) for d in dims)
        a, b = (np.broadcast_to(np.asarray(x.arranged(dims)), (*shape, factor.size)) for x in (first, second))
        free, rows = (a != b).any(axis=-1), {}
        claimed = np.zeros(shape, dtype=bool)
        for name in used:
            rows[name] = _matching(a, probes[0][name], b, probes[1][name], free)
            claimed |= rows[name] >= 0
        if not np.array_equal(claimed, free):
            self._refuse_reversed(statement, factor, a, b, probes, free & ~claimed)
            text = f"a table that is learnt stands by itself for `{factor.name}`: this mixes its entries with others"
            hint = "write Categorical(A[s]), or an arm of a match with it alone"
            raise AimError([Diagnostic("AIM0411", text, statement.span, hint)])
        whole = table.arranged(dims)
        known = namespace(whole).where(free[..., None], 0.0, namespace(whole).broadcast_to(whole, (*shape, factor.size)))
        return self._checked(Table(factor.name, dims, known, rows, statement.span), factor)

    def _refuse_reversed(self, statement: typed.AgentStatement, factor: Factor, a: Any, b: Any, probes: list[Any], left: Any) -> None:
        """A Beta tells of the second member: one that would be that of the first is no mixture, but written the wrong way round."""
        for name, table in self.learnt.items():
            if table.pair and (_matching(a[..., ::-1], probes[0][name], b[..., ::-1], probes[1][name], left) >= 0).any():
                first, second = factor.members
                text = f"`{name}` stands for the probability of `{first}`: a Beta that is learnt is that of the second member, `{second}`"
                hint = f"declare the set as {{{second}, {first}}}, or let `{name}` be the probability of `{second}`"
                raise AimError([Diagnostic("AIM0417", text, statement.span, hint)])

    def _checked(self, table: Table, factor: Factor) -> Table:
        if isinstance(table.known, np.ndarray):
            table = _pruned(table)
        _refuse_unnormalised(table, factor, {f.name: f.members for f in self.evaluator.factors.values()})
        return table

    def _size(self, name: str) -> int:
        return next(f.size for f in self.evaluator.factors.values() if f.name == name)

    def _with(self, values: Mapping[str, Any], statement: typed.AgentStatement, factor: Factor, loops: Mapping[str, Plated]) -> Plated:
        """The table of a statement at these values: learnt tables by their rows, others as they are."""
        shaped = {n: self.learnt[n].shaped(v) if n in self.learnt else v for n, v in values.items()}
        evaluator = replace(self.evaluator, values={**self.evaluator.values, **shaped})
        return _table(statement, factor, loops, evaluator)


def _probe(learnt: Mapping[str, LearntTable], seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed) if learnt else None
    return {n: random.dirichlet(np.ones(np.shape(t.concentration)[-1]), len(t.concentration)) for n, t in learnt.items() if random}


def _matching(a: np.ndarray, rows_a: np.ndarray, b: np.ndarray, rows_b: np.ndarray, free: np.ndarray) -> np.ndarray:
    """For each free entry the row that it equals in both draws, or -1."""
    found = np.full(free.shape, -1)
    if rows_a.shape[-1] != a.shape[-1]:
        return found
    for place in np.argwhere(free):
        at = tuple(place)
        same = np.isclose(rows_a, a[at], atol=1e-12, rtol=0).all(axis=-1) & np.isclose(rows_b, b[at], atol=1e-12, rtol=0).all(axis=-1)
        found[at] = int(np.argmax(same)) if same.any() else -1
    return found


def _pruned(table: Table) -> Table:
    """The table without the parents on which nothing in it depends."""
    parents, known, rows = list(table.parents), np.asarray(table.known), dict(table.rows)
    for name in table.parents:
        axis = table.lead + parents.index(name)
        if all((x == x[(slice(None),) * axis + (slice(0, 1),)]).all() for x in map(_distinct, (known, *rows.values()))):
            first = (slice(None),) * axis + (0,)
            known, rows = known[first], {n: r[first] for n, r in rows.items()}
            parents.remove(name)
    return replace(table, parents=tuple(parents), known=known, rows=rows)


def _refuse_unnormalised(table: Table, factor: Factor, members: Mapping[str, tuple[str, ...]], what: str = "") -> None:
    """Every row of a table is a distribution: known ones are checked, with the first case that fails told."""
    if not isinstance(table.known, np.ndarray | np.generic | float):
        return
    known = np.asarray(table.known, float)
    known = known if table.rows else _distinct(known)
    free = np.zeros(known.shape[:-1], dtype=bool)
    for rows in table.rows.values():
        free |= rows >= 0
    total = known.sum(axis=-1)
    wrong = ~free & ((np.abs(total - 1) > SUM_TOLERANCE) | (known < 0).any(axis=-1) | ~np.isfinite(total))
    if not wrong.any():
        return
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    case = ", ".join(f"{parent} = {members[parent][k]}" for parent, k in zip(table.parents, place[table.lead :], strict=True))
    at = f" where {case}" if case else ""
    subject = f"{what} `{factor.singles[place[0]].name if table.lead else table.child}`".strip()
    if (known[place] == 0).all():
        raise AimError([Diagnostic("AIM0409", f"{subject} is no member of its set{at}", table.span, "keep it inside, with min and max")])
    text = f"the probabilities of {subject} sum to {total[place]:.10g}{at}, not to 1"
    if np.isnan(known[place]).any():
        text = f"a probability of {subject} is no number{at}"
        raise AimError([Diagnostic("AIM0307", text, table.span, "an index may lie outside of its axis there")])
    if (known[place] < 0).any():
        text = f"a probability of {subject} is negative{at}"
    raise AimError([Diagnostic("AIM0307", text, table.span, "write normalize({…}) for weights")])
