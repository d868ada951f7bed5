"""What can be computed of events: columns, expressions, functions; and their binning."""
