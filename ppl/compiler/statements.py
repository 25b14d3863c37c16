"""Which statements of a model are random, which are definitions, which have a message, and which take part in inference at all."""

from __future__ import annotations

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.needed import needed_entries
from ppl.compiler.rewrites import left_over
from ppl.graph.bound import BoundModel
from ppl.graph.references import reached
from ppl.semantics import typed
from ppl.semantics.walking import inside, variables_in
from ppl.source.diagnostics import AimError, Diagnostic


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


def has_factor(statement: typed.RandomStatement) -> bool:
    """Whether a statement has a factor as it stands."""
    call = statement.distribution
    return isinstance(call, typed.DistributionCall) and DISTRIBUTIONS[call.name].implementation is not None and not left_over(statement)


def drawn_afterwards(bound: BoundModel) -> frozenset[str]:
    """The variables that take no part in inference, though their statements have no message: what is settled, what nothing observed
    depends on, and what depends on such."""
    statements = random_statements(bound.model)
    if not bound.settled and all(has_factor(s) or s.variable in bound.values for s in statements):
        return frozenset()
    definitions = deterministic_definitions(bound.model)
    needed = needed_entries(bound, statements, definitions)
    leaves = [s for s in statements if s.variable in needed and s.variable not in bound.values and not needed[s.variable].any()]
    found = {*bound.settled, *(s.variable for s in leaves if not has_factor(s))}
    while more := {s.variable for s in leaves if reached(s, definitions) & found} - found:
        found |= more
    return frozenset(found)


def refuse_without_message(bound: BoundModel) -> None:
    """Raises AimError where a statement that takes part has no factor, or none that stands alone: networks, choices of distributions."""
    model, text = bound.model, "there is no message for this statement yet"
    found = []
    afterwards = drawn_afterwards(bound)
    for s in [s for s in random_statements(model) if not has_factor(s) and s.variable not in afterwards]:
        call = s.distribution
        needs = f"a `{call.name}`" if isinstance(call, typed.DistributionCall) else "a choice between distributions"
        found.append(Diagnostic("AIM0720", f"{text}: it needs {needs}", s.span))
    calling = [s for s in model.statements if any(True for _ in inside(s, typed.NetworkCall))]
    found += [Diagnostic("AIM0720", f"{text}: it needs a network", s.span) for s in calling]
    for name, definitions in deterministic_definitions(model).items():
        if _depends_on_itself(name, model):
            found.append(Diagnostic("AIM0720", f"{text}: `{name}` is computed from earlier entries of itself", definitions[-1].span))
    if found:
        raise AimError(found)


def _depends_on_itself(name: str, model: typed.TypedModel) -> bool:
    """Whether a computed variable is computed from itself, directly or through other computed ones."""
    definitions = deterministic_definitions(model)
    waiting, seen = [name], set()
    while waiting:
        read = {used for s in definitions.get(waiting.pop(), ()) for used in variables_in((s.value, s.indices))}
        if name in read:
            return True
        waiting += read - seen
        seen |= read
    return False
