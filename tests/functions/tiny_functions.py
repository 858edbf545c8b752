"""A deployment of tiny functions, written to a folder, for the tests of the function host."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.emulators.function_compute.deployment_file import load_deployment
from infra.emulators.function_compute.environment import Place, RoleKey
from infra.emulators.function_compute.host import FunctionHost
from infra.emulators.function_compute.interpreter import source_tree

KEY = RoleKey("STS.id", "secret", "token/+=")

DEPLOYMENT = """
edition: 3.0.0
name: tiny
vars:
  region: ${env('REGION', 'cn-hangzhou')}
  bucket: tiny-in
template:
  function:
    region: ${vars.region}
    timeout: 20
    memorySize: 256
    environmentVariables:
      STAGE: ${env('STAGE', 'dev')}
resources:
  work:
    component: fc3
    extend: {name: function}
    props:
      functionName: tiny-work
      runtime: python3.12
      handler: work.handler
      code: ./code
      asyncInvokeConfig:
        maxAsyncRetryAttempts: 2
        asyncTask: true
        destinationConfig:
          onFailure: {destination: 'acs:mns:${vars.region}:1:/queues/failed/messages'}
      triggers:
        - triggerName: bell
          triggerType: oss
          sourceArn: acs:oss:${vars.region}:1:${vars.bucket}
          triggerConfig:
            events: ['oss:ObjectCreated:PutObject']
            filter: {key: {prefix: in/, suffix: .bell}}
        - triggerName: minutely
          triggerType: timer
          triggerConfig: {cronExpression: '@every 1m', enable: true, payload: round}
  old:
    component: fc3
    extend: {name: function}
    props: {functionName: tiny-old, runtime: python3.10, handler: work.handler, code: ./code}
  web:
    component: fc3
    extend: {name: function}
    props:
      functionName: tiny-web
      runtime: custom.debian11
      code: ./code
      instanceConcurrency: 10
      customRuntimeConfig: {command: [python3, web.py], port: 9000}
      instanceLifecycleConfig:
        initializer: {timeout: 10}
        preStop: {timeout: 10}
      environmentVariables: {PYTHONPATH: '/opt/python:/code'}
  hidden:
    component: fc3
    extend: {name: function}
    props:
      functionName: tiny-hidden
      runtime: custom.debian11
      code: ./code
      customRuntimeConfig: {command: [python3, web.py, hidden], port: 9000}
  talk:
    component: fc3
    extend: {name: function}
    props:
      functionName: tiny-talk
      runtime: custom.debian11
      code: ./code
      instanceConcurrency: 10
      customRuntimeConfig: {command: [python3, talk.py], port: 8089}
  domain:
    component: fc3-domain
    props:
      region: ${vars.region}
      domainName: tiny.example.com
      routeConfig:
        routes:
          - {path: /api/*, functionName: '${resources.web.props.functionName}', methods: [GET, POST]}
          - {path: /hidden, functionName: tiny-hidden}
"""

WORK = """
import json, os, sys, time

def handler(event, context):
    print("heard", len(event))
    say = json.loads(event)
    do = say.get("do", "tell")
    if do == "raise":
        raise ValueError("as asked")
    if do == "raise until":
        seen = os.path.join(say["folder"], "seen")
        with open(seen, "a") as file:
            file.write("x")
        if os.path.getsize(seen) < say["times"]:
            raise ValueError("not yet")
    if do == "sleep":
        time.sleep(say["seconds"])
    if do == "hold":
        held = bytearray(say["mib"] * 2**20)
        time.sleep(60)
    if do == "take":
        bytearray(say["mib"] * 2**20)
    if do == "exit":
        os._exit(7)
    credentials = getattr(context, "credentials", None)
    return json.dumps({
        "request_id": context.request_id,
        "function": vars(context.function),
        "region": context.region,
        "account_id": context.account_id,
        "context_key": credentials and credentials.access_key_id,
        "env": {name: value for name, value in os.environ.items() if name.startswith(("ALIBABA", "FC_", "STAGE"))},
        "secret_home": "VIRTUAL_ENV" in os.environ,
        "path": sys.path,
        "said": say,
    })
"""

WEB = """
import http.server, json, os, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        print(self.command, self.path, flush=True)
        if self.path.endswith("/slow"):
            time.sleep(60)
        if self.path.endswith("/stream"):
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for number in range(3):
                self.wfile.write(b"6\\r\\nline %d\\r\\n" % number)
            self.wfile.write(b"0\\r\\n\\r\\n")
            return
        told = {"path": self.path, "headers": {n.lower(): v for n, v in self.headers.items()}, "body": body.decode(),
                "port": os.environ["FC_CUSTOM_LISTEN_PORT"], "path_variable": os.environ.get("PYTHONPATH", "")}
        data = json.dumps(told).encode()
        broken = self.path.endswith("/broken") or "fail" in os.environ and self.path == "/initialize"
        self.send_response(500 if broken else 200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    do_POST = do_GET

host = "127.0.0.1" if "hidden" in sys.argv else "0.0.0.0"
http.server.ThreadingHTTPServer((host, int(os.environ["FC_CUSTOM_LISTEN_PORT"])), Handler).serve_forever()
"""

TALK = """
import concurrent.futures, grpc, json, os, time

class Talk(grpc.GenericRpcHandler):
    def service(self, details):
        def echo(messages, context):
            metadata = {n: v.hex() if isinstance(v, bytes) else v for n, v in details.invocation_metadata}
            yield json.dumps(metadata).encode()
            yield from messages
            context.set_trailing_metadata((("at-the-end", "yes"),))
        def fail(messages, context):
            context.set_trailing_metadata((("why-bin", b"\\x01"),))
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "as asked")
        def sleep(messages, context):
            time.sleep(30)
            yield b""
        kind = {"Echo": echo, "Fail": fail, "Sleep": sleep}[details.method.rpartition("/")[2]]
        return grpc.stream_stream_rpc_method_handler(kind)

server = grpc.server(concurrent.futures.ThreadPoolExecutor(10))
server.add_generic_rpc_handlers((Talk(),))
server.add_insecure_port("0.0.0.0:" + os.environ["FC_CUSTOM_LISTEN_PORT"])
server.start()
server.wait_for_termination()
"""


def write_tiny(folder: Path, edits: Mapping[str, str] | None = None) -> Path:
    """Write the deployment and its code; returns the deployment's file. ``edits`` are replacements in it."""
    text = DEPLOYMENT
    for old, new in (edits or {}).items():
        assert old in text
        text = text.replace(old, new)
    code = folder / "code"
    code.mkdir(exist_ok=True)
    (code / "work.py").write_text(textwrap.dedent(WORK))
    (code / "web.py").write_text(textwrap.dedent(WEB))
    (code / "talk.py").write_text(textwrap.dedent(TALK))
    file = folder / "s.yaml"
    file.write_text(text)
    return file


@contextmanager
def tiny_host(folder: Path, edits: Mapping[str, str] | None = None, *, start_s: float = 60) -> Iterator[FunctionHost]:
    """The host over the tiny functions, on the Python of the tests."""
    deployment = load_deployment(write_tiny(folder, edits), {})
    with FunctionHost(
        deployment,
        Place(deployment.region, source_tree()),
        folder,
        key_of=lambda _: KEY,
        secrets=lambda: {KEY.access_key_id: KEY.access_key_secret},
        first_pause_s=0.01,
        start_s=start_s,
    ) as host:
        yield host
