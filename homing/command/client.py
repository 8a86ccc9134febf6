"""The client behind `homing listen`: homing.json over aiohttp, with the protocol's own rules for coming back."""

import asyncio
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from homing.cluster import devtoken, file
from homing.cluster.trouble import CommandError
from homing.command.reconnect import ReconnectBackoff, ReconnectDecision, after_close, after_refusal

try:
    import aiohttp
except ModuleNotFoundError:
    raise CommandError("`homing listen` needs the package aiohttp: pip install 'homing[up]'") from None

TOKEN_TTL = 3600.0  # seconds; each new connection gets a new token
MAX_MESSAGE = 2_000_000  # bytes: a push of 1,000,000 bytes is longer in base64, with its envelope


wait = asyncio.sleep  # between two attempts


class ListeningClient:
    """Connects, joins, prints; for as long as the close codes allow."""

    def __init__(
        self, user: str, files: Sequence[str], url: str | None, token: str | None, run_dir: Path, as_json: bool
    ) -> None:
        self._user = user
        self._files = files
        self.url = url
        self._token = token
        self._run_dir = run_dir
        self._as_json = as_json
        self._turn = 0

    async def run(self) -> None:
        """Until the server says that we are done. Trouble: it says that we shall not come back."""
        backoff = ReconnectBackoff()
        self._choose_url()  # a missing cluster is told at once; later it may be on its way back
        async with aiohttp.ClientSession() as http:
            while True:
                began = time.monotonic()
                verdict, where = await self._one_connection(http)
                if not verdict.again:
                    if verdict.why == "done":
                        return
                    raise CommandError(f"{where}: {verdict.why}; not coming back")
                backoff.lost(time.monotonic() - began)
                delay = backoff.next_delay(random.random(), verdict.at_least)
                self._note(f"{where}: {verdict.why}; trying again in {delay:.1f} s")
                await wait(delay)

    async def _one_connection(self, http: aiohttp.ClientSession) -> tuple[ReconnectDecision, str]:
        where = self.url or "cluster"
        try:
            where = self._choose_url()
            async with http.ws_connect(
                where,
                protocols=["homing.json"],
                headers={"Authorization": f"Bearer {self._fresh_token()}"},
                max_msg_size=MAX_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            ) as socket:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        await self._on_message(socket, message.data)
                return self._judge(after_close(socket.close_code)), where
        except aiohttp.WSServerHandshakeError as error:
            return self._judge(after_refusal(error.status)), f"{where} answered {error.status}"
        except aiohttp.InvalidURL:
            raise CommandError(f"{where!r} is not a WebSocket address such as ws://127.0.0.1:8080/ws") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            number = getattr(error, "errno", None)
            reason = os.strerror(number) if number else str(error) or "no answer in time"
            return ReconnectDecision(True, 0.0, f"cannot connect ({reason})"), where
        except CommandError as trouble:
            return ReconnectDecision(True, 0.0, str(trouble)), where

    def _judge(self, verdict: ReconnectDecision) -> ReconnectDecision:
        """A token that was given to us will not get better by trying it again."""
        return ReconnectDecision(False, 0.0, verdict.why) if "token" in verdict.why and self._token else verdict

    def _choose_url(self) -> str:
        """The address to dial: the one given, else the cluster's gateways in turn."""
        if self.url:
            return self.url
        gateways = file.read(self._run_dir).gateways
        if not gateways:
            raise CommandError(f"{file.path(self._run_dir)} names no gateway")
        self._turn += 1
        return gateways[self._turn % len(gateways)].url

    def _fresh_token(self) -> str:
        return self._token or devtoken.sign(
            devtoken.read_key(self._run_dir), self._user, self._files, time.time(), TOKEN_TTL
        )

    async def _on_message(self, socket: aiohttp.ClientWebSocketResponse, text: str) -> None:
        message: dict[str, Any] = json.loads(text)
        if self._as_json:
            click.echo(text)
        else:
            click.echo(in_words(message, self._files))
        if message.get("type") == "hello":
            for number, file in enumerate(self._files):
                await socket.send_json({"type": "join", "file": file, "id": number})

    def _note(self, line: str) -> None:
        click.echo(line, err=True)


def in_words(message: dict[str, Any], files: Sequence[str] = ()) -> str:
    """A message from the gateway as one line for a person. The `id` of an answer is the number of the file it joins."""
    match message:
        case {"type": "hello", "session": session, "user": user, "node": node}:
            late = "" if message.get("registered", True) else " (not registered yet: the registry is away)"
            return f"connected as {user}, session {session}, on node {node}{late}"
        case {"type": "ok", "id": int(number)} if 0 <= number < len(files):
            return f"joined {files[number]}"
        case {"type": "error", "code": code}:
            what = f" ({files[message['id']]})" if message.get("id") in range(len(files)) else ""
            return f"error {code}: {message.get('message', '')}{what}"
        case {"type": "event", "event": event}:
            to = f" [{message['file']}]" if message.get("file") else ""
            kind = f" ({message['content_type']}, base64)" if message.get("content_type") else ""
            return f"{event}{to}{kind} {json.dumps(message.get('data'), ensure_ascii=False)}"
    return json.dumps(message, ensure_ascii=False)
