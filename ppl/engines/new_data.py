"""A posterior meets other data: what new members and later times are likely to be, and how likely held-out data are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ppl.arrays.plated import Plated
from ppl.arrays.streams import stream
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.statements import deterministic_definitions, random_statements
from ppl.engines.draws import drawn_variable
from ppl.engines.forward import draw_fresh, evaluator_of, knowing
from ppl.engines.pointwise import Observations, log_likelihoods
from ppl.engines.precision import with_precision
from ppl.engines.rebinding import Rebound, lengthened, plate_keys, rebind
from ppl.graph.bound import BoundModel
from ppl.graph.networks import weights_name
from ppl.graph.references import reached, uses
from ppl.results.questions import Draws, NewData
from ppl.semantics.typed import Amortisation, TypedModel, Variable
from ppl.source.diagnostics import AimError, Diagnostic


@dataclass(frozen=True)
class Learnt:
    """The weights of networks that were learnt, by name, and the variables whose posterior such a network tells."""

    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    amortised: tuple[Amortisation, ...] = ()

    @property
    def seen(self) -> set[str]:
        """The random variables that networks see to tell the posterior of a member."""
        return {name for one in self.amortised for name, _ in uses(one.argument)}

    def known(self, rebound: Rebound) -> Rebound:
        return replace(rebound, bound=knowing(rebound.bound, self.weights))


NOTHING = Learnt()


def likelihoods(bound: BoundModel, draws: Draws, new: NewData, seed: int, learnt: Learnt = NOTHING) -> dict[str, Observations]:
    """Of what was observed, or of held-out values: what their members have of their own is then drawn, or summed out."""
    if not new:
        return log_likelihoods(knowing(bound, learnt.weights), _latent(draws, bound))
    rebound = learnt.known(rebind(bound, new))
    evaluator, _ = _forward(bound, rebound, draws, seed, _count(draws, 1), learnt, held_out=set(new.values))
    drawn = {name: value.data for name, value in evaluator.values.items() if isinstance(value, Plated)}
    return log_likelihoods(rebound.bound, _latent(drawn, rebound.bound), among=set(new.values))


def predictions(
    bound: BoundModel, draws: Draws, new: NewData, seed: int, name: str | None, count: int, learnt: Learnt = NOTHING
) -> dict[str, np.ndarray]:
    """Draws of one variable, or of all that is new; without values, replications of what was observed."""
    rebound = learnt.known(rebind(bound, new) if new else Rebound(bound, frozenset(), frozenset()))
    count = _count(draws, count)
    evaluator, drawn = _forward(bound, rebound, draws, seed, count, learnt)
    variables, moved = rebound.bound.model.variables, rebound.fresh | rebound.longer
    computed = {n for n, v in variables.items() if v.role == "deterministic" and moved & set(plate_keys(v))}
    wanted = [name] if name is not None else [n for n in variables if n in drawn or n in computed]
    return {n: drawn_variable(n, evaluator, count) for n in wanted}


def _forward(
    old: BoundModel, rebound: Rebound, draws: Draws, seed: int, count: int, learnt: Learnt, held_out: set[str] | None = None
) -> tuple[LatentEvaluator, dict[str, np.ndarray]]:
    """An evaluator in which everything has values, drawn anew where it is new; and which entries are."""
    bound = rebound.bound
    sizes = {key: bound.sizes[key] for key in rebound.longer}
    kept: dict[str, np.ndarray] = {}
    new: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(s.variable for s in random_statements(bound.model)):
        if name in (held_out or ()):
            continue
        variable = bound.model.variables[name]
        mask = _new_entries(variable, old, rebound, replicate=held_out is None)
        if name in draws and not mask.all():
            kept[name] = lengthened(np.asarray(draws[name], float), variable, sizes, before=1)
        if mask.any():
            new[name] = mask
    kept |= weights_of(draws, bound)
    _refuse_potentials(bound.model, set(new))
    rng = stream(seed, "predictions")
    told = [a for a in learnt.amortised if a.variable in new and _is_seen(a, bound)]
    if told:
        from ppl.engines.numpyro_bridge.amortised import encoded

        kept |= with_precision(np.float64, encoded)(bound, told, learnt.weights, kept, count, rng)
    evaluator = evaluator_of(bound, kept)
    draw_fresh(evaluator, {n: mask for n, mask in new.items() if n not in kept or not mask.all()}, rng, count)
    return evaluator, new


def _is_seen(one: Amortisation, bound: BoundModel) -> bool:
    """Whether what a network sees of the members is given."""
    return all(
        bound.model.variables[n].role != "random" or (n in bound.observed and bound.observed[n].all()) for n, _ in uses(one.argument)
    )


def _refuse_potentials(model: TypedModel, new: set[str]) -> None:
    """What a `factor` joins cannot be drawn one after the other."""
    definitions = deterministic_definitions(model)
    for potential in model.potentials:
        joined = {
            name
            for used, _ in uses(potential.value)
            for name in (used, *(n for d in definitions.get(used, []) for n in reached(d, definitions)))
        }
        if joined & new:
            text = f"this `factor` joins `{min(joined & new)}`, which would be drawn: a potential has no draws one after the other"
            raise AimError([Diagnostic("AIM0814", text, potential.span, "fit the model with the new members missing")])


def _new_entries(variable: Variable, old: BoundModel, rebound: Rebound, *, replicate: bool) -> np.ndarray:
    """Which entries of a random variable are drawn: those of new members and later times; where there are neither, replications of what
    was observed."""
    keys, shape = set(plate_keys(variable)), rebound.bound.shape(variable)[: variable.plates]
    if rebound.fresh & keys:
        return np.ones(shape, bool)
    if rebound.longer & keys:
        mask = np.ones(shape, bool)
        mask[tuple(slice(n) for n in old.shape(variable)[: variable.plates])] = False
        return mask
    nothing_new = not rebound.fresh and not rebound.longer
    return np.full(shape, replicate and nothing_new and variable.name in rebound.bound.observed)


def _latent(draws: Draws, bound: BoundModel) -> dict[str, np.ndarray]:
    """The draws of random variables that are not wholly observed; what is computed is computed from them."""
    random = {s.variable for s in random_statements(bound.model)}
    latent = {n: np.asarray(v) for n, v in draws.items() if n in random and not np.all(bound.observed.get(n, False))}
    return latent | weights_of(draws, bound)


def weights_of(draws: Draws, bound: BoundModel) -> dict[str, np.ndarray]:
    """The draws of the weights of networks."""
    names = map(weights_name, bound.model.networks)
    return {n: np.asarray(draws[n]) for n in names if n in draws}


def _count(draws: Draws, asked: int) -> int:
    return len(next(iter(draws.values()))) if draws else asked
