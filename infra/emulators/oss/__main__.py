"""``python -m infra.emulators.oss``: the emulator as a process of its own, until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import tempfile
from pathlib import Path

from infra.emulators.oss.server import OssServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.emulators.oss", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 is a free one")
    parser.add_argument("--folder", type=Path, help="where the bytes go; a temporary folder when not given")
    parser.add_argument("--bucket", action="append", help="may be given several times; sluice-in and sluice-out else")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="oss-stand-in-") as temporary:
        folder = arguments.folder or Path(temporary)
        server = OssServer(folder, buckets=arguments.bucket or ("sluice-in", "sluice-out"), port=arguments.port)
        try:
            print(f"{server.endpoint} {server.region} {server.access_key_id} {server.access_key_secret}", flush=True)
            signal.pause()
        except KeyboardInterrupt:
            pass
        finally:
            server.close()


if __name__ == "__main__":
    main()
