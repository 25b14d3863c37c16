"""From draws of the coordinates to beliefs: values of all variables, predictions, and probabilities of what was summed over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import widen
from ppl.arrays.streams import stream, word
from ppl.compiler.rewrites import HIDDEN, SEEN
from ppl.engines.draws import drawn_variable
from ppl.engines.forward import draw_fresh, evaluator_of, knowing
from ppl.engines.numpyro_bridge.joint import LogJoint
from ppl.engines.numpyro_bridge.networks import bayesian_weights
from ppl.engines.numpyro_bridge.sites import Site
from ppl.graph.networks import weights_name
from ppl.results.belief import Belief

BATCH = 250  # draws that are turned into values at once


@dataclass(frozen=True)
class DrawsReporter:
    """Answers for beliefs by name. `coordinates` are runs × draws × coordinates; `chains` counts the runs of a sampler, 0 for others.
    `weights` are those of the networks that are learnt, the encoders of the approximation among them."""

    joint: LogJoint
    coordinates: np.ndarray
    weights: Mapping[str, Any]
    seed: int
    chains: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable that is not wholly given, in the order of the model."""
        return tuple(n for n in self._every if HIDDEN not in n)

    @cached_property
    def _every(self) -> tuple[str, ...]:
        """The same, with those that the model was taken apart into."""
        structure = self.joint.structure
        bound = structure.bound
        found = {n for n in structure.needed if not np.all(bound.observed.get(n, False)) or n in structure.latent}
        found |= {n for n in structure.definitions if n + SEEN in bound.model.variables or structure.reached(n) & set(structure.needed)}
        return tuple(n for n in bound.model.variables if n in found)

    # ------------------------------------------------------------ values
    @cached_property
    def _told(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Draws of what is latent or computed from it, and the probabilities of the states of what was summed over."""
        names = [n for n in self._every if self._settled(n)]

        def at(u: Any, key: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            values, networks, _ = self.joint.constrain(u, self.weights)
            evaluator = self.joint.evaluator(values, networks)
            found = {n: jnp.asarray(evaluator.whole(n).data) for n in names}
            found |= {weights_name(n): networks[n] for n in bayesian_weights(self.joint.bound)}
            if not self.joint.structure.enumerated:
                return found, {}
            probabilities, states = self.joint.states_given(values, networks, key)
            return found | states, probabilities

        flat = self.coordinates.reshape(math.prod(self.coordinates.shape[:-1]), self.coordinates.shape[-1])
        keys = jax.random.split(jax.random.PRNGKey(word(self.seed, "states")), len(flat))
        mapped = jax.jit(jax.vmap(at))
        parts = [mapped(jnp.asarray(flat[i : i + BATCH]), keys[i : i + BATCH]) for i in range(0, len(flat), BATCH)]
        draws = {n: np.concatenate([np.asarray(p[0][n]) for p in parts]) for n in parts[0][0]}
        shares = [len(p) / len(flat) for p in np.split(flat, range(BATCH, len(flat), BATCH))]
        tables = {n: sum(w * np.asarray(p[1][n]).mean(axis=0) for w, p in zip(shares, parts, strict=True)) for n in parts[0][1]}
        return draws, tables  # type: ignore[return-value]

    def _settled(self, name: str) -> bool:
        """Whether a variable is known from the coordinates alone: a random one with entries that take part, or what is computed of such."""
        structure = self.joint.structure
        if name in structure.definitions:
            return name not in structure.on_states and all(np.all(structure.needed.get(n, True)) for n in structure.reached(name))
        return name not in structure.enumerated and bool(np.any(structure.needed[name]))

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """Joint draws of everything: what nothing observed depends on is drawn after the rest."""
        structure, draws = self.joint.structure, self._told[0]
        missing = {n: ~mask for n, mask in structure.needed.items() if not mask.all()}
        derived = [n for n in self._every if n in structure.definitions and n not in draws]
        if not missing and not derived:
            return draws
        count = len(next(iter(draws.values()))) if draws else self.coordinates.shape[0] * self.coordinates.shape[1]
        evaluator = evaluator_of(
            knowing(self.joint.bound, self.weights), {n: v for n, v in draws.items() if n not in structure.definitions}
        )
        draw_fresh(evaluator, missing, stream(self.seed, "unneeded"), count)
        return draws | {n: drawn_variable(n, evaluator, count) for n in (*missing, *derived)}

    def joint_draws(self, n: int, seed: int) -> dict[str, np.ndarray]:
        """Draws of everything together, n first; of a sampler its own in their order, spread over its chains."""
        count = self.coordinates.shape[0] * self.coordinates.shape[1]
        if self.chains:
            each = max(1, min(n, count) // self.chains)
            places = np.linspace(0, self.coordinates.shape[1] - 1, each).astype(int)
            chosen = (np.arange(self.chains)[:, None] * self.coordinates.shape[1] + places).ravel()
        else:
            chosen = stream(seed, "chosen").choice(count, size=n, replace=n > count)
        return {name: value[chosen] for name, value in self.values.items()}

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        return self._told[1]

    # ------------------------------------------------------------ beliefs
    def believe(self, name: str) -> Belief:
        bound = self.joint.bound
        if name in self.weights:
            return Belief(name, "Delta", {"value": np.asarray(self.weights[name])})
        if name in bound.model.networks:
            return Belief(name, "Draws", {}, draws=self.values[weights_name(name)], chains=self.chains)
        variable = bound.model.variables[name]
        if name in self.joint.structure.enumerated:
            return self.with_observed(self.discrete(name))
        if variable.type.kind == "member" and variable.type.member_of is not None:
            p = (self.values[name][..., None] == np.arange(bound.sizes[variable.type.member_of.key])).mean(axis=0)
            return self.with_observed(Belief(name, "Categorical", {"p": p}, members=bound.member_names(name)))
        return self.with_observed(Belief(name, "Draws", {}, draws=self.values[name], chains=self.chains))

    def rhat(self, site: Site) -> Any:
        """How far the chains of a sampler agree; of members of a set, on how often each is met."""
        values = self.values[site.name]
        if self.joint.bound.equalities:  # which may fix some entries to rounding
            values = np.round(values, 9)
        if site.kind == "states" and values.dtype.kind in "iu":
            values = (values[..., None] == np.arange(site.states)) * 1.0
        return Belief(site.name, "Draws", {}, draws=values, chains=self.chains).rhat

    def discrete(self, name: str) -> Belief:
        """By its probabilities; a count by draws, with the moments that its probabilities have."""
        variable = self.joint.bound.model.variables[name]
        p = self.probabilities[name]
        if variable.type.kind == "member":
            return Belief(name, "Categorical", {"p": p}, members=self.joint.bound.member_names(name))
        if p.shape[-1] == 2:
            return Belief(name, "Bernoulli", {"p": p[..., 1]})
        states = np.arange(p.shape[-1])
        mean = p @ states
        return Belief(name, "Draws", {}, draws=self.values[name], chains=self.chains, moments=(mean, p @ states**2 - mean**2))

    def with_observed(self, belief: Belief) -> Belief:
        bound = self.joint.bound
        if belief.name not in bound.values:
            return belief
        observed = np.asarray(bound.observed[belief.name])
        values = bound.values[belief.name]
        params = dict(belief.params)
        if "p" in params:
            states = (np.maximum(np.nan_to_num(values), 0)[..., None] == np.arange(params["p"].shape[-1])) * 1.0
            params["p"] = np.where(widen(observed, params["p"].ndim), states if belief.family == "Categorical" else values, params["p"])
        return replace(belief, params=params, observed=observed, values=np.where(widen(observed, values.ndim), values, np.nan))
