"""What is checked and cannot run yet: one diagnostic for each kind, which stops a run and not a check."""

from __future__ import annotations

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.semantics.distributions import AnyDistribution, latent_link
from ppl.semantics.scope import Piece, Scope
from ppl.semantics.typed import DistributionChoice, SubmodelCall
from ppl.source.diagnostics import Diagnostic
from ppl.source.text import Span
from ppl.syntax import tree


def _not_yet(code: str, what: str, span: Span, hint: str = "") -> Diagnostic:
    return Diagnostic(code, f"{what} is not supported yet", span, hint)


def agent(declaration: tree.ModelDeclaration) -> Diagnostic:
    return _not_yet("AIM0701", f"running an agent (`{declaration.name}`)", declaration.name_span)


def generalized(statement: tree.Generalized) -> Diagnostic:
    return _not_yet("AIM0702", "a `generalized` block", _first_line(statement.span))


def network(statement: tree.Network) -> Diagnostic:
    return _not_yet("AIM0703", f"a network (`{statement.name}`)", statement.span)


def factor(statement: tree.FactorStatement) -> Diagnostic:
    return _not_yet("AIM0705", "`factor`", statement.span)


def recursion(piece: Piece, earlier: str) -> Diagnostic:
    if earlier == piece.name:
        return _not_yet("AIM0706", f"`{piece.name}` at an index depends on `{earlier}` at an earlier one: a recursion", piece.span)
    return _not_yet("AIM0706", f"`{piece.name}` depends on an earlier index of `{earlier}`: a recursion", piece.span)


def of_distribution(call: AnyDistribution, scope: Scope) -> list[Diagnostic]:
    """What keeps a distribution from running."""
    if isinstance(call, SubmodelCall):
        return [_not_yet("AIM0704", f"a model as a distribution (`{call.model}`)", call.span)]
    if isinstance(call, DistributionChoice):
        names = sorted({arm.name for _, arm in call.arms})
        if len(names) == 1:
            what = f"a choice between parametrisations of `{names[0]}`"
            return [_not_yet("AIM0709", what, call.span, "write all arms with the same parameters")]
        return [_not_yet("AIM0709", f"a choice between different distributions ({', '.join(names)})", call.span)]
    if DISTRIBUTIONS[call.name].implementation is None:
        return [_not_yet("AIM0707", f"`{call.name}`", call.span)]
    link = latent_link(call)
    if link is not None:
        hint = "neither `exact` nor `vmp` can serve this statement"
        return [_not_yet("AIM0708", f"`{call.name}` with `{link}` of a random variable", call.arguments[link].span, hint)]
    return []


def form(written: tree.Form) -> Diagnostic:
    return _not_yet("AIM0710", f"the form `{written.family}` of a posterior", written.span)


def amortised(written: tree.Amortised) -> Diagnostic:
    return _not_yet("AIM0711", "a posterior by a network", written.span)


def engine(written: tree.Use) -> Diagnostic:
    return _not_yet("AIM0712", f"the engine `{written.engine}`", written.span, "`exact` and `vmp` run")


def _first_line(span: Span) -> Span:
    text = span.text.split("\n", 1)[0]
    return Span(span.source, span.start, span.start + len(text.rstrip()))
