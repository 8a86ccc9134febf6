"""Which content types are JSON: the media type decides, whatever its case and parameters (RFC 9110 §8.3, RFC 6839)."""


def is_json(content_type: str) -> bool:
    """Whether a payload of this type is JSON; "" is JSON, as in the API."""
    media_type = content_type.partition(";")[0].strip().lower()
    return not content_type or media_type == "application/json" or media_type.endswith(("/json", "+json"))
