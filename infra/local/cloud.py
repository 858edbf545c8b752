"""The whole product on this machine: emulators of OSS and Tablestore, and the functions of `s.yaml` between them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from infra.build_layers import LOCK, build_deps, build_sluice
from infra.build_layers import OUTPUT as LAYERS_FOLDER
from infra.emulators.function_compute.deployment_file import load_deployment
from infra.emulators.function_compute.environment import ACCOUNT_ID, Place, RoleKey
from infra.emulators.function_compute.host import FunctionHost
from infra.emulators.function_compute.interpreter import (
    ROOT,
    Interpreter,
    built_layers,
    find_deployed_python,
    source_tree,
)
from infra.emulators.function_compute.roles import grants_of
from infra.emulators.oss import OssServer, serving_oss
from infra.emulators.tablestore import StsCredentials, TablestoreServer, serving_tablestore
from infra.layer_build.downloads import DownloadError
from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.adapters.aliyun.tablestore.keys import TablestoreKeys
from sluice.adapters.aliyun.tablestore.schema import TablestoreAccess
from sluice.adapters.aliyun.tablestore.tables import create_tables
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.api.api_keys import add_key
from sluice.domain.api_key import Scope
from sluice.domain.secret import Secret

REGION = "cn-hangzhou"
STAGE = "local"
DEPS, SLUICE = "deps.zip", "sluice.zip"
INPUT, OUTPUT = f"sluice-{STAGE}-in-{ACCOUNT_ID}", f"sluice-{STAGE}-out-{ACCOUNT_ID}"
INSTANCE = "sluice-local"
TABLE = "export_task"
ROLE_LIFE_S = 36 * 3600
"""As long as a function's credentials last in the cloud."""
TIMEOUT_S = 5
ALL = [("*", "*")]
USERS_SECRET = "what signs the tokens of users on this machine"  # noqa: S105 - of no one else
TEMPLATE_VALUES = {
    "Stage": STAGE,
    "InstanceName": INSTANCE,
    "ALIYUN::TenantId": ACCOUNT_ID,
    "ALIYUN::Region": REGION,
}
SOON = {
    "SLUICE_CONCURRENCY_LEASE_S": "4",
    "SLUICE_CONCURRENCY_HEARTBEAT_S": "1",
    "SLUICE_CONCURRENCY_CLOCK_SKEW_S": "1",
    "SLUICE_CONCURRENCY_TRIGGER_GRACE_S": "3",
}
"""Waits for a day on one machine; in the cloud they are those of `s.yaml`."""


class LocalCloud(NamedTuple):
    """Everything that runs, to be asked and disturbed."""

    host: FunctionHost
    oss: OssServer
    ots: TablestoreServer
    access: TablestoreAccess
    keys: RoleKeys
    interpreter: Interpreter

    def new_key(self, tenant: str) -> str:
        """Make an API key that may do everything of its tenant's."""
        keys = TablestoreKeys(self.access, timeout_s=TIMEOUT_S)
        try:
            made = add_key(keys, tenant, scopes=[Scope.WRITE], clock=SystemClock(), randomness=SystemRandomness())
        finally:
            keys.close()
        return made.text.reveal()


@contextmanager
def local_cloud(
    folder: Path,
    *,
    overrides: Mapping[str, str] = SOON,
    interpreter: Interpreter | None = None,
    file: Path = ROOT / "s.yaml",
    definitions: Path | None = None,
) -> Iterator[LocalCloud]:
    """Run everything while the block runs; logs and objects are kept in ``folder``.

    ``overrides`` are other values for variables that functions have, ``definitions`` those of datasets, none without.
    Without an ``interpreter`` it is the layers as of now on the deployed Python, where they can be had.
    """
    with serving_oss(buckets=(INPUT, OUTPUT), folder=folder) as oss, serving_tablestore(instance=INSTANCE) as ots:
        key = FixedCredentials(Credentials(ots.access_key_id, Secret(ots.access_key_secret)))
        access = TablestoreAccess(
            endpoint=ots.endpoint, instance=ots.instance, region=ots.region, table=TABLE, credentials=key
        )
        create_tables(access, timeout_s=TIMEOUT_S)
        deployment = load_deployment(file, deploy_variables(oss, ots))
        keys = RoleKeys(oss, ots, {spec.name: spec.role for spec in deployment.functions.values()})
        chosen = interpreter or deployed_or_source(deployment.layers, folder / "layers")
        moved: dict[str, str] = dict(overrides)
        moved["SLUICE_DATASETS_DEFINITIONS"] = str(definitions or _no_definitions(folder))
        operator = {ots.access_key_id: ots.access_key_secret}
        place = Place(deployment.region, chosen, moved)
        with FunctionHost(deployment, place, folder, key_of=keys.of, secrets=lambda: keys.secrets() | operator) as host:
            compose, extract = (deployment.functions[name].name for name in ("compose", "extract"))
            moved["SLUICE_FUNCTIONS_COMPOSE_URL"] = f"{host.interface.url}/2023-03-30/functions/{compose}/invocations"
            moved["SLUICE_FUNCTIONS_EXTRACT_URL"] = f"{host.interface.url}/2023-03-30/functions/{extract}/invocations"
            oss.listen(host.hear)
            yield LocalCloud(host, oss, ots, access, keys, chosen)


def _no_definitions(folder: Path) -> Path:
    """A folder that defines nothing, in the place of the one that a layer brings."""
    empty = folder / "definitions"
    empty.mkdir()
    return empty


class RoleKeys:
    """One pair of credentials for each function, good for every service, as the cloud issues them.

    In OSS it may do what its role's policies say and no more; the emulator of
    Tablestore knows no policies. A caller that is no function may do everything.
    """

    def __init__(self, oss: OssServer, ots: TablestoreServer, roles: Mapping[str, str]) -> None:
        self._oss = oss
        self._ots = ots
        self._roles = roles
        self._keys: dict[str, RoleKey] = {}

    def of(self, function_name: str) -> RoleKey:
        """The function's credentials, issued when they are first asked for."""
        if function_name not in self._keys:
            grants = grants_of(self._roles[function_name], TEMPLATE_VALUES) if function_name in self._roles else ALL
            issued = RoleKey(*self._oss.issue_sts(ROLE_LIFE_S, grants=grants))
            self._ots.admit(StsCredentials(*issued), ROLE_LIFE_S)
            self._keys[function_name] = issued
        return self._keys[function_name]

    def secrets(self) -> dict[str, str]:
        """Every secret by its access key id."""
        return {key.access_key_id: key.access_key_secret for key in self._keys.values()}


def deploy_variables(oss: OssServer, ots: TablestoreServer) -> dict[str, str]:
    """What a provisioned cloud would tell the deployment file."""
    role = f"acs:ram::{ACCOUNT_ID}:role/sluice-{STAGE}"
    roles = {
        f"DEPLOY_{name}_ROLE_ARN": f"{role}-{name.lower()}" for name in ("GRPC", "QUERY", "COMPOSE", "EXTRACT", "SWEEP")
    }
    return {
        "DEPLOY_STAGE": STAGE,
        "DEPLOY_REGION": REGION,
        "DEPLOY_ACCOUNT_ID": ACCOUNT_ID,
        "DEPLOY_LOG_PROJECT": "local",
        "DEPLOY_LOGSTORE": "local",
        **roles,
        "DEPLOY_TRIGGER_ROLE_ARN": f"{role}-trigger",
        "DEPLOY_FAILURE_QUEUE_ARN": f"acs:mns:{REGION}:{ACCOUNT_ID}:/queues/sluice-{STAGE}-failures/messages",
        "SLUICE_OSS_ENDPOINT": oss.endpoint,
        "SLUICE_OSS_REGION": oss.region,
        "SLUICE_OSS_BUCKET": INPUT,
        "SLUICE_OSS_RESULT_BUCKET": OUTPUT,
        "SLUICE_OSS_DOWNLOAD_DOMAIN": oss.endpoint,
        "SLUICE_TABLESTORE_ENDPOINT": ots.endpoint,
        "SLUICE_TABLESTORE_INSTANCE": ots.instance,
        "SLUICE_TABLESTORE_TABLE": TABLE,
        "SLUICE_SECURITY_JWT_SECRET": USERS_SECRET,
    }


def deployed_or_source(layers: Iterable[Path], folder: Path) -> Interpreter:
    """Build the ``layers`` that functions name in ``folder`` for the deployed Python, or else take the source tree."""
    try:
        return built_layers(_build(layers, folder, find_deployed_python()), folder / "opt")
    except (FileNotFoundError, DownloadError) as error:
        fallback = source_tree()
        return fallback._replace(note=f"{fallback.note} ({str(error).splitlines()[0]})")


def _build(layers: Iterable[Path], folder: Path, python: Path) -> list[Path]:
    built = []
    for layer in layers:
        if layer.name == SLUICE:
            built.append(build_sluice(folder, python=python).path)
        elif layer.name == DEPS:
            built.append(_deps(layer, folder, python))
        else:
            raise FileNotFoundError(f"nobody knows how to build {layer.name}")
    return built


def _deps(layer: Path, folder: Path, python: Path) -> Path:
    """Third-party packages change with their lock only, so one that is younger is used."""
    if layer.is_file() and layer.stat().st_size and layer.stat().st_mtime > LOCK.stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(layer, folder / DEPS))
    return build_deps(folder, cache=LAYERS_FOLDER / "downloads", python=python).path
