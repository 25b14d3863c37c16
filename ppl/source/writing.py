"""Files are written whole or not at all: into a temporary file beside the place, which then takes the place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ppl.source.diagnostics import AimError, Diagnostic


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Writes the content and returns the path; raises AimError (AIM0883) where that cannot be."""
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise AimError([unwritable(path, error)]) from error
    return path


def unwritable(path: Path, error: OSError) -> Diagnostic:
    """The diagnostic for a place that cannot be written."""
    reason = (error.strerror or str(error)).lower()
    hint = f"the folder `{path.parent}` does not exist" if not path.parent.exists() else ""
    return Diagnostic("AIM0883", f"cannot write `{path}`: {reason}", hint=hint)


def _umask() -> int:
    """The process's mask for new files, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
