"""Real states, actions and outcomes: what each statement says as a mean and a covariance, functions of states and actions.

Real states that meet in a statement form a cluster, which has one joint Gaussian belief; it stands beside the clusters of discrete
states and meets them in actions alone. Where every mean is affine in the states the belief is exact (Kalman 1960). Another smooth mean
is linearised where the belief stands, as in the extended Kalman filter (Särkkä 2013), and `explain` says so. What is seen may change
with discrete states too that an action sets: they are known, whatever else is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.evaluation import AgentEvaluator, Factor, plate_members
from ppl.arrays.plated import Plated, namespace
from ppl.graph.evaluate import fits
from ppl.graph.functions import apply_known
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic


class Moments(NamedTuple):
    """A mean and a covariance."""

    mean: Any
    cov: Any


class Form(NamedTuple):
    """A mean that is affine in states and actions: `constant` + Σ slopes · them, and noise that is the same everywhere. First an axis
    for each discrete action that chooses."""

    slopes: Mapping[str, Any]  # by state or action: … × size × its size
    constant: Any
    noise: Any


@dataclass(frozen=True)
class Rule:
    """What one statement says of one real factor. `reads` are the real states and actions on which it depends; `affine` says that its
    mean is so in the states; `certain` that it has no noise."""

    factor: Factor
    statement: typed.AgentStatement = field(repr=False)
    loops: Mapping[str, Plated] = field(repr=False)
    reads: tuple[str, ...] = ()
    chooses: tuple[str, ...] = ()  # discrete actions; of what is seen, discrete states that actions set
    affine: bool = True
    form: Form | None = field(default=None, repr=False)

    @property
    def certain(self) -> bool:
        call = self.statement.distribution
        return call is None or (isinstance(call, typed.DistributionCall) and call.name == "Delta")


class Settled(NamedTuple):
    """A discrete state that is known at every step: its place at the beginning, and after these actions its place by theirs."""

    size: int
    actions: tuple[str, ...]
    initial: Any
    places: Any


class Given(NamedTuple):
    """What one cluster of a member of a kind is made of."""

    initial: Mapping[str, Form]  # by state
    moving: Form
    seeing: Form


class RealNumbers(NamedTuple):
    """What the members of a kind do not share: their clusters, and where their settled states begin and go."""

    clusters: tuple[Given, ...]
    settled: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Reals:
    """The real factors of an agent and the rules of their statements; of a kind those of one member, with the numbers of one where they
    are given."""

    evaluator: AgentEvaluator = field(repr=False)
    states: tuple[Factor, ...]
    actions: tuple[Factor, ...]
    outcomes: tuple[Factor, ...]
    choosing: tuple[Factor, ...]  # the discrete actions
    settled: Mapping[str, Settled] = field(default_factory=dict, repr=False)
    rules: dict[str, dict[str, Rule]] = field(default_factory=dict, repr=False)  # initial, next, observe: by factor
    given: tuple[Given, ...] | None = field(default=None, repr=False)

    @cached_property
    def factors(self) -> dict[str, Factor]:
        return {f.name: f for f in (*self.states, *self.actions, *self.outcomes)}

    # ------------------------------------------------------------ rules
    def said(self, role: str) -> Iterator[tuple[typed.AgentStatement, Factor, dict[str, Plated]]]:
        """Each statement of a role about a real factor, for each member of its plates."""
        places = {(f.variable.name, f.place): f for f in self.factors.values()}
        agent = self.evaluator.model.agent
        assert agent is not None
        for statement in agent.statements:
            stacked = places.get((statement.variable, ()))
            if statement.role == role and stacked is not None and stacked.shape:
                yield statement, stacked, self.evaluator.loops_of(statement)
            elif statement.role == role and any(name == statement.variable for name, _ in places):
                for loops in plate_members(statement.loops, self.evaluator):
                    yield statement, places[statement.variable, self.evaluator.place_of(statement, loops)], loops

    def moments(self, rule: Rule, values: Mapping[str, Any], sizes: Mapping[str, int]) -> Moments:
        """The mean and the covariance that a rule gives at values of real factors: first an axis of members where they are stacked, then
        one for each of `sizes` (discrete actions, and the time of a preference), then those of the value."""
        mean, cov = self._evaluated(rule, values)
        factor = rule.factor
        plates = dict(zip((loop.name for loop in rule.statement.loops), factor.shape, strict=True)) if factor.shape else {}
        strange = [d for d in (*mean.dims, *cov.dims) if d not in sizes and d not in plates]
        if strange:
            text = f"`{rule.factor.name}` is real, and changes with the discrete state `{strange[0]}`"
            hint = "a Gaussian belief is kept where dynamics change with actions alone, and what is seen with what an action sets"
            raise AimError([Diagnostic("AIM0418", text, rule.statement.span, hint)])
        wide = (m.arranged((*plates, *sizes), {**plates, **sizes}) * 1.0 for m in (mean, cov))
        return Moments(*(m.reshape(factor.count, *m.shape[len(plates) :]) if plates else m for m in wide))

    def named(self, rule: Rule) -> set[str]:
        """The discrete factors and plates with which a rule changes."""
        mean, cov = self._evaluated(rule, {})
        return {*mean.dims, *cov.dims}

    def _evaluated(self, rule: Rule, values: Mapping[str, Any]) -> tuple[Plated, Plated]:
        evaluator = replace(self.evaluator, values={**self.evaluator.values, **self._whole(values)})
        try:
            return _gaussian(rule, evaluator)
        except KeyError as missing:
            raise AimError([self._unknown(str(missing.args[0]), rule)]) from None

    def _whole(self, values: Mapping[str, Any]) -> dict[str, Plated]:
        """The values of real factors as variables, with the members of a plate together; 0 for those that are not given."""
        found: dict[str, list[Any]] = {}
        for f in (*self.states, *self.actions):
            found.setdefault(f.variable.name, []).append(values.get(f.name, np.zeros((f.count, f.size) if f.shape else f.size)))
        whole = {}
        for name, rows in found.items():
            own = [f for f in self.factors.values() if f.variable.name == name]
            plates = own[0].shape or [1 + max(f.place[k] for f in own) for k in range(own[0].variable.plates)]
            shape = (*plates, *(() if own[0].scalar else _lengths(own[0], self.evaluator)))
            whole[name] = Plated((), namespace(*rows).stack(rows).reshape(shape))
        return whole

    def _unknown(self, name: str, rule: Rule) -> Diagnostic:
        text = f"`{name}` is random, and real states learn nothing of it: it has no value here"
        return Diagnostic("AIM0412", text, rule.statement.span, f"give {name} = …, or make it a state with next {name} = {name}")

    # ------------------------------------------------------------ clusters
    @cached_property
    def clusters(self) -> tuple[Cluster, ...]:
        """Real states that meet in a statement, with the outcomes that tell of them."""
        group = {f.name: {f.name} for f in (*self.states, *self.outcomes)}
        for rules in self.rules.values():
            for rule in rules.values():
                met = {n for n in (rule.factor.name, *rule.reads) if n in group}
                merged = set().union(*(group[n] for n in met))
                group.update(dict.fromkeys(merged, merged))
        groups = list(dict.fromkeys(frozenset(g) for g in group.values()))
        parts = [tuple(tuple(f for f in own if f.name in g) for own in (self.states, self.outcomes)) for g in groups]
        given = self.given if self.given is not None else (None,) * len(parts)
        return tuple(Cluster(self, states, outcomes, own) for (states, outcomes), own in zip(parts, given, strict=True))

    # ------------------------------------------------------------ members of a kind
    def of_kind(self, own: Mapping[str, Factor], discrete: Mapping[str, Factor]) -> Reals | None:
        """The part of these that has these factors, for one member; None where it has none."""
        if not own:
            return None
        states, actions, outcomes = (tuple(f.member for f in of if f.name in own) for of in (self.states, self.actions, self.outcomes))
        choosing = tuple(f.member for f in self.choosing if f.name in discrete)
        rules = {role: {n: r for n, r in of.items() if n in own} for role, of in self.rules.items()}
        settled = {n: s for n, s in self.settled.items() if n in discrete}
        return replace(self, states=states, actions=actions, outcomes=outcomes, choosing=choosing, rules=rules, settled=settled)

    @property
    def numbers(self) -> RealNumbers:
        """Those of all members."""
        return RealNumbers(tuple(c.numbers for c in self.clusters), {n: (s.initial, s.places) for n, s in self.settled.items()})

    def at(self, numbers: RealNumbers | None) -> Reals:
        """The same with the numbers of one member."""
        if numbers is None:
            return self
        settled = {n: s._replace(initial=numbers.settled[n][0], places=numbers.settled[n][1]) for n, s in self.settled.items()}
        return replace(self, settled=settled, given=numbers.clusters)

    def known(self, chosen: Mapping[str, Any], first: Any = False) -> dict[str, Any]:
        """The places of settled states after these actions, or (`first`) at the beginning."""
        found = {}
        for name, one in self.settled.items():
            after = jnp.asarray(one.places)[tuple(chosen[a] for a in one.actions)]
            found[name] = after if first is False else jnp.where(first, one.initial, after)
        return found


@dataclass(frozen=True)
class Cluster:
    """Real states that are believed jointly, a vector x, and the outcomes that tell of them, a vector y."""

    reals: Reals = field(repr=False)
    states: tuple[Factor, ...]
    outcomes: tuple[Factor, ...]
    given: Given | None = field(default=None, repr=False)

    @cached_property
    def size(self) -> int:
        return sum(f.size for f in self.states)

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where each state stands in x, and each outcome in y."""
        found: dict[str, slice] = {}
        for factors in (self.states, self.outcomes):
            start = 0
            for f in factors:
                found[f.name], start = slice(start, start + f.size), start + f.size
        return found

    @cached_property
    def transitions(self) -> list[Rule]:
        return [self.reals.rules["next"][f.name] for f in self.states]

    @cached_property
    def observations(self) -> list[Rule]:
        return [self.reals.rules["observe"][f.name] for f in self.outcomes]

    @cached_property
    def actions(self) -> tuple[str, ...]:
        """The real actions that move these states."""
        return tuple(f.name for f in self.reals.actions if any(f.name in rule.reads for rule in self.transitions))

    @cached_property
    def choosing(self) -> tuple[Factor, ...]:
        """The discrete actions that choose between dynamics of these states."""
        return tuple(f for f in self.reals.choosing if any(f.name in rule.chooses for rule in self.transitions))

    @cached_property
    def sensing(self) -> tuple[str, ...]:
        """The discrete states, set by actions, with which what is seen changes."""
        return tuple(name for name in self.reals.settled if any(name in rule.chooses for rule in self.observations))

    @cached_property
    def selected(self) -> dict[str, int]:
        """What chooses between forms, with its sizes."""
        return {f.name: f.size for f in self.choosing} | {name: self.reals.settled[name].size for name in self.sensing}

    @cached_property
    def certain(self) -> np.ndarray:
        """Which entries of y have no noise."""
        return np.concatenate([np.full(r.factor.size, r.certain) for r in self.observations]) if self.observations else np.zeros(0, bool)

    @property
    def affine(self) -> bool:
        return all(rule.affine for rule in (*self.transitions, *self.observations))

    # ------------------------------------------------------------ functions of x
    @cached_property
    def moving(self) -> Form | None:
        return self._form(self.transitions) if self.given is None else self.given.moving

    @cached_property
    def seeing(self) -> Form | None:
        return self._form(self.observations) if self.given is None else self.given.seeing

    @property
    def numbers(self) -> Given:
        """Those of all members of a kind."""
        initial = {f.name: self._form([self.reals.rules["initial"][f.name]]) for f in self.states}
        return Given(initial, self.moving, self.seeing)  # type: ignore[arg-type]  # what is stacked is affine

    def initial(self) -> Moments:
        """The belief at time 0: states that depend on others there are put in one after another."""
        mean, cov = jnp.zeros(self.size), jnp.zeros((self.size, self.size))
        for rule in in_order([self.reals.rules["initial"][f.name] for f in self.states]):
            at = self.places[rule.factor.name]
            form = self._form([rule]) if self.given is None else self.given.initial[rule.factor.name]
            own, slope, noise = self._at([rule], form, mean, {}, {})
            across = slope @ cov
            mean = mean.at[at].set(own)
            cov = cov.at[at, :].set(across).at[:, at].set(across.T).at[at, at].set(across @ slope.T + noise)
        return Moments(mean, cov)

    def moved(self, x: Any, actions: Mapping[str, Any], chosen: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """The next states after `actions` (real ones, by name) and those `chosen` (places of discrete ones): mean, slope, noise."""
        return self._at(self.transitions, self.moving, x, actions, chosen)

    def seen(self, x: Any, known: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """The outcomes at states, and at places of those that actions set: mean, slope, noise."""
        return self._at(self.observations, self.seeing, x, {}, known)

    def readings(self) -> Any:
        """A scale for the variance of each outcome: what uncertainty of the beginning and the noise of all actions can bring there.

        Rounding leaves less than a tiny share of it, and 0 says that nothing is ever uncertain."""
        begun = self.initial()
        real = {f.name: jnp.zeros(f.size) for f in self.reals.actions}
        places = [dict(zip((f.name for f in self.choosing), p, strict=True)) for p in np.ndindex(*(f.size for f in self.choosing))]
        steps = [self.moved(begun.mean, real, p)[1:] for p in places]
        reached = begun.cov + sum(noise for _, noise in steps)
        for _ in range(self.size):
            reached = reached + sum(slope @ reached @ slope.T for slope, _ in steps)
        told = [dict(zip(self.sensing, p, strict=True)) for p in np.ndindex(*(self.selected[name] for name in self.sensing))]
        sights = [self.seen(begun.mean, known)[1] for known in told]
        return jnp.stack([jnp.diag(sight @ reached @ sight.T) for sight in sights]).max(axis=0)

    # ------------------------------------------------------------ rules together
    def _form(self, rules: list[Rule]) -> Form | None:
        """The form of rules one below another; None where one has none."""
        if any(rule.form is None for rule in rules):
            return None
        shape = rules[0].factor.shape if rules else ()
        front = (rules[0].factor.count,) if shape else ()
        choices = (*front, *self.selected.values())
        count = sum(rule.factor.size for rule in rules)
        factors = (*self.states, *self.reals.actions)
        slopes = {f.name: np.zeros((*choices, count, f.size)) for f in factors}
        constant, noise, start = np.zeros((*choices, count)), np.zeros((*choices, count, count)), 0
        for rule in rules:
            assert rule.form is not None
            at = slice(start, start + rule.factor.size)
            wide = (slice(None),) * len(front) + tuple(slice(None) if name in rule.chooses else None for name in self.selected)
            for name, slope in rule.form.slopes.items():
                slopes[name][..., at, :] = slope[wide]
            constant[..., at], noise[..., at, at] = rule.form.constant[wide], rule.form.noise[wide]
            start = at.stop
        return Form(slopes, constant, noise)

    def _at(self, rules: list[Rule], form: Form | None, x: Any, actions: Mapping[str, Any], chosen: Mapping[str, Any]) -> Any:
        place = tuple(chosen.get(name, 0) for name in self.selected)
        if form is None:
            return self._linearised(rules, x, actions, place)
        slope = (
            jnp.concatenate([jnp.asarray(form.slopes[f.name])[place] for f in self.states], axis=-1)
            if self.states
            else jnp.zeros((len(form.constant), 0))
        )
        mean = jnp.asarray(form.constant)[place] + slope @ x
        for name in actions:
            if any(name in rule.reads for rule in rules):
                mean = mean + jnp.asarray(form.slopes[name])[place] @ actions[name]
        return mean, slope, jnp.asarray(form.noise)[place]

    def _linearised(self, rules: list[Rule], x: Any, actions: Mapping[str, Any], place: tuple[Any, ...]) -> Any:
        """Rules that are not affine at x, by their slope there."""
        sizes = self.selected

        def moments(x: Any) -> tuple[Any, Any]:
            values = {**{f.name: x[self.places[f.name]] for f in self.states}, **actions}
            found = [self.reals.moments(rule, values, sizes) for rule in rules]
            mean = jnp.concatenate([*(jnp.asarray(m.mean)[place] for m in found), jnp.zeros(0)])
            noise = jax.scipy.linalg.block_diag(*(jnp.asarray(m.cov)[place] for m in found)) if found else jnp.zeros((0, 0))
            return mean, (mean, noise)

        slope, (mean, noise) = jax.jacfwd(moments, has_aux=True)(x)
        return mean, slope, noise


def in_order(rules: list[Rule]) -> list[Rule]:
    """Rules of time 0, each after those that it reads."""
    waiting, found = list(rules), []
    while waiting:
        rule = next(r for r in waiting if not any(other.factor.name in r.reads for other in waiting if other is not r))
        waiting.remove(rule)
        found.append(rule)
    return found


# ------------------------------------------------------------------ one statement
def _gaussian(rule: Rule, evaluator: AgentEvaluator) -> tuple[Plated, Plated]:
    """The mean and the covariance that a statement gives, as a vector and a matrix."""
    size, call = rule.factor.size, rule.statement.distribution
    if call is None:
        assert rule.statement.value is not None
        mean = evaluator.number(rule.statement.value, rule.loops)
        return _vector(mean, size), Plated((), np.zeros((size, size)))
    return _drawn(call, size, rule, evaluator)


def _drawn(call: Any, size: int, rule: Rule, evaluator: AgentEvaluator) -> tuple[Plated, Plated]:
    if isinstance(call, typed.DistributionChoice):
        subjects = [evaluator.evaluate(s, rule.loops) for s in call.subjects]
        pairs = [_drawn(arm, size, rule, evaluator) for _, arm in call.arms]
        chosen = pairs[-1]
        for (patterns, _), pair in list(zip(call.arms, pairs, strict=True))[-2::-1]:
            fit = fits(subjects, patterns)
            chosen = apply_known("if", [fit, pair[0], chosen[0]]), apply_known("if", [fit, pair[1], chosen[1]])
        return chosen
    values = {name: evaluator.number(value, rule.loops) for name, value in call.arguments.items()}
    match call.name, *[name for name in values if name != "mean"]:
        case "Normal", "sd" | "var" | "precision" as given:
            spread = {"sd": lambda a: a * a, "var": lambda a: a, "precision": lambda a: 1.0 / a}[given]
            return _vector(values["mean"], size), Plated(values[given].dims, spread(values[given].data)[..., None, None])
        case "MvNormal", "cov" | "precision" | "scale_tril" as given:
            spread = {
                "cov": lambda a: a,
                "precision": lambda a: namespace(a).linalg.inv(a),
                "scale_tril": lambda a: a @ namespace(a).swapaxes(a, -1, -2),
            }[given]
            return _vector(values["mean"], size), Plated(values[given].dims, spread(values[given].data * 1.0))
        case "Delta", *_:
            return _vector(values["value"], size), Plated((), np.zeros((size, size)))
    text = f"`{rule.factor.name}` is real and {call.name}: an agent keeps Gaussian beliefs over real numbers"
    raise AimError([Diagnostic("AIM0419", text, call.span, "write Normal(…), MvNormal(…), or = …")])


def _vector(mean: Plated, size: int) -> Plated:
    return Plated(mean.dims, mean.data.reshape(*mean.data.shape[: len(mean.dims)], size))


def _lengths(f: Factor, evaluator: AgentEvaluator) -> tuple[int, ...]:
    axes = f.variable.type.axes[f.variable.plates :]
    return tuple((evaluator.sizes[a.set.key] + a.extra) if a.set is not None else (a.size or 0) for a in axes)
