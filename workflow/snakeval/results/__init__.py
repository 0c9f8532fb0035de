"""From completion records to tables, comparisons and the report."""
