"""What ``python -m infra.provision`` understands, and what it says."""

from __future__ import annotations

import argparse
import secrets
import socket
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from infra.provision.environment_file import MADE_ONCE, read_variables, variables_of, write_variables
from infra.provision.metrics import CloudMonitor
from infra.provision.rpc_calls import CallError, RetryPolicy, RpcCalls, Service
from infra.provision.stack_watch import Stack, StackError, StackWatch
from infra.provision.stacks import Change, Stacks
from infra.provision.stage import (
    TABLESTORE_DOMAINS,
    Choices,
    StageError,
    check_stage_name,
    retention_days_of,
    stack_name,
    watch_stack_name,
)
from infra.provision.template import TemplateError, build_template, build_watch_template, template_body
from infra.provision.template_checks import check_template
from sluice.app.settings.schema import WATCH_SECRET_BYTES
from sluice.ports.retry import PROVISIONING

STS_VERSION = "2015-04-01"
DAY_S = 86_400
HTTPS_PORT = 443
DOMAIN, OLD_ENDPOINT = "SLUICE_OSS_DOWNLOAD_DOMAIN", "SLUICE_OSS_DOWNLOAD_ENDPOINT"
DOMAIN_TIMEOUT_S = 30
FAILED, DECLINED = 1, 3


class CheckFailed(Exception):
    """A template has mistakes, or says what CloudMonitor does not."""


class DomainError(Exception):
    """Links to the domain for downloads would not open."""


class UnwatchedError(Exception):
    """The stage is made and can be used, but not all of its alarms are."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one command. 0: done; 1: failed, with the reason on standard error; 3: the operator said no."""
    options = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace, Mapping[str, str]], int] = options.run
        return run(options, environment)
    except (CallError, CheckFailed, DomainError, StackError, StageError, TemplateError, UnwatchedError) as error:
        print(f"provision: {error}", file=sys.stderr)
        return FAILED


def _check(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    del options, environment
    for name, template in _templates().items():
        size = len(template_body(template).encode())
        print(f"the template of the {name} has {len(template['Resources'])} resources, {size} bytes, no mistakes")
    return 0


def _validate(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    place = _Place(options, environment)
    for template in _templates().values():
        place.stage.validate(template_body(template))
    print("ROS takes the templates")
    return 0


def _preview(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    place = _Place(options, environment)
    changes = _changes(options, place)
    for stacks, change in zip((place.stage, place.watch), changes, strict=True):
        for resource in stacks.preview(change):
            print(f"  {resource.get('Action', '?'):<8} {resource['ResourceType']:<34} {resource['LogicalResourceId']}")
    if complaints := place.cloud_monitor.complaints(build_watch_template()):
        raise CheckFailed(
            "alarms would watch nothing; mend infra/ros/watched/alarms.yaml and infra/ros/published_metrics.yaml:\n  "
            + "\n  ".join(complaints)
        )
    print("CloudMonitor has every metric that the alarms watch")
    return 0


def _up(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    place = _Place(options, environment)
    if options.download_domain:
        _check_domain(options.download_domain)
    stage, watch = _changes(options, place)
    for change in (stage, watch):
        place.stage.validate(change.body)
    _write_outputs(place.stage.bring_up(stage), options)
    try:
        place.watch.bring_up(watch)
    except (CallError, StackError) as error:
        raise UnwatchedError(
            f"stage {options.stage} is made and can be deployed, but not all of its alarms are: {error}\n"
            "  Was the mail to the alarms' address confirmed, and Alerts opened once in Simple Log Service's console? "
            "Then run `up` again: it makes the alarms anew and leaves the rest as it is."
        ) from error
    return 0


def _outputs(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    place = _Place(options, environment)
    stack = place.tell(place.stage_name)
    if stack is None:
        raise StackError(f"there is no stack {place.stage_name} in {options.region}")
    if place.tell(place.watch_name) is None:
        print(f"there is no stack {place.watch_name}, so no alarm; `up` makes it")
    _write_outputs(stack, options)
    return 0


def _watched(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    place = _Place(options, environment)
    names = {
        "Stage": check_stage_name(options.stage),
        "ALIYUN::TenantId": place.account_id(),
        "ALIYUN::Region": options.region,
    }
    seen, silent = place.cloud_monitor.silent(build_watch_template(), names)
    for name in seen:
        print(f"  has points  {name}")
    for name in silent:
        print(f"  no point    {name}")
    if not seen:
        raise CheckFailed(
            "no alarm's series has a point: it watches nothing, or nothing was called in the last minutes; "
            "make a call that fails, wait for five minutes, ask again"
        )
    return 0


def _down(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    place = _Place(options, environment)
    what = "with every file in its buckets" if options.force else "except buckets that hold files"
    if not options.yes and not _confirmed(options.stage, what):
        print("nothing was done")
        return DECLINED
    bodies = [template_body(template) for template in _templates().values()]
    place.watch.bring_down(forced=False, body=bodies[1])
    kept = place.stage.bring_down(forced=options.force, body=bodies[0])
    print(f"{stack_name(options.stage)} is gone")
    for bucket in kept:
        print(f"kept: bucket {bucket}, which is not empty and still costs money; see infra/runbooks/teardown.md")
    return 0


class _Place:
    """The two stacks of a stage, and who makes them."""

    def __init__(self, options: argparse.Namespace, environment: Mapping[str, str]) -> None:
        self.stage_name, self.watch_name = stack_name(options.stage), watch_stack_name(options.stage)
        self.calls = RpcCalls(environment, region=options.region)
        self.retry = RetryPolicy(replace(PROVISIONING, first_wait_s=options.pause_s))
        self._options = options
        self.stage = Stacks(self._stack(self.stage_name))
        self.watch = Stacks(self._stack(self.watch_name), disposable=True)
        endpoint = options.cms_endpoint or f"https://metrics.{options.region}.aliyuncs.com"
        self.cloud_monitor = CloudMonitor(self.calls, endpoint, self.retry)

    def account_id(self) -> str:
        """Whose access key it is."""
        sts = Service(self._options.sts_endpoint, STS_VERSION)
        return str(self.retry.repeat(lambda: self.calls.call(sts, "GetCallerIdentity", {}))["AccountId"])

    def tell(self, name: str) -> Stack | None:
        """Print how the stack is, and what failed in it."""
        watch = self._stack(name)
        stack = watch.find()
        if stack is not None:
            print(f"{name} is {stack.status} {stack.reason}".rstrip())
            for reason in watch.failures(stack):
                print(f"  {reason}")
        return stack

    def _stack(self, name: str) -> StackWatch:
        return StackWatch(
            self.calls,
            name,
            endpoint=self._options.ros_endpoint,
            report=lambda line: print(line, flush=True),
            retry=self.retry,
            poll_s=self._options.poll_s,
        )


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
    before = read_variables(options.env_file)
    for name in MADE_ONCE:
        variables[name] = before.get(name) or secrets.token_hex(WATCH_SECRET_BYTES)
    own = options.download_domain or before.get(DOMAIN, "")
    if own and not own.endswith(".aliyuncs.com"):
        variables[DOMAIN] = own
    if before.get(OLD_ENDPOINT):  # of an earlier release; links go to the one or to the other
        variables[OLD_ENDPOINT] = ""
    write_variables(options.env_file, variables)
    print(f"wrote {len(variables)} variables to {options.env_file}")


def _check_domain(domain: str) -> None:
    """Links lead there by TLS, and the bucket denies everything else. Raises ``DomainError``."""
    host, _, port = domain.partition(":")
    try:
        with (
            socket.create_connection((host, int(port or HTTPS_PORT)), timeout=DOMAIN_TIMEOUT_S) as connection,
            ssl.create_default_context().wrap_socket(connection, server_hostname=host),
        ):
            print(f"https://{domain} has a certificate of its name")
    except ssl.SSLError as error:
        why = f"has no certificate that browsers take ({getattr(error, 'verify_message', '') or error.reason})"
    except (OSError, ValueError) as error:
        why = f"is not reached ({error})"
    else:
        return
    raise DomainError(
        f"https://{domain} {why}: bind the domain to the bucket of results, host its certificate there, then try again"
    )


def _changes(options: argparse.Namespace, place: _Place) -> tuple[Change, Change]:
    """Both templates with their parameters: the stage's, then what watches it."""
    found = [stacks.find() for stacks in (place.stage, place.watch)]
    before = [{} if stack is None else stack.parameters for stack in found]
    choices = Choices(**{name: getattr(options, name) for name in Choices._fields})
    stage = choices.of_stage(check_stage_name(options.stage), *before)
    after = [stage.parameters(account_id=place.account_id()), stage.watch_parameters()]
    for old, new in zip(before, after, strict=True):
        for name in sorted(old.keys() & new.keys()):
            if old[name] != new[name]:
                print(f"  {name} becomes {new[name]}, from {old[name]}")
    if "OutputDays" in before[0] and (kept := retention_days_of(before[0])) > stage.retention_days:
        days = f"{stage.retention_days} days, less than the {kept} that files of this stage were promised"
        if not options.shorten_retention:
            raise StageError(f"files would be kept for {days}: OSS would delete some; --shorten-retention does it")
        print(f"files are kept for {days}")
    bodies = [template_body(template) for template in _templates().values()]
    return Change(bodies[0], after[0]), Change(bodies[1], after[1])


@cache
def _templates() -> dict[str, dict[str, Any]]:
    """Both templates, checked. Raises ``CheckFailed``."""
    templates = {"stage": build_template(), "alarms": build_watch_template()}
    mistakes = [mistake for template in templates.values() for mistake in check_template(template)]
    if mistakes:
        raise CheckFailed("the templates have mistakes:\n  " + "\n  ".join(mistakes))
    return templates


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
        ("watched", _watched, "say which alarms have something to watch, once the functions were called"),
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
    command.add_argument("--cms-endpoint", default="", help="of CloudMonitor (the region's)")
    command.add_argument("--poll-s", type=float, default=5.0, help="how often to look how far it is (%(default)s)")
    command.add_argument("--pause-s", type=float, default=1.0, help="before the first repeat of a call (%(default)s)")


def _add_choices(command: argparse.ArgumentParser) -> None:
    for name, kind, help_ in (
        ("--alert-email", str, "who gets CloudMonitor's alarms (needed the first time)"),
        ("--retention-days", _days, "how long files are kept (7)"),
        ("--log-days", _days, "how long log lines are kept (30)"),
        ("--action-policy", str, "whom log alerts reach (sls.builtin)"),
    ):
        command.add_argument(name, type=kind, help=help_)
    command.add_argument("--cluster-type", choices=("HYBRID", "SSD"), help="of Tablestore (HYBRID)")
    command.add_argument(
        "--tablestore-domain",
        choices=TABLESTORE_DOMAINS,
        help=f"by which functions reach Tablestore ({TABLESTORE_DOMAINS[0]}); the check after a deployment says "
        "whether it is the other",
    )
    command.add_argument(
        "--shorten-retention", action="store_true", help="keep files for less time than before; OSS deletes the rest"
    )
    command.epilog = "What is not said stays as the stage has it; a new stage has what stands in brackets."


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 365:  # noqa: PLR2004  # a year
        raise argparse.ArgumentTypeError("from 1 to 365")
    return days
