"""What ``python -m infra.provision`` understands, and what it says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from infra.provision.environment_file import read_variables, variables_of, write_variables
from infra.provision.rpc_calls import CallError, RetryPolicy, RpcCalls, Service
from infra.provision.stack_watch import Stack, StackError, StackWatch
from infra.provision.stacks import Change, Stacks
from infra.provision.stage import Stage, StageError, check_stage_name, retention_days_of, stack_name
from infra.provision.template import TemplateError, build_template, template_body
from infra.provision.template_checks import check_template
from sluice.ports.retry import PROVISIONING

STS_VERSION = "2015-04-01"
DAY_S = 86_400
DOMAIN = "SLUICE_OSS_DOWNLOAD_DOMAIN"
FAILED, DECLINED = 1, 3


class CheckFailed(Exception):
    """The template has mistakes."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one command. 0: done; 1: failed, with the reason on standard error; 3: the operator said no."""
    options = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace, Mapping[str, str]], int] = options.run
        return run(options, environment)
    except (CallError, CheckFailed, StackError, StageError, TemplateError) as error:
        print(f"provision: {error}", file=sys.stderr)
        return FAILED


def _check(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    del options, environment
    body = _checked_body()
    print(f"the template has {len(build_template()['Resources'])} resources, {len(body.encode())} bytes, no mistakes")
    return 0


def _validate(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    Stacks(_watch(options, environment)).validate(_checked_body())
    print("ROS takes the template")
    return 0


def _preview(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    change = _change(options, environment)
    for resource in Stacks(_watch(options, environment)).preview(change):
        print(f"  {resource.get('Action', '?'):<8} {resource['ResourceType']:<34} {resource['LogicalResourceId']}")
    return 0


def _up(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    change = _change(options, environment)
    stacks = Stacks(_watch(options, environment))
    stacks.validate(change.body)
    _write_outputs(stacks.bring_up(change), options)
    return 0


def _outputs(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    watch = _watch(options, environment)
    stack = watch.find()
    if stack is None:
        raise StackError(f"there is no stack {watch.name} in {options.region}")
    print(f"{watch.name} is {stack.status} {stack.reason}".rstrip())
    for reason in watch.failures(stack):
        print(f"  {reason}")
    _write_outputs(stack, options)
    return 0


def _down(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    stacks = Stacks(_watch(options, environment))
    what = "with every file in its buckets" if options.force else "except buckets that hold files"
    if not options.yes and not _confirmed(options.stage, what):
        print("nothing was done")
        return DECLINED
    kept = stacks.bring_down(forced=options.force, body=_checked_body())
    print(f"{stack_name(options.stage)} is gone")
    for bucket in kept:
        print(f"kept: bucket {bucket}, which is not empty and still costs money; see infra/runbooks/teardown.md")
    return 0


def _confirmed(stage: str, what: str) -> bool:
    print(f"This deletes stage {stage}, {what}: the task table, the roles, the logs. Type {stage} to go on: ", end="")
    sys.stdout.flush()
    return sys.stdin.readline().strip() == stage


def _write_outputs(stack: Stack, options: argparse.Namespace) -> None:
    try:
        variables = variables_of(stack.outputs)
        retention_days = retention_days_of(stack.parameters)
    except KeyError as missing:
        raise StackError(f"the stack tells no {missing}; run `up` with this version") from missing
    variables["SLUICE_STORAGE_RETENTION_S"] = str(retention_days * DAY_S)
    domain = options.download_domain or read_variables(options.env_file).get(DOMAIN, "")
    if domain:  # then links go there, and only there
        variables |= {DOMAIN: domain, "SLUICE_OSS_DOWNLOAD_ENDPOINT": ""}
    write_variables(options.env_file, variables)
    print(f"wrote {len(variables)} variables to {options.env_file}")


def _change(options: argparse.Namespace, environment: Mapping[str, str]) -> Change:
    stage = Stage(
        check_stage_name(options.stage),
        options.alert_email,
        retention_days=options.retention_days,
        log_days=options.log_days,
        cluster_type=options.cluster_type,
        action_policy=options.action_policy,
    )
    body = _checked_body()
    identity = _calls(options, environment)
    caller = _retry(options).repeat(
        lambda: identity.call(Service(options.sts_endpoint, STS_VERSION), "GetCallerIdentity", {})
    )
    return Change(body, stage.parameters(account_id=str(caller["AccountId"])))


@cache
def _checked_body() -> str:
    template = build_template()
    mistakes = check_template(template)
    if mistakes:
        raise CheckFailed("the template has mistakes:\n  " + "\n  ".join(mistakes))
    return template_body(template)


def _watch(options: argparse.Namespace, environment: Mapping[str, str]) -> StackWatch:
    return StackWatch(
        _calls(options, environment),
        stack_name(options.stage),
        endpoint=options.ros_endpoint,
        report=lambda line: print(line, flush=True),
        retry=_retry(options),
        poll_s=options.poll_s,
    )


def _retry(options: argparse.Namespace) -> RetryPolicy:
    return RetryPolicy(replace(PROVISIONING, first_wait_s=options.pause_s))


def _calls(options: argparse.Namespace, environment: Mapping[str, str]) -> RpcCalls:
    return RpcCalls(environment, region=options.region)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.provision", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    check = commands.add_parser("check", help="check the template here, without the cloud")
    check.set_defaults(run=_check)
    for name, run, text in (
        ("validate", _validate, "check the template here and by ROS"),
        ("preview", _preview, "say what `up` would do to each resource"),
        ("up", _up, "make or change the stack, wait, write the environment file"),
        ("outputs", _outputs, "say how the stack is and write the environment file"),
        ("down", _down, "remove the stack; buckets with files in them stay"),
    ):
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=run)
        _add_place(command)
        if name in ("preview", "up"):
            _add_choices(command)
        if name in ("up", "outputs"):
            command.add_argument("--download-domain", default="", help="of yours, bound to the bucket of results")
            command.add_argument("--env-file", type=Path, default=Path(".env"), help="file of variables (%(default)s)")
        if name == "down":
            command.add_argument("--force", action="store_true", help="delete the buckets with every file in them")
            command.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _add_place(command: argparse.ArgumentParser) -> None:
    command.add_argument("--stage", required=True, help="dev, prod, ...: part of every resource's name")
    command.add_argument("--region", required=True, help="such as cn-hangzhou")
    command.add_argument("--ros-endpoint", default="https://ros.aliyuncs.com", help="of the interface (%(default)s)")
    command.add_argument("--sts-endpoint", default="https://sts.aliyuncs.com", help="of the interface (%(default)s)")
    command.add_argument("--poll-s", type=float, default=5.0, help="how often to look how far it is (%(default)s)")
    command.add_argument("--pause-s", type=float, default=1.0, help="before the first repeat of a call (%(default)s)")


def _add_choices(command: argparse.ArgumentParser) -> None:
    command.add_argument("--alert-email", required=True, help="who gets CloudMonitor's alarms")
    command.add_argument("--retention-days", type=_days, default=7, help="how long files are kept (%(default)s)")
    command.add_argument("--log-days", type=_days, default=30, help="how long log lines are kept (%(default)s)")
    command.add_argument("--cluster-type", choices=("HYBRID", "SSD"), default="HYBRID", help="of Tablestore")
    command.add_argument("--action-policy", default="sls.builtin", help="whom log alerts reach (%(default)s)")


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 365:  # noqa: PLR2004  # a year
        raise argparse.ArgumentTypeError("from 1 to 365")
    return days
