"""The signature is the one that the vendor's description works out by hand."""

from __future__ import annotations

import hashlib

from infra.emulators.function_compute.signatures import ArrivedCall, acs3_complaint
from sluice.adapters.aliyun.credentials import Credentials
from sluice.adapters.aliyun.function_compute.http_invoker import Acs3Request, acs3_authorization
from sluice.domain.secret import Secret

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
KEY = Credentials("YourAccessKeyId", Secret("YourAccessKeySecret"))
KEYS = {"YourAccessKeyId": "YourAccessKeySecret"}


def test_the_example_of_the_vendors_description_comes_out_the_same() -> None:
    """From "V3 request structure and signature" in the documentation of Alibaba Cloud's SDKs."""
    headers = {
        "x-acs-version": "2014-05-26",
        "X-Acs-Signature-Nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-content-sha256": EMPTY_SHA256,
        "x-acs-action": "RunInstances",
        "Host": "ecs.cn-shanghai.aliyuncs.com",
    }
    query = {"RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}
    request = Acs3Request("POST", "/", headers, payload_sha256=EMPTY_SHA256, query=query)
    assert acs3_authorization(request, KEY) == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;"
        "x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_the_checker_of_these_tests_knows_the_vendors_example_and_a_forgery() -> None:
    authorization = (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;"
        "x-acs-signature-nonce;x-acs-version,Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )
    headers = {
        "authorization": authorization,
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": EMPTY_SHA256,
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    target = "/?RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"
    assert acs3_complaint(ArrivedCall("POST", target, headers, b""), KEYS, body_is_signed=True) == ""
    late = {**headers, "x-acs-date": "2023-10-26T10:22:33Z"}
    assert acs3_complaint(ArrivedCall("POST", target, late, b""), KEYS, body_is_signed=True)
    assert acs3_complaint(ArrivedCall("POST", target, headers, b"x"), KEYS, body_is_signed=True)


def test_a_path_and_a_query_that_need_encoding_are_signed_as_a_server_reads_them() -> None:
    body = "表".encode()
    headers = {"host": "h", "x-acs-content-sha256": hashlib.sha256(body).hexdigest()}
    request = Acs3Request(
        "PUT", "/a b/ü~*", headers, payload_sha256=headers["x-acs-content-sha256"], query={"q": " +/表"}
    )
    arrived = {**headers, "authorization": acs3_authorization(request, KEY)}
    target = "/a%20b/%C3%BC~%2A?q=%20%2B%2F%E8%A1%A8"
    assert acs3_complaint(ArrivedCall("PUT", target, arrived, body), KEYS, body_is_signed=True) == ""
