"""What it means: electronic structures, band edges, localization, levels."""
