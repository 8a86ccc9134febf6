"""Core: a client's bytes become messages (RFC 6455 §5, server side; docs/promises.md, rows 34-44, 48-50).

A connection that is between messages keeps nothing here: `receive` takes whole one-frame messages straight out of the
bytes it is given, and only for what is unfinished, fragmented or odd does a `MessageReader` exist, until it is idle
again. That is what keeps an idle connection at the size of its transport (docs/decisions/0002).

The reader refuses as early as the bytes allow: two bytes show a missing mask, a length over the limit is refused before
any payload is read, and text is checked for UTF-8 as it arrives, not when it is whole.
"""

import codecs
from collections.abc import Callable

import msgspec

from gateway.close_codes import INVALID_UTF8, MESSAGE_TOO_BIG, POLICY, PROTOCOL_ERROR, CloseCode
from gateway.wire.frames import BINARY, CLOSE, MAX_CONTROL, PING, PONG, RSV1, TEXT, unmask


class MessageLimits(msgspec.Struct, frozen=True):
    """What one client may send."""

    max_message: int = 1_000_000  # bytes of a whole message
    max_fragments: int = 128  # frames a message; 0: no limit
    discard: int = 0  # bytes up to which a message over max_message is discarded, and not a violation
    seconds: float = 60.0  # for one message to arrive, and one more for each 4 KiB of it
    inflate: bool = False  # whether a message may be compressed: permessage-deflate was negotiated

    def max_compressed(self) -> int:
        """Bytes of a whole compressed message: what deflate makes at worst of `max_message` that it cannot shrink."""
        return self.max_message + (self.max_message >> 3) + (self.max_message >> 7) + 16


class MessageReceived(msgspec.Struct, frozen=True, gc=False):
    """One whole message; a text's payload is valid UTF-8."""

    text: bool
    payload: bytes


class CompressedReceived(msgspec.Struct, frozen=True, gc=False):
    """One whole message, compressed (RFC 7692 §6): nothing about what is in it was checked (`gateway.wire.deflate`)."""

    text: bool
    payload: bytes


class MessageTooLarge(msgspec.Struct, frozen=True, gc=False):
    """One whole message over the limit, which was discarded as it arrived."""

    size: int  # bytes


class PingReceived(msgspec.Struct, frozen=True, gc=False):
    payload: bytes


class PongReceived(msgspec.Struct, frozen=True, gc=False):
    payload: bytes


class CloseReceived(msgspec.Struct, frozen=True, gc=False):
    """The client's close frame; `code` is None when it was empty. Nothing follows it."""

    code: int | None
    reason: str


class ProtocolViolation(msgspec.Struct, frozen=True, gc=False):
    """The client broke the protocol: close with this code. Nothing follows it."""

    code: int
    reason: str


Event = (
    MessageReceived
    | CompressedReceived
    | MessageTooLarge
    | PingReceived
    | PongReceived
    | CloseReceived
    | ProtocolViolation
)


def receive(
    data: bytes, reader: "MessageReader | None", limits: MessageLimits
) -> tuple[list[Event], "MessageReader | None"]:
    """What these bytes bring, and the reader to hand in with the next ones (None: nothing is unfinished)."""
    events: list[Event] = []
    used = 0 if reader else _take_whole(data, limits.max_message, limits.inflate, events)
    if used == len(data):
        return events, reader
    if reader is None:
        reader = MessageReader(limits)
    reader.feed(data[used:] if used else data, events)
    return events, None if reader.idle else reader


def first_frame_end(data: bytes) -> int:
    """Where the frame ends that begins with `data`, which has its head: perhaps behind the end of `data`."""
    length = data[1] & 0x7F
    if length < 126:
        return 6 + length
    end = 4 if length == 126 else 10  # the length is in two bytes, or in eight
    return end + 4 + int.from_bytes(data[2:end], "big")


def _take_whole(data: bytes, max_message: int, inflate: bool, events: list[Event]) -> int:
    """Take ordinary messages (one masked, final frame, all of it here) off the front; returns where they end.

    The hot path, hence one function: a 200 B message costs 2 us here and 8 us through the reader's steps. Whatever is
    not ordinary is left for the reader, which knows what to say about it.
    """
    at, size = 0, len(data)
    while size - at >= 6:
        first = data[at]
        length = data[at + 1] - 0x80
        body = at + 6
        if first != 0x81 and first != 0x82 and not (inflate and (first == 0xC1 or first == 0xC2)):
            break
        if length < 0 or length == 127:
            break
        if length == 126:
            length = data[at + 2] << 8 | data[at + 3]
            body = at + 8
            if length < 126:
                break
        end = body + length
        if end > size or length > max_message:
            break
        payload = unmask(data[body - 4 : body], data[body:end])
        if first > 0x82:
            events.append(CompressedReceived(first == 0xC1, payload))
        elif first == 0x82 or payload.isascii() or is_utf8(payload):
            events.append(MessageReceived(first == 0x81, payload))
        else:
            break
        at = end
    return at


def is_utf8(payload: bytes) -> bool:
    """Whether a whole text may be sent as one."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Broken(Exception):
    def __init__(self, closing: CloseCode, reason: str = "") -> None:
        self.violation = ProtocolViolation(closing.code, reason or closing.reason)


class MessageReader:
    """One unfinished message, cut and interleaved in any way that the protocol allows."""

    __slots__ = (
        "_check_text",
        "_compressed",
        "_control",
        "_discarding",
        "_ended",
        "_final",
        "_fragments",
        "_head",
        "_kind",
        "_left",
        "_limits",
        "_mask",
        "_message",
        "_opcode",
        "_size",
    )

    def __init__(self, limits: MessageLimits) -> None:
        self._limits = limits
        self._head = bytearray()  # the frame head so far; empty while a payload is read
        self._left = -1  # payload bytes still to come; -1: in a head
        self._opcode = 0
        self._final = False
        self._mask = b""  # turned so that it fits the next payload byte
        self._control = bytearray()
        self._kind = 0  # TEXT or BINARY while a message is open
        self._message = bytearray()
        self._compressed = False  # the open message is
        self._size = 0  # bytes of the open message, announced or here
        self._discarding = False  # the open message is over the limit
        self._fragments = 0
        self._check_text: Callable[[bytes, bool], str] | None = None
        self._ended = False  # a close frame or a violation was read: nothing more is

    @property
    def idle(self) -> bool:
        """Nothing is unfinished: the next bytes begin a message, and this object may be dropped."""
        return not (self._head or self._kind or self._left >= 0 or self._ended)

    @property
    def ended(self) -> bool:
        """Whether a close frame or a violation was read: no more messages follow."""
        return self._ended

    @property
    def held(self) -> int:
        """Bytes of the open message that are kept."""
        return len(self._message)

    @property
    def missing(self) -> int:
        """Payload bytes that the open frame lacks; at most 0 within a frame's head."""
        return self._left

    @property
    def arrived(self) -> int:
        """Bytes of the open message that have arrived."""
        return self._size - max(0, self._left)

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Append what `data` completes to `events`."""
        at = 0
        try:
            while at < len(data) and not self._ended:
                at = self._read_payload(data, at) if self._left >= 0 else self._read_head(data, at)
                if self._left == 0:
                    self._end_frame(events)
        except _Broken as broken:
            self._ended = True
            events.append(broken.violation)

    def _read_head(self, data: bytes, at: int) -> int:
        """Take what is missing of the frame head's next part, and check the head as far as it is known."""
        head = self._head
        extra = 0
        if len(head) >= 2:
            extra = {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
        needed = 2 if len(head) < 2 else 2 + extra if len(head) < 2 + extra else 6 + extra
        piece = data[at : at + needed - len(head)]
        head += piece
        if len(head) < needed:
            return at + len(piece)
        if needed == 2:
            self._judge_start(head[0], head[1])
        if needed == 2 + extra and (extra or head[1] & 0x7F < 126):
            self._judge_length(int.from_bytes(head[2:], "big") if extra else head[1] & 0x7F)
        if needed == 6 + extra:
            self._begin_frame(int.from_bytes(head[2 : 2 + extra], "big") if extra else head[1] & 0x7F)
        return at + len(piece)

    def _judge_start(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x70 and not (self._limits.inflate and first & 0x70 == RSV1 and opcode in (TEXT, BINARY)):
            raise _Broken(PROTOCOL_ERROR, "a reserved bit is set")
        if not second & 0x80:
            raise _Broken(PROTOCOL_ERROR, "frames must be masked")
        if opcode in (CLOSE, PING, PONG):
            if not first & 0x80 or second & 0x7F > MAX_CONTROL:
                raise _Broken(PROTOCOL_ERROR, "a control frame is whole and at most 125 bytes")
        elif opcode in (TEXT, BINARY):
            if self._kind:
                raise _Broken(PROTOCOL_ERROR, "a new message inside another")
            self._compressed = bool(first & RSV1)
        elif opcode:
            raise _Broken(PROTOCOL_ERROR, "an unknown opcode")
        elif not self._kind:
            raise _Broken(PROTOCOL_ERROR, "a continuation of nothing")

    def _judge_length(self, length: int) -> None:
        """Before any payload is read: the shortest form was used, and the message stays within its limit."""
        extra = len(self._head) - 2
        if (extra == 2 and length < 126) or (extra == 8 and (length < 65536 or length >> 63)):
            raise _Broken(PROTOCOL_ERROR, "a malformed length")
        limits = self._limits
        limit = limits.max_compressed() if self._compressed else limits.max_message
        if self._head[0] & 0x0F < CLOSE and self._size + length > limit:
            if self._size + length > limits.discard:
                raise _Broken(MESSAGE_TOO_BIG)
            self._discarding = True
            self._message = bytearray()

    def _begin_frame(self, length: int) -> None:
        head = self._head
        self._opcode = head[0] & 0x0F
        self._final = bool(head[0] & 0x80)
        self._mask = bytes(head[-4:])
        self._left = length
        head.clear()
        if self._opcode >= CLOSE:
            return
        if self._opcode:
            self._kind = self._opcode
            if self._opcode == TEXT and not self._compressed:
                self._check_text = codecs.getincrementaldecoder("utf-8")().decode
        self._size += length
        self._fragments += 1
        if 0 < self._limits.max_fragments < self._fragments:
            raise _Broken(POLICY, "too many fragments")

    def _read_payload(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left]
        if self._discarding and self._opcode < CLOSE:
            self._left -= len(piece)
            return at + len(piece)
        plain = unmask(self._mask, piece)
        turn = len(piece) & 3
        self._mask = self._mask[turn:] + self._mask[:turn]
        self._left -= len(piece)
        if self._opcode >= CLOSE:
            self._control += plain
        else:
            self._message += plain
            self._check_utf8(plain, False)
        return at + len(piece)

    def _check_utf8(self, plain: bytes, final: bool) -> None:
        if self._check_text is not None:
            try:
                self._check_text(plain, final)
            except UnicodeDecodeError:
                raise _Broken(INVALID_UTF8) from None

    def _end_frame(self, events: list[Event]) -> None:
        self._left = -1
        if self._opcode >= CLOSE:
            payload = bytes(self._control)
            self._control.clear()
            self._end_control(payload, events)
        elif self._final:
            self._end_message(events)

    def _end_message(self, events: list[Event]) -> None:
        if self._discarding:
            events.append(MessageTooLarge(self._size))
        elif self._compressed:
            events.append(CompressedReceived(self._kind == TEXT, bytes(self._message)))
        else:
            self._check_utf8(b"", True)
            events.append(MessageReceived(self._kind == TEXT, bytes(self._message)))
        self._discarding = self._compressed = False
        self._kind = self._fragments = self._size = 0
        self._message = bytearray()  # not clear(): that would keep the room
        self._check_text = None

    def _end_control(self, payload: bytes, events: list[Event]) -> None:
        if self._opcode == PING:
            events.append(PingReceived(payload))
        elif self._opcode == PONG:
            events.append(PongReceived(payload))
        else:
            events.append(_read_close(payload))
            self._ended = True


def _read_close(payload: bytes) -> CloseReceived:
    if not payload:
        return CloseReceived(None, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not _may_be_sent(code):
        raise _Broken(PROTOCOL_ERROR, "a close code that may not be sent")
    try:
        return CloseReceived(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise _Broken(INVALID_UTF8) from None


def _may_be_sent(code: int) -> bool:
    """RFC 6455 §7.4 and IANA's registry: 1004-1006 and 1015 never, 1016-2999 not given out."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
