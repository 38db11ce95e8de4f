"""What was measured, and how it compares."""
