"""A caller's value as JSON, or an error that names `data`."""

import math

import msgspec


def encode_json(data: object) -> bytes:
    """The value as JSON. TypeError: JSON has no such kind. ValueError: no JSON can carry the value."""
    try:
        raw = msgspec.json.encode(data)
        if b"null" in raw:  # what msgspec makes of NaN and infinities
            _check_finite(msgspec.to_builtins(data))
    except RecursionError:
        raise ValueError("data is nested too deeply for JSON") from None
    except UnicodeEncodeError:
        raise ValueError("data: a text has a lone surrogate, which UTF-8 cannot carry") from None
    except TypeError as error:
        raise TypeError(f"data: {error}") from None
    except (ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise ValueError(f"data: {error}") from None
    return raw


def _check_finite(value: object) -> None:
    left = [value]
    while left:
        match left.pop():
            case float() as number if not math.isfinite(number):
                raise ValueError(f"JSON has no {number}; None is null")
            case dict() as table:
                left += [*table, *table.values()]
            case list() | tuple() as items:
                left += items
