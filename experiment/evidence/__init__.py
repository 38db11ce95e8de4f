"""What candidates predict, how it fits what was measured, what is still open."""
