"""`ppl server`: the language server that an editor starts."""

from __future__ import annotations

import click

from ppl.results.extras import needs


@click.command()
@click.option("--tcp", metavar="PORT", type=click.IntRange(1, 65535), help="Listen at a port of this machine, not on stdin and stdout.")
def server(tcp: int | None) -> None:
    """Serve an editor: diagnostics, hover, completion, definitions, formatting, by the language server protocol."""
    needs("pygls", "server")
    from ppl.tools.server.protocol import make_server

    if tcp is None:
        make_server().start_io()
    else:
        make_server().start_tcp("127.0.0.1", tcp)
