"""A gateway beside a node: the public API, as far as the node's files can answer it, and more."""
