"""From the state of a run to beliefs: parameters in the language's terms, deterministic quantities, predictions.

What the blocks hold has a family. An affine function of Normals is Normal. Everything else (other functions of latent variables,
predictions that have no closed form) is told by draws from the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np

from ppl.arrays.plated import Plated
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.blocks import Block
from ppl.compiler.forms import Featured, Gaussian, NotConjugate
from ppl.compiler.lowering import LatentEvaluator, canonical_arguments
from ppl.compiler.plan import Plan, random_statements
from ppl.compiler.rows import probabilities
from ppl.engines.vmp import Run
from ppl.factors.registry import factor
from ppl.families.registry import FAMILIES
from ppl.graph.evaluate import Evaluator, loop_index
from ppl.graph.references import statement_uses
from ppl.results.belief import Belief
from ppl.semantics import typed

DRAWS = 4000


@dataclass
class Reporter:
    """Answers for beliefs by name; what is costly is computed when it is first asked for."""

    plan: Plan
    run: Run
    seed: int = 0
    _beliefs: dict[str, Belief] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable that has a belief: what is not wholly observed, in the order of the model."""
        random = {n for n, v in self.plan.bound.model.variables.items() if v.role == "random"} - set(self.plan.definitions)
        derived = {n for n in self.plan.definitions if self.depends_on(n, random)}
        reported = set(self.plan.latents) | set(self.plan.predicted) | derived
        return tuple(n for n in self.plan.bound.model.variables if n in reported)

    def believe(self, name: str) -> Belief:
        if name not in self._beliefs:
            if name in self.plan.latents:
                self._beliefs[name] = self.latent(name)
            elif name in self.plan.definitions:
                self._beliefs[name] = self.deterministic(name)
            else:
                self._beliefs[name] = self.predicted(name)
        return self._beliefs[name]

    def factor_energies(self) -> dict[str, float]:
        """E_q[log f] by statement, and the entropy of each block (of one taken in rows: what it and its statements add together)."""
        program, state = self.run.program, self.run.state
        energies = program.factor_energies(state, program.data, self.run.messages)
        told: dict[str, float] = {}
        for one, value in zip(program.data.factors, energies, strict=True):
            told[one.label] = told.get(one.label, 0.0) + float(value)
        for name, entropy in state["entropy"].items():
            told[f"entropy of q({name})"] = float(entropy)
        for name, rows in program.data.rows.items():
            labels = ", ".join(f.factor.label for f in rows.factors)
            constant = sum(float(f.factor.constant) for f in rows.factors)
            told[f"{labels}, with the entropy of q({name})"] = float(state["sums"][name]["normaliser"]) + constant
        return told

    # ------------------------------------------------------------ latent variables
    def block_of(self, name: str) -> Block:
        return next(b for b in self.plan.blocks if name in b.variables)

    @cached_property
    def tables(self) -> dict[str, np.ndarray]:
        """The probabilities of the discrete blocks, those taken in rows computed once."""
        found = {}
        program, state = self.run.program, self.run.state
        for block in self.plan.blocks:
            if block.kind == "table":
                rows = program.data.rows.get(block.name)
                if rows is None:
                    found[block.name] = np.asarray(state["moments"][block.name]["table"])
                else:
                    compute = jax.jit(lambda r, m: probabilities(r, m, program.layout))
                    found[block.name] = np.asarray(compute(rows, state["moments"]))
        return found

    def latent(self, name: str) -> Belief:
        variable, block = self.plan.latents[name], self.block_of(name)
        if block.kind == "Gaussian":
            family, params = variable.family, self.gaussian_params(name, block)
        elif block.kind == "table":
            family, params = variable.family, self.discrete_params(name, block)
        else:
            natural = {k: np.asarray(v) for k, v in self.run.state["natural"][block.name].items()}
            family = block.kind
            params = {k: np.asarray(v) for k, v in FAMILIES[family].params_from(natural).items()}
        belief = Belief(name, family, params, members=self.members(name))
        return belief if variable.lookup is None else self.spread(belief, np.asarray(variable.lookup))

    def gaussian_params(self, name: str, block: Block) -> dict[str, np.ndarray]:
        moments = self.run.state["moments"][block.name]
        mean, cov = np.asarray(moments["mean"]), np.asarray(moments["cov"])
        variable = self.plan.latents[name]
        places = block.positions[name]
        batch, axes = len(block.batch), block.batch_axes[name]
        rest = [k for k in range(len(variable.plates)) if k not in axes]
        order = np.argsort([*axes, *rest]) if axes or rest else np.array([], int)

        def placed(array: np.ndarray) -> np.ndarray:  # batch, other plates, event -> plates in order, event
            tail = list(range(len(variable.plates), array.ndim))
            return np.transpose(array, [*order.tolist(), *tail])

        if variable.family == "Normal":
            variance = np.diagonal(cov, axis1=-2, axis2=-1)
            return {"mean": placed(mean[..., places]), "sd": np.sqrt(placed(variance[..., places]))}
        joint = cov[..., places[..., :, None], places[..., None, :]]
        assert joint.ndim == batch + places.ndim + 1
        return {"mean": placed(mean[..., places]), "cov": placed(joint)}

    def discrete_params(self, name: str, block: Block) -> dict[str, np.ndarray]:
        table, batch = self.tables[block.name], len(block.batch)
        gone = tuple(batch + k for k, v in enumerate(block.variables) if v != name)
        marginal = table.sum(axis=gone) if gone else table
        return {"p": marginal[..., 1]} if self.plan.latents[name].family == "Bernoulli" else {"p": marginal}

    def members(self, name: str) -> tuple[str, ...] | None:
        index_set = self.plan.bound.model.variables[name].type.member_of
        return index_set.members if index_set is not None else None

    def spread(self, belief: Belief, lookup: np.ndarray) -> Belief:
        """A belief in the missing entries, laid out among those that were observed."""
        observed = lookup < 0
        values = self.plan.bound.values[belief.name]
        where = np.maximum(lookup, 0)
        params = {}
        for key, value in belief.params.items():
            full = np.asarray(value)[where]
            fixed = self.point(belief.family, key, values, full)
            params[key] = np.where(observed.reshape(observed.shape + (1,) * (full.ndim - observed.ndim)), fixed, full)
        return Belief(belief.name, belief.family, params, belief.members, observed, np.where(observed, values, np.nan), belief.draws)

    @staticmethod
    def point(family: str, key: str, values: np.ndarray, full: np.ndarray) -> np.ndarray:
        """What a parameter is where the value was observed: nan where a family has no point."""
        if (family, key) == ("Categorical", "p"):
            return (np.nan_to_num(values)[..., None] == np.arange(full.shape[-1])) * 1.0
        if (family, key) in (("Bernoulli", "p"), ("Normal", "mean")):
            return values
        return np.zeros_like(full) if (family, key) == ("Normal", "sd") else np.full_like(full, np.nan)

    # ------------------------------------------------------------ deterministic quantities
    def evaluator(self) -> LatentEvaluator:
        return LatentEvaluator(self.plan.bound, self.plan.latents, self.plan.definitions)

    def deterministic(self, name: str) -> Belief:
        try:
            if self.depends_on(name, set(self.plan.predicted)):
                raise NotConjugate("a prediction")
            evaluator = self.evaluator()
            value = whole(name, self.plan, evaluator)
            if isinstance(value, Plated) and not value.dims:
                return Belief(name, "Delta", {"value": np.asarray(value.data)})
            if isinstance(value, Gaussian) and value.rank <= 2:
                return Belief(name, "Normal", self.affine_moments(value))
        except (NotConjugate, ValueError):
            pass
        return Belief(name, "Draws", {}, draws=self.draws_of(name))

    def depends_on(self, name: str, targets: set[str]) -> bool:
        """Whether a deterministic variable is computed from any of these, directly or not."""
        queue, seen = [name], set()
        while queue:
            one = queue.pop()
            if one in seen:
                continue
            seen.add(one)
            if one in targets:
                return True
            queue += [used for d in self.plan.definitions.get(one, []) for used, _ in statement_uses(d)]
        return False

    def affine_moments(self, value: Gaussian) -> dict[str, np.ndarray]:
        """Mean and sd of an affine function, entry by entry."""
        from ppl.compiler.expectations import ready_form, second_value, ReadySecond, form_value

        flat = value.affine
        shape = flat.shape
        moments, layout = self.run.state["moments"], self.run.program.layout
        flat_form = flat
        for k in range(len(shape)):
            flat_form = flat_form.take(0, Plated((f"axis {k}",), np.arange(shape[k]), start=0))
        ready = ready_form(flat_form, layout)
        mean = form_value(ready, moments, layout)
        second = second_value(ReadySecond(ready, None, False, None), moments, layout)
        dims = tuple(f"axis {k}" for k in range(len(shape)))
        sizes = dict(zip(dims, shape, strict=True))
        m, s = (np.asarray(v.arranged(dims, sizes)) for v in (mean, second))
        return {"mean": m, "sd": np.sqrt(np.maximum(s - m**2, 0.0))}

    # ------------------------------------------------------------ draws
    @cached_property
    def joint_draws(self) -> dict[str, Any]:
        """Joint draws from the posterior of everything that has a belief, by name, with the plate `draw`."""
        rng = np.random.default_rng(self.seed)
        values: dict[str, Any] = dict(self.plan.bound.values)
        for name in self.plan.latents:
            values[name] = self.latent_draws(name, rng)
        missing = [s for s in random_statements(self.plan.bound.model) if s.variable in self.plan.predicted]
        for statement in self.plan.bound.model.statements:
            if statement in missing:
                draw_statement(statement, values, self.plan, rng)  # type: ignore[arg-type]
        return values

    def latent_draws(self, name: str, rng: np.random.Generator) -> Plated:
        block, variable = self.block_of(name), self.plan.latents[name]
        if block.kind == "Gaussian":
            drawn = self.gaussian_draws(block, rng)[name]
        elif block.kind == "table":
            drawn = self.table_draws(block, rng)[name]
        else:
            drawn = np.asarray(FAMILIES[block.kind].sample(self.believe_latent_params(name), rng, DRAWS))
        if variable.lookup is not None:
            observed = np.asarray(variable.lookup) < 0
            full = drawn[:, np.maximum(variable.lookup, 0)]
            values = self.plan.bound.values[name]
            drawn = np.where(observed.reshape((1, *observed.shape) + (1,) * (full.ndim - 1 - observed.ndim)), values, full)
        return Plated(("draw",), drawn)

    def believe_latent_params(self, name: str) -> dict[str, np.ndarray]:
        natural = {k: np.asarray(v) for k, v in self.run.state["natural"][self.block_of(name).name].items()}
        return {k: np.asarray(v) for k, v in FAMILIES[self.block_of(name).kind].params_from(natural).items()}

    def gaussian_draws(self, block: Block, rng: np.random.Generator) -> dict[str, np.ndarray]:
        cache = self.__dict__.setdefault("_gaussian_draws", {})
        if block.name not in cache:
            moments = self.run.state["moments"][block.name]
            mean, root = np.asarray(moments["mean"]), np.linalg.cholesky(np.asarray(moments["cov"]))
            noise = rng.standard_normal((DRAWS, *mean.shape))
            joint = mean + np.einsum("...ij,...j->...i", root, noise)
            cache[block.name] = {v: self._unblocked(joint, v, block) for v in block.variables}
        return cache[block.name]

    def _unblocked(self, joint: np.ndarray, name: str, block: Block) -> np.ndarray:
        variable, axes = self.plan.latents[name], block.batch_axes[name]
        rest = [k for k in range(len(variable.plates)) if k not in axes]
        order = np.argsort([*axes, *rest]).tolist() if axes or rest else []
        entries = joint[..., block.positions[name]]
        tail = list(range(1 + len(variable.plates), entries.ndim))
        return np.transpose(entries, [0, *(1 + k for k in order), *tail])

    def table_draws(self, block: Block, rng: np.random.Generator) -> dict[str, np.ndarray]:
        cache = self.__dict__.setdefault("_table_draws", {})
        if block.name not in cache:
            table = self.tables[block.name]
            flat = table.reshape(*block.batch, -1).cumsum(axis=-1)
            u = rng.random((DRAWS, *block.batch))[..., None] * flat[..., -1:]
            state = np.minimum((u > flat).sum(axis=-1), flat.shape[-1] - 1)
            cache[block.name] = dict(zip(block.variables, np.unravel_index(state, block.cardinalities), strict=True))
        return cache[block.name]

    def draws_of(self, name: str) -> np.ndarray:
        values = self.joint_draws
        if name in self.plan.definitions:
            evaluator = LatentEvaluator(self.plan.bound, {}, self.plan.definitions)
            evaluator.values = values
            value = whole(name, self.plan, evaluator)
            lengths = self.plan.bound.shape(self.plan.bound.model.variables[name])
            return np.broadcast_to(value.arranged(("draw",)), (DRAWS, *lengths)) * 1.0
        return np.asarray(values[name].data, float)

    # ------------------------------------------------------------ predictions
    def predicted(self, name: str) -> Belief:
        belief = self.closed_prediction(name)
        if belief is None:
            draws = self.draws_of(name)
            variable = self.plan.bound.model.variables[name]
            if variable.type.member_of is not None and variable.type.kind == "member":
                size = self.plan.bound.sizes[variable.type.member_of.key]
                p = (draws[..., None] == np.arange(size)).mean(axis=0)
                belief = Belief(name, "Categorical", {"p": p}, members=self.members(name))
            else:
                belief = Belief(name, "Draws", {}, draws=draws)
        if name not in self.plan.bound.values:
            return belief
        observed, values = self.plan.bound.observed[name], self.plan.bound.values[name]
        params = {k: np.where(_wide(observed, np.ndim(v)), self.point(belief.family, k, values, np.asarray(v)), v) for k, v in belief.params.items()}
        draws = None if belief.draws is None else np.where(_wide(observed, belief.draws.ndim - 1), values, belief.draws)
        return Belief(name, belief.family, params, belief.members, observed, np.where(_wide(observed, values.ndim), values, np.nan), draws)

    def closed_prediction(self, name: str) -> Belief | None:
        """The prediction in closed form: parameters that are known, an affine mean, a probability that is a latent variable."""
        statements = [s for s in random_statements(self.plan.bound.model) if s.variable == name]
        variable = self.plan.bound.model.variables[name]
        if len(statements) != 1 or any(not isinstance(i, typed.IndexReference) for i in statements[0].indices):
            return None
        statement = statements[0]
        if any(n in self.plan.predicted or n in self.plan.definitions for n, _ in statement_uses(statement)):
            return None
        call = statement.distribution
        assert isinstance(call, typed.DistributionCall)
        kind = factor(DISTRIBUTIONS[call.name].implementation or "")
        evaluator = self.evaluator()
        loops: dict[str, Plated] = {}
        for loop in statement.loops:
            loops[loop.name] = loop_index(loop, evaluator, loops)
            if loop.low is not None or loop.high is not None:
                return None
        try:
            arguments = canonical_arguments(call, kind, evaluator, loops)
        except (NotConjugate, Exception) as error:
            if type(error).__name__ in ("NotConjugate", "Mixed"):
                return None
            raise
        if evaluator.enumerations:
            return None
        dims = tuple(loops)
        sizes = {d: loops[d].data.shape[0] for d in dims}
        order = [i.name for i in statement.indices if isinstance(i, typed.IndexReference)]
        params = self._prediction_params(kind.name, arguments, tuple(order), sizes)
        return None if params is None else Belief(name, kind.family, params, members=self.members(variable.name))

    def _prediction_params(self, name: str, arguments: dict[str, Any], dims: tuple[str, ...], sizes: dict[str, int]) -> dict[str, np.ndarray] | None:
        def full(value: Plated) -> np.ndarray:
            return np.asarray(value.arranged(dims, sizes), float)

        precision, mean = arguments.get("precision"), arguments.get("mean")
        if name == "Normal" and isinstance(precision, Plated) and isinstance(mean, Gaussian):
            from ppl.compiler.expectations import ReadySecond, form_value, ready_form, second_value

            moments, layout = self.run.state["moments"], self.run.program.layout
            ready = ready_form(mean.affine, layout)
            m = form_value(ready, moments, layout)
            second = second_value(ReadySecond(ready, None, False, None), moments, layout)
            m_full, s_full = full(m), full(second)
            return {"mean": m_full, "sd": np.sqrt(s_full - m_full**2 + 1.0 / full(precision))}
        if name in ("Bernoulli", "Categorical") and isinstance(arguments["p"], Featured):
            return self._mean_probability(arguments["p"], full)
        if all(isinstance(v, Plated) for v in arguments.values()):
            return _family_params(name, {k: full(v) for k, v in arguments.items()})
        return None

    def _mean_probability(self, p: Featured, full: Any) -> dict[str, np.ndarray] | None:
        """E[p] where p is a Beta or Dirichlet variable itself."""
        form = p.form("log")
        if len(form.terms) != 1 or np.any(form.offset.data) or form.terms[0].coefficient.dims:
            return None
        (term,) = form.terms
        if not np.all(term.coefficient.data == 1.0) or term.coefficient.shape[-1] != 1 or "1 -" in p.kind:
            return None
        expected = Plated((), np.asarray(self.believe(term.variable).mean))
        for index in reversed(range(len(term.index))):
            if not term.index[index].rank:
                continue
        value = expected
        for index in term.index:
            if index.rank == 0:
                value = value.take(0, index)
        return {"p": full(value)}


def _wide(mask: np.ndarray, ndim: int) -> np.ndarray:
    return mask.reshape(mask.shape + (1,) * max(0, ndim - mask.ndim))


def _family_params(name: str, arguments: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters that results report, from those that the factor is written in."""
    if name == "Normal":
        return {"mean": arguments["mean"], "sd": arguments["precision"] ** -0.5}
    if name == "MvNormal":
        return {"mean": arguments["mean"], "cov": np.linalg.inv(arguments["precision"])}
    if name == "Exponential":
        return {"shape": np.ones_like(arguments["rate"]), "rate": arguments["rate"]}
    return arguments


def whole(name: str, plan: Plan, evaluator: LatentEvaluator) -> Any:
    """A deterministic variable over all its plates, as axes of its value."""
    return evaluator.reference(name, (), None)


def draw_statement(statement: typed.RandomStatement, values: dict[str, Any], plan: Plan, rng: np.random.Generator, draws: int = DRAWS) -> None:
    """Draws the variable of a statement, given draws of what it depends on; entries that are observed keep their values."""
    evaluator = LatentEvaluator(plan.bound, {}, plan.definitions)
    evaluator.values = values
    draw_into(statement, values, evaluator, rng, draws, plan.bound)


def draw_into(statement: typed.RandomStatement, values: dict[str, Any], evaluator: Evaluator, rng: np.random.Generator, draws: int, bound: Any) -> None:
    """The variable's entries that the statement defines, drawn; `values` gets an array with the plate `draw`."""
    call = statement.distribution
    assert isinstance(call, typed.DistributionCall)
    kind = factor(DISTRIBUTIONS[call.name].implementation or "")
    loops: dict[str, Plated] = {}
    for loop in statement.loops:
        loops[loop.name] = loop_index(loop, evaluator, loops)
    arguments = canonical_arguments(call, kind, evaluator, loops)
    dims = ("draw", *loops)
    sizes = {"draw": draws, **{n: i.data.shape[0] for n, i in loops.items()}}
    args = {k: np.asarray(v.arranged(dims), float) for k, v in arguments.items()}
    size = tuple(sizes.values())
    drawn = np.asarray(kind.sample(rng, size, **args))
    variable = bound.model.variables[statement.variable]
    shape = bound.shape(variable)
    current = values.get(statement.variable)
    array = np.array(current.arranged(("draw",), {"draw": draws})) if isinstance(current, Plated) else None
    if array is None:
        array = np.full((draws, *shape), np.nan)
        if current is not None:
            array[:] = current
    target = tuple(evaluator.index(i, None, loops) for i in statement.indices)
    place = tuple(i.arranged(tuple(loops)) for i in target)
    observed = bound.observed.get(statement.variable)
    keep = array[(slice(None), *place)] if place else array
    drawn = drawn.reshape(keep.shape) if not observed_any(observed) else np.where(_wide(observed[place], keep.ndim - 1), keep, drawn)
    array[(slice(None), *place)] = drawn
    values[statement.variable] = Plated(("draw",), array if kind.family != "Categorical" else array.astype(float))


def observed_any(observed: Any) -> bool:
    return observed is not None and bool(np.any(observed))
