"""`ppl server`: the language server that an editor starts."""

from __future__ import annotations

import click

from ppl.results.extras import needs


@click.command(short_help="Serve an editor by the language server protocol.")
def server() -> None:
    """Serve an editor by the language server protocol, on stdin and stdout."""
    needs("pygls", "server")
    from ppl.tools.server.protocol import make_server

    make_server().start_io()
