"""The command `ppl`: which commands there are, and how any of them ends.

Exit status 0: done; 1: the file or the data is wrong; 2: wrong usage; 3: it ran and did not converge, or a test failed. Nothing heavy is
imported before a command needs it, and a person never sees a traceback.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import signal
import sys

import click

from ppl import __version__
from ppl.source.diagnostics import AimError, did_you_mean
from ppl.tools.messages import show_bug, show_diagnostics

INTERRUPTED = 130  # what a shell says of a program that Ctrl-C ended
COMMANDS = {
    "run": "ppl.tools.run_command",
    "check": "ppl.tools.file_commands",
    "fmt": "ppl.tools.file_commands",
    "graph": "ppl.tools.picture_commands",
    "explain": "ppl.tools.picture_commands",
    "test": "ppl.tools.test_command",
    "new": "ppl.tools.library_commands",
    "models": "ppl.tools.library_commands",
    "server": "ppl.tools.server_command",
}


class LazyGroup(click.Group):
    """Imports the module of a command when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = f"did you mean `ppl run {args[0]}`?" if args[0].endswith(".aim") else did_you_mean(args[0], COMMANDS)
            ctx.fail(f"no command `{args[0]}`" + (f": {hint}" if hint else f"; there are {', '.join(COMMANDS)}"))
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ppl", message="%(prog)s %(version)s")
def commands() -> None:
    """Generative models in .aim files become inference by themselves."""


def main(arguments: list[str] | None = None) -> None:
    """What the command `ppl` does; ends the process with the status of the command.

    What imports and compilation leave is not garbage: to look through it every 700 objects took a tenth of a short run.
    """
    gc.set_threshold(100_000, 50, 50)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    sys.exit(status(arguments))


def _end(*_: object) -> None:
    """Ctrl-C ends the process at once. A thread of JAX that compiles falls over where Python is taken down around it, and an exception is
    lost where garbage is being collected. Files are written whole or not at all."""
    os.write(2, b"\n")
    os._exit(INTERRUPTED)


def status(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit status; whatever goes wrong is said on stderr."""
    given = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows another one
    try:
        return commands.main(args=given, prog_name="ppl", standalone_mode=False) or 0
    except AimError as error:
        show_diagnostics(error.diagnostics)
        return 1
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as usage:
        usage.show()
        return usage.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that flushing at the end meets no closed pipe
        return 141
    except Exception as bug:  # noqa: BLE001  whatever else is raised is a mistake of ours, and is reported as one
        show_bug(bug, given)
        return 1


if __name__ == "__main__":
    main()
