"""From events and weight families to T under each member."""
