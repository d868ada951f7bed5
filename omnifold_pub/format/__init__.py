"""The HDF5 layout of a release, its bytes, and how they are written, inspected and read."""
