"""Shell: addresses as text, host:port, and the errors of a listener that has one."""

import asyncio
import os

from runtime.process.lifecycle import SettingError, StartupError
from runtime.process.setting_types import parse_address


def split_address(address: str, field: str) -> tuple[str, int]:
    """Host and port of "host:port"; an IPv6 host loses its brackets. SettingError names `field`."""
    found = parse_address(address)
    if found is None:
        raise SettingError(f"{field}: {address!r} is not host:port, such as 127.0.0.1:8400 or [::1]:0")
    return found


def join_address(host: str, port: int) -> str:
    """host:port as one text; an IPv6 host gets brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def peer_address(transport: asyncio.BaseTransport) -> str:
    """host:port of a transport's peer; "" when it was gone before it could be asked."""
    address = transport.get_extra_info("peername")
    return join_address(address[0], address[1]) if isinstance(address, tuple) and len(address) >= 2 else ""


def listen_error(field: str, address: str, error: OSError) -> StartupError:
    """The error for a port in use, or for an address that is not of this machine."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return StartupError(f"{field}: cannot listen on {address}: {reason}; free it or name another")
