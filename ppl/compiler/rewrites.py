"""Rewrites: statements without a message become others with one, by identities that are exact in law.

A scale mixture gets its scales as hidden variables, a mixture its index, a scale its unit (Andrews & Mallows 1974; Wand et al.
2011). Hidden names hold a `·`, which no file can write. The result is a model like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ppl.compiler.parts import applied, name_of
from ppl.graph.bound import BoundModel
from ppl.graph.references import statement_uses, uses
from ppl.semantics import typed
from ppl.semantics.typed import Axis, DistributionCall, IndexSet, RandomStatement, TypedExpression, ValueType, Variable

HIDDEN = "·"
SEEN = f"{HIDDEN}seen"  # after the name of a variable that is computed, in the place of a random one: its distribution's own


@dataclass(frozen=True)
class Rewritten:
    """What stands in the place of one statement. `computed` says that its variable is no longer random."""

    statements: tuple[typed.TypedStatement, ...]
    hidden: tuple[Variable, ...]
    reason: str
    computed: bool = False
    sets: tuple[IndexSet, ...] = ()
    potentials: tuple[typed.Potential, ...] = ()
    values: Mapping[str, np.ndarray] = field(default_factory=dict)  # of what is known among the hidden


def rewritten(bound: BoundModel) -> tuple[BoundModel, tuple[str, ...]]:
    """The model with every statement rewritten that a rule knows, and the reasons."""
    model, reasons = bound.model, []
    statements: list[typed.TypedStatement] = []
    variables, sets, sizes = dict(model.variables), dict(model.sets), dict(bound.sizes)
    potentials, values = list(model.potentials), dict(bound.values)
    for statement in model.statements:
        made = rewriting(statement, bound)
        if made is None:
            statements.append(statement)
            continue
        statements += made.statements
        variables |= {v.name: v for v in made.hidden}
        sets |= {s.key: s for s in made.sets}
        potentials += made.potentials
        values |= made.values
        sizes |= {s.key: s.size for s in made.sets if s.size is not None}
        if made.computed:
            variables[statement.variable] = replace(variables[statement.variable], role="deterministic")
        reasons.append(made.reason)
    if not reasons:
        return bound, ()
    changed = replace(model, variables=variables, sets=sets, statements=tuple(statements), potentials=tuple(potentials))
    return replace(bound, model=changed, sizes=sizes, values=values), tuple(reasons)


def left_over(statement: RandomStatement) -> bool:
    """Whether a statement has a message only once it is rewritten, and was not."""
    call = statement.distribution
    return isinstance(call, DistributionCall) and call.name == "HalfStudentT" and HIDDEN not in statement.variable


def rewriting(statement: typed.TypedStatement, bound: BoundModel) -> Rewritten | None:
    """What stands in the place of a statement; None where no rule knows it."""
    if not isinstance(statement, RandomStatement) or not isinstance(statement.distribution, DistributionCall):
        return None
    rule = RULES.get(statement.distribution.name)
    return rule(Site(statement, statement.distribution, bound)) if rule else None


@dataclass(frozen=True)
class Site:
    """A statement that is rewritten, and the making of what stands in its place."""

    statement: RandomStatement
    call: DistributionCall
    bound: BoundModel

    @property
    def variable(self) -> Variable:
        return self.bound.model.variables[self.statement.variable]

    def argument(self, name: str) -> TypedExpression:
        return self.call.arguments[name]

    def number(self, value: float) -> TypedExpression:
        return typed.Constant(value, span=self.call.span, type=ValueType())

    def apply(self, function: str, *arguments: TypedExpression | float) -> TypedExpression:
        return applied(self.call.span, function, *arguments)

    def hidden(self, suffix: str, member_of: IndexSet | None = None) -> tuple[Variable, TypedExpression]:
        """A hidden variable over the plates of the statement's own, and its entry at the statement's place."""
        axes = self.variable.type.axes[: self.variable.plates]
        kind = ValueType("member" if member_of else "positive", axes, member_of)
        name = f"{self.variable.name}{HIDDEN}{suffix}"
        made = Variable(name, "random", kind, self.variable.plates, span=self.variable.span)
        entry: TypedExpression = typed.VariableReference(name, span=self.call.span, type=kind)
        if self.statement.indices:
            entry = typed.Indexed(entry, self.statement.indices, span=self.call.span, type=replace(kind, axes=()))
        return made, entry

    def drawn(self, variable: str, name: str, **arguments: TypedExpression) -> RandomStatement:
        """The statement with another distribution, or of another variable."""
        return replace(self.statement, variable=variable, distribution=DistributionCall(name, arguments, span=self.call.span))

    def known(self, e: TypedExpression) -> bool:
        """Whether nothing latent is in it, directly or through definitions."""
        model, queue, seen = self.bound.model, [name for name, _ in uses(e)], set()
        while queue:
            name = queue.pop()
            if name in seen:
                continue
            seen.add(name)
            if model.variables[name].role == "random" and not (name in self.bound.values and self.bound.observed[name].all()):
                return False
            if model.variables[name].role == "deterministic":
                queue += [u for s in model.statements if s.variable == name for u, _ in statement_uses(s)]
        return True


# ------------------------------------------------------------------ scale mixtures of Normals
def _student_t(site: Site) -> Rewritten | None:
    return _scaled_normal(site, site.argument("df"), site.argument("sd"))


def _cauchy(site: Site) -> Rewritten | None:
    return _scaled_normal(site, site.number(1.0), site.argument("scale"))


def _scaled_normal(site: Site, df: TypedExpression, sd: TypedExpression) -> Rewritten | None:
    """w ~ Gamma(df / 2, df / 2), x ~ Normal(mean, precision = w / sd²)."""
    if not site.known(df):
        return None
    weight, entry = site.hidden("weight")
    half = site.apply("divide", df, 2.0)
    precision = site.apply("divide", entry, site.apply("power", sd, 2.0))
    parts = (
        site.drawn(weight.name, "Gamma", shape=half, rate=half),
        site.drawn(site.variable.name, "Normal", mean=site.argument("mean"), precision=precision),
    )
    return Rewritten(parts, (weight,), f"`{site.variable.name} ~ {site.call.name}` is a Normal whose precision has a Gamma weight")


def _laplace(site: Site) -> Rewritten:
    """v ~ Exponential(1 / 2), x ~ Normal(mean, var = v scale²)."""
    variance, entry = site.hidden("variance")
    var = site.apply("multiply", entry, site.apply("power", site.argument("scale"), 2.0))
    parts = (
        site.drawn(variance.name, "Exponential", rate=site.number(0.5)),
        site.drawn(site.variable.name, "Normal", mean=site.argument("mean"), var=var),
    )
    return Rewritten(parts, (variance,), f"`{site.variable.name} ~ Laplace` is a Normal whose variance is exponential")


# ------------------------------------------------------------------ positive numbers
def _half_cauchy(site: Site) -> Rewritten | None:
    return _in_units(site, site.number(1.0))


def _half_student_t(site: Site) -> Rewritten | None:
    return _in_units(site, site.argument("df"))


def _in_units(site: Site, df: TypedExpression) -> Rewritten | None:
    """x = scale √df u, where u has the density ∝ (1 + u²)^(-(df + 1) / 2)."""
    several = sum(s.variable == site.variable.name for s in site.bound.model.statements) > 1
    if not site.known(df) or several or site.variable.name in site.bound.values or site.variable.role != "random":
        return None
    unit, entry = site.hidden("unit")
    root = site.apply("sqrt", df)
    value = site.apply("multiply", site.apply("multiply", site.argument("scale"), root), entry)
    own = site.statement
    defined = typed.DeterministicStatement(own.variable, own.indices, own.loops, value, span=own.span)
    parts = (site.drawn(unit.name, "HalfStudentT", df=df, scale=site.apply("divide", 1.0, root)), defined)
    return Rewritten(parts, (unit,), f"`{own.variable} ~ {site.call.name}` is its scale times a half-t of scale 1", computed=True)


def _chi_squared(site: Site) -> Rewritten:
    call = site.drawn(site.variable.name, "Gamma", shape=site.apply("divide", site.argument("df"), 2.0), rate=site.number(0.5))
    return Rewritten((call,), (), f"`{site.variable.name} ~ ChiSquared` is a Gamma")


def _uniform(site: Site) -> Rewritten | None:
    """Between 0 and 1 it is a Beta."""
    ends = [site.argument(n) for n in ("low", "high")]
    if not all(isinstance(e, typed.Constant) for e in ends) or [float(e.value) for e in ends] != [0.0, 1.0]:  # type: ignore[attr-defined]
        return None
    call = site.drawn(site.variable.name, "Beta", a=site.number(1.0), b=site.number(1.0))
    return Rewritten((call,), (), f"`{site.variable.name} ~ Uniform(0, 1)` is a Beta(1, 1)")


# ------------------------------------------------------------------ counts, and mixtures
def _negative_binomial(site: Site) -> Rewritten | None:
    """g ~ Gamma(c, rate = c / mean), x ~ Poisson(g); or logistic, where the mean is an exponential."""
    concentration = site.argument("concentration")
    if not site.known(concentration):
        return None
    observed = site.bound.observed.get(site.variable.name)
    if observed is not None and np.all(observed) and _is_exponential(site, site.argument("mean")):
        return _logistic_counts(site, concentration)
    rate, entry = site.hidden("rate")
    parts = (
        site.drawn(rate.name, "Gamma", shape=concentration, rate=site.apply("divide", concentration, site.argument("mean"))),
        site.drawn(site.variable.name, "Poisson", rate=entry),
    )
    return Rewritten(parts, (rate,), f"`{site.variable.name} ~ NegativeBinomial` is a Poisson whose rate is a Gamma")


def _is_exponential(site: Site, e: TypedExpression) -> bool:
    """Whether its logarithm is what a Normal may be behind: `exp(…)`, times what is known."""
    name = name_of(e)
    definitions = [s for s in site.bound.model.statements if s.variable == name]
    if name and len(definitions) == 1 and isinstance(definitions[0], typed.DeterministicStatement):
        return _is_exponential(site, definitions[0].value)
    if not isinstance(e, typed.Apply):
        return False
    if e.function in ("multiply", "divide"):
        left, right = (site.known(a) or _is_exponential(site, a) for a in e.arguments)
        return left and right and not site.known(e)
    return e.function == "exp"


def _logistic_counts(site: Site, concentration: TypedExpression) -> Rewritten:
    """With p / (1 - p) = mean / c the density is C p^x (1 - p)^c: that of a Binomial of x + c trials, times c / (x + c)."""
    name, span = site.variable.name, site.call.span
    counts = replace(site.variable, name=f"{name}{HIDDEN}counts", role="parameter")
    entry: TypedExpression = typed.VariableReference(counts.name, span=span, type=counts.type)
    if site.statement.indices:
        entry = typed.Indexed(entry, site.statement.indices, span=span, type=replace(counts.type, axes=()))
    trials = site.apply("add", entry, concentration)
    logit = site.apply("subtract", site.apply("log", site.argument("mean")), site.apply("log", concentration))
    share = site.apply("log", site.apply("divide", concentration, trials))
    return Rewritten(
        (site.drawn(name, "Binomial", n=trials, logit=logit),),
        (counts,),
        f"`{name} ~ NegativeBinomial` is logistic in the logarithm of its mean: a Binomial of {name} + concentration trials",
        potentials=(typed.Potential(site.statement.loops, share, span=site.statement.span),),
        values={counts.name: site.bound.values[name]},
    )


def _mixture(site: Site) -> Rewritten | None:
    """z ~ Categorical(weights), and x of the component z, where all are one distribution in one parametrisation."""
    first = site.call.components[0]
    alike = all(c.name == first.name and list(c.arguments) == list(first.arguments) and not c.components for c in site.call.components)
    if not alike:
        return None
    name = site.variable.name
    states = IndexSet(f"{name}{HIDDEN}components", len(site.call.components))
    index, entry = site.hidden("component", states)
    arguments = {key: _chosen(site, entry, [c.arguments[key] for c in site.call.components]) for key in first.arguments}
    weights = replace(site.argument("weights"), type=ValueType("simplex", (Axis(states),)))
    parts = (site.drawn(index.name, "Categorical", p=weights), site.drawn(name, first.name, **arguments))
    return Rewritten(parts, (index,), f"`{name} ~ Mixture` is one of its components, by a hidden index", sets=(states,))


def _chosen(site: Site, index: TypedExpression, values: list[TypedExpression]) -> TypedExpression:
    arms = tuple(typed.SelectArm(((k,),), v) for k, v in enumerate(values))
    return typed.Select((index,), arms, span=site.call.span, type=values[0].type)


RULES: Mapping[str, Callable[[Site], Rewritten | None]] = {
    "StudentT": _student_t,
    "Cauchy": _cauchy,
    "Laplace": _laplace,
    "HalfCauchy": _half_cauchy,
    "HalfStudentT": _half_student_t,
    "ChiSquared": _chi_squared,
    "Uniform": _uniform,
    "NegativeBinomial": _negative_binomial,
    "Mixture": _mixture,
}
