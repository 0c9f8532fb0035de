"""One evaluation: its definition, its directory, its record."""
