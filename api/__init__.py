"""The edge: HTTP, WebSocket, signatures, settings and the command line; builds the whole program."""
