"""Kinds of blocks: all that the program, the reports and the draws need to know of a block's form, in one place each.

A kind says what a block is before its first update, its optimum given the gradient of the energy, how far it moved, its
marginals in the language's terms, and draws. Another form of block is another class here.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ppl.compiler.blocks import Block
from ppl.compiler.latents import LatentVariable
from ppl.families.family import Family
from ppl.families.multivariate_normal import gaussian_entropy
from ppl.families.registry import FAMILIES, NUMERIC
from ppl.numerics.compilation import lightly
from ppl.numerics.linear_algebra import cholesky, inverse_from_cholesky, symmetrise
from ppl.numerics.special import LOG_2PI

Arrays = dict[str, Any]
Latents = Mapping[str, LatentVariable]


class Kind(ABC):
    """The form of a block. Moments and natural parameters are arrays by name; the batch axes of the block come first.

    `cancels` says that the optimum is the difference of large numbers where the moments it is seen from are far away.
    """

    cancels: ClassVar[bool] = False

    @abstractmethod
    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        """Moments and natural parameters before the first update: of the right shapes, and free of special functions."""

    @abstractmethod
    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: Any) -> Arrays:
        """The parts `moments`, `natural` and `entropy` of the block at its optimum, from the gradient of the energy with respect
        to its moments; damped towards the former natural parameters where there are any."""

    def begun(self, parts: Arrays) -> Arrays:
        """What a block at its prior starts from."""
        return parts

    def movement(self, new: tuple[Arrays, Arrays], old: tuple[Arrays, Arrays]) -> Any:
        """How far a block moved in units of its sd: √⟨Δη, Δμ⟩, which for an exponential family is the root of the symmetrised
        Kullback–Leibler divergence."""
        products = jax.tree.map(lambda n, o, m, b: ((n - o) * (m - b)).sum(), new[1], old[1], new[0], old[0])
        return jnp.sqrt(jnp.maximum(sum(jax.tree.leaves(products)), 0.0))

    def mapped(self, block: Block, parts: Arrays, inner: Any, across: tuple[int, Any] | None) -> Arrays:
        """The parts of the block after the linear map `inner` of the numbers of each member, and `across` members of a batch axis: of
        what these then have in common, their own marginals are kept."""
        raise NotImplementedError

    def reported_family(self, block: Block, name: str, latents: Latents) -> str:
        """The family of one variable's own marginal."""
        return latents[name].family

    @abstractmethod
    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        """The parameters of one variable's own marginal, over its plates, as results report them."""

    @abstractmethod
    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        """Joint draws of the block's variables, those first."""

    @abstractmethod
    def described(self, block: Block) -> str:
        """The form of one member of the batch, in words."""


def damped(new: Arrays, old: Arrays | None, damping: Any) -> Arrays:
    """`(1 - damping) new + damping old`."""
    if old is None or (isinstance(damping, float) and not damping):
        return new
    return jax.tree.map(lambda a, b: (1 - damping) * a + damping * b, new, old)


class DenseGaussian(Kind):
    """A joint Normal with a dense covariance, updated in mean and covariance: J ← -2 ∇_V g ; m ← m + J⁻¹ ∇_m g (Khan & Rue 2023)."""

    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        known_apart = tuple(1 if tied else n for n, tied in zip(block.batch, block.tied, strict=True))
        eye = np.broadcast_to(np.eye(block.size, dtype=dtype), (*known_apart, block.size, block.size))
        return {"mean": np.zeros((*block.batch, block.size), dtype), "cov": eye}, {"precision": eye}

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: Any) -> Arrays:
        own = -2.0 / _alike(block) * symmetrise(gradient["cov"])
        if block.absent is not None:
            own = own + np.eye(block.size) * block.absent[..., None, :]
        apart = own if block.members is None else own * together(block.members, block.members)
        precision = damped({"precision": apart}, natural, damping)["precision"]
        step = 1.0 - damping if natural is not None else 1.0
        cov = inverse_from_cholesky(cholesky(precision))
        joint = cov if block.members is None else inverse_from_cholesky(cholesky(own))  # means of independent members are best together
        mean = moments["mean"] + step * _applied(joint, gradient["mean"], block)
        absent = 0 if block.absent is None else int(block.absent.sum())
        entropy = gaussian_entropy(precision).sum() * _alike(block) - 0.5 * absent * (1.0 + LOG_2PI)
        return {"moments": {"mean": mean, "cov": cov}, "natural": {"precision": precision}, "entropy": entropy}

    def mapped(self, block: Block, parts: Arrays, inner: Any, across: tuple[int, Any] | None) -> Arrays:
        mean, cov = parts["moments"]["mean"], parts["moments"]["cov"]
        if across is not None:
            axis, matrix = across
            mean = jnp.moveaxis(jnp.tensordot(matrix, mean, axes=(1, axis)), 0, axis)
            cov = jnp.moveaxis(jnp.tensordot(matrix**2, cov, axes=(1, axis)), 0, axis)
        cov = symmetrise(inner @ cov @ inner.T)
        precision = inverse_from_cholesky(cholesky(cov))
        entropy = gaussian_entropy(precision).sum() * _alike(block)
        return {"moments": {"mean": mean @ inner.T, "cov": cov}, "natural": {"precision": precision}, "entropy": entropy}

    def movement(self, new: tuple[Arrays, Arrays], old: tuple[Arrays, Arrays]) -> Any:
        """The larger of |Δm| / sd and |ΔV| / V."""
        variance, former = (jnp.diagonal(m["cov"], axis1=-2, axis2=-1) for m in (new[0], old[0]))
        shifted = jnp.abs(new[0]["mean"] - old[0]["mean"]) / jnp.sqrt(variance)
        return jnp.maximum(shifted, jnp.abs(variance - former) / variance).max()

    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        places, variable = block.positions[name], latents[name]
        mean, cov = np.asarray(moments["mean"]), np.asarray(moments["cov"])
        placed = in_plate_order(mean[..., places], variable, block)
        if variable.family == "Normal":
            variance = np.diagonal(np.broadcast_to(cov, (*block.batch, *cov.shape[-2:])), axis1=-2, axis2=-1)[..., places]
            return {"mean": placed, "sd": np.sqrt(in_plate_order(variance, variable, block))}
        joint = np.broadcast_to(cov, (*block.batch, *cov.shape[-2:]))[..., places[..., :, None], places[..., None, :]]
        return {"mean": placed, "cov": in_plate_order(without_given(joint, variable, block), variable, block)}

    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        root = np.linalg.cholesky(np.asarray(moments["cov"]))
        noise = rng.standard_normal((count, *np.shape(moments["mean"])))
        joint = np.asarray(moments["mean"]) + (root @ noise[..., None])[..., 0]
        return {v: in_plate_order(joint[..., block.positions[v]], latents[v], block, before=1) for v in block.variables}

    def described(self, block: Block) -> str:
        return f"joint Normal of {block.size}" if block.size > 1 else "Normal"


def together(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 where two numbers are of one member."""
    return (a[..., :, None] == b[..., None, :]) * 1.0


def without_given(joint: np.ndarray, variable: LatentVariable, block: Block) -> np.ndarray:
    """Covariances of vectors, 0 for the numbers that are given."""
    if variable.given is None or block.absent is None:
        return joint
    absent = block.absent
    if block.chain is not None:
        absent = absent[..., : variable.plates[block.chain.times[variable.name]], :]
    if block.forest is not None:
        from ppl.compiler.gaussian_forest_kind import of_variable

        absent = of_variable(absent, absent[..., 0, :], variable.name, block)
    free = ~absent[..., block.positions[variable.name]]
    return joint * free[..., :, None] * free[..., None, :]


def _applied(cov: Any, slopes: Any, block: Block) -> Any:
    """The covariance times the slopes of each member of the batch: one product where all share one covariance."""
    letters = [chr(65 + k) for k in range(len(block.batch))]
    apart = [(letter, n) for letter, n, tied in zip(letters, block.batch, block.tied, strict=True) if not tied]
    own = cov.reshape((*(n for _, n in apart), block.size, block.size))
    return jnp.einsum(f"{''.join(letter for letter, _ in apart)}yz,{''.join(letters)}z->{''.join(letters)}y", own, slopes)


def _alike(block: Block) -> int:
    """How many members of the batch share one covariance."""
    return int(np.prod([n for n, tied in zip(block.batch, block.tied, strict=True) if tied], dtype=int))


class Table(Kind):
    """Probabilities of the joint states of discrete variables: the gradient is the table of log-potentials."""

    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        return {"table": np.full((*block.batch, *block.cardinalities), 1.0 / np.prod(block.cardinalities), dtype)}, {}

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: Any) -> Arrays:
        logits = gradient["table"]
        log_q = jax.nn.log_softmax(logits.reshape((*block.batch, -1)), axis=-1)
        q = jnp.exp(log_q)
        entropy = -(q * jnp.where(q > 0, log_q, 0.0)).sum()
        return {"moments": {"table": q.reshape(logits.shape)}, "natural": {}, "entropy": entropy}

    def movement(self, new: tuple[Arrays, Arrays], old: tuple[Arrays, Arrays]) -> Any:
        """Local probabilities are not waited for: the bound stands still when they do."""
        return jnp.zeros((), new[0]["table"].dtype)

    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        batch = len(block.batch)
        others = tuple(batch + k for k, v in enumerate(block.variables) if v != name)
        p = np.asarray(moments["table"]).sum(axis=others)
        return {"p": p[..., 1] if latents[name].family == "Bernoulli" else p}

    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        flat = np.asarray(moments["table"]).reshape(*block.batch, -1)
        states = FAMILIES["Categorical"].sample({"p": flat}, rng, count)
        return dict(zip(block.variables, np.unravel_index(states, block.cardinalities), strict=True))

    def described(self, block: Block) -> str:
        return f"table of {' × '.join(map(str, block.cardinalities))} states"


@dataclass(frozen=True)
class Conjugate(Kind):
    """One variable of an exponential family: the gradient is its natural parameter."""

    family: Family

    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        """The statistics of a point: 1, or the middle of what is bounded."""
        event = latents[block.variables[0]].event
        middle = {"Beta": 0.5, "Dirichlet": 1.0 / max(event, default=1)}.get(self.family.name, 1.0)
        point = np.eye(event[0], dtype=dtype) if len(event) == 2 else np.full(event, middle, dtype)
        value = np.broadcast_to(point, (*block.batch, *event))
        features = {
            "mean": lambda: value,
            "log": lambda: np.log(value),
            "log1m": lambda: np.log1p(-value),
            "reciprocal": lambda: 1.0 / value,
            "inverse": lambda: value,
            "logdet": lambda: np.zeros(block.batch, dtype),
        }
        moments = {statistic: features[statistic]() for statistic in self.family.statistic_rank}
        return moments, {k: np.zeros_like(v) for k, v in moments.items()}

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: Any) -> Arrays:
        new = damped(gradient, natural, damping)
        return {"moments": self.family.expected_statistics(new), "natural": new, "entropy": self.family.entropy(new).sum()}

    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        told = _told(self.family)(natural)
        return {k: np.asarray(told[k]) for k in self.family.parameters}

    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        (name,) = block.variables
        return {name: np.asarray(self.family.sample(self.marginal(block, name, latents, moments, natural), rng, count))}

    def described(self, block: Block) -> str:
        return self.family.name


@functools.cache
def _told(family: Family) -> Callable[[Arrays], Arrays]:
    """The parameters by the natural ones as one program: a report asks for them outside of any other."""
    return jax.jit(family.params_from, compiler_options=lightly())


KINDS: dict[str, Kind] = {"Gaussian": DenseGaussian(), "table": Table()}


def kind_of(block: Block) -> Kind:
    """The kind of a block, by its form, its name or that of a family."""
    if block.point:
        from ppl.compiler.points import Point

        return Point(kind_of(replace(block, point=False)))
    if block.chain is not None:
        from ppl.compiler.gaussian_chain_kind import GaussianChain

        return GaussianChain()
    if block.forest is not None:
        from ppl.compiler.gaussian_forest_kind import GaussianForest

        return GaussianForest()
    if block.structure is not None:
        from ppl.compiler.discrete_kinds import structured_kind

        return structured_kind(block.structure)
    if block.is_pair:
        from ppl.compiler.pairs import PAIRS

        return PAIRS[block.kind]
    if block.kind in NUMERIC:
        from ppl.compiler.numeric_kind import Numeric

        return Numeric(NUMERIC[block.kind])
    return KINDS[block.kind] if block.kind in KINDS else Conjugate(FAMILIES[block.kind])


def in_plate_order(entries: np.ndarray, variable: LatentVariable, block: Block, *, before: int = 0) -> np.ndarray:
    """From the block's order of axes (batch, other plates, event) to the variable's; `before` axes stand in front."""
    axes, count = block.batch_axes[variable.name], len(variable.plates)
    order = [*axes, *(k for k in range(count) if k not in axes)]
    tail = range(before + count, entries.ndim)
    return np.transpose(entries, [*range(before), *(before + order.index(k) for k in range(count)), *tail])
