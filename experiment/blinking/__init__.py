"""Change points, intensity levels, the time in each, and their lifetimes."""
