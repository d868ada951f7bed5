"""Other formats of unbinned measurements, read into an `UnfoldingResult` and so made a release."""
