"use strict";
// Publishes a layer and tells its address, so that functions of the same s.yaml can use the version just published:
// `${resources.NAME.output.arn}`. The publishing itself is done by the fc3 component, as `s cli fc3 layer publish`.

const { spawnSync } = require("node:child_process");
const { existsSync } = require("node:fs");
const path = require("node:path");

const SCHEMA = {
  type: "object",
  required: ["region", "layerName", "code", "compatibleRuntime"],
  additionalProperties: false,
  properties: {
    region: { type: "string" },
    layerName: { type: "string", pattern: "^[A-Za-z_][A-Za-z0-9_-]{0,63}$" },
    description: { type: "string" },
    code: { type: "string", pattern: "\\.zip$" },
    compatibleRuntime: { type: "array", minItems: 1, items: { type: "string" } },
  },
};

// Every command answers with an address, as those of the functions after it are not read without one.
class Layer {
  async getSchema() {
    return JSON.stringify(SCHEMA);
  }

  async getShownProps() {
    return { deploy: ["region", "layerName"] };
  }

  async deploy(inputs) {
    const { code, compatibleRuntime, description } = inputs.props;
    if (!existsSync(code)) {
      throw new Error(`${code} is not there; python -m infra.build_layers makes it`);
    }
    const options = ["--code", path.resolve(code), "--compatible-runtime", compatibleRuntime.join(",")];
    const printed = layerCommand("publish", inputs, [...options, "--description", description || ""]);
    return output(inputs, newestVersion(printed));
  }

  async info(inputs) {
    return output(inputs, newestVersion(layerCommand("versions", inputs, [])));
  }

  async plan(inputs) {
    return this.info(inputs);
  }

  async remove(inputs) {
    layerCommand("remove", inputs, ["-y"]);
    return output(inputs, 0);
  }
}

// Put together here: the tool may blot out the account in what it prints.
async function output(inputs, version) {
  const { region, layerName } = inputs.props;
  const { AccountID: account } = await inputs.getCredential();
  return { layerName, version, arn: `acs:fc:${region}:${account}:layers/${layerName}/versions/${version}` };
}

// Runs the same `s` that runs us, with its credentials.
function layerCommand(command, inputs, options) {
  const { region, layerName } = inputs.props;
  const args = ["cli", "fc3", "layer", command, "--region", region, "--layer-name", layerName, ...options];
  const access = inputs.resource && inputs.resource.access;
  if (access) {
    args.push("--access", access);
  }
  const ended = spawnSync(process.execPath, [process.argv[1], ...args, "-o", "json", "--silent"], { encoding: "utf8" });
  if (ended.error) {
    throw ended.error;
  }
  if (ended.status !== 0) {
    throw new Error(`layer ${command} of ${layerName} failed:\n${ended.stdout}${ended.stderr}`);
  }
  return ended.stdout;
}

// The answer is JSON; notes of the component may stand before it.
function newestVersion(printed) {
  const versions = [...printed.matchAll(/"version":\s*(\d+)/g)].map((match) => Number(match[1]));
  if (versions.length === 0) {
    throw new Error(`no version in what was printed:\n${printed}`);
  }
  return Math.max(...versions);
}

module.exports = Layer;
module.exports.default = Layer;
