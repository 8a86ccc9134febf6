"""The attacks, by kind. Each writes raw bytes, because no HTTP/2 library lets a peer break the rules."""
