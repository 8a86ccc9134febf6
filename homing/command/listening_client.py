"""The client of `homing listen`: homing.json over aiohttp; it moves and reconnects as docs/protocol.md says."""

import asyncio
import json
import os
import random
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from homing.cluster import cluster_file, devtoken
from homing.cluster.errors import CommandError
from homing.command.output import OutputError, print_line
from homing.command.printable import printable_json
from homing.command.reconnect import DONE, ReconnectBackoff, ReconnectDecision, after_close, after_refusal
from homing.command.trust import client_context, refusal

try:
    import aiohttp
except ModuleNotFoundError:
    raise CommandError("`homing listen` needs the package aiohttp: pip install 'homing[up]'") from None

PROTOCOL = "homing.json"
TOKEN_TTL = 3600.0  # seconds; each connection gets a new token
MAX_MESSAGE_BYTES = 2_000_000  # a push of 1,000,000 bytes in base64, with its envelope

OVERLAP = 0.5  # seconds for which the old connection is read on after a move
REMEMBERED_PUSHES = 1000  # push ids, since what is pushed during a move comes on both connections
MESSAGES = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)

sleep = asyncio.sleep  # between two attempts; replaced by tests


class NoGateway(CommandError):
    """What is at the address is no gateway, and will be none."""


class ListeningClient:
    """Connects, joins files, prints messages, and reconnects as long as the close codes allow."""

    def __init__(
        self,
        user: str,
        files: Sequence[str],
        url: str | None,
        token: str | None,
        run_dir: Path,
        as_json: bool,
        ca: Path | None = None,
    ) -> None:
        """`ca`: a PEM file of who signs the gateways' certificates."""
        self._user = user
        self._files = files
        self.url = url
        self._token = token
        self._run_dir = run_dir
        self._as_json = as_json
        self._ca = ca
        self._connected_once = False
        self._rotation = 0
        self._seen: dict[str, None] = {}  # push ids, the oldest first

    async def run(self) -> None:
        """Run until the server ends the session normally. CommandError: a close code forbids reconnecting, or the
        output cannot be written."""
        backoff = ReconnectBackoff()
        self._context(self._choose_url())  # a missing file is an error now; later the cluster may be restarting
        self._fresh_token()
        async with aiohttp.ClientSession() as http:
            while True:
                started_at = time.monotonic()
                decision, address = await self._run_connection(http)
                if not decision.reconnect:
                    if decision is DONE:
                        return
                    raise CommandError(f"{address}: {decision.reason}; not reconnecting")
                backoff.lost(time.monotonic() - started_at)
                delay = backoff.next_delay(random.random(), decision.min_delay)
                self._print_status(f"{address}: {decision.reason}; trying again in {delay:.1f} s")
                await sleep(delay)

    async def _run_connection(
        self, http: aiohttp.ClientSession, old: aiohttp.ClientWebSocketResponse | None = None
    ) -> tuple[ReconnectDecision, str]:
        """One connection, and those that it moves to. `old`: the one that it is moved from."""
        address = self.url or "cluster"
        try:
            address = self._choose_url()
            async with http.ws_connect(
                address,
                protocols=[PROTOCOL],
                headers={"Authorization": f"Bearer {self._fresh_token()}"},
                max_msg_size=MAX_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
                ssl=self._context(address),
            ) as socket:
                if socket.protocol != PROTOCOL:
                    raise NoGateway(f"{address} does not speak {PROTOCOL}; is it a gateway's /ws?")
                self._connected_once = True
                leaving = asyncio.create_task(_leave(old)) if old is not None else None
                moving: asyncio.Task[tuple[ReconnectDecision, str]] | None = None
                while (message := await socket.receive()).type in MESSAGES:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        within = await self._on_message(socket, message.data)
                        if within is not None and moving is None:
                            moving = asyncio.create_task(self._move(http, socket, within))
                if leaving is not None:
                    await leaving
                if moving is not None:
                    return await moving
                reason = message.extra if message.type is aiohttp.WSMsgType.CLOSE else ""
                return self._without_bad_token(after_close(socket.close_code, reason or "")), address
        except (OutputError, NoGateway):
            raise
        except aiohttp.WSServerHandshakeError as error:
            hint = "; a port that speaks TLS has a wss:// address" * (error.status == 400 and address.startswith("ws:"))
            return self._without_bad_token(after_refusal(error.status)), f"{address} answered {error.status}{hint}"
        except aiohttp.ClientConnectorCertificateError as error:
            return self._after_bad_certificate(error.certificate_error), address
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if isinstance(error, aiohttp.InvalidURL):
                raise _no_address(address) from None
            return ReconnectDecision(True, 0.0, f"cannot connect ({_reason(error)})"), address
        except ValueError:  # of the URL's parts
            raise _no_address(address) from None
        except CommandError as error:  # of the run-dir, which `homing up` may be making anew
            if self.url:
                raise
            return ReconnectDecision(True, 0.0, str(error)), address

    async def _move(
        self, http: aiohttp.ClientSession, old: aiohttp.ClientWebSocketResponse, within: float
    ) -> tuple[ReconnectDecision, str]:
        """The gateway stops: connect elsewhere at a random moment, while the old connection serves on."""
        await sleep(random.random() * within)
        return await self._run_connection(http, old)

    def _without_bad_token(self, decision: ReconnectDecision) -> ReconnectDecision:
        """No reconnect with a refused --token: the same token would be refused again."""
        if self._token is not None and decision.token_refused:
            return ReconnectDecision(False, 0.0, decision.reason)
        return decision

    def _after_bad_certificate(self, error: Exception) -> ReconnectDecision:
        """A reconnect may meet a certificate that is being replaced; a first connect has the wrong settings."""
        why = refusal(error) if isinstance(error, ssl.SSLCertVerificationError) else str(error)
        return ReconnectDecision(self._connected_once, 0.0, why)

    def _context(self, address: str) -> ssl.SSLContext | bool:
        """How to judge this gateway's certificate; files are read anew, since they may have been replaced."""
        if not address.startswith("wss:"):
            return True
        return client_context(self._ca, None if self.url else self._run_dir)

    def _choose_url(self) -> str:
        """The URL to connect to: --url, else the cluster's gateways in turn."""
        if self.url:
            return self.url
        gateways = cluster_file.read(self._run_dir).gateways
        if not gateways:
            file = cluster_file.path(self._run_dir)
            raise CommandError(f"{file} names no gateway: all have died; stop `homing up` and start it again")
        self._rotation += 1
        return gateways[self._rotation % len(gateways)].url

    def _fresh_token(self) -> str:
        if self._token is not None:
            return self._token
        return devtoken.sign(devtoken.read_key(self._run_dir), self._user, self._files, time.time(), TOKEN_TTL)

    async def _on_message(self, socket: aiohttp.ClientWebSocketResponse, text: str) -> float | None:
        """Print a message. The result: seconds within which to move to another gateway; None: stay."""
        message = read_message(text)
        if self._is_repeat(message.get("push")):
            return None
        shown = describe_message(message, self._files) if message else f"a message that cannot be read: {text[:80]}"
        print_line(printable_json(text) if self._as_json else shown)
        if message.get("type") == "hello":
            for number, file in enumerate(self._files):
                await socket.send_json({"type": "join", "file": file, "id": number})
        after_ms = message.get("after_ms")
        return after_ms / 1000 if message.get("type") == "reconnect" and isinstance(after_ms, int) else None

    def _is_repeat(self, push_id: object) -> bool:
        """Whether this push was printed before."""
        if not isinstance(push_id, str):
            return False
        if push_id in self._seen:
            return True
        self._seen[push_id] = None
        if len(self._seen) > REMEMBERED_PUSHES:
            del self._seen[next(iter(self._seen))]
        return False

    def _print_status(self, line: str) -> None:
        print_line(line, err=True)


async def _leave(old: aiohttp.ClientWebSocketResponse) -> None:
    await sleep(OVERLAP)
    await old.close()


def _reason(error: Exception) -> str:
    """Why there is no connection. An error of OpenSSL has a number of its own, which is not the system's."""
    origin = getattr(error, "os_error", error)
    if isinstance(origin, ssl.SSLError):
        return f"TLS: {(origin.reason or str(origin)).replace('_', ' ').lower()}"
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error) or "no answer in time"


def _no_address(url: str) -> CommandError:
    return NoGateway(f"{url!r} is not a WebSocket address such as ws://127.0.0.1:8400/ws")


def read_message(text: str) -> dict[str, Any]:
    """A gateway's message; {} for one that Python does not read: data nested too deeply, a number of 5,000 digits."""
    try:
        message = json.loads(text)
        json.dumps(message)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def describe_message(message: dict[str, Any], files: Sequence[str] = ()) -> str:
    """A gateway's message as one line for a person. The `id` of a reply is the index of the joined file."""
    match message:
        case {"type": "hello", "session": session, "user": user, "node": node}:
            status = "" if message.get("registered", True) else " (not registered yet: the registry is away)"
            return f"connected as {user}, session {session}, on node {node}{status}"
        case {"type": "ok", "id": int(number)} if 0 <= number < len(files):
            return f"joined {files[number]}"
        case {"type": "error", "code": code}:
            index = message.get("id")
            file = f" ({files[index]})" if isinstance(index, int) and 0 <= index < len(files) else ""
            return f"error {code}: {message.get('message', '')}{file}"
        case {"type": "event", "event": event}:
            file = f" [{message['file']}]" if message.get("file") else ""
            kind = f" ({message['content_type']}, base64)" if message.get("content_type") else ""
            return f"{event}{file}{kind} {json.dumps(message.get('data'), ensure_ascii=False)}"
    return json.dumps(message, ensure_ascii=False)
