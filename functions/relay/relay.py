"""Entry of the two relay functions, for a custom runtime: `python3 relay.py grpc` and `python3 relay.py http`."""

from __future__ import annotations

import sys

from sluice.app.functions.relay import main

if __name__ == "__main__":
    main(sys.argv[1:])
