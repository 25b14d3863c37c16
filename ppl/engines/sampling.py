"""The model forwards: draws from the prior, and the log joint at a full assignment."""

from __future__ import annotations

import numpy as np

from ppl.arrays.streams import stream
from ppl.compiler.energies import energy_value, ready_factor
from ppl.compiler.lowering import lower_statement
from ppl.compiler.potentials import lower_potential
from ppl.compiler.ready import Layout
from ppl.compiler.statements import deterministic_definitions, has_factor, random_statements
from ppl.engines.draws import drawn_variable
from ppl.engines.forward import draw_fresh, evaluator_of
from ppl.engines.precision import with_precision
from ppl.engines.settled import known_log_density
from ppl.graph.bound import BoundModel
from ppl.source.diagnostics import AimError, Diagnostic


def prior_draws(bound: BoundModel, draws: int, *, seed: int) -> dict[str, np.ndarray]:
    """Draws of every random and deterministic variable, `draws` first; observed values stand where they were given."""
    model = bound.model
    rng = stream(seed, "prior")
    definitions = deterministic_definitions(model)
    evaluator = evaluator_of(bound, {})
    plates = {s.variable: bound.shape(model.variables[s.variable])[: model.variables[s.variable].plates] for s in random_statements(model)}
    draw_fresh(evaluator, {n: ~bound.observed.get(n, np.zeros(shape, bool)) for n, shape in plates.items()}, rng, draws)
    return {n: drawn_variable(n, evaluator, draws) for n, v in model.variables.items() if v.role == "random" or n in definitions}


def log_joint(bound: BoundModel) -> float:
    """log p of all random variables at the values given, with what `factor` adds, in nats. Raises AimError where one has none."""
    model = bound.model
    statements = random_statements(model)
    absent = [s.variable for s in statements if s.variable not in bound.values or not np.all(bound.observed[s.variable])]
    if absent:
        raise AimError([Diagnostic("AIM0806", f"the log joint needs a value of `{absent[0]}`", None, "give every random variable")])
    definitions = deterministic_definitions(model)
    layout, energy = Layout({}, {}), with_precision(np.float64, energy_value)
    total = sum(known_log_density(s, bound, definitions) for s in statements if not has_factor(s))
    lowered = [one for s in statements if has_factor(s) for one in lower_statement(s, bound, {}, definitions)]
    lowered += [one for potential in model.potentials for one in lower_potential(potential, bound, {}, definitions)]
    total += sum(float(energy(ready_factor(one, layout), {}, layout)) for one in lowered)
    return -np.inf if total < -1e29 else total
