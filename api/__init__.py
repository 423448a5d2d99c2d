"""The edge: HTTP, WebSocket, signatures, settings, command line; builds the whole program."""
