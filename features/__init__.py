"""What was known of a lead at a moment. Knows no model, no file and no clock."""
