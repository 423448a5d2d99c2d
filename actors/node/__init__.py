"""Following what a real node writes: its files, its snapshots, and the views that come of them."""
