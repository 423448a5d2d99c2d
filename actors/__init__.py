"""Where effects happen: the order of commands, the disk, views and their subscribers, telemetry.

Each actor is a thin shell: it receives, calls the model, and sends. What it decides is in
``model``; how it is kept alive is in ``supervision``.
"""
