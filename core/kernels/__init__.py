"""Compiled kernels that several theories share, one file a family. A kernel calls only kernels of its own file."""
