"""The checks of a deployed stage, one after the other, from outside and from inside of its functions."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.adapters.aliyun.function_compute.http_invoker import ERROR_TYPE_HEADER, signed_call
from sluice.adapters.aliyun.tablestore.keys import TablestoreKeys
from sluice.adapters.aliyun.tablestore.schema import TablestoreAccess
from sluice.adapters.aliyun.tablestore.tables import check_tables
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.api.api_keys import NewKey, add_key, revoke_key
from sluice.app.functions.probe import FINE, PROBE
from sluice.client import Client, Export, SluiceApiError, Status
from sluice.domain.api_key import Scope
from sluice.domain.limits import HOUR_S, Timings
from sluice.ports.key_store import KeyStore
from sluice.ports.store_errors import StoreError

TENANT = "post-deploy-check"
ANEW = {"reuse": False}
"""The file is written at each check, also where an earlier one left the same."""
ROWS = [["1", "王伟"], ["20250314000000000123", "a,b"]]
FILE = '\ufeffid,text\r\n1,王伟\r\n20250314000000000123,"a,b"\r\n'.encode()
CALL_S = 60
KEY_KNOWN_S = 60.0
"""Functions know a new key after half a minute."""
PAUSE_S = 2.0


class Deployed(NamedTuple):
    """Where a stage is, and who checks it."""

    stage: str
    region: str
    urls: tuple[str, ...]
    """Where senders may reach it; the first one that answers counts."""
    functions_url: str
    """Function Compute's own interface, without a path."""
    tablestore: str
    """The instance's address from here."""
    instance: str
    table: str
    operator: Credentials
    wait_s: float = 300.0


class Wrong(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what: str, do: str) -> None:
        super().__init__(what)
        self.what, self.do = what, do


class StageCheck:
    """Runs each check and tells it through ``say``, one line each. Leaves a file for the retention, and no key."""

    def __init__(self, deployed: Deployed, *, say: Callable[[str], object]) -> None:
        self._deployed = deployed
        self._say = say
        self._clock = SystemClock()
        self._access = TablestoreAccess(
            endpoint=deployed.tablestore,
            instance=deployed.instance,
            region=deployed.region,
            table=deployed.table,
            credentials=FixedCredentials(deployed.operator),
        )

    def run(self) -> int:
        """How many checks found something wrong."""
        checks: tuple[tuple[str, Callable[[], str]], ...] = (
            ("tables", self._tables),
            ("compose, from inside", lambda: self._from_inside("compose")),
            ("sweep, from inside", lambda: self._from_inside("sweep")),
            ("extract, from inside", lambda: self._from_inside("extract")),
            ("an export", self._export),
        )
        return sum(not self._passes(name, check) for name, check in checks)

    def _passes(self, name: str, check: Callable[[], str]) -> bool:
        try:
            self._say(f"ok     {name}: {check()}")
        except Wrong as wrong:
            self._say(f"WRONG  {name}: {wrong.what}\n       {wrong.do}")
            return False
        return True

    def _tables(self) -> str:
        try:
            findings = check_tables(self._access, timeout_s=CALL_S)
        except StoreError as error:
            raise Wrong(str(error), "Is the access key the deployer's, and .env of this stage?") from error
        bad = [
            f"{finding.name} {finding.standing} {finding.detail}".rstrip() for finding in findings if not finding.fine
        ]
        if bad:
            raise Wrong(
                "; ".join(bad), "`python -m infra.provision up` makes what is missing; what differs is another's."
            )
        return f"{len(findings)} tables and indexes fit"

    def _from_inside(self, name: str) -> str:
        """What the function finds around it, which documents leave open."""
        found = self._asked(name)
        addresses: dict[str, str] = found.pop("tablestore_addresses")
        if found["tablestore"] != FINE:
            others = [address for address, state in addresses.items() if state == FINE]
            raise Wrong(
                f"Tablestore from the function: {found['tablestore']}; addresses: {addresses}",
                f"Reached from there: {', '.join(others) or 'none'}. `provision up --tablestore-domain` chooses the "
                "other network; then deploy again. AccessDenied: `up` puts the role right.",
            )
        hints = {
            "missing_input": _HIDDEN,
            "missing_result": _HIDDEN,
            "call_of_composer": "Compare SLUICE_FUNCTIONS_COMPOSE_URL in s.yaml with the address of the account's "
            "functions, and the sweeper's role with infra/ros/parts/roles.yaml.",
        }
        for what, state in found.items():
            if state != FINE:
                hint = _CONNECTION if what.startswith("connection_") else "Look at the function's log."
                raise Wrong(f"{what}: {state}", hints.get(what, hint))
        return f"{', '.join(sorted(found))}; Tablestore's addresses: {addresses}"

    def _asked(self, name: str) -> dict[str, Any]:
        url = urlsplit(
            f"{self._deployed.functions_url}/2023-03-30/functions/sluice-{self._deployed.stage}-{name}/invocations"
        )
        event = json.dumps({"payload": PROBE}).encode()
        nonce = SystemRandomness().bytes(16).hex()
        headers = signed_call(url, event, self._deployed.operator, at=self._clock.now(), nonce=nonce)
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        connection = kind(url.netloc, timeout=CALL_S)
        try:
            connection.request("POST", url.path, event, headers | {"x-fc-invocation-type": "Sync"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException) as error:
            raise Wrong(
                f"{url.netloc} does not answer: {error}", "Is the region right, and its network reached?"
            ) from error
        finally:
            connection.close()
        if answer.status != 200 or answer.headers.get(ERROR_TYPE_HEADER):  # noqa: PLR2004 - HTTP's OK
            raise Wrong(
                f"the call of sluice-{self._deployed.stage}-{name} ended as {answer.status} {body.decode()[:300]}",
                "404: is it deployed? 403: is the access key the deployer's? Otherwise its log says why.",
            )
        found: dict[str, Any] = json.loads(body)[PROBE]
        return found

    def _export(self) -> str:
        url = self._reached()
        with self._key() as key, Client(url, key, retry_for_s=0) as client:
            export = self._sent(client)
            status = self._composed(export)
            self._downloaded(export)
        if status.sealed_at is None or status.finished_at is None:
            raise Wrong("the status names no times", "Are `up`, `deploy` and this check of one version?")
        return f"{url} took it, and its link opens"

    def _reached(self) -> str:
        """The address that answers. Raises Wrong with what each one says."""
        said = []
        for url in self._deployed.urls:
            try:
                with urllib.request.urlopen(f"{url}/health/live", timeout=CALL_S):  # noqa: S310 - http or https
                    return url
            except urllib.error.HTTPError as error:
                said.append(f"{url} answers {error.code} {error.read()[:200].decode(errors='replace')}")
            except (OSError, HTTPException) as error:
                said.append(f"{url} is not reached ({error})")
        raise Wrong(
            "; ".join(said),
            "No name: does the domain's CNAME lead to Function Compute, or has the `auto` name ended? Certificate: see "
            "prod.yaml. 502 or 503: the log of relay_http says why it does not start.",
        )

    @contextmanager
    def _key(self) -> Iterator[str]:
        """A key for an hour at most, which is revoked when the check is over."""
        store: KeyStore = TablestoreKeys(self._access, timeout_s=CALL_S)
        try:
            made: NewKey = add_key(
                store, TENANT, scopes=[Scope.WRITE], clock=self._clock, randomness=SystemRandomness(), life_s=HOUR_S
            )
        except StoreError as error:
            raise Wrong(f"no key can be made: {error}", "See the check of the tables.") from error
        try:
            yield made.text.reveal()
        finally:
            revoke_key(store, made.key.key_id, clock=self._clock)

    def _sent(self, client: Client) -> Export:
        give_up_at = self._clock.monotonic() + KEY_KNOWN_S
        while True:
            try:
                return client.send_table(
                    ROWS, columns=["id", "text"], format="csv", filename="post-deploy.csv", options=ANEW
                )
            except SluiceApiError as error:
                if error.code != "UNAUTHENTICATED" or self._clock.monotonic() > give_up_at:
                    raise Wrong(f"sending: {error}", _SENDING.get(error.code, _SEE_LOG)) from error
            self._clock.sleep(PAUSE_S)

    def _composed(self, export: Export) -> Status:
        began = self._clock.monotonic()
        try:
            status = export.wait(self._deployed.wait_s)
        except SluiceApiError as error:
            do = _SEE_LOG if error.code != "NOT_READY" else _NOT_COMPOSED
            raise Wrong(f"composing {export.id}: {error}{_last_error(export)}", do) from error
        if self._clock.monotonic() - began > Timings().trigger_grace_s:
            raise Wrong(
                f"{export.id} was composed, but only after the sweeper asked for it: the bucket's trigger did not come",
                "See TriggersLost in infra/runbooks/on-call.md.",
            )
        return status

    def _downloaded(self, export: Export) -> None:
        link = export.link().url
        host = urlsplit(link).netloc
        try:
            with urllib.request.urlopen(link, timeout=CALL_S) as answer:  # noqa: S310 - the service's own link
                content = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read()[:300].decode(errors="replace")
            do = (
                _FORBIDDEN
                if "PublicEndpointForbidden" in said
                else "May the signer's role read results? See roles.yaml."
            )
            raise Wrong(f"the link to {host} answers {error.code}: {said}", do) from error
        except (OSError, HTTPException) as error:
            is_tls = isinstance(getattr(error, "reason", None), ssl.SSLError)
            do = (
                "Host the domain's certificate on the bucket."
                if is_tls
                else "Is the domain bound to the bucket of results?"
            )
            raise Wrong(f"the link to {host} does not open: {error}", do) from error
        if content != FILE:
            raise Wrong(f"the file has {len(content)} other bytes than were sent", "This must not happen: tell us.")


def _last_error(export: Export) -> str:
    """What the last attempt said, as far as the status tells."""
    try:
        status = export.status()
    except SluiceApiError:
        return ""
    error = status.attempt_error
    return f"; attempt {status.attempts} ended with {error['code']}: {error['message']}" if error else ""


_SEE_LOG = "Search the stage's log for `message.level: ERROR`. AccessDenied there: `up` and `deploy` differ in version."
_SENDING = {
    "UNAUTHENTICATED": "The functions read keys elsewhere: deploy with this .env.",
    "UNEXPECTED_ANSWER": "Not the service answers there: compare the routes of api_domain with s.yaml.",
}
_NOT_COMPOSED = (
    "Neither the bucket's trigger nor the sweeper had it composed: compare compose's trigger with s.yaml, then look at "
    "the logs of sweep and compose."
)
_CONNECTION = (
    "A password: SLUICE_SECRETS in .env. Not reached: is the network of DEPLOY_VPC_ID, DEPLOY_VSWITCH_IDS and "
    "DEPLOY_SECURITY_GROUP_ID the database's, and does that let this group in? Then deploy again."
)
_HIDDEN = (
    "The bucket does not say that an object is missing to one who may not list: tell us. Exports work, but a missing "
    "chunk is shown as a refusal."
)
_FORBIDDEN = (
    "New accounts may not download by the bucket's own address: bind a domain with its certificate, then `provision up "
    "--download-domain`, then deploy."
)
