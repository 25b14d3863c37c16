"""The plan: what is latent, which blocks hold it, which engine runs, and the reason for each choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.blocks import Block, choose_blocks
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LoweredFactor, lower_statement
from ppl.factors.registry import factor
from ppl.graph.bound import BoundModel
from ppl.graph.references import statement_uses
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic

ENGINES = ("exact", "vmp")
LATER_ENGINES = ("svi", "nuts", "gibbs", "laplace")


@dataclass(frozen=True)
class Plan:
    """`str()` is what `ppl explain` prints."""

    bound: BoundModel = field(repr=False)
    definitions: dict[str, list[typed.DeterministicStatement]] = field(repr=False)
    latents: dict[str, LatentVariable]
    predicted: tuple[str, ...]  # neither observed nor needed: reported from the posterior of the others
    factors: tuple[LoweredFactor, ...] = field(repr=False)
    blocks: tuple[Block, ...]
    engine: str
    exact: bool
    options: dict[str, float | bool | str]

    def __str__(self) -> str:
        from ppl.compiler.explain import explain

        return explain(self)


def compile_plan(bound: BoundModel, *, approximation: typed.Approximation | None = None, engine: str | None = None) -> Plan:
    """The plan for a model with its data; raises AimError where a statement or an engine cannot be served."""
    model = bound.model
    asked = engine or (approximation.engine if approximation else None)
    refuse_unsupported(model, asked)
    definitions = deterministic_definitions(model)
    needed = needed_variables(bound, definitions)
    latents = {name: _latent(bound, name) for name in needed}
    factors: list[LoweredFactor] = []
    refusals: list[Diagnostic] = []
    for statement in random_statements(model):
        if statement.variable not in latents and statement.variable not in bound.values:
            continue
        try:
            factors += lower_statement(statement, bound, latents, definitions, wanted=statement.variable in latents)
        except AimError as error:
            refusals += error.diagnostics
    if refusals:
        raise AimError(_refused(refusals, asked))
    blocks = choose_blocks(latents, factors, approximation)
    exact = is_exact(blocks, factors)
    chosen = _engine(asked, exact, factors, blocks, approximation)
    predicted = tuple(s.variable for s in random_statements(model) if s.variable not in latents and not _seen_whole(bound, s.variable))
    options = dict(approximation.options) if approximation else {}
    return Plan(bound, definitions, latents, tuple(dict.fromkeys(predicted)), tuple(factors), blocks, chosen, exact, options)


def refuse_unsupported(model: typed.TypedModel, asked: str | None = None) -> None:
    """Raises AimError where the model has constructs that cannot run yet."""
    if model.unsupported:
        raise AimError(_refused(list(model.unsupported), asked))


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


def needed_variables(bound: BoundModel, definitions: Mapping[str, list[typed.DeterministicStatement]]) -> list[str]:
    """Random variables with unobserved entries on which something observed depends, in the order of the file.

    A missing entry that nothing observed depends on leaves the posterior of the others as it is, so it is predicted from that.
    """
    statements = random_statements(bound.model)
    needed: set[str] = set()
    queue = [s.variable for s in statements if s.variable in bound.values]
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        for s in [*statements, *(d for ds in definitions.values() for d in ds)]:
            if s.variable != name:
                continue
            for used, _ in statement_uses(s):
                queue.append(used)
                if used not in definitions and bound.model.variables[used].role == "random":
                    needed.add(used)
    return [n for n in dict.fromkeys(s.variable for s in statements) if n in needed and not _seen_whole(bound, n)]


def _seen_whole(bound: BoundModel, name: str) -> bool:
    return name in bound.values and bool(np.all(bound.observed.get(name, True)))


def _latent(bound: BoundModel, name: str) -> LatentVariable:
    variable = bound.model.variables[name]
    shape = bound.shape(variable)
    statements = [s for s in random_statements(bound.model) if s.variable == name]
    kinds = {factor(_implementation(s)).family for s in statements}
    if len(kinds) > 1:
        text = f"`{name}` is defined by distributions of different families ({', '.join(sorted(kinds))}) and is latent, which is not supported yet"
        raise AimError([Diagnostic("AIM0724", text, statements[1].span)])
    (family,) = kinds
    labels = tuple(axis.set.key if axis.set is not None else f"{name}.{k}" for k, axis in enumerate(variable.type.axes[: variable.plates]))
    plates, event, lookup = shape[: variable.plates], shape[variable.plates :], None
    if name in bound.values:
        missing = ~bound.observed[name]
        lookup = np.where(missing, np.cumsum(missing.ravel()).reshape(missing.shape) - 1, -1)
        plates, labels = (int(missing.sum()),), (f"missing {name}",)
    size = 0
    if family == "Bernoulli":
        size = 2
    elif family == "Categorical":
        assert variable.type.member_of is not None
        size = bound.sizes[variable.type.member_of.key]
    return LatentVariable(name, family, labels, plates, event, size, lookup, variable.span)


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


def _engine(asked: str | None, exact: bool, factors: list[LoweredFactor], blocks: tuple[Block, ...], approximation: typed.Approximation | None) -> str:
    if asked in LATER_ENGINES:
        span = approximation.engine_span if approximation else None
        raise AimError([Diagnostic("AIM0725", f"the engine `{asked}` is not supported yet", span, "engines so far: exact, vmp")])
    if asked is not None and asked not in ENGINES:
        raise AimError([Diagnostic("AIM0501", f"unknown engine `{asked}`", None, "engines: exact, vmp, svi, nuts, gibbs, laplace")])
    if asked == "exact" and not exact:
        joining = next(f for f in factors if len(blocks_touched(f, blocks)) > 1)
        names = ", ".join(f"`{v}`" for b in blocks_touched(joining, blocks) for v in b.variables)
        text = f"the engine `exact` cannot serve this model: this statement joins {names}, which have no exact joint posterior here"
        raise AimError([Diagnostic("AIM0502", text, joining.statement.span, "leave out `use exact`, or write `use vmp`")])
    return "vmp" if asked is None else asked


def _refused(refusals: list[Diagnostic], asked: str | None) -> list[Diagnostic]:
    """Statements without a message, told as what stands in the way of the engine that was asked for."""
    if asked != "exact":
        return refusals
    return [
        Diagnostic("AIM0502", f"the engine `exact` cannot serve this model: {d.message.split(': ', 1)[-1]}", d.span, "leave out `use exact`", related=d.related)
        for d in refusals
    ]
