"""What a generalized block is to do: its model with data, the options as numbers, and the account that `ppl explain` gives of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ppl.graph.bound import BoundModel
from ppl.graph.references import statement_uses
from ppl.graph.supports import computed
from ppl.motion.block import Line, MotionBlock
from ppl.motion.options import options_of
from ppl.motion.process import Process, process_of, with_world
from ppl.semantics import typed
from ppl.semantics.motion_options import SCHEMES
from ppl.semantics.typed import Approximation
from ppl.semantics.walking import variables_in
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.html import Shown

MOST_UNKNOWNS = 4000  # of a record that `smooth` takes as one dense block


@dataclass(frozen=True, repr=False)
class MotionPlan(Shown):
    """`str()` is what `ppl explain` prints. `prior` is the model of what stands outside of the block, `after` the definitions that read
    the block's variables."""

    bound: BoundModel = field(repr=False)
    block: MotionBlock = field(repr=False)
    prior: BoundModel = field(repr=False)
    after: tuple[typed.DeterministicStatement, ...] = ()
    exact: bool = False
    process: Process | None = None  # the world, where what is sensed comes of it

    @property
    def source(self) -> BoundModel:
        return self.bound

    @property
    def engine(self) -> str:
        return self.block.motion.scheme

    @property
    def bound_name(self) -> str:
        """What `elbo` is called: where samples count once for each window that they are in, it bounds no evidence."""
        return "bound on the log evidence" if self.engine == "smooth" else "minus the free energy"

    @cached_property
    def latent(self) -> tuple[str, ...]:
        """The random variables outside of the block that are not wholly given."""
        random = [s.variable for s in self.prior.model.statements if isinstance(s, typed.RandomStatement)]
        return tuple(n for n in dict.fromkeys(random) if not np.all(self.prior.observed.get(n, False)))

    @property
    def improper(self) -> tuple[str, ...]:
        """The states of whose start nothing is said, so that a bound holds no evidence."""
        said = {s.variable for s in self.block.motion.part.starts}
        return tuple(x.name for x in self.block.unknowns if not x.is_cause and x.name not in said)

    def __str__(self) -> str:
        block, options, model = self.block, self.block.options, self.bound.model
        given = [n for n in self.bound.values if model.variables[n].role == "random"]
        across = "".join(f"{n} series of " for n in [int(np.prod(block.series))] if block.series)
        lines = [f"{model.kind} {model.name}", "observed: " + (", ".join(given) if given else "nothing"), f"engine: {self.engine}"]
        lines.append(f"    generalized block over {across}{block.bins} bins of {options.dt:g}: {SCHEMES[self.engine]}")
        lines.append(f"    noise with the autocorrelation {_roughness(options.smoothness)}")
        lines += [f"    {_unknown(x.name, x.count - 1, x.is_cause)}" for x in block.unknowns]
        lines += [f"    {_line(line)}" for line in block.lines]
        lines += [f"    {name}: learnt with the states, Laplace" for name in self.latent]
        if self.process is not None:
            lines += ["    the world goes on beside the belief:", *(f"    {line}" for line in self.process.account)]
        return "\n".join(lines)


def _roughness(smoothness: float) -> str:
    return f"exp(-h² / {4 * smoothness**2:g}), h in bins" if smoothness else "of white noise"


def _unknown(name: str, order: int, is_cause: bool) -> str:
    orders = f"orders 0..{order}" if order else "order 0"
    return f"{name}: {'hidden cause' if is_cause else 'state'}, {orders}"


def _line(line: Line) -> str:
    told = {"equation": "equation of motion", "cause": "prior of the cause", "sensor": "sensor"}[line.role]
    call = line.statement.distribution
    assert isinstance(call, typed.DistributionCall)
    orders = f"orders 0..{line.count - 1}" if line.count > 1 else "order 0"
    return f"{line.name} ~ {call.name}: {told}, noise of {orders}"


# ------------------------------------------------------------------ making a plan
def plan_motion(bound: BoundModel, *, approximation: Approximation | None = None, engine: str | None = None) -> MotionPlan:
    """Raises AimError where the data, or what is asked for, do not fit the block."""
    motion = bound.model.motion
    assert motion is not None
    _refuse_engines(motion, approximation, engine)
    prior, after = apart(bound, motion)
    known = known_of(prior)
    block = MotionBlock(bound, motion, options_of(motion, bound.sizes, known), known)
    _check_data(block)
    plan = MotionPlan(bound, block, prior, after)
    return plan if motion.world is None or _senses(block) else _in_world(plan)


def _in_world(plan: MotionPlan) -> MotionPlan:
    """Nothing is given that is sensed: it comes of the world."""
    motion, wrong = plan.block.motion, []
    if motion.scheme != "mode":
        text = f"what is sensed comes of the world bin by bin, which `{motion.scheme}` does not follow"
        wrong.append(Diagnostic("AIM0713", text, motion.span, "write scheme = mode"))
    for name in plan.latent:
        text = f"`{name}` is not known, and a model that acts knows its parameters"
        wrong.append(Diagnostic("AIM0713", text, plan.bound.model.variables[name].span, f"give {name} = …"))
    if wrong:
        raise AimError(wrong)
    bound = with_world(plan.bound)
    block = replace(plan.block, bound=bound)
    return replace(plan, bound=bound, block=block, process=process_of(bound, block.options, block.known))


def _senses(block: MotionBlock) -> bool:
    return any(line.name in block.bound.observed for line in block.lines if line.role == "sensor")


def _refuse_engines(motion: typed.TypedMotion, approximation: Approximation | None, engine: str | None) -> None:
    asked = engine or (approximation.engine if approximation else None)
    span = approximation.span if approximation is not None and engine is None else motion.span
    if asked is not None or approximation is not None:
        what = f"the engine `{asked}` does" if asked else "`approximate` blocks do"
        text = f"{what} not serve a generalized block, whose options say how its states are inferred"
        raise AimError([Diagnostic("AIM0713", text, span, "write scheme = mode, flow or smooth in its options")])


def known_of(prior: BoundModel) -> dict[str, np.ndarray]:
    """What is given outside of the block, with what follows from it."""
    partly = {n for n, mask in prior.observed.items() if not np.all(mask)}
    return computed(prior.model, {n: v for n, v in prior.values.items() if n not in partly}, prior.sizes)


def apart(bound: BoundModel, motion: typed.TypedMotion) -> tuple[BoundModel, tuple[typed.DeterministicStatement, ...]]:
    """The model without its block, and the definitions that follow from the block."""
    model, reached, after = bound.model, set(motion.defined), []
    for statement in model.statements:
        if not {name for name, _ in statement_uses(statement)} & reached:
            continue
        if isinstance(statement, typed.RandomStatement):
            text = f"`{statement.variable}` depends on a state of the block, and only the block's own sensors may"
            raise AimError([Diagnostic("AIM0712", text, statement.span, "write it in the block as ~ Normal(…)")])
        reached.add(statement.variable)
        after.append(statement)
    kept = {n: v for n, v in model.variables.items() if n not in reached}
    statements = tuple(s for s in model.statements if s.variable in kept)
    alone = replace(model, variables=kept, statements=statements, motion=None)
    values = {n: v for n, v in bound.values.items() if n in kept}
    return BoundModel(alone, bound.sizes, values, {n: m for n, m in bound.observed.items() if n in kept}, bound.warnings), tuple(after)


def _followable(block: MotionBlock) -> list[Diagnostic]:
    """What stands in the way of following the equations bin by bin."""
    found, states = [], {x.name: x.count - 1 for x in block.unknowns}
    for s in block.motion.part.statements:
        for name in variables_in(s):
            state = name.rstrip("'")
            order = len(name) - len(state)
            least = states.get(state, 0) - (1 if s.order or s.variable in states else 0)
            if state in states and order > max(least, 0):
                hint = "write scheme = mode, where all derivatives are beside each other"
                found.append(Diagnostic("AIM0713", f"`{name}` is not followed by `smooth` where this statement is evaluated", s.span, hint))
    causes = [s for s in block.motion.part.statements if s.variable in states and s.order == 0]
    for k, s in enumerate(causes):
        for later in causes[k:]:
            if later.variable in variables_in(s):
                text = f"the cause `{s.variable}` reads `{later.variable}`, whose prior does not stand above it"
                found.append(Diagnostic("AIM0713", text, s.span, "write the prior of the higher level first, or scheme = mode"))
    count = sum(x.size * (x.count - 1) for x in block.unknowns) + block.bins * sum(x.size for x in block.lines if x.role != "sensor")
    if count > MOST_UNKNOWNS:
        text = f"`smooth` takes a record as one block, and this one has {count} unknowns, above {MOST_UNKNOWNS}"
        found.append(Diagnostic("AIM0713", text, block.motion.span, "write scheme = mode, or take the record apart"))
    return found


def _check_data(block: MotionBlock) -> None:
    motion, observed, wrong = block.motion, block.bound.observed, []
    for name in (*motion.part.states, *motion.actions):
        if name in observed:
            text = f"`{name}` is given, and a {'state' if name in motion.part.states else 'action'} of a generalized block is inferred"
            hint = f"write a sensor for it: y ~ Normal({name}, precision = …)"
            wrong.append(Diagnostic("AIM0712", text, block.bound.model.variables[name].span, hint))
    if motion.scheme == "smooth":
        wrong += _followable(block)
    for name in motion.actions if _senses(block) else ():
        text = f"`{name}` is an action: a record that others have acted in cannot be fitted yet"
        wrong.append(Diagnostic("AIM0713", text, block.bound.model.variables[name].span, f"declare it as an input: input {name}: real[T]"))
    for name in motion.actions if motion.world is None and not _senses(block) else ():
        text = f"`{name}` acts on an environment of one's own, which is not served yet"
        wrong.append(Diagnostic("AIM0713", text, block.bound.model.variables[name].span, "write what happens: world: …"))
    need = max(block.options.order_observed, 0) + 1
    if block.bins < need:
        text = f"the record has {block.bins} bin{'s' * (block.bins != 1)}, and data embedded to order {need - 1} need {need}"
        wrong.append(Diagnostic("AIM0710", text, motion.span, f"lower `order_observed` to {block.bins - 1}, or give a longer record"))
    sensors = [line.name for line in block.lines if line.role == "sensor"]
    if not _senses(block) and motion.world is None and not motion.actions:
        text = "nothing that the block senses is given: there is nothing to infer its states from"
        names = " or ".join(sensors) if sensors else "a sensor: y ~ Normal(…)"
        wrong.append(Diagnostic("AIM0712", text, motion.span, f"give {names}"))
    if motion.scheme == "flow" and block.options.order_observed < block.options.order:
        text = "the flow takes data with as many derivatives as states have"
        wrong.append(Diagnostic("AIM0713", text, motion.span, "leave `order_observed` out, or write scheme = mode"))
    if motion.scheme == "flow":
        for name in sensors:
            if name in observed and not np.isfinite(block.by_series(name)).all():
                text = f"samples of `{name}` are missing, and the flow goes through all of them"
                wrong.append(Diagnostic("AIM0713", text, motion.span, "write scheme = mode or scheme = smooth"))
    if wrong:
        raise AimError(wrong)
