"""Entry of the query function, for a custom runtime: `python3 query.py`."""

from __future__ import annotations

from sluice.app.functions.query import main

if __name__ == "__main__":
    main()
