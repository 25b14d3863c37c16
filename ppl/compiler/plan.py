"""The plan: what is latent, which blocks hold it, which engine runs, and the reason for each choice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.blocks import Block, choose_blocks
from ppl.compiler.latents import DISCRETE, OBSERVED, PREDICTED, LatentVariable
from ppl.compiler.lowering import LoweredFactor, lower_statement
from ppl.compiler.needed import needed_entries
from ppl.compiler.spot_checks import spot_check
from ppl.factors.registry import factor
from ppl.graph.bound import BoundModel
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean

FEW_BRANCHES = 32  # states that are summed over without being asked
MOST_BRANCHES = 4096  # states that `use exact` sums over
ENGINES = ("exact", "vmp")
LATER_ENGINES = ("svi", "nuts", "gibbs", "laplace")


@dataclass(frozen=True)
class Plan:
    """`str()` is what `ppl explain` prints."""

    bound: BoundModel = field(repr=False)
    definitions: dict[str, list[typed.DeterministicStatement]] = field(repr=False)
    latents: dict[str, LatentVariable]
    predicted: tuple[str, ...]  # with entries neither observed nor needed: these are told from the posterior of the others
    factors: tuple[LoweredFactor, ...] = field(repr=False)
    blocks: tuple[Block, ...]
    engine: str
    exact: bool
    options: dict[str, float | bool | str]
    branches: tuple[str, ...] = ()  # discrete variables whose states are summed over, each state with a plan of its own

    def __str__(self) -> str:
        from ppl.compiler.explain import explain

        return explain(self)


def compile_plan(bound: BoundModel, *, approximation: typed.Approximation | None = None, engine: str | None = None) -> Plan:
    """The plan for a model with its data; raises AimError where a statement or an engine cannot be served."""
    asked = engine or (approximation.engine if approximation else None)
    refuse_unsupported(bound.model, asked)
    check_engine(asked, approximation)
    _refuse_observed_delta(bound)
    try:
        plan = _joint_plan(bound, approximation)
    except AimError as refusal:
        branched = None if asked == "vmp" else _branch_plan(bound, asked)
        if branched is None:
            raise AimError(_refused(list(refusal.diagnostics), asked)) from None
        return branched
    if plan.exact or asked == "vmp":
        return replace(plan, engine=asked or "vmp")
    branched = _branch_plan(bound, asked) if asked == "exact" or not (approximation and approximation.blocks) else None
    if branched is None and asked == "exact":
        raise AimError([_not_exact(plan)])
    return branched or plan


def _joint_plan(bound: BoundModel, approximation: typed.Approximation | None) -> Plan:
    """The plan that keeps everything latent in blocks."""
    model = bound.model
    definitions = deterministic_definitions(model)
    needed = needed_entries(bound, random_statements(model), definitions)
    latents = {n: _latent(bound, n, mask) for n, mask in needed.items() if np.any(mask & ~_observed(bound, n))}
    factors: list[LoweredFactor] = []
    refusals: list[Diagnostic] = []
    for statement in random_statements(model):
        if statement.variable not in latents and statement.variable not in bound.values:
            continue
        try:
            factors += lower_statement(statement, bound, latents, definitions)
        except AimError as error:
            refusals += error.diagnostics
    if refusals:
        raise AimError(refusals)
    wrong = spot_check(
        [s for s in random_statements(model) if s.variable in latents or s.variable in bound.values], bound, latents, definitions
    )
    if wrong:
        raise AimError(wrong)
    blocks = choose_blocks(latents, factors, approximation)
    predicted = tuple(n for n, mask in needed.items() if not np.all(mask | _observed(bound, n)))
    options = dict(approximation.options) if approximation else {}
    exact = is_exact(blocks, factors)
    return Plan(bound, definitions, latents, predicted, tuple(factors), blocks, "vmp", exact, options)


# ------------------------------------------------------------------ sums over few states
def _branch_plan(bound: BoundModel, asked: str | None) -> Plan | None:
    """A plan that sums over the states of discrete variables, where they are few and the rest is exact given them."""
    definitions = deterministic_definitions(bound.model)
    needed = needed_entries(bound, random_statements(bound.model), definitions)
    names = tuple(n for n, mask in needed.items() if _family(bound, n) in DISCRETE and np.any(mask & ~_observed(bound, n)))
    most = MOST_BRANCHES if asked == "exact" else FEW_BRANCHES
    log_count = sum(math.log(states_of(name, bound)) * int((~_observed(bound, name)).sum()) for name in names)
    if not names or log_count > math.log(most) + 1e-9:
        return None
    try:
        inner = _joint_plan(_with_states(bound, {n: _first_state(bound, n) for n in names}), None)
    except AimError:
        return None
    if not inner.exact:
        return None
    return replace(inner, bound=bound, engine=asked or "vmp", branches=names)


def _first_state(bound: BoundModel, name: str) -> np.ndarray:
    variable = bound.model.variables[name]
    kind = np.int64 if variable.type.kind == "member" else np.float64
    values = np.zeros(bound.shape(variable), kind)
    return np.where(bound.observed[name], bound.values[name], values).astype(kind) if name in bound.values else values


def _with_states(bound: BoundModel, states: Mapping[str, np.ndarray]) -> BoundModel:
    observed = {n: np.ones(v.shape, bool) for n, v in states.items()}
    return replace(bound, values={**bound.values, **states}, observed={**bound.observed, **observed})


def conditioned(plan: Plan, states: Mapping[str, np.ndarray]) -> Plan:
    """The plan of the model with these discrete variables observed."""
    return replace(_joint_plan(_with_states(plan.bound, states), None), engine=plan.engine)


def states_of(name: str, bound: BoundModel) -> int:
    """The number of states of a discrete variable."""
    if _family(bound, name) == "Bernoulli":
        return 2
    index_set = bound.model.variables[name].type.member_of
    assert index_set is not None
    return bound.sizes[index_set.key]


def refuse_unsupported(model: typed.TypedModel, asked: str | None = None) -> None:
    """Raises AimError where the model has constructs that cannot run yet."""
    if model.unsupported:
        raise AimError(_refused(list(model.unsupported), asked))


def _refuse_observed_delta(bound: BoundModel) -> None:
    for s in bound.model.statements:
        if isinstance(s, typed.RandomStatement) and _is_delta(s) and s.variable in bound.values:
            text = f"`{s.variable}` is observed, and a `Delta` fixes it: conditioning on that is not supported yet"
            raise AimError([Diagnostic("AIM0727", text, s.span, f"leave `{s.variable}` out of the data")])


def random_statements(model: typed.TypedModel) -> list[typed.RandomStatement]:
    """Those whose distribution is no `Delta`, which is a definition."""
    return [s for s in model.statements if isinstance(s, typed.RandomStatement) and not _is_delta(s)]


def _is_delta(statement: typed.RandomStatement) -> bool:
    return isinstance(statement.distribution, typed.DistributionCall) and statement.distribution.name == "Delta"


def deterministic_definitions(model: typed.TypedModel) -> dict[str, list[typed.DeterministicStatement]]:
    """The definitions of each deterministic variable; `x ~ Delta(v)` is one."""
    found: dict[str, list[typed.DeterministicStatement]] = {}
    for s in model.statements:
        if isinstance(s, typed.RandomStatement) and _is_delta(s):
            assert isinstance(s.distribution, typed.DistributionCall)
            value = s.distribution.arguments["value"]
            s = typed.DeterministicStatement(s.variable, s.indices, s.loops, value, span=s.span)
        if isinstance(s, typed.DeterministicStatement):
            found.setdefault(s.variable, []).append(s)
    return found


def _observed(bound: BoundModel, name: str) -> np.ndarray:
    """Which entries of a variable are observed, over its plates."""
    variable = bound.model.variables[name]
    return np.asarray(bound.observed[name]) if name in bound.values else np.zeros(bound.shape(variable)[: variable.plates], bool)


def _latent(bound: BoundModel, name: str, needed: np.ndarray) -> LatentVariable:
    """The latent entries of a variable: the needed ones that are not observed."""
    variable = bound.model.variables[name]
    shape = bound.shape(variable)
    statements = [s for s in random_statements(bound.model) if s.variable == name]
    kinds = {factor(_implementation(s)).family for s in statements}
    if len(kinds) > 1:
        several = ", ".join(sorted(kinds))
        text = f"`{name}` is latent and defined by distributions of several families ({several}), which is not supported yet"
        raise AimError([Diagnostic("AIM0724", text, statements[1].span)])
    (family,) = kinds
    labels = tuple(axis.set.key if axis.set is not None else f"{name}.{k}" for k, axis in enumerate(variable.type.axes[: variable.plates]))
    plates, event, lookup = shape[: variable.plates], shape[variable.plates :], None
    observed = _observed(bound, name)
    inferred = needed & ~observed
    if not inferred.all():
        places = np.cumsum(inferred.ravel()).reshape(inferred.shape) - 1
        lookup = np.where(inferred, places, np.where(observed, OBSERVED, PREDICTED))
        plates, labels = (int(inferred.sum()),), (f"missing {name}",)
    size = states_of(name, bound) if family in DISCRETE else 0
    return LatentVariable(name, family, labels, plates, event, size, lookup, variable.span)


def _family(bound: BoundModel, name: str) -> str:
    """The family of a random variable, by the first of its statements."""
    return factor(_implementation(next(s for s in random_statements(bound.model) if s.variable == name))).family


def _implementation(statement: typed.RandomStatement) -> str:
    assert isinstance(statement.distribution, typed.DistributionCall)
    implementation = DISTRIBUTIONS[statement.distribution.name].implementation
    assert implementation is not None
    return implementation


# ------------------------------------------------------------------ the engine
def blocks_touched(one: LoweredFactor, blocks: tuple[Block, ...]) -> list[Block]:
    return [b for b in blocks if set(b.variables) & set(one.variables)]


def is_exact(blocks: tuple[Block, ...], factors: list[LoweredFactor]) -> bool:
    """Whether no factor joins two blocks: each block is then the exact posterior of its variables."""
    return all(len(blocks_touched(f, blocks)) <= 1 for f in factors)


def check_engine(asked: str | None, approximation: typed.Approximation | None) -> None:
    """Raises AimError where the engine that was asked for does not exist or cannot run yet."""
    if asked in LATER_ENGINES:
        span = approximation.engine_span if approximation else None
        raise AimError([Diagnostic("AIM0725", f"the engine `{asked}` is not supported yet", span, "engines so far: exact, vmp")])
    if asked is not None and asked not in ENGINES:
        hint = did_you_mean(asked, (*ENGINES, *LATER_ENGINES)) or "engines: " + ", ".join((*ENGINES, *LATER_ENGINES))
        raise AimError([Diagnostic("AIM0504", f"unknown engine `{asked}`", None, hint)])


def _not_exact(plan: Plan) -> Diagnostic:
    joining = next(f for f in plan.factors if len(blocks_touched(f, plan.blocks)) > 1)
    names = ", ".join(f"`{v}`" for b in blocks_touched(joining, plan.blocks) for v in b.variables)
    text = f"the engine `exact` cannot serve this model: this statement joins {names}, which have no exact joint posterior here"
    return Diagnostic("AIM0510", text, joining.statement.span, "leave out `use exact`, or write `use vmp`")


def _refused(refusals: list[Diagnostic], asked: str | None) -> list[Diagnostic]:
    """Statements without a message, told as what stands in the way of the engine that was asked for."""
    if asked != "exact":
        return refusals
    return [
        Diagnostic(
            "AIM0510",
            f"the engine `exact` cannot serve this model: {d.message.split(': ', 1)[-1]}",
            d.span,
            "leave out `use exact`",
            related=d.related,
        )
        for d in refusals
    ]
