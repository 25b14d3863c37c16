"""The plan: what is latent, which blocks hold it, which engine runs, and the reason for each choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.augmentation import is_logistic
from ppl.compiler.blocks import Block, choose_blocks, in_form
from ppl.compiler.discrete_latents import boxed, kept_entries, structured_variables
from ppl.compiler.expansion import Expansion, find_expansions, untied
from ppl.compiler.latents import DISCRETE, GAUSSIAN, OBSERVED, PREDICTED, LatentVariable
from ppl.compiler.lowering import LoweredFactor, lower_statement
from ppl.compiler.needed import needed_entries
from ppl.compiler.numeric_latents import narrowed, widened
from ppl.compiler.pairing import paired
from ppl.compiler.potentials import evidence_factors, lower_potential
from ppl.compiler.rewrites import rewritten
from ppl.compiler.separated import separated
from ppl.compiler.spot_checks import spot_check
from ppl.compiler.statements import deterministic_definitions, drawn_afterwards, random_statements, refuse_without_message
from ppl.compiler.steps import smooth_variables
from ppl.factors.registry import factor
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import Evaluator
from ppl.semantics import typed
from ppl.semantics.walking import variables_in
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean
from ppl.source.html import Shown

FEW_BRANCHES = 32  # states that are summed over without being asked
MOST_BRANCHES = 4096  # states that `use exact` sums over
MOST_COMPLETED = 2000  # predicted numbers that are taken into an exact posterior so that their beliefs are exact too
MOST_INTEGRATED = 100_000  # numbers of data, of which the rest is fitted at every node of an integral
ENGINES = ("exact", "vmp", "gibbs")
BRIDGED = ("nuts", "svi", "laplace")  # of these another plan is made
JOINED = "AIM0721"  # a block that only a joint Normal of coordinates can hold
WITHOUT_MESSAGE = {"AIM0720", JOINED, "AIM0722", "AIM0724", "AIM0727"}  # what other engines can serve
ENDS = {"real": (-math.inf, math.inf), "positive": (0.0, math.inf), "unit": (0.0, 1.0)}

Settle = Callable[[BoundModel], BoundModel]


@dataclass(frozen=True, repr=False)
class Plan(Shown):
    """`str()` is what `ppl explain` prints."""

    bound: BoundModel = field(repr=False)
    definitions: dict[str, list[typed.DeterministicStatement]] = field(repr=False)
    latents: dict[str, LatentVariable]
    predicted: tuple[str, ...]  # with entries neither observed nor needed: these are told from the posterior of the others
    factors: tuple[LoweredFactor, ...] = field(repr=False)
    blocks: tuple[Block, ...]
    engine: str
    exact: bool
    options: dict[str, float | bool]
    branches: tuple[str, ...] = ()  # discrete variables whose states are summed over, each state with a plan of its own
    integrated: tuple[float, float] | None = None  # `branches` is one number instead, which is integrated over between these
    source: BoundModel | None = field(default=None, repr=False)  # the user's own model, where `bound` is rewritten
    rewrites: tuple[str, ...] = ()
    expansions: tuple[Expansion, ...] = ()  # changes of variables that no likelihood sees

    @property
    def improper(self) -> tuple[str, ...]:
        """The variables with a flat prior."""
        return tuple(dict.fromkeys(f.defines for f in self.factors if f.factor.name in ("Flat", "HalfFlat")))

    def __str__(self) -> str:
        from ppl.compiler.explain import explain

        return explain(self)


def compile_plan(
    bound: BoundModel,
    *,
    approximation: typed.Approximation | None = None,
    engine: str | None = None,
    settle: Settle = lambda bound: bound,
) -> Plan:
    """The plan for a model with its data; raises AimError where a statement or an engine cannot be served.

    `settle` puts a number in the place of what is wholly known, where one number is integrated over.
    """
    asked = engine or (approximation.engine if approximation else None)
    check_engine(asked)
    source, (bound, reasons) = bound, rewritten(bound)
    plan = _apart_plan(bound, approximation, asked, settle) or _chosen_plan(bound, approximation, asked, settle)
    return replace(plan, source=source, rewrites=(*plan.rewrites, *reasons))


def _apart_plan(bound: BoundModel, approximation: typed.Approximation | None, asked: str | None, settle: Settle) -> Plan | None:
    """The plan in which latent variables of which a `match` chooses the distribution are computed from one for each arm. None where there
    are none, or where it is no exact one and nobody asks for messages."""
    choices = (s.variable for s in random_statements(bound.model) if isinstance(s.distribution, typed.DistributionChoice))
    names = tuple(dict.fromkeys(n for n in choices if n not in bound.values))
    if not names:
        return None
    apart, reasons = rewritten(separated(bound, names))
    try:
        plan = _chosen_plan(apart, approximation, asked, settle)
        states = max((states_of(n, apart) for n in plan.branches), default=0) if plan.integrated is None else 0
        if not all(conditioned(plan, {n: _one_state(apart, n, k) for n in plan.branches}, settle).exact for k in range(1, states)):
            return None  # exact in its first arm, and not in another
    except AimError:
        return None
    told = tuple(f"`{n}` is one of as many hidden variables as its `match` has distributions" for n in names)
    return replace(plan, rewrites=(*told, *reasons)) if plan.exact or asked is not None else None


def _chosen_plan(bound: BoundModel, approximation: typed.Approximation | None, asked: str | None, settle: Settle) -> Plan:
    try:
        refuse_without_message(bound)
    except AimError as refusal:
        return _integrated(bound, approximation, asked, settle, refusal)
    try:
        plan = _joint_plan(bound, approximation)
    except AimError as refusal:
        apart = approximation is not None and len(approximation.blocks) > 1 and any(d.code == JOINED for d in refusal.diagnostics)
        branched = None if asked in ("vmp", "gibbs") or (apart and asked != "exact") else _branch_plan(bound, asked)
        return branched or _integrated(bound, approximation, asked, settle, refusal)
    if asked == "gibbs":
        _refuse_without_conditional(plan, approximation)
        return replace(plan, engine="gibbs", exact=False)
    if plan.exact or asked == "vmp":
        return replace(plan, engine=asked or "vmp")
    branched = _branch_plan(bound, asked) if asked == "exact" or not (approximation and approximation.blocks) else None
    if branched is None and asked == "exact":
        raise AimError([_not_exact(plan)])
    return branched or plan


def _joint_plan(bound: BoundModel, approximation: typed.Approximation | None, kept: Mapping[str, np.ndarray] | None = None) -> Plan:
    """The plan that keeps everything latent in blocks; the `kept` entries too, though nothing observed depends on them."""
    model = bound.model
    definitions = deterministic_definitions(model)
    structured, needed = _needed(bound, definitions, kept or {})
    latents = {n: widened(_latent(bound, n, mask, n in structured)) for n, mask in needed.items() if np.any(mask & ~_observed(bound, n))}
    factors: list[LoweredFactor] = []
    refusals: list[Diagnostic] = []
    told = (s for s in random_statements(model) if s.variable in latents or (s.variable in bound.values and s.variable in needed))
    taking_part, densities = [*told], [s for s in random_statements(model) if s.variable in definitions]
    for statement in (*taking_part, *densities):
        try:
            factors += lower_statement(statement, bound, latents, definitions)
        except AimError as error:
            refusals += error.diagnostics
    for potential in model.potentials:
        try:
            factors += lower_potential(potential, bound, latents, definitions)
        except AimError as error:
            refusals += error.diagnostics
    if refusals:
        raise AimError(refusals)
    latents = narrowed(latents, factors)
    factors += [f for v in latents.values() for f in evidence_factors(v, random_statements(model))]
    wrong = spot_check(taking_part, bound, latents, definitions)
    if wrong:
        raise AimError(wrong)
    blocks = in_form(paired(choose_blocks(latents, factors, approximation), latents, factors, approximation), approximation)
    masks = {s.variable: needed.get(s.variable, False) for s in random_statements(model) if s.variable not in definitions}
    predicted = tuple(n for n, mask in masks.items() if not np.all(mask | _observed(bound, n)))
    options = dict(approximation.options) if approximation else {}
    exact = is_exact(blocks, factors)
    expansions = () if exact or options.get("expansion") is False else find_expansions(latents, blocks, factors)
    blocks = untied(blocks, expansions)
    return Plan(bound, definitions, latents, predicted, tuple(factors), blocks, "vmp", exact, options, expansions=expansions)


def completed(plan: Plan, names: Sequence[str]) -> Plan | None:
    """The plan with these predicted variables in its blocks, where it stays exact and they are few."""
    names = [n for n in names if n not in drawn_afterwards(plan.bound)]
    masks = {n: np.ones(_observed(plan.bound, n).shape, bool) for n in names}
    if not names or not plan.exact or plan.branches or sum(m.size for m in masks.values()) > MOST_COMPLETED:
        return None
    try:
        whole = _joint_plan(plan.bound, None, masks)
    except AimError:
        return None
    return whole if whole.exact else None


def _needed(
    bound: BoundModel, definitions: dict[str, list[typed.DeterministicStatement]], keep: Mapping[str, np.ndarray] | None = None
) -> tuple[set[str], dict[str, np.ndarray]]:
    """The discrete variables that meet others, and the needed entries of all that take part; those to `keep` are."""
    afterwards = drawn_afterwards(bound)
    statements = [s for s in random_statements(bound.model) if s.variable not in afterwards]
    discrete = {s.variable for s in statements if _family(bound, s.variable) in DISCRETE}
    structured = structured_variables(bound.model, statements, discrete, definitions)

    def needed(kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        both = {n: mask | kept.get(n, False) for n, mask in (keep or {}).items()}
        return needed_entries(bound, statements, definitions, {**kept, **both})

    return structured, kept_entries(bound, structured, statements, definitions, needed, lambda n: _observed(bound, n))


# ------------------------------------------------------------------ sums over few states, and integrals over one number
def _integrated(bound: BoundModel, approximation: typed.Approximation | None, asked: str | None, settle: Settle, refusal: AimError) -> Plan:
    """The plan that integrates over one number in the place of one that was refused; raises the refusal where there is none."""
    named = approximation is not None and (len(approximation.blocks) > 1 or bool(approximation.forms or approximation.amortised))
    if asked is None and not named and {d.code for d in refusal.diagnostics} <= WITHOUT_MESSAGE:
        found = _node_plan(bound, settle)
        if found is not None:
            return found
    raise AimError(_refused(list(refusal.diagnostics), asked)) from None


def _branch_plan(bound: BoundModel, asked: str | None) -> Plan | None:
    """A plan that sums over the states of discrete variables, where they are few and the rest is exact given them: over those of
    one variable, or else of all."""
    needed = _needed(bound, deterministic_definitions(bound.model))[1]
    names = [n for n, mask in needed.items() if _family(bound, n) in DISCRETE and np.any(mask & ~_observed(bound, n))]
    counts = {n: math.log(states_of(n, bound)) * int((~_observed(bound, n)).sum()) for n in names}
    most = math.log(MOST_BRANCHES if asked == "exact" else FEW_BRANCHES) + 1e-9
    alone = [(n,) for n in sorted(names, key=counts.__getitem__)]
    for chosen in (*(alone if len(names) > 1 else ()), tuple(names)):
        if not chosen or sum(counts[n] for n in chosen) > most:
            continue
        try:
            inner = _joint_plan(_with_states(bound, {n: _one_state(bound, n, 0) for n in chosen}), None)
        except AimError:
            continue
        if inner.exact:
            return replace(inner, bound=bound, engine=asked or "vmp", branches=chosen)
    return None


def _node_plan(bound: BoundModel, settle: Settle) -> Plan | None:
    """A plan that integrates over one number, where the rest is exact given it."""
    statements, definitions = random_statements(bound.model), deterministic_definitions(bound.model)
    needed = needed_entries(bound, statements, definitions)
    latent = [n for n, mask in needed.items() if mask.any() and not _observed(bound, n).all()]
    latent.sort(key=lambda n: -math.inf in (_ends(bound, n) or ()))  # scales first: given them the rest is often Normal
    for name in latent if sum(v.size for v in bound.values.values()) <= MOST_INTEGRATED else ():
        ends = _ends(bound, name)
        if bound.shape(bound.model.variables[name]) or ends is None:
            continue
        for value in _between(*ends):
            try:
                with np.errstate(all="ignore"):
                    inner = _settled_plan(bound, {name: np.asarray(value)}, settle)
            except AimError:  # perhaps at this value only
                continue
            if inner.exact:
                return replace(inner, bound=bound, branches=(name,), integrated=ends)
            break
    return None


def _ends(bound: BoundModel, name: str) -> tuple[float, float] | None:
    """Between which numbers a variable lies, where they are known."""
    call = next(s for s in random_statements(bound.model) if s.variable == name).distribution
    if not isinstance(call, typed.DistributionCall):
        return None
    if {"low", "high"} <= set(call.arguments):
        ends = [call.arguments[k] for k in ("low", "high")]
        if any(n in bound.model.variables and n not in bound.values for e in ends for n in variables_in(e)):
            return None
        low, high = (float(Evaluator(bound.sizes, bound.values).number(e, {}).data) for e in ends)
        return low, high
    return ENDS.get(DISTRIBUTIONS[call.name].support)


def _between(low: float, high: float) -> tuple[float, ...]:
    """Numbers between two."""
    if math.isfinite(low) and math.isfinite(high):
        return tuple(low + share * (high - low) for share in (0.5, 0.1, 0.9))
    if math.isinf(low) and math.isinf(high):
        return (0.5, -0.5, 5.0, -5.0)
    return tuple(low + d if math.isfinite(low) else high - d for d in (0.5, 0.05, 5.0, 0.005, 50.0))


def _one_state(bound: BoundModel, name: str, state: int) -> np.ndarray:
    """All that is not given of a variable in one state, or its last."""
    variable = bound.model.variables[name]
    kind = np.int64 if variable.type.kind == "member" else np.float64
    values = np.full(bound.shape(variable), min(state, states_of(name, bound) - 1), kind)
    return np.where(bound.observed[name], bound.values[name], values).astype(kind) if name in bound.values else values


def _with_states(bound: BoundModel, states: Mapping[str, np.ndarray]) -> BoundModel:
    observed = {n: np.ones(v.shape, bool) for n, v in states.items()}
    return replace(bound, values={**bound.values, **states}, observed={**bound.observed, **observed})


def conditioned(plan: Plan, states: Mapping[str, np.ndarray], settle: Settle = lambda bound: bound) -> Plan:
    """The plan of the model with these variables observed."""
    return replace(_settled_plan(plan.bound, states, settle), engine=plan.engine)


def _settled_plan(bound: BoundModel, states: Mapping[str, np.ndarray], settle: Settle) -> Plan:
    given = settle(_with_states(bound, states))
    refuse_without_message(given)
    return _joint_plan(given, None)


def states_of(name: str, bound: BoundModel) -> int:
    """The number of states of a discrete variable."""
    if _family(bound, name) == "Bernoulli":
        return 2
    index_set = bound.model.variables[name].type.member_of
    assert index_set is not None
    return bound.sizes[index_set.key]


def _observed(bound: BoundModel, name: str) -> np.ndarray:
    """Which entries of a variable are observed, over its plates."""
    variable = bound.model.variables[name]
    return np.asarray(bound.observed[name]) if name in bound.values else np.zeros(bound.shape(variable)[: variable.plates], bool)


def _latent(bound: BoundModel, name: str, needed: np.ndarray, structured: bool) -> LatentVariable:
    """The latent entries of a variable: the needed ones that are not observed; with these where it is discrete and meets others."""
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
    size = states_of(name, bound) if family in DISCRETE else 0
    if structured and not inferred.all():
        whole = LatentVariable(name, family, labels, plates, event, size, span=variable.span)
        return boxed(whole, needed, observed, bound.values.get(name))
    if not inferred.all():
        places = np.cumsum(inferred.ravel()).reshape(inferred.shape) - 1
        lookup = np.where(inferred, places, np.where(observed, OBSERVED, PREDICTED))
        plates, labels = (int(inferred.sum()),), (f"missing {name}",)
    given = None
    if name in bound.values and event and not np.isnan(bound.values[name][inferred]).all():
        if family not in GAUSSIAN:
            raise AimError([Diagnostic("AIM0720", f"there is no message for a `{family}` that is observed in part", statements[0].span)])
        given = bound.values[name][inferred] if lookup is not None else bound.values[name]
    return LatentVariable(name, family, labels, plates, event, size, lookup, given=given, span=variable.span)


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
    """Whether no factor joins two blocks, or members of one, and all are conjugate: each block is then the exact posterior of its
    variables."""
    apart = all(len(blocks_touched(f, blocks)) <= 1 for f in factors)
    return apart and all(b.turns is None and b.members is None and not b.point for b in blocks) and not smooth_variables(factors)


def check_engine(asked: str | None) -> None:
    """Raises AimError where the engine that was asked for does not exist."""
    if asked is not None and asked not in ENGINES:
        known = (*ENGINES, *BRIDGED)
        raise AimError(
            [Diagnostic("AIM0504", f"unknown engine `{asked}`", None, did_you_mean(asked, known) or "engines: " + ", ".join(known))]
        )


def _refuse_without_conditional(plan: Plan, approximation: typed.Approximation | None) -> None:
    """Raises AimError where a block cannot be drawn given the others: it is not conjugate, or the approximation has a form for it."""
    if approximation and approximation.forms:
        text = "the engine `gibbs` makes no use of forms of a posterior, which this approximation asks for"
        raise AimError([Diagnostic("AIM0510", text, approximation.span, "leave out the forms, or write `use vmp`")])
    bent = next((f for f in plan.factors if smooth_variables([f]) and not is_logistic(f)), None)
    if bent is not None:
        names = " and ".join(f"`{n}`" for n in sorted(smooth_variables([bent])))
        text = f"the engine `gibbs` cannot serve this model: this statement leaves {names} no conditional that can be drawn from"
        raise AimError([Diagnostic("AIM0510", text, bent.statement.span, "write `use nuts`, or leave out `use gibbs`")])


def _not_exact(plan: Plan) -> Diagnostic:
    turning = {b.name for b in plan.blocks if b.turns is not None}
    joining = next(f for f in plan.factors if len(t := blocks_touched(f, plan.blocks)) > 1 or turning & {b.name for b in t})
    names = ", ".join(f"`{v}`" for b in blocks_touched(joining, plan.blocks) for v in b.variables)
    text = f"the engine `exact` cannot serve this model: this statement joins {names}, which have no exact joint posterior here"
    return Diagnostic("AIM0510", text, joining.statement.span, "leave out `use exact`, or write `use vmp`")


def _refused(refusals: list[Diagnostic], asked: str | None) -> list[Diagnostic]:
    """Statements without a message, told as what stands in the way of the engine that was asked for."""
    if asked not in ("exact", "gibbs"):
        return refusals
    return [
        Diagnostic(
            "AIM0510",
            f"the engine `{asked}` cannot serve this model: {d.message.split(': ', 1)[-1]}",
            d.span,
            f"leave out `use {asked}`",
            related=d.related,
        )
        for d in refusals
    ]
