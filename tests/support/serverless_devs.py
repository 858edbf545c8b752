"""The real `s` of Serverless Devs, run without a network: stand-ins take the place of its components."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from infra.serverless_devs.description import EXAMPLE_ENV, ROOT, read_variables
from tests.support.npm_packages import install_packages

FOLDER = ROOT / "infra/serverless_devs"
CLI = FOLDER / "node_modules/.bin/s"
ACCOUNT = "1234567890123456"
LAYER_VERSION = 7
FAR_FUTURE_MS = 4_000_000_000_000

# Notes each call in a file, and answers as the real component would, as far as our s.yaml looks at the answer.
COMPONENT = """
const fs = require("node:fs");
const path = require("node:path");
class Component {
  async getSchema() { return fs.readFileSync(path.join(__dirname, "schema.json"), "utf8"); }
  note(command, inputs) {
    const line = JSON.stringify({ command, component: "NAME", props: inputs.props, args: inputs.args });
    fs.appendFileSync(process.env.STAND_IN_CALLS, line + "\\n");
  }
  async deploy(inputs) { this.note("deploy", inputs); return { functionName: inputs.props.functionName }; }
  async remove(inputs) { this.note("remove", inputs); }
  async info(inputs) { this.note("info", inputs); return {}; }
  async layer(inputs) {
    this.note("layer", inputs);
    const [command] = inputs.args;
    if (command === "publish") return { layerName: "x", version: VERSION };
    return command === "versions" ? [{ version: VERSION - 1 }, { version: VERSION }] : undefined;
  }
}
module.exports = Component;
module.exports.default = Component;
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    """Standard output and standard error."""
    calls: list[dict[str, Any]]
    """What the stand-ins were asked for, in order."""


class OfflineCli:
    """Runs `s` with a home of its own, no telemetry, and stand-ins that check against ``schemas`` by component."""

    def __init__(self, home: Path, schemas: Mapping[str, object]) -> None:
        self._home = home
        self._calls = home / "calls.jsonl"
        for name, schema in schemas.items():
            _put_component(home / ".s/components/devsapp.cn/v3" / name, name, schema)
        self.run("set", "analysis", "disable", folder=home)

    def run(self, *arguments: str, folder: Path, variables: Mapping[str, str] | None = None) -> Done:
        """Run one command in ``folder``, with the example's variables and ``variables``."""
        self._calls.write_text("")
        done = subprocess.run(
            [str(CLI), *arguments],
            cwd=folder,
            env=self._environment() | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        calls = [json.loads(line) for line in self._calls.read_text().splitlines()]
        return Done(done.returncode, done.stdout + done.stderr, calls)

    def preview(self, *arguments: str, folder: Path) -> dict[str, Any]:
        """Give the description as `s` understands it."""
        done = self.run("preview", "-o", "json", "--silent", *arguments, folder=folder)
        assert done.code == 0, done.output
        document: dict[str, Any] = json.loads(done.output[done.output.index("{") :])
        return document

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "serverless_devs_config_home": str(self._home),
            "NO_UPDATE_NOTIFIER": "1",
            "CI": "true",
            # Nothing leaves this machine: whatever tried would meet a closed door.
            "HTTP_PROXY": "http://127.0.0.1:9",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "AccountID": ACCOUNT,
            "AccessKeyID": "LTAI-no-such-key-of-any-account",
            "AccessKeySecret": "no-such-secret-of-any-account-at-all",
            "STAND_IN_CALLS": str(self._calls),
            "DEPLOY_PYTHON": "echo would-run",
            **read_variables(EXAMPLE_ENV),
        }


def install_cli() -> None:
    """Install `s` as the lock file has it, unless it is there; skip the test where that cannot be done."""
    install_packages(FOLDER, last=CLI, what="`s`")


def _put_component(folder: Path, name: str, schema: object) -> None:
    """Put a stand-in where `s` keeps components that it has fetched before."""
    (folder / "dist").mkdir(parents=True)
    (folder / "dist/index.js").write_text(COMPONENT.replace("NAME", name).replace("VERSION", str(LAYER_VERSION)))
    (folder / "dist/schema.json").write_text(json.dumps(schema))
    (folder / "package.json").write_text(json.dumps({"name": name, "version": "0.0.0", "main": "dist/index.js"}))
    (folder / "publish.yaml").write_text(f"Type: Component\nName: {name}\nVersion: 0.0.0\n")
    (folder / ".s.lock").write_text(json.dumps({"version": "0.0.0", "lastUpdateCheck": FAR_FUTURE_MS}))
