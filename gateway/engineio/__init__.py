"""Engine.IO connections: their ids, the HTTP requests and WebSockets that carry them, and both as one transport."""
