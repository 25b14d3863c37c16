"""Reports: what a run left, told as beliefs by name.

What the blocks hold has a family. An affine function of Normals is Normal. Other functions of latent variables, and predictions
without a closed form, are told by draws from the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np

from ppl.arrays.plated import Plated, running, widen
from ppl.compiler.blocks import Block
from ppl.compiler.enumerations import Mixed
from ppl.compiler.forms import Form
from ppl.compiler.kinds import kind_of
from ppl.compiler.latents import GAUSSIAN, PREDICTED
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.plan import Plan, completed
from ppl.compiler.quantities import Gaussian, NotConjugate
from ppl.compiler.rewrites import HIDDEN, SEEN
from ppl.compiler.rows import probabilities
from ppl.compiler.statements import random_statements
from ppl.engines.draws import drawn_variable, posterior_evaluator
from ppl.engines.joint import joint_blocks
from ppl.engines.linear import LinearView, linear_view
from ppl.engines.predictions import affine_moments, closed_prediction
from ppl.engines.vmp import Run, run_vmp
from ppl.families.family import Family
from ppl.families.registry import FAMILIES, NUMERIC
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import sizes_of
from ppl.graph.references import statement_uses
from ppl.results.belief import Belief
from ppl.results.joint import JointBlock

DRAWS = 4000
LARGEST_DRAWS = 10_000_000  # numbers: of large variables fewer draws are made


@dataclass(frozen=True)
class Reporter:
    """Answers for beliefs by name; what is costly is computed when it is first asked for."""

    plan: Plan
    run: Run
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable that is not wholly given, in the order of the model."""
        variables = self.plan.bound.model.variables
        random = {n for n, v in variables.items() if v.role == "random"} - set(self.plan.definitions)
        derived = {n for n in self.plan.definitions if n + SEEN in variables or self.reaches({n}, random)}
        reported = set(self.plan.latents) | set(self.plan.predicted) | derived
        return tuple(n for n in variables if n in reported and HIDDEN not in n)

    def believe(self, name: str) -> Belief:
        if self.completed is not None and self.reaches({name}, self.open):
            return self.completed.believe(name)
        if name in self.plan.latents:
            return self.latent(name)
        return self.deterministic(name) if name in self.plan.definitions else self.predicted(name)

    def factor_energies(self) -> dict[str, float]:
        """E_q[log f] by statement, and the entropy of each block (of one taken in rows: what it and its statements add together)."""
        program, state = self.run.program, self.run.state
        energies = program.factor_energies(state, program.data, self.run.messages)
        told: dict[str, float] = {}
        for one, value in zip(program.data.factors, energies, strict=True):
            told[one.label] = told.get(one.label, 0.0) + float(value)
        for name, entropy in state["entropy"].items():
            told[f"entropy of q({name})"] = float(entropy)
        for name, value in program.emission_energies(state, program.data).items():
            told[", ".join(f.factor.label for f in program.data.emissions[name].factors)] = float(value)
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
        """The probabilities of the discrete blocks; of those taken in rows they are computed here."""
        found = {}
        program, state = self.run.program, self.run.state
        for block in self.plan.blocks:
            if block.kind == "table":
                rows = program.data.rows.get(block.name)
                if rows is None:
                    found[block.name] = np.asarray(state["moments"][block.name]["table"])
                else:
                    found[block.name] = np.asarray(jax.jit(lambda r, m: probabilities(r, m, program.layout))(rows, state["moments"]))
        return found

    def latent(self, name: str) -> Belief:
        variable = self.plan.latents[name]
        params, lookup = self.latent_params(name), variable.lookup
        if variable.family in NUMERIC:
            return self.with_observed(self.by_quadrature(name, NUMERIC[variable.family], params))
        block = self.block_of(name)
        family = kind_of(block).reported_family(block, name, self.plan.latents)
        if lookup is None:
            return self.with_observed(Belief(name, family, params, members=self.members(name)))
        full = {k: v.reshape(-1, *v.shape[len(variable.plates) :])[np.maximum(lookup, 0)] for k, v in params.items()}
        if name in self.plan.predicted:
            others = self.predicted(name)
            if others.family != family:
                return self.with_observed(self.partly_drawn(name, family, full, lookup == PREDICTED))
            full = {k: np.where(widen(lookup == PREDICTED, v.ndim), others.params[k], v) for k, v in full.items()}
        return self.with_observed(Belief(name, family, full, members=self.members(name)))

    def by_quadrature(self, name: str, family: Family, params: dict[str, np.ndarray]) -> Belief:
        """A belief without a named family: draws, and where all is latent exact moments."""
        exact = self.plan.latents[name].lookup is None
        moments = (family.mean(params), family.variance(params)) if exact else None
        return Belief(name, "Draws", {}, draws=self.draws_of(name), moments=moments)

    def partly_drawn(self, name: str, told: str, params: dict[str, np.ndarray], predicted: np.ndarray) -> Belief:
        """A belief of which some entries are known by draws alone; the moments of the others are exact."""
        draws, family = self.draws_of(name), FAMILIES[told]
        pairs = ((draws.mean(axis=0), family.mean(params)), (draws.var(axis=0), family.variance(params)))
        mean, variance = (np.where(widen(predicted, drawn.ndim), drawn, known) for drawn, known in pairs)
        return Belief(name, "Draws", {}, draws=draws, moments=(mean, variance))

    def latent_params(self, name: str) -> dict[str, np.ndarray]:
        """The parameters of the latent entries, in the language's terms."""
        block, state = self.block_of(name), self.run.state
        moments = {"table": self.tables[block.name]} if block.name in self.tables else state["moments"][block.name]
        params = kind_of(block).marginal(block, name, self.plan.latents, moments, state["natural"].get(block.name, {}))
        given = self.plan.latents[name].given
        return params if given is None else {**params, "mean": np.where(np.isnan(given), params["mean"], given)}

    def members(self, name: str) -> tuple[str, ...] | None:
        return self.plan.bound.member_names(name)

    def with_observed(self, belief: Belief) -> Belief:
        return with_observed(belief, self.plan.bound)

    # ------------------------------------------------------------ deterministic quantities
    def reaches(self, names: set[str], targets: set[str]) -> bool:
        """Whether any of these variables is among the targets, or is computed from them, directly or not."""
        queue, seen = list(names), set()
        while queue:
            one = queue.pop()
            if one in targets:
                return True
            if one not in seen:
                seen.add(one)
                queue += [used for d in self.plan.definitions.get(one, []) for used, _ in statement_uses(d)]
        return False

    def deterministic(self, name: str) -> Belief:
        found = self.affine_moments(name)
        if found is None:
            return Belief(name, "Draws", {}, draws=self.draws_of(name))
        mean, variance, normal = found
        if not np.any(variance):
            return Belief(name, "Delta", {"value": mean})
        if normal:
            return Belief(name, "Normal", {"mean": mean, "sd": np.sqrt(np.maximum(variance, 0.0))})
        return Belief(name, "Draws", {}, draws=self.draws_of(name), moments=(mean, variance))

    @cached_property
    def linear(self) -> LinearView:
        """The posterior by its first two moments."""
        priors = {}
        for name in self.plan.predicted:
            statements = [s for s in random_statements(self.plan.bound.model) if s.variable == name]
            used = {u for s in statements for u, _ in statement_uses(s)}
            if name not in self.plan.latents and name not in self.plan.bound.values and not self.reaches(used, self.unknown):
                belief = self.predicted(name)
                if belief.family not in ("Draws", "Delta"):
                    priors[name] = belief
        return linear_view(self.plan, self.run.state, priors)

    @property
    def unknown(self) -> set[str]:
        return set(self.plan.latents) | set(self.plan.predicted)

    def affine_moments(self, name: str) -> tuple[np.ndarray, np.ndarray, bool] | None:
        """Mean and variance over all plates, and whether all is Normal, where every statement of the variable is affine."""
        shape = self.plan.bound.shape(self.plan.bound.model.variables[name])
        mean, variance, normal = np.full(shape, np.nan), np.full(shape, np.nan), True
        layout, moments = self.linear.layout, self.linear.moments
        if self.reaches({name}, self.unknown - set(layout.latents)):
            return None
        for statement in self.plan.definitions[name]:
            evaluator = LatentEvaluator(self.plan.bound, layout.latents, self.plan.definitions)
            loops = evaluator.loops_of(statement)
            try:
                value = evaluator.evaluate(statement.value, loops)
            except (NotConjugate, Mixed):
                return None
            if not isinstance(value, Gaussian | Plated):
                return None
            form = value.affine if isinstance(value, Gaussian) else Form(value)
            sizes = sizes_of(loops)
            for k, size in enumerate(form.shape):
                sizes[f"axis {k}"] = size
                form = form.take(0, running(f"axis {k}", 0, size))
            if any(self.meets_itself(t.variables) for t in form.terms):
                return None
            normal = normal and all(len(t.atoms) == 1 and self.is_normal(t.variables[0]) for t in form.terms)
            centre, spread = affine_moments(form, moments, layout)
            place = evaluator.place_of(statement, loops)
            mean[place] = centre.arranged(tuple(sizes), sizes)
            variance[place] = spread.arranged(tuple(sizes), sizes)
        return mean, variance, normal

    def meets_itself(self, names: tuple[str, ...]) -> bool:
        """Whether variables that are multiplied are in one block, and so have a covariance."""
        blocks = [self.linear.layout.block_of(n).name for n in names]
        return len(set(blocks)) < len(blocks)

    def is_normal(self, name: str) -> bool:
        return name in self.plan.latents and self.plan.latents[name].family in GAUSSIAN

    # ------------------------------------------------------------ draws and predictions
    @cached_property
    def posterior_draws(self) -> LatentEvaluator:
        return posterior_evaluator(self.plan, self.run.state, self.tables, draws=self.draws, seed=self.seed)

    @property
    def draws(self) -> int:
        """How many draws tell of what has no family."""
        bound = self.plan.bound
        largest = max(int(np.prod(bound.shape(v), dtype=int)) for v in bound.model.variables.values())
        return int(np.clip(LARGEST_DRAWS // max(largest, 1), 200, DRAWS))

    def joint_draws(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Draws of everything that is told of, together."""
        evaluator = posterior_evaluator(self.plan, self.run.state, self.tables, draws=count, seed=seed)
        return {name: drawn_variable(name, evaluator, count) for name in self.names}

    def joint_blocks(self) -> tuple[JointBlock, ...]:
        return joint_blocks(self.plan, self.run.state)

    @cached_property
    def told(self) -> dict[str, tuple[str, dict[str, np.ndarray]] | None]:
        """What `closed` has found so far."""
        return {}

    def closed(self, name: str) -> tuple[str, dict[str, np.ndarray]] | None:
        """Family and parameters of what is predicted, None where draws have to tell."""
        if name not in self.told:
            moments = self.run.state["moments"] | {block: {"table": table} for block, table in self.tables.items()}
            layout = self.run.program.layout
            self.told[name] = closed_prediction(name, self.plan, moments, layout, self.latent)
        return self.told[name]

    @cached_property
    def open(self) -> set[str]:
        """What is predicted, and has no closed form."""
        return {n for n in self.plan.predicted if self.closed(n) is None}

    @cached_property
    def completed(self) -> Reporter | None:
        """The posterior that holds what is predicted without a closed form, where it is exact too."""
        plan = completed(self.plan, sorted(self.open)) if self.plan.exact else None
        return None if plan is None else Reporter(plan, run_vmp(plan, dtype=self.run.program.dtype), self.seed)

    def draws_of(self, name: str) -> np.ndarray:
        return drawn_variable(name, self.posterior_draws, self.draws)

    def predicted(self, name: str) -> Belief:
        told = self.closed(name)
        if told is not None:
            family, params = told
            return self.with_observed(Belief(name, family, params, members=self.members(name)))
        draws, value = self.draws_of(name), self.plan.bound.model.variables[name].type
        if value.kind == "member" and value.member_of is not None:
            p = (draws[..., None] == np.arange(self.plan.bound.sizes[value.member_of.key])).mean(axis=0)
            return self.with_observed(Belief(name, "Categorical", {"p": p}, members=self.members(name)))
        return self.with_observed(Belief(name, "Draws", {}, draws=draws))


def with_observed(belief: Belief, bound: BoundModel) -> Belief:
    """The belief with the entries that were observed at their values."""
    if belief.name not in bound.values:
        return belief
    observed, values = bound.observed[belief.name], bound.values[belief.name]
    params = {
        k: np.where(widen(observed, np.ndim(v)), point_parameter(belief.family, k, values, np.asarray(v)), v)
        for k, v in belief.params.items()
    }
    draws = None if belief.draws is None else np.where(widen(observed, belief.draws.ndim - 1), values, belief.draws)
    given = np.where(widen(observed, values.ndim), values, np.nan)
    moments = belief.moments
    if moments is not None:
        fixed = widen(observed, moments[0].ndim)
        moments = np.where(fixed, values, moments[0]), np.where(fixed, 0.0, moments[1])
    return Belief(belief.name, belief.family, params, belief.members, observed, given, draws, moments)


def point_parameter(family: str, key: str, values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """What a parameter is where the value was observed: nan where the family has no such point."""
    if (family, key) == ("Categorical", "p"):
        return (np.nan_to_num(values)[..., None] == np.arange(like.shape[-1])) * 1.0
    if key in ("p", "mean") and family in ("Bernoulli", "Normal"):
        return values
    return np.zeros_like(like) if (family, key) == ("Normal", "sd") else np.full_like(like, np.nan)
