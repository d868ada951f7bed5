"""A measurement in other people's hands: documents, tables, CSV, data frames, histograms of other libraries."""
