"""What each part of the report says: numbers and sentences, ready for JSON."""
