"""What the features of a lead imply. Knows features; no file, no clock and no network."""
