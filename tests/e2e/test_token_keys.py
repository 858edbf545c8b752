"""A service whose users' tokens are signed by an identity provider: its keys come from an address."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.key_provider import providing, public_key
from tests.support.running_service import QUICK, serving

DATASET = "dataset: orders\nsource: {connection: app, table: orders, key: [id]}\ncolumns:\n  - {name: id}\n"


def define(folder: Path) -> None:
    for name in ("connections", "datasets"):
        (folder / name).mkdir(parents=True)
    (folder / "connections/app.yaml").write_text("name: app\ntype: sqlite\npath: shop.db\n")
    (folder / "datasets/orders.yaml").write_text(DATASET)
    with closing(sqlite3.connect(folder / "shop.db")) as db:
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")


def test_users_are_let_in_by_the_keys_of_a_provider_and_go_on_when_it_is_away(tmp_path: Path) -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    define(tmp_path / "defs")

    def status(url: str, signed_by: ec.EllipticCurvePrivateKey, kid: str) -> int:
        claims = {"sub": "ann", "tenant": "acme", "exp": time.time() + 600}
        token = jwt.encode(claims, signed_by, algorithm="ES256", headers={"kid": kid})
        return CALLER.get(f"{url}/v1/datasets", headers={"Authorization": f"Bearer {token}"}).status_code

    with providing(public_key(key, "a")) as provider:
        env = {**QUICK, "SLUICE_SECURITY_JWT_KEYS": provider.url}
        arguments = ("--definitions", str(tmp_path / "defs"))
        with serving(tmp_path / "data", env=env, arguments=arguments) as service:
            assert provider.asked == 0
            assert status(service.url, key, "a") == 200
            assert [status(service.url, other, kid) for kid in ("a", "b", "c")] == [401] * 3
            assert provider.asked == 1
            provider.answer = lambda handler: handler.send_error(500)
            assert status(service.url, key, "a") == 200
    env["SLUICE_SECURITY_JWT_KEYS"] = "http://idp.example/keys"
    refused = sluice("serve", "--data", str(tmp_path / "data"), env=env, exit_code=2)
    assert "security.jwt_keys: the address begins with https://" in refused.stderr
