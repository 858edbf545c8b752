"""The command line: ``python -m infra.post_deploy``. The last action of ``s deploy``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.post_deploy.stage_check import Deployed, StageCheck
from infra.provision.environment_file import read_variables
from sluice.adapters.aliyun.credentials import ID_VARIABLE, SECRET_VARIABLE, TOKEN_VARIABLE, Credentials
from sluice.domain.secret import Secret

WRONG, UNUSABLE = 1, 2


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Check a stage. 0: it works; 1: something is wrong, each with what to do; 2: too little is known to begin."""
    options = _parser().parse_args(arguments)
    variables = {**read_variables(options.env_file), **environment}
    try:
        deployed = _deployed(options, variables)
    except KeyError as missing:
        print(f"post-deploy: {missing.args[0]} is not set, here or in {options.env_file}", file=sys.stderr)
        return UNUSABLE
    wrong = StageCheck(deployed, say=lambda line: print(line, flush=True)).run()
    print("the stage works" if not wrong else f"{wrong} of the checks failed; the lines with WRONG say what to do")
    return WRONG if wrong else 0


def _deployed(options: argparse.Namespace, variables: Mapping[str, str]) -> Deployed:
    region, account, stage = (variables[f"DEPLOY_{name}"] for name in ("REGION", "ACCOUNT_ID", "STAGE"))
    operator = Credentials(
        variables[ID_VARIABLE], Secret(variables[SECRET_VARIABLE]), Secret(variables.get(TOKEN_VARIABLE, ""))
    )
    own = variables.get("DEPLOY_API_DOMAIN", "auto")
    # The name that `auto` stands for is made of the domain's first function.
    url = (
        f"http://sluice-{stage}-relay-http.fcv3.{account}.{region}.fc.devsapp.net" if own == "auto" else f"http://{own}"
    )
    return Deployed(
        stage=stage,
        region=region,
        urls=(options.url,) if options.url else (url.replace("http:", "https:"), url),
        functions_url=options.functions_url or f"https://{account}.{region}.fc.aliyuncs.com",
        tablestore=options.tablestore or variables["DEPLOY_TABLESTORE_PUBLIC_ENDPOINT"],
        instance=variables["SLUICE_TABLESTORE_INSTANCE"],
        table=variables.get("SLUICE_TABLESTORE_TABLE", "export_task"),
        operator=operator,
        wait_s=options.wait_s,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.post_deploy", description=__doc__)
    parser.add_argument("--env-file", type=Path, default=Path(".env"), help="file of variables (%(default)s)")
    parser.add_argument("--url", default="", help="where senders reach the stage (the address of api_domain)")
    parser.add_argument("--functions-url", default="", help="of Function Compute's interface (the account's address)")
    parser.add_argument("--tablestore", default="", help="address of the instance from here (its public one)")
    parser.add_argument("--wait-s", type=float, default=300.0, help="how long to wait for the file (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
