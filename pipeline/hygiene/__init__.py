"""What is cleaned after reading and before snapshots: each measure counted, told, and off by one line."""
