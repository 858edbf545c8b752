"""Runs the emulator by itself: ``python -m infra.emulators.tablestore --port 8087``, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal

from infra.emulators.tablestore.server import TablestoreServer, serving_tablestore


def main() -> None:
    """Serve until a signal says stop; one line of JSON on standard output says where and with which key."""
    parser = argparse.ArgumentParser(prog="infra.emulators.tablestore", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--instance", default="sluice")
    parser.add_argument("--region", default="cn-hangzhou")
    parser.add_argument("--index-lag", type=float, default=0, help="seconds that secondary indexes stay behind")
    options = parser.parse_args()
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with serving_tablestore(instance=options.instance, region=options.region, port=options.port) as server:
        server.index_lag_s = options.index_lag
        print(json.dumps(_where(server)), flush=True)
        signal.sigwait(signals)


def _where(server: TablestoreServer) -> dict[str, str]:
    return {
        "endpoint": server.endpoint,
        "instance": server.instance,
        "region": server.region,
        "access_key_id": server.access_key_id,
        "access_key_secret": server.access_key_secret,
    }


if __name__ == "__main__":
    main()
