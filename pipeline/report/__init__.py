"""The report that marketing reads: one page, in English or French, and the same content as JSON."""
