"""Places for files: a folder of this machine, or a part of a bucket of S3."""
