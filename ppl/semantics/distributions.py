"""What stands after `~`: a distribution with its arguments by name, a table, a member, or a choice between such."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from ppl.catalogue.distributions import ALIASES, DISTRIBUTIONS, Distribution, ParameterSignature
from ppl.catalogue.functions import NAMED_FUNCTIONS
from ppl.semantics import matching, submodels
from ppl.semantics.arguments import check_support, check_table, given_arguments, has_axes, member_set, number_kind, value_type
from ppl.semantics.calls import is_number
from ppl.semantics.expressions import elaborate
from ppl.semantics.inlining import Instance
from ppl.semantics.scope import Scope
from ppl.semantics.tables import MOST_IN_A_TABLE, certain
from ppl.semantics.typed import (
    Apply,
    Axis,
    Constant,
    DistributionCall,
    DistributionChoice,
    IndexSet,
    Member,
    SelectArm,
    SizeOf,
    TypedExpression,
    ValueType,
)
from ppl.semantics.types import joined, name_type
from ppl.semantics.walking import variables_in
from ppl.source.diagnostics import did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree

AnyDistribution = DistributionCall | DistributionChoice | Instance
Found = tuple[AnyDistribution, ValueType]


def distribution(written: tree.Expression, scope: Scope, expected: IndexSet | None = None) -> Found | None:
    """The typed distribution and the type of its value, or None where something is wrong and has been reported."""
    written = called(written, scope)
    match written:
        case tree.Call(function=function) if function.name in DISTRIBUTIONS and function.name not in scope.file.functions:
            return _call(written, DISTRIBUTIONS[function.name], scope, expected)
        case tree.Call(function=function) if function.name in scope.file.model_names:
            return submodels.submodel_call(written, scope)
        case tree.Call() if not _is_function(written, scope):
            return _unknown(written, scope)
        case tree.Match():
            return _match(written, scope, expected)
        case tree.Conditional():
            return _conditional(written, scope, expected)
    return _table_or_member(written, scope, expected)


def catalogue_distribution(
    written: tree.Expression, scope: Scope, expected: IndexSet | None = None
) -> tuple[DistributionCall | DistributionChoice, ValueType] | None:
    """The same where no model may stand."""
    found = distribution(written, scope, expected)
    if found is None or isinstance(found[0], Instance):
        if found is not None:
            hint = "write `x ~ " + written.span.text.split("(")[0] + "(…)` in a model"
            scope.findings.error("AIM0311", "a model stands only where it defines a variable", written.span, hint)
        return None
    return found[0], found[1]


def called(written: tree.Expression, scope: Scope) -> tree.Expression:
    """A distribution without parameters may stand by its name alone: `Flat` is `Flat()`."""
    if not isinstance(written, tree.Name) or written.name not in DISTRIBUTIONS or scope.sets_with(written.name):
        return written
    return written if DISTRIBUTIONS[written.name].parameters else tree.Call(written, (), span=written.span)


def types_before_arguments(written: tree.Expression, name: str, plates: tuple[Axis, ...], scope: Scope) -> dict[str, ValueType]:
    """The types of what a statement defines, where no argument changes them: a recursion may read it before they are known."""
    written = called(written, scope)
    function = written.function.name if isinstance(written, tree.Call) else ""
    known = DISTRIBUTIONS.get(function)
    if known is not None and not known.axes and known.support not in ("member", "any"):
        return {name: ValueType(number_kind(known), plates)}
    model = submodels.model_named(function, scope) if known is None and function in scope.file.model_names else None
    return submodels.types_before_arguments(model, name, plates) if model is not None else {}


def _is_function(written: tree.Call, scope: Scope) -> bool:
    return written.function.name in NAMED_FUNCTIONS or written.function.name in scope.file.functions


def _unknown(written: tree.Call, scope: Scope) -> None:
    name = written.function.name
    for argument in written.arguments:
        if not isinstance(argument.value, tree.Call):
            elaborate(argument.value, scope)
    hint = did_you_mean(_own_name(name), [*DISTRIBUTIONS, *scope.file.model_names])
    scope.findings.error("AIM0301", f"unknown distribution `{name}`", written.function.span, hint)


def _own_name(name: str) -> str:
    """The language's name for what others call so, or nearly so."""
    near = get_close_matches(name, ALIASES, n=1, cutoff=0.8)
    return ALIASES[near[0]] if near and not get_close_matches(name, DISTRIBUTIONS, n=1, cutoff=0.8) else name


# ------------------------------------------------------------------ a call
def _call(written: tree.Call, known: Distribution, scope: Scope, expected: IndexSet | None) -> Found | None:
    given = given_arguments(written, known, scope)
    arguments: dict[str, TypedExpression] = {}
    components: tuple[tuple[DistributionCall, ValueType], ...] = ()
    failed = given is None
    for signature, argument in given or ():
        if signature.support in ("distribution", "distributions"):
            inner = _components(argument, signature, scope)
            components = inner or ()
            failed |= inner is None
            continue
        value = _argument(argument, signature, known, scope, expected)
        if value is None:
            failed = True
        else:
            arguments[signature.name] = value
    if failed:
        return None
    axes = has_axes(known, arguments, scope)
    if axes is None:
        return None
    for name, value in arguments.items():
        check_support(known.parameters[name], value, known, scope)
    call = DistributionCall(known.name, arguments, tuple(call for call, _ in components), span=written.span)
    found = value_type(known, arguments, axes, tuple(kind for _, kind in components), expected)
    return _with_link(call, scope), found


def _argument(
    written: tree.Expression, signature: ParameterSignature, known: Distribution, scope: Scope, expected: IndexSet | None
) -> TypedExpression | None:
    """The value of one parameter; a bare member in Categorical is certain."""
    members = expected if known.support == "member" else None
    value = elaborate(written, scope, members)
    if value is None:
        return None
    if signature.support == "simplex" and isinstance(value, Member):
        return certain_table(value, value.span)
    if signature.support == "any":
        return value
    return value if is_number(value, scope) else None


def _components(
    written: tree.Expression, signature: ParameterSignature, scope: Scope
) -> tuple[tuple[DistributionCall, ValueType], ...] | None:
    """The distributions among the arguments of Mixture, Truncated and Ordered."""
    if signature.support == "distributions" and not isinstance(written, tree.ListLiteral):
        scope.findings.error("AIM0311", "the components are distributions in brackets", written.span, "write [Normal(0, 1), Normal(3, 1)]")
        return None
    items = written.items if isinstance(written, tree.ListLiteral) else (written,)
    found = [distribution(item, scope) for item in items]
    calls = tuple((call, kind) for call, kind in filter(None, found) if isinstance(call, DistributionCall))
    if len(calls) < len(items):
        for item, one in zip(items, found, strict=True):
            if one is not None and not isinstance(one[0], DistributionCall):
                scope.findings.error("AIM0311", "a component is a distribution of the catalogue", item.span)
        return None
    for item, (_, kind) in zip(items, calls, strict=True):
        if joined(calls[0][1], kind) is None:
            message = f"the components differ: this is {name_type(kind)}, the first is {name_type(calls[0][1])}"
            scope.findings.error("AIM0214", message, item.span)
            return None
    return calls


_LINKS = {("Bernoulli", "logit"): "sigmoid", ("Bernoulli", "probit"): "normal_cdf", ("Binomial", "logit"): "sigmoid",
          ("Poisson", "log_rate"): "exp", ("Categorical", "logits"): "softmax"}  # fmt: skip
_LINK_KINDS = {"sigmoid": "unit", "normal_cdf": "unit", "exp": "positive", "softmax": "simplex"}


def linked(call: DistributionCall | DistributionChoice, scope: Scope) -> DistributionCall | DistributionChoice:
    """The distribution, and each in its arms, with the parametrisation that says most: a link where the value is random."""
    if isinstance(call, DistributionChoice):
        return replace(call, arms=tuple((patterns, _with_link(arm, scope)) for patterns, arm in call.arms))
    return replace(_with_link(call, scope), components=tuple(_with_link(component, scope) for component in call.components))


def _with_link(call: DistributionCall, scope: Scope) -> DistributionCall:
    """`logit = a` where nothing in `a` is random is `p = sigmoid(a)`, which the first parametrisation serves; where it is, the reverse."""
    for (distribution_name, link), function in _LINKS.items():
        if distribution_name != call.name:
            continue
        first = next(slot[0].name for slot in DISTRIBUTIONS[call.name].slots if any(s.name == link for s in slot))
        value, plain = call.arguments.get(link), call.arguments.get(first)
        if value is not None and not is_random(value, scope):
            kind = ValueType(_LINK_KINDS[function], value.type.axes)  # type: ignore[arg-type]
            return _renamed(call, link, first, Apply(function, (value,), span=value.span, type=kind))
        if isinstance(plain, Apply) and plain.function == function and is_random(plain, scope):
            return _renamed(call, first, link, plain.arguments[0])
    return call


def _renamed(call: DistributionCall, before: str, after: str, value: TypedExpression) -> DistributionCall:
    """The call with another parameter in the place of one of its parameters."""
    arguments = {(after if key == before else key): (value if key == before else old) for key, old in call.arguments.items()}
    return replace(call, arguments=arguments)


def is_random(value: object, scope: Scope) -> bool:
    return bool(variables_in(value) & scope.model.random)


# ------------------------------------------------------------------ tables and members
def _table_or_member(written: tree.Expression, scope: Scope, expected: IndexSet | None) -> Found | None:
    value = elaborate(written, scope, expected)
    if value is None:
        return None
    kind = value.type
    if kind.kind == "member" and not kind.axes and kind.member_of is not None:
        call = DistributionCall("Categorical", {"p": certain_table(value, written.span)}, span=written.span)
        return call, ValueType("member", (), kind.member_of)
    if len(kind.axes) == 1 and isinstance(written, tree.TableLiteral | tree.Call):
        if isinstance(written, tree.TableLiteral):
            check_table(value, scope)
        call = DistributionCall("Categorical", {"p": value}, span=written.span)
        return call, ValueType("member", (), member_set(kind.axes[0], expected))
    hint = (
        f"write Delta({written.span.text}) for a value that is certain, or `=`"
        if not kind.axes
        else f"write Categorical({written.span.text})"
    )
    scope.findings.error("AIM0311", f"after `~` stands a distribution, this is {name_type(kind)}", written.span, hint)
    return None


def certain_table(value: TypedExpression, span: Span) -> TypedExpression:
    """The probabilities of a member that is certain."""
    members = value.type.member_of
    assert members is not None
    if isinstance(value, Member) and members.size is not None and members.size <= MOST_IN_A_TABLE:
        return certain(value.ordinal, members, span)
    size = SizeOf(members, span=span, type=ValueType("int"))
    return Apply("onehot", (value, size), span=span, type=ValueType("simplex", (Axis(members),)))


# ------------------------------------------------------------------ choices
def _match(written: tree.Match, scope: Scope, expected: IndexSet | None) -> Found | None:
    head = matching.match_head(written, scope, elaborate)
    found = [distribution(arm.value, scope, expected) for arm in written.arms]
    if head is None or not found or None in found:
        return None
    subjects, patterns = head
    return _choice(subjects, list(zip(patterns, filter(None, found), strict=True)), written, scope)


def _conditional(written: tree.Conditional, scope: Scope, expected: IndexSet | None) -> Found | None:
    condition = elaborate(written.condition, scope)
    then, otherwise = distribution(written.then, scope, expected), distribution(written.otherwise, scope, expected)
    if condition is None or then is None or otherwise is None:
        return None
    subject, pattern = _subject_of(condition)
    return _choice((subject,), [((pattern,), then), ((None,), otherwise)], written, scope)


def _subject_of(condition: TypedExpression) -> tuple[TypedExpression, matching.Pattern]:
    """`z == 1` chooses by z itself, anything else by whether it is 1."""
    match condition:
        case Apply(function="equal", arguments=(subject, Member(ordinal=ordinal))) if subject.type.kind == "member":
            return subject, (ordinal,)
        case Apply(function="equal", arguments=(subject, Constant(value=value))) if subject.type.kind in ("member", "bool", "int"):
            low = subject.type.member_of.low if subject.type.member_of else 0
            return subject, (value - low,)
    return condition, (1,)


def _choice(
    subjects: tuple[TypedExpression, ...], arms: list[tuple[matching.Patterns, Found]], written: tree.Expression, scope: Scope
) -> Found | None:
    """One distribution with chosen arguments where the arms have one form, a choice of distributions otherwise."""
    together: ValueType | None = arms[0][1][1]
    for _, (call, kind) in arms[1:]:
        together = together and joined(together, kind)
        if together is None:
            message = f"the arms differ: values are {name_type(kind)} here, {name_type(arms[0][1][1])} in the first"
            scope.findings.error("AIM0214", message, call.span)
            return None
    assert together is not None
    calls = [(patterns, call) for patterns, (call, _) in arms if isinstance(call, DistributionCall)]
    if len(calls) < len(arms):
        other = next(call for _, (call, _) in arms if not isinstance(call, DistributionCall))
        what = "a choice" if isinstance(other, DistributionChoice) else "a model"
        hint = "give it a variable of its own, and choose between values" if what == "a model" else ""
        scope.findings.error("AIM0311", f"an arm is a distribution of the catalogue, this is {what}", other.span, hint)
        return None
    first = calls[0][1]
    if any(call.name != first.name or call.arguments.keys() != first.arguments.keys() or call.components for _, call in calls):
        return DistributionChoice(subjects, tuple(calls), span=written.span), together
    arguments: dict[str, TypedExpression] = {}
    for name in first.arguments:
        values = tuple(SelectArm(patterns, call.arguments[name]) for patterns, call in calls)
        chosen = matching.selected(subjects, values, written, scope)
        if chosen is None:
            return None
        arguments[name] = chosen
    return DistributionCall(first.name, arguments, span=written.span), together
