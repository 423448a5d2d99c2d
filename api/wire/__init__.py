"""Wire forms: from views and records to the JSON that clients read.

Nothing here waits, and nothing but the book encoder's memo is kept. Shapes are msgspec Structs
whose fields stand in the order of the wire and are renamed to its names, so a shape can be read off
its class. Functions make them from integers; decimals become texts here and nowhere else. Where a
function takes ``instruments`` they are the perpetuals by asset id.

Source of all shapes: Hyperliquid API documentation, info endpoint and WebSocket; the published
clients.
"""
