"""The cache of compiled programs on disk: a second start of the same program skips its compilation."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


@cache
def use_compilation_cache() -> Path | None:
    """Points JAX at a folder of the user's cache, unless the user has chosen one or `PPL_CACHE=off` says no.

    Returns the folder, or None where there is none.
    """
    import jax

    chosen = os.environ.get("PPL_CACHE", "")
    if chosen.lower() in ("off", "0", "none") or getattr(jax.config, "jax_compilation_cache_dir", None):
        return None
    folder = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "aim-ppl" / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder
