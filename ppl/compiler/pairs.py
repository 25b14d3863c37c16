"""Conjugate pairs: a location and its precision in one block, where every statement of the location has a multiple of that precision.

`q(x, t) = Normal(x | m, (t K)⁻¹) Gamma(t | a, b)`, or with a matrix `q(x, Λ) = MvNormal(x | m, (κ Λ)⁻¹) Wishart(Λ | df, scale)`. Then
E[t (x - m)²] does not depend on t: the energies of such statements see a covariance `C / E[t]` (`Λ̄⁻¹ / κ`), C and κ held beside
the moments of the precision, and stay linear in the pair's statistics (Bernardo & Smith 1994, appendix A).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.compiler.blocks import PAIRED, Block, named_groups
from ppl.compiler.enumerations import same_place
from ppl.compiler.forms import Atom, Form
from ppl.compiler.joining import joining_forms, own_atoms
from ppl.compiler.kinds import Arrays, Conjugate, Kind, Latents, damped, in_plate_order
from ppl.compiler.latents import DISCRETE, GAUSSIAN, LatentVariable
from ppl.compiler.lowering import LoweredFactor
from ppl.families.registry import FAMILIES
from ppl.numerics.linear_algebra import cholesky, inverse_from_cholesky, logdet_from_cholesky, symmetrise
from ppl.numerics.special import LOG_2PI
from ppl.semantics.typed import Approximation
from ppl.source.diagnostics import AimError, Diagnostic


def paired(
    blocks: Sequence[Block],
    latents: Mapping[str, LatentVariable],
    factors: Sequence[LoweredFactor],
    approximation: Approximation | None,
) -> tuple[Block, ...]:
    """The blocks, those joined that form a pair and that the user does not keep apart."""
    group = named_groups(approximation)
    found = list(blocks)
    for location in blocks:
        if location.kind != "Gaussian":
            continue
        for precision in found:
            together = group.get(location.variables[0]) == group.get(precision.variables[0])
            if precision.kind in PAIRED and together and _is_pair(location, precision, latents, factors):
                found[found.index(location)] = _joined(location, precision)
                found.remove(precision)
                break
    _check_mixed(found, latents, approximation)
    return tuple(found)


def _check_mixed(blocks: Sequence[Block], latents: Mapping[str, LatentVariable], approximation: Approximation | None) -> None:
    """Blocks that join variables of different families have a form only where they are pairs."""
    for names in approximation.blocks if approximation else ():
        kinds = {_kind(latents[n]) for n in names if n in latents}
        own = {b.name for b in blocks if set(b.variables) & set(names)}
        if len(kinds) > 1 and len(own) > 1:
            assert approximation is not None
            text = f"`q({', '.join(names)})` joins variables of different families that are no conjugate pair, which is not supported yet"
            hint = "give each a block of its own: " + " ".join(f"q({n})" for n in names)
            raise AimError([Diagnostic("AIM0721", text, approximation.span, hint)])


def _kind(variable: LatentVariable) -> str:
    return "Gaussian" if variable.family in GAUSSIAN else "table" if variable.family in DISCRETE else variable.name


def _joined(location: Block, precision: Block) -> Block:
    variables = (*location.variables, *precision.variables)
    axes = {**location.batch_axes, **precision.batch_axes}
    kind = PAIRED[precision.kind]
    return replace(
        location, name=", ".join(variables), kind=kind, variables=variables, batch_axes=axes, tied=(False,) * len(location.batch)
    )


def _is_pair(location: Block, precision: Block, latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor]) -> bool:
    (name,) = precision.variables
    variables = set(location.variables)
    lookups = [latents[v].lookup for v in (*variables, name)]
    if location.batch != precision.batch or not all(_same_lookup(one, lookups[0]) for one in lookups):
        return False
    matrix = precision.kind == "Wishart"
    if matrix and (len(variables) > 1 or latents[location.variables[0]].family != "MvNormal" or location.size != latents[name].event[0]):
        return False
    touching = [f for f in factors if variables & set(f.variables)]
    return any(name in f.variables for f in touching) and all(_fits(f, location, name, matrix) for f in touching)


def _same_lookup(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Whether the latent entries of two variables stand at the same members."""
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def _fits(factor: LoweredFactor, location: Block, precision: str, matrix: bool) -> bool:
    """Whether the factor is a Normal in the location whose precision is a known multiple of the variable, at the same members."""
    features = factor.slots.get("precision")
    forms = list(joining_forms(factor))
    if features is None or len(forms) != 1 or not isinstance(mean := features.get("mean"), Form):
        return False
    if len(mean.terms) != 1 or np.any(mean.offset.data) or len(mean.terms[0].atoms) != 1:
        return False
    (atom,), (form,) = mean.terms[0].atoms, forms
    if not isinstance(atom, Atom) or atom.variable != precision or any(len(t.atoms) > 1 for t in form.terms):
        return False
    if any(not isinstance(a, Atom) or a.variable not in location.variables for t in form.terms for a in t.atoms):
        return False
    if (matrix and not all(_is_multiple(t.coefficient.data) for t in form.terms)) or (matrix and not _is_scalar_multiple(mean)):
        return False
    places = [tuple(a.index[k] for k in location.batch_axes[a.variable]) for a in own_atoms(form, location.variables)]
    own = atom.index[: len(location.batch)]
    return all(same_place(place, own) for place in places)


def _is_multiple(coefficient: np.ndarray) -> bool:
    """Whether each entry of a vector is the same multiple of the location's (axes …, D, 1)."""
    return coefficient.shape[-1] == 1 and bool(np.all(coefficient == coefficient[..., :1, :]))


def _is_scalar_multiple(mean: Form) -> bool:
    data = mean.terms[0].coefficient.data
    return data.shape[-1] == 1 and bool(np.all(data == data[..., :1, :1, :]))


@dataclass(frozen=True)
class Pair(Kind):
    """Moments `location` (m), `scaled` (K⁻¹ or 1/κ), and those of the precision's own family."""

    precision: Conjugate

    # ------------------------------------------------------------ what the two forms differ in
    def parts(self, gradient: Arrays, moments: Arrays) -> tuple[Any, Any]:
        """K (or κ), and the shift of the mean."""
        curvature = -2.0 * symmetrise(gradient["scaled"])
        shift = inverse_from_cholesky(cholesky(curvature)) @ gradient["location"][..., None]
        return curvature, shift[..., 0] / moments["mean"][..., None]

    def scaled(self, curvature: Any) -> Any:
        return inverse_from_cholesky(cholesky(curvature))

    def square(self, curvature: Any, shift: Any) -> Any:
        """What the shift of the mean adds to the natural parameter of the precision."""
        return 0.5 * (shift[..., None, :] @ curvature @ shift[..., None])[..., 0, 0]

    def logdet(self, curvature: Any, block: Block) -> Any:
        return logdet_from_cholesky(cholesky(curvature))

    log_name, log_share = "log", 0.5
    cancels = True

    # ------------------------------------------------------------ the kind
    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        own = replace(block, variables=block.variables[-1:])
        moments, natural = self.precision.blank(own, latents, dtype)
        eye = np.broadcast_to(np.eye(block.size, dtype=dtype), (*block.batch, block.size, block.size))
        location = np.zeros((*block.batch, block.size), dtype)
        return {**moments, "location": location, "scaled": self.blank_scaled(eye)}, {
            **natural,
            "curvature": self.blank_scaled(eye),
            "mean": natural["mean"],
        }

    def blank_scaled(self, eye: np.ndarray) -> np.ndarray:
        return eye

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: float) -> Arrays:
        curvature, shift = self.parts(gradient, moments)
        share = self.log_share * (block.size if self.log_name == "log" else 1.0)
        own = {"mean": gradient["mean"] + self.square(curvature, shift), self.log_name: gradient[self.log_name] - share}
        new = damped({**own, "curvature": curvature}, natural, damping)
        curvature = new.pop("curvature")
        family = self.precision.family
        statistics = family.expected_statistics(new)
        entropy = family.entropy(new) + 0.5 * (
            block.size * (1.0 + LOG_2PI) - self.logdet(curvature, block) - 2.0 * share * statistics[self.log_name]
        )
        step = 1.0 - damping if natural is not None else 1.0
        found = {**statistics, "location": moments["location"] + step * shift, "scaled": self.scaled(curvature)}
        return {"moments": found, "natural": {**new, "curvature": curvature}, "entropy": entropy.sum()}

    def movement(self, new: tuple[Arrays, Arrays], old: tuple[Arrays, Arrays]) -> Any:
        names = self.precision.family.statistic_rank
        far = self.precision.movement(*(({k: m[k] for k in names}, {k: n[k] for k in names}) for m, n in (new, old)))
        spread = jnp.sqrt(self.variances(new[0]))
        return jnp.maximum(far, (jnp.abs(new[0]["location"] - old[0]["location"]) / spread).max())

    def variances(self, moments: Arrays) -> Any:
        return jnp.diagonal(moments["scaled"], axis1=-2, axis2=-1) / moments["mean"][..., None]

    def reported_family(self, block: Block, name: str, latents: Latents) -> str:
        return self.precision.family.name if name == block.variables[-1] else "StudentT"

    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        params = {
            k: np.asarray(v)
            for k, v in self.precision.family.params_from({k: natural[k] for k in self.precision.family.statistic_rank}).items()
        }
        if name == block.variables[-1]:
            return params
        df, scale = self.student(params, moments)
        places, variable = block.positions[name], latents[name]
        wide = (..., *(None,) * places.ndim)
        mean = in_plate_order(np.asarray(moments["location"])[..., places], variable, block)
        sd = in_plate_order(np.sqrt(scale[..., places]), variable, block)
        return {"df": in_plate_order(df[wide] + 0.0 * scale[..., places], variable, block), "mean": mean, "sd": sd}

    def student(self, params: dict[str, np.ndarray], moments: Arrays) -> tuple[np.ndarray, np.ndarray]:
        """Degrees of freedom and squared scales of the location's entries."""
        diagonal = np.diagonal(np.asarray(moments["scaled"]), axis1=-2, axis2=-1)
        return 2.0 * params["shape"], diagonal * (params["rate"] / params["shape"])[..., None]

    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        own = {k: natural[k] for k in self.precision.family.statistic_rank}
        precision = np.asarray(self.precision.family.sample(self.precision.family.params_from(own), rng, count))
        noise = self.noise(precision, moments, rng.standard_normal((count, *np.shape(moments["location"]))))
        joint = np.asarray(moments["location"]) + noise
        drawn = {v: in_plate_order(joint[..., block.positions[v]], latents[v], block, before=1) for v in block.variables[:-1]}
        return {**drawn, block.variables[-1]: precision}

    def noise(self, precision: np.ndarray, moments: Arrays, standard: np.ndarray) -> np.ndarray:
        root = np.linalg.cholesky(np.asarray(moments["scaled"]))
        return (root @ standard[..., None])[..., 0] / np.sqrt(precision)[..., None]

    def described(self, block: Block) -> str:
        return f"joint {block.kind}, of {block.size}"


@dataclass(frozen=True)
class MatrixPair(Pair):
    """With a Wishart: κ is a number."""

    log_name = "logdet"

    def blank_scaled(self, eye: np.ndarray) -> np.ndarray:
        return eye[..., 0, 0]

    def parts(self, gradient: Arrays, moments: Arrays) -> tuple[Any, Any]:
        size = gradient["location"].shape[-1]
        curvature = -2.0 / size * gradient["scaled"]
        inverse = inverse_from_cholesky(cholesky(moments["mean"]))
        return curvature, (inverse @ gradient["location"][..., None])[..., 0] / curvature[..., None]

    def scaled(self, curvature: Any) -> Any:
        return 1.0 / curvature

    def square(self, curvature: Any, shift: Any) -> Any:
        return 0.5 * curvature[..., None, None] * shift[..., :, None] * shift[..., None, :]

    def logdet(self, curvature: Any, block: Block) -> Any:
        return block.size * jnp.log(curvature)

    def variances(self, moments: Arrays) -> Any:
        inverse = inverse_from_cholesky(cholesky(moments["mean"]))
        return jnp.diagonal(inverse, axis1=-2, axis2=-1) * moments["scaled"][..., None]

    def student(self, params: dict[str, np.ndarray], moments: Arrays) -> tuple[np.ndarray, np.ndarray]:
        scale = np.linalg.inv(params["scale"])
        df = params["df"] - scale.shape[-1] + 1.0
        diagonal = np.diagonal(scale, axis1=-2, axis2=-1) * np.asarray(moments["scaled"])[..., None]
        return df, diagonal / df[..., None]

    def noise(self, precision: np.ndarray, moments: Arrays, standard: np.ndarray) -> np.ndarray:
        root = np.linalg.cholesky(np.linalg.inv(precision))
        return (root @ standard[..., None])[..., 0] * np.sqrt(np.asarray(moments["scaled"]))[..., None]


PAIRS: dict[str, Kind] = {
    "Normal–Gamma": Pair(Conjugate(FAMILIES["Gamma"])),
    "Normal–Wishart": MatrixPair(Conjugate(FAMILIES["Wishart"])),
}
