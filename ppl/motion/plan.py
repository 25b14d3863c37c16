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
    followed: np.ndarray | None = field(default=None, repr=False)  # the unknowns that moved with it, (series, T, width)

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
    if not isinstance(call, typed.DistributionCall):
        return f"{line.name} = …: {told}, without noise"
    orders = f"orders 0..{line.count - 1}" if line.count > 1 else "order 0"
    return f"{line.name} ~ {call.name}: {told}, noise of {orders}"


# ------------------------------------------------------------------ making a plan
def plan_motion(
    bound: BoundModel, *, approximation: Approximation | None = None, engine: str | None = None, environment: bool = False
) -> MotionPlan:
    """Raises AimError where the data, or what is asked for, do not fit the block. What is sensed comes of an environment where one is."""
    motion = bound.model.motion
    assert motion is not None
    _refuse_engines(motion, approximation, engine)
    prior, after = apart(bound, motion)
    known = known_of(prior)
    block = MotionBlock(bound, motion, options_of(motion, bound.sizes, known), known)
    _check_data(block, environment)
    plan = MotionPlan(bound, block, prior, after)
    if environment:
        _refuse_beside_acting(plan)
        return plan
    return plan if motion.world is None or _senses(block) else _in_world(plan)


def _refuse_beside_acting(plan: MotionPlan) -> None:
    motion, wrong = plan.block.motion, []
    if motion.scheme == "smooth":
        text = "`smooth` looks at a record as a whole, and what is sensed while acting is not known before it is acted on"
        wrong.append(Diagnostic("AIM0713", text, motion.span, "write scheme = mode or scheme = flow"))
    for name in plan.latent:
        text = f"`{name}` is not known, and a model that acts knows its parameters"
        wrong.append(Diagnostic("AIM0713", text, plan.bound.model.variables[name].span, f"give {name} = …"))
    if wrong:
        raise AimError(wrong)


def _in_world(plan: MotionPlan) -> MotionPlan:
    """Nothing is given that is sensed: it comes of the world."""
    _refuse_beside_acting(plan)
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


def _left_out(block: MotionBlock) -> list[Diagnostic]:
    """Derivatives that statements name, and the orders that the data or parameters settle leave out."""
    found, causes = [], {x.name for x in block.unknowns if x.is_cause}
    for s in block.motion.part.statements:
        for name in sorted({s.variable + "'" * s.order, *variables_in(s)}):
            state = name.rstrip("'")
            option = "order_causes" if state in causes else "order"
            most = getattr(block.options, option)
            if state in block.motion.part.states and len(name) - len(state) > most:
                text = f"`{name}` is named here, and `{option}` is {most}"
                found.append(Diagnostic("AIM0711", text, s.span, f"raise `{option}` to {len(name) - len(state)}"))
    return found


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
    starts = sum(x.size * (x.count - 1) for x in block.unknowns)
    each = sum(x.size for x in block.lines if x.role != "sensor" and not x.certain)
    count = starts + block.bins * each
    if count > MOST_UNKNOWNS:
        text = f"`smooth` takes a record as one block, and this one has {count} unknowns, above {MOST_UNKNOWNS}"
        hint = f"fit at most {(MOST_UNKNOWNS - starts) // each} bins at a time, or write scheme = mode, whose time is proportional to it"
        found.append(Diagnostic("AIM0713", text, block.motion.span, hint))
    return found


def _check_data(block: MotionBlock, environment: bool) -> None:
    motion, observed, wrong = block.motion, block.bound.observed, []
    for name in motion.part.states:
        if name in observed:
            text = f"`{name}` is given, and a state of a generalized block is inferred"
            hint = f"write a sensor for it: y ~ Normal({name}, precision = …)"
            wrong.append(Diagnostic("AIM0712", text, block.bound.model.variables[name].span, hint))
    for name in motion.actions:
        if name in observed:
            text, hint = f"`{name}` is given, and a model does not read its actions", "leave it out: sensors feel it"
            wrong.append(Diagnostic("AIM0712", text, block.bound.model.variables[name].span, hint))
    wrong += _left_out(block)
    if motion.scheme == "smooth":
        wrong += _followable(block)
    for name in motion.actions if motion.world is None and not _senses(block) and not environment else ():
        text = f"`{name}` acts, and nothing says on what"
        hint = "act in an environment, model.run(environment, steps = …), or write what happens: world: …"
        wrong.append(Diagnostic("AIM0713", text, block.bound.model.variables[name].span, hint))
    need = 1 if motion.scheme == "smooth" or environment else block.options.order_observed + 1
    if block.bins < need:
        text = f"the record has {block.bins} bin{'s' * (block.bins != 1)}, and data embedded to order {need - 1} need {need}"
        hint = f"lower `order_observed` to {block.bins - 1}, or give a longer record" if block.bins else "give a longer record"
        wrong.append(Diagnostic("AIM0710", text, motion.span, hint))
    sensors = [line.name for line in block.lines if line.role == "sensor"]
    if not _senses(block) and motion.world is None and not motion.actions and motion.scheme != "smooth":
        text = "no sample that the block senses is given: there is nothing to infer its states from"
        names = " or ".join(sensors) if sensors else "a sensor: y ~ Normal(…)"
        wrong.append(Diagnostic("AIM0712", text, motion.span, f"give {names}, or write scheme = smooth, whose path needs none"))
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
